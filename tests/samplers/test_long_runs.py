"""Runs in folders: interrupted, killed, taken up, made longer; and folders that are refused."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

import deepgen as dg
from deepgen.errors import CheckpointError
from deepgen.samplers import folder as folders
from deepgen.samplers import sample_chain
from deepgen.streams import Streams
from deepgen.train import Interrupted
from tests.samplers.counter import Count, Counter, Info, start

SCRIPT = Path(__file__).with_name("killed_chain.py")
START = torch.linspace(-1, 1, 12).reshape(6, 2)


def bowl(x):
    return -(x / torch.tensor([1.0, 5.0])).square().sum(-1) / 2


@dataclass(frozen=True)
class Walk(Counter):
    """Adds a random number drawn by torch itself from the generator; ``stop`` has the steps at which Ctrl-C comes."""

    stop: tuple = field(default=(), compare=False)
    taken: list = field(default_factory=list, compare=False)

    def step(self, state, *, generator):
        self.taken.append(1)
        if len(self.taken) in self.stop:
            signal.raise_signal(signal.SIGINT)
        new = state.position + torch.randn(state.position.shape, generator=generator)
        return Count(new), Info(new[:, 0], new, "text")


@pytest.fixture
def always(monkeypatch):
    """Save after every step."""
    monkeypatch.setattr(folders, "SECONDS", 0.0)


def equal(one, other):
    assert torch.equal(one.draws, other.draws)
    assert one.info.keys() == other.info.keys()
    assert all(torch.equal(one.info[name], other.info[name]) for name in one.info)
    assert all(torch.equal(a, b) for a, b in zip(one.state, other.state, strict=True))
    assert (one.generator.seed_key, one.generator.calls) == (other.generator.seed_key, other.generator.calls)
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
    return True


def survive(tmp_path, seed, kind, kills):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, tmp_path, str(kills), str(seed), kind]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    laps = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(lap["survived"] for lap in laps) == kills
    assert all(lap["same"] for lap in laps)


@pytest.mark.parametrize("kind", ["trace", "sums", "blocks"])
def test_a_run_killed_at_any_moment_equals_the_one_never_killed(tmp_path, seed, kind):
    survive(tmp_path, seed, kind, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["trace", "sums", "blocks"])
def test_a_run_killed_twenty_times_equals_the_one_never_killed(tmp_path, seed, kind):
    survive(tmp_path, seed, kind, 20)


@pytest.mark.parametrize("stop", [1, 4, 5, 9, 14])
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, stop, seed):
    """At every stage: in the warm-up of 4, between kept draws, at the end; torch's own numbers go on too."""
    options = {"draws": 5, "warmup": 4, "thin": 2, "generator": seed}
    whole = sample_chain(Walk(), start(), **options)
    if stop < 14:
        with pytest.raises(Interrupted, match=rf"interrupted after step {stop} of 14; saved in .*repeat the same call"):
            sample_chain(Walk(stop=(stop,)), start(), out=tmp_path, **options)
    else:  # the last step: nothing is left to go on with
        assert equal(sample_chain(Walk(stop=(stop,)), start(), out=tmp_path, **options), whole)
    again = Walk(stop=(stop,), taken=[1] * 100)
    assert equal(sample_chain(again, start(), out=tmp_path, **options), whole)
    assert len(again.taken) == 100 + 14 - stop
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_complete_run_is_read_and_not_run(tmp_path, always, seed):
    kernel = dg.samplers.mala(bowl)
    first = sample_chain(kernel, START, draws=10, warmup=40, generator=seed, out=tmp_path)
    again = sample_chain(kernel, START, draws=10, warmup=40, generator=seed, out=tmp_path)
    assert equal(first, again)
    assert again.exactness.kind == "exact"
    assert torch.equal(first.kernel.proposal.scale, again.kernel.proposal.scale)
    fresh = sample_chain(kernel, START, draws=10, warmup=40, generator=seed)
    assert equal(first, fresh)


def test_a_run_can_be_made_longer(tmp_path, always, seed):
    kernel = dg.samplers.hmc(bowl)
    sample_chain(kernel, START, draws=4, warmup=40, generator=seed, out=tmp_path)
    longer = sample_chain(kernel, START, draws=9, warmup=40, generator=seed, out=tmp_path)
    assert equal(longer, sample_chain(kernel, START, draws=9, warmup=40, generator=seed))
    with pytest.raises(CheckpointError, match="holds 9 draws, and 3 were asked for"):
        sample_chain(kernel, START, draws=3, warmup=40, generator=seed, out=tmp_path)


def test_without_a_seed_the_folder_has_it(tmp_path):
    with pytest.raises(Interrupted):
        sample_chain(Walk(stop=(3,)), start(), draws=6, out=tmp_path)
    resumed = sample_chain(Walk(), start(), draws=6, out=tmp_path)
    assert equal(resumed, sample_chain(Walk(), start(), draws=6, out=tmp_path))


