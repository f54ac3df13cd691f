"""`deepgen sample`, `evaluate` and `report`: everything they need is in the directory."""

import json

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.cli.asking import draw, judge
from deepgen.cli.commands import app
from deepgen.cli.frame import run
from deepgen.evaluate import Bracket, Estimate
from deepgen.progress import compiles
from tests.data.formats import write_packed


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_samples_as_numbers_are_those_of_the_library(deepgen, trained, tmp_path, suffix):
    out = tmp_path / f"deep/er/samples{suffix}"
    assert deepgen("sample", trained, "-n", 7, "--steps", 30, "--seed", 4, "--out", out).status == 0
    expected = dg.load(trained).sample(7, steps=30, generator=4)
    if suffix == ".csv":
        got = np.loadtxt(out, delimiter=",")
    else:
        loaded = np.load(out)
        got = loaded if suffix == ".npy" else loaded["samples"]
    assert np.array_equal(got, expected.numpy())


def test_samples_as_a_picture(deepgen, trained, tmp_path):
    done = deepgen("sample", trained, "-n", 9, "--steps", 5, "--out", tmp_path / "grid.png")
    assert done.status == 0
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert "9 samples" in done.out


def test_evaluate_prints_the_exact_likelihood(deepgen, trained):
    rbm, x = dg.load(trained).double(), dg.data.load("bars_and_stripes").test.double()
    states = ((torch.arange(2**16).unsqueeze(1) >> torch.arange(16)) & 1).double()
    exact = float((rbm.log_density(x) - rbm.log_density(states).logsumexp(0)).mean().detach())
    done = deepgen("evaluate", trained)
    assert done.status == 0
    assert f"RBM 16-6 on {len(x)} test rows of bars_and_stripes: {exact:.2f} nats/example (exact;" in done.out
    parsed = json.loads(deepgen("evaluate", trained, "--json").out)
    assert parsed["log_likelihood"]["value"] == pytest.approx(exact, abs=1e-4)
    assert parsed["log_likelihood"]["settings"]["data"]["name"] == "bars_and_stripes"


def test_evaluate_json_of_an_interval_brackets_the_exact_value(deepgen, trained):
    exact = json.loads(deepgen("evaluate", trained, "--json").out)["log_likelihood"]["value"]
    done = deepgen("evaluate", trained, "--json", "--method", "bidirectional", "--seed", 1)
    assert done.status == 0
    both = json.loads(done.out)["log_likelihood"]
    low, high = both["lower"], both["upper"]
    assert low["value"] - 6 * low["stderr"] - 1e-3 < exact < high["value"] + 6 * high["stderr"] + 1e-3


def test_evaluate_says_when_the_ends_crossed(deepgen, trained, monkeypatch):
    low, high = Estimate(-8.0, 0.1, "below", "reverse AIS", n=99), Estimate(-9.0, 0.1, "above", "AIS", n=99)
    monkeypatch.setattr("deepgen.cli.asking.judge", lambda *_, **__: Bracket(low, high))
    assert "ends crossed" in deepgen("evaluate", trained).out
    assert json.loads(deepgen("evaluate", trained, "--json").out)["crossed"] is True


@pytest.mark.parametrize("words", ["evaluate RUN", "sample RUN -n 2 --steps 1 --out a.npy", "report RUN --steps 2"])
def test_kernels_are_said_to_be_compiled_once(trained, tmp_path, monkeypatch, capsys, words):
    """The line that `train` says. What stands in for a first run is told of, as kernels on disk are not compiled."""

    def first(function):
        return lambda *arguments, **options: compiles() or compiles() or function(*arguments, **options)

    monkeypatch.setattr("deepgen.cli.asking.draw", first(draw))
    monkeypatch.setattr("deepgen.cli.asking.judge", first(judge))
    monkeypatch.chdir(tmp_path)
    line = [str(trained) if word == "RUN" else word for word in words.split()]
    assert run(app, line) == 0
    assert capsys.readouterr().err == "compiling kernels, once per machine\n"
    compiles()  # after the command nobody listens
    assert capsys.readouterr().err == ""


