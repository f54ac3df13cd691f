"""Ctrl-C at any moment: what the directory holds by then, and the command that goes on from there."""

import shlex

import pytest

import deepgen as dg
from deepgen.train import load_run

WORDS = "train mixture --data bars_and_stripes --components 2 --epochs 2 --quiet --out".split()  # noqa: SIM905


@pytest.fixture
def stopped(deepgen, monkeypatch):
    """``stopped("a.function", ...)``: the line that a command says when Ctrl-C comes there, and the command in it."""

    def press(*_, **__):
        raise KeyboardInterrupt

    def command(where, *words):
        with monkeypatch.context() as patched:
            patched.setattr(where, press)
            done = deepgen(*words)
        assert (done.status, done.out) == (130, "")
        (line,) = done.err.splitlines()
        return line, shlex.split(line.rpartition(": deepgen ")[2])

    return command


@pytest.mark.parametrize("where", ["deepgen.data.load", "deepgen.cli.recipes.build"])
def test_before_the_first_step_nothing_was_saved(deepgen, stopped, tmp_path, where):
    line, again = stopped(where, *WORDS, tmp_path / "a")
    assert "before the first step; nothing was saved; to start again: " in line
    assert not (tmp_path / "a").exists()
    assert deepgen(*again).status == 0
    assert len(load_run(tmp_path / "a").history) == 2


def test_a_run_that_was_to_be_discarded_is_still_there(deepgen, stopped, tmp_path):
    assert deepgen(*WORDS, tmp_path / "a").status == 0
    more = [*WORDS, tmp_path / "a", "--fresh", "--seed", 1]
    line, again = stopped("deepgen.data.load", *more)
    assert "still holds the run that was there; to start again: " in line
    assert load_run(tmp_path / "a").history.settings["seed"] == 0
    assert deepgen(*again).status == 0
    assert load_run(tmp_path / "a").history.settings["seed"] == 1


def test_a_run_that_was_begun_is_resumed(deepgen, stopped, tmp_path):
    more = [*WORDS, tmp_path / "a", "--fresh"]
    line, again = stopped("deepgen.train.state.RunState.set_rate", *more)
    assert "holds the run as it was last saved; to resume: " in line
    assert "--fresh" not in again
    assert deepgen(*again).status == 0
    assert len(load_run(tmp_path / "a").history) == 2
    assert isinstance(dg.load(tmp_path / "a"), dg.explicit.BernoulliMixture)


@pytest.mark.parametrize(
    ("where", "said"),
    [("deepgen.cli.train.model_name", "interrupted"), ("deepgen.cli.train.ranks_of", "nothing was saved")],
)
def test_of_several_ranks_the_first_says_that_ctrl_c_came(deepgen, monkeypatch, tmp_path, where, said):
    def press(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, press)
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}.items():  # and torchrun's store is gone
        monkeypatch.setenv(name, value)
    for rank, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        done = deepgen(*WORDS, tmp_path / "a")
        assert done.status == 130
        assert len(done.err.splitlines()) == lines
        assert lines == 0 or said in done.err


def test_a_device_that_is_not_there_is_refused(deepgen, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = deepgen(*WORDS, tmp_path / "a", "--device", "cuda")
    assert done.status == 2
    assert "a GPU each, and torch sees none" in done.err
    assert "did you mean 'cuda'?" in deepgen(*WORDS, tmp_path / "a", "--device", "cudas").err
    assert not (tmp_path / "a").exists()
    assert deepgen(*WORDS, tmp_path / "a", "--device", "auto").status == 0
