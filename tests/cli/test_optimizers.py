"""`deepgen train --optimizer --schedule --monitors`: fits that scripts would make, kept with the run, or refused."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.cli.begun import longer
from deepgen.cli.optimizers import OPTIMIZERS, PLANNED, usual_rate
from deepgen.cli.options import settle
from deepgen.cli.recipes import build
from deepgen.errors import ArgumentError
from deepgen.train import load_run

BARS = ["--data", "bars_and_stripes", "--batch", "16", "--epochs", "4", "--quiet"]
VAE = ["vae", *BARS, "--hidden", "8", "--latent", "2"]


def recipe(model, data, **given):
    return build(model, data, {**settle(model, given), "seed": 0})


def test_it_is_the_fit_a_script_would_make(deepgen, tmp_path):
    words = ["--hidden", 4, "--optimizer", "nesterov", "--schedule", "cosine", "--seed", 3, "--monitors"]
    assert deepgen("train", "rbm", *BARS, *words, "--out", tmp_path / "a").status == 0
    x = dg.data.load("bars_and_stripes").train
    rbm = dg.RBM(16, 4, generator=3).initialise(x)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    dg.fit(rbm, x, dg.objectives.PersistentCD(chains=100), epochs=4, batch_size=16, optimizer=optimizer,
           schedule=lambda done: (1 + math.cos(math.pi * done)) / 2, seed=3, progress=False)  # fmt: skip
    assert torch.equal(dg.load(tmp_path / "a").weight, rbm.weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_learns_at_its_usual_rate(name):
    data = dg.data.load("digits")
    if OPTIMIZERS[name].by_gradient:
        with pytest.raises(ArgumentError, match=r"give --rate, such as 0\.0"):
            settle("vae", {"optimizer": name})
    given = {"rate": 0.01} if OPTIMIZERS[name].by_gradient else {}
    made = recipe("vae", data, optimizer=name, hidden="50", **given)
    expected = given.get("rate") or usual_rate("vae", name, 1e-3)
    assert made.optimizer.param_groups[0]["lr"] == expected
    history = dg.fit(made.model, made.train, made.objective, epochs=3, batch_size=50, optimizer=made.optimizer,
                     schedule=made.schedule, valid=made.valid, monitor=made.monitor, progress=False)  # fmt: skip
    values = history["monitor"]
    assert values[-1] > max(values[0], -64)  # 44 knows nothing; weights that were thrown away had thousands


def test_groups_of_parameters_keep_their_ratios(stream):
    gan = recipe("gan", dg.data.load("moons"), optimizer="rmsprop", rate=0.02)
    assert [group["lr"] for group in gan.optimizer.param_groups] == [0.02, 0.02]
    x = torch.randn(50, 2, generator=stream)
    data = dg.data.load("moons")
    data = type(data)(**{**vars(data), "train": (x - x.mean(0)) / x.std(0)})
    slow = recipe("rbm", data, visible="gaussian", optimizer="adam", rate=0.02)
    assert isinstance(slow.optimizer, torch.optim.Adam)
    assert [group["lr"] for group in slow.optimizer.param_groups] == [0.02, pytest.approx(0.03 * 0.02)]


def test_the_run_knows_and_another_optimizer_is_refused(deepgen, tmp_path):
    out = tmp_path / "a"
    assert deepgen("train", *VAE, "--optimizer", "adagrad", "--schedule", "step", "--out", out).status == 0
    settings = load_run(out).settings
    assert settings["optimizer"]["class"] == "Adagrad"
    kept = settings["extras"]
    assert (kept["optimizer"], kept["schedule"], kept["rate"], kept["monitors"]) == ("adagrad", "step", 0.01, None)
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    for words, said in (
        (["--optimizer", "adam", "--schedule", "step"], "begun with rate 0.01, now 0.001; optimizer adagrad, now adam"),
        (["--optimizer", "adagrad"], "begun with schedule step, now linear"),
        (["--optimizer", "adagrad", "--schedule", "step", "--monitors"], "begun with monitors not given, now given"),
    ):
        refused = deepgen("train", *VAE, *words, "--out", out)
        assert refused.status == 2
        assert said in refused.err
    assert before == {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    page = deepgen("report", out, "--steps", 2)
    assert page.status == 0
    text = (out / "report.html").read_text()
    assert "Adagrad" in text
    assert ">step<" in text
    assert "Inside the training" not in text


@pytest.mark.parametrize("schedule", ["constant", "inverse-time", "plateau"])
def test_a_run_whose_rate_was_not_planned_may_be_made_longer(deepgen, tmp_path, schedule):
    words = [*VAE, "--optimizer", "radam", "--schedule", schedule, "--patience", 0]
    for out, epochs in (("two", 2), ("two", 4), ("four", 4)):
        words[words.index("--epochs") + 1] = epochs
        assert deepgen("train", *words, "--out", tmp_path / out).status == 0
    one, other = dg.load(tmp_path / "two").state_dict(), dg.load(tmp_path / "four").state_dict()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert "give more --epochs, to begin" in longer({"model": "vae", "schedule": schedule})
    assert "cannot be made longer" in longer({"model": "vae", "schedule": "cosine"})


def test_schedules_are_factors_that_fall_from_one():
    ends = {name: (shape(0.0), shape(1.0)) for name, shape in PLANNED.items()}
    assert ends == {"linear": (1, 0), "cosine": (1, 0), "step": (1, pytest.approx(0.01)), "exponential": (1, 0.01)}
    assert [PLANNED["step"](i / 6) for i in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    for shape in PLANNED.values():
        values = [shape(i / 100) for i in range(101)]
        assert values == sorted(values, reverse=True)


def test_a_plateau_lowers_the_rate_before_the_patience_ends_the_run():
    made = recipe("made", dg.data.load("bars_and_stripes"), schedule="plateau", patience=8)
    falling = [made.optimizer.param_groups[0]["lr"]]
    for monitor in (-5.0, *[-5.0001] * 7):  # the best is the first; the run would end at the eighth that is none
        made.schedule.step(monitor)
        falling.append(made.optimizer.param_groups[0]["lr"])
    assert falling == [1e-3] * 4 + [5e-4] * 3 + [2.5e-4] * 2


@pytest.mark.parametrize("model", ["vae", "autoencoder"])  # whose curves are those of its law, and chosen ones
def test_monitors_change_no_weight_and_have_a_section_of_the_report(deepgen, tmp_path, model):
    words = [model, *VAE[1:]]
    assert deepgen("train", *words, "--out", tmp_path / "plain").status == 0
    assert deepgen("train", *words, "--monitors", "--out", tmp_path / "seen").status == 0
    plain, seen = (dg.load(tmp_path / name).state_dict() for name in ("plain", "seen"))
    assert all(torch.equal(plain[name], seen[name]) for name in plain)
    found = load_run(tmp_path / "seen").history[0].measured["monitors"]
    assert 0 < found["ratio"]["encoder.layers.0.weight"] < 1
    assert deepgen("report", tmp_path / "seen", "--steps", 2).status == 0
    text = (tmp_path / "seen" / "report.html").read_text()
    assert "Inside the training" in text
    assert "How much of the gradient reaches each layer" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("made --optimizer adem", "unknown optimizer 'adem': did you mean 'adam'?"),
        ("made --schedule cosin", "unknown schedule 'cosin': did you mean 'cosine'?"),
        ("mixture --optimizer adam", "mixture has no such thing"),
        ("made --optimizer momentum", "give --rate, such as 0.001"),
        ("made --optimizer kfac", "--optimizer kfac is of dense layers alone"),
        ("vae --optimizer kfac --prior mixture", "--optimizer kfac is of dense layers alone"),
        ("vae --optimizer kfac --networks conv", "--optimizer kfac is of dense layers alone"),
        ("made --optimizer lbfgs", "torch.optim.LBFGS in a loop"),
        ("made --optimizer sgld", "in Python it is deepgen.optim.SGLD"),
        ("rbm --optimizer adamw --weight-decay 0.1", "on top of the decay by 0.01 that adamw has"),
        ("made --schedule plateau --patience 1", "give --patience 2 or more"),
        ("dbn --schedule plateau", "--schedule plateau needs something to watch"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(deepgen, tmp_path, words, said):
    refused = deepgen("train", *words.split(), "--data", "bars_and_stripes", "--out", tmp_path / "a")
    assert (refused.status, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert said in line
    assert not (tmp_path / "a" / "manifest.json").exists()


def test_a_comparison_has_a_rate_of_its_own(deepgen, tmp_path):
    for word in ("--schedule cosine", "--monitors"):
        words = ["--data", "bars_and_stripes", "--models", f"made {word}", "--budget", "1s", "--out", tmp_path / "c"]
        refused = deepgen("compare", *words)
        assert refused.status == 2
        assert f"{word.split()[0]} in 'made {word}'" in refused.err