@pytest.mark.parametrize("at_once", [None, 2])
def test_streams_handed_in_go_on_from_the_folder(tmp_path, at_once, seed):
    kernel = dg.samplers.mala(bowl, 0.5)
    sample_chain(kernel, START, draws=5, generator=Streams(seed), out=tmp_path, at_once=at_once)
    mine = Streams(seed)
    again = sample_chain(kernel, START, draws=5, generator=mine, out=tmp_path, at_once=at_once)
    assert again.generator is mine
    assert mine.calls == 10  # a normal and a uniform each step


def test_a_kernel_that_cannot_be_put_together_is_tuned_anew(tmp_path, always, seed):
    @dataclass(frozen=True)
    class Closed:
        """Learns a number, and hides where it is kept."""

        exactness = dg.samplers.EXACT
        learnt: float = 0.0

        def init(self, position):
            return Count(position)

        def step(self, state, *, generator):
            return Count(state.position + self.learnt), Info(state.position[:, 0], state.position, "")

    @dataclass(frozen=True)
    class Open(Closed):
        def tune(self, position, steps, *, generator, tick=None):
            return Closed(float(dg.random.uniform((1,), generator=generator))), position

    options = {"draws": 4, "warmup": 30, "generator": seed}
    whole = sample_chain(Open(), start(), **options)
    assert equal(sample_chain(Open(), start(), out=tmp_path, **options), whole)
    again = sample_chain(Open(), start(), out=tmp_path, **options)
    assert equal(again, whole)
    assert type(again.kernel).__name__ == "Closed"


def test_other_runs_are_refused(tmp_path, seed):
    kernel = dg.samplers.mala(bowl, 0.5)
    sample_chain(kernel, START, draws=5, generator=seed, out=tmp_path)

    def again(kernel=kernel, position=START, **options):
        return sample_chain(kernel, position, **{"draws": 5, "generator": seed, "out": tmp_path, **options})

    for options, message in (
        ({"kernel": dg.samplers.mala(bowl, 0.6)}, "another kernel"),
        ({"kernel": dg.samplers.hmc(bowl, 0.5)}, "another kernel"),
        ({"kernel": dg.samplers.mala(lambda x: bowl(x - 3), 0.5)}, "another target"),
        ({"position": START[:3]}, r"shape: \[6, 2\] there, \[3, 2\] here"),
        ({"position": START.double()}, "dtype: torch.float32 there, torch.float64 here"),
        ({"thin": 2}, "thin: 1 there, 2 here"),
        ({"warmup": 2}, "warmup: 0 there, 2 here"),
        ({"generator": seed + 1}, "stream: "),
        ({"store": False}, "store: True there, False here"),
        ({"keep": lambda s: s.position}, "keep: None there, <lambda> here"),
        ({"at_once": 2}, "holds a chains, not"),
    ):
        with pytest.raises(CheckpointError, match=message):
            again(**options)
    assert again(thin=2, resume=False).thin == 2


def test_a_fit_in_the_folder_is_refused(tmp_path):
    dg.save(dg.RBM(3, 2), tmp_path)
    with pytest.raises(CheckpointError, match="holds a model, not a run of chains"):
        sample_chain(Walk(), start(), draws=2, out=tmp_path)


@pytest.mark.parametrize("damage", ["head", "part", "lost", "exchanged", "file"])
def test_broken_folders_are_refused(tmp_path, always, damage, seed):
    out = tmp_path / "run"
    if damage == "file":
        out.write_text("")
    else:
        sample_chain(Walk(), start(), draws=3, generator=seed, out=out)
    if damage == "head":
        raw = (out / "manifest.json").read_bytes()
        (out / "manifest.json").write_bytes(raw[: len(raw) // 2])
    if damage == "part":
        path = next((out / "part-00001").glob("tensors-*"))
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(bytes(raw))
    if damage == "lost":
        (out / "part-00001" / "manifest.json").unlink()
    if damage == "exchanged":
        (out / "part-00000").rename(out / "other")
        (out / "part-00001").rename(out / "part-00000")
        (out / "other").rename(out / "part-00001")
    with pytest.raises(CheckpointError):
        sample_chain(Walk(), start(), draws=3, generator=seed, out=out)


def test_a_model_with_other_weights_is_another_kernel(tmp_path, seed):
    rbm = dg.RBM(4, 3, generator=0)
    sample_chain(rbm.gibbs(), torch.zeros(5, 4), draws=3, generator=seed, out=tmp_path)
    with torch.no_grad():
        rbm.weight[0, 0] += 1
    with pytest.raises(CheckpointError, match="another kernel"):
        sample_chain(rbm.gibbs(), torch.zeros(5, 4), draws=3, generator=seed, out=tmp_path)


def test_progress_begins_where_the_run_goes_on(tmp_path, capsys, seed):
    with pytest.raises(Interrupted):
        sample_chain(Walk(stop=(3,)), start(), draws=6, generator=seed, out=tmp_path)
    sample_chain(Walk(), start(), draws=6, generator=seed, out=tmp_path, progress=True)
    assert "6/6" in capsys.readouterr().err