def test_a_model_saved_by_a_script_needs_its_data_named(deepgen, tmp_path):
    dg.save(dg.explicit.BernoulliMixture(16), tmp_path / "m")
    refused = deepgen("evaluate", tmp_path / "m")
    assert refused.status == 2
    assert "--data" in refused.err
    done = deepgen("evaluate", tmp_path / "m", "--data", "bars_and_stripes")
    assert f"{-16 * np.log(2):.2f} nats/example" in done.out


def test_report_is_one_page(deepgen, trained, tmp_path):
    done = deepgen("report", trained, "--steps", 20, "--out", tmp_path / "page.html")
    assert done.status == 0
    page = (tmp_path / "page.html").read_text()
    assert "RBM 16-6" in page
    assert "exact" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_report_of_a_table_compares_columns(deepgen, tmp_path, stream):
    table = tmp_path / "bits.csv"
    table.write_text("red,green\n" + "\n".join(f"{a},{b}" for a, b in torch.randint(2, (50, 2), generator=stream)))
    assert deepgen("train", "bernoulli", "--data", table, "--quiet", "--out", tmp_path / "b").status == 0
    assert deepgen("report", tmp_path / "b").status == 0
    page = (tmp_path / "b" / "report.html").read_text()
    assert "histogram of green for independent Bernoulli" in page
    assert "of 500 samples" in page
    assert all(name in page for name in ("red", "green", "Nearest training rows"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sample nowhere", "nowhere: no such folder; `deepgen train ... --out nowhere` makes one"),
        ("evaluate nowhere", "nowhere: no such folder"),
        ("report nowhere", "nowhere"),
        ("sample RUN --out a.txt", ".png, .npy, .npz, .csv"),
        ("sample RUN -n 0", "-n"),
        ("evaluate RUN --method exakt", "exact"),
        ("evaluate RUN --split tets", "'train', 'valid', 'test'"),
        ("evaluate RUN --data digits", "digits has 64 columns, and "),
        ("evaluate RUN --data digits", "was trained on the 16 of bars_and_stripes"),
        ("evaluate RUN --data digist", "did you mean 'digits'"),
        ("evaluat RUN", "'evaluate'"),
        ("data fetch mnits", "did you mean 'mnist'"),
    ],
)
def test_every_refusal_is_one_line_with_status_2(deepgen, trained, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    refused = deepgen(*(str(trained) if word == "RUN" else word for word in words.split()))
    assert refused.status == 2
    assert refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("deepgen: ")
    assert said in line
    assert not list(tmp_path.iterdir())


def test_rows_that_are_no_image_make_no_picture(deepgen, tmp_path):
    assert deepgen("train", "bernoulli", "--data", "labelled_shifter", "--quiet", "--out", tmp_path / "b").status == 0
    refused = deepgen("sample", tmp_path / "b", "--out", tmp_path / "b.png")
    assert refused.status == 2
    assert ".npy" in refused.err


def test_data_list_names_every_set(deepgen):
    done = deepgen("data", "list")
    assert done.status == 0
    listed = [line.split()[0] for line in done.out.splitlines()[1:]]
    assert listed == list(dg.data.names())


def test_the_folder_of_the_data_can_be_named_when_a_run_does_not_know_it(deepgen, tmp_path, monkeypatch):
    write_packed(tmp_path / "binary_density" / "nltcs.npz", 16, counts=True)
    monkeypatch.setenv("DEEPGEN_DATA", str(tmp_path))
    assert deepgen("train", "bernoulli", "--data", "nltcs", "--quiet", "--out", tmp_path / "a").status == 0
    there = deepgen("evaluate", tmp_path / "a")
    monkeypatch.delenv("DEEPGEN_DATA")
    refused = deepgen("evaluate", tmp_path / "a")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "--root" in refused.err
    assert deepgen("evaluate", tmp_path / "a", "--root", tmp_path).out == there.out
    assert deepgen("report", tmp_path / "a", "--root", tmp_path).status == 0
