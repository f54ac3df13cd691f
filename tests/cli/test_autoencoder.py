"""Autoencoders on the command line: a loss that is called no likelihood, draws by the chain of the denoiser."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.cli import denoising
from deepgen.cli.denoising import chain_draws, losses, noise_of
from deepgen.errors import DivergenceError
from deepgen.evaluate.student import t_quantile
from deepgen.train import load_run

DIGITS = "--data digits --epochs 2 --batch 200 --hidden 8"
BARS = "--data bars_and_stripes --epochs 3 --batch 16 --hidden 8"


@pytest.fixture
def trained(deepgen, tmp_path, monkeypatch):
    """``trained("--data ...")`` -> the model, in the directory ``run`` of the current folder."""
    monkeypatch.chdir(tmp_path)

    def command(words):
        done = deepgen("train", "autoencoder", *words.split(), "--quiet", "--fresh", "--out", "run")
        assert done.status == 0, done.err
        return dg.load("run")

    return command


def told(deepgen, *words):
    return json.loads(deepgen("evaluate", "run", "--json", *words).out)


def cross_entropy(model, x, seen):
    p = model.reconstruct(seen).double()
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum(1)


def test_what_is_printed_is_the_reconstruction_loss_with_its_error_and_unit(deepgen, trained):
    model = trained(BARS)
    x = dg.data.load("bars_and_stripes").test
    each = cross_entropy(model, x, x)
    found = told(deepgen)
    clean, noisy = found["reconstruction_loss"], found["reconstruction_loss_under_noise"]
    assert clean["value"] == pytest.approx(float(each.mean()), rel=1e-5)
    assert clean["stderr_data"] == pytest.approx(float(each.std()) / math.sqrt(len(x)), rel=1e-4)
    assert (clean["stderr"], clean["unit"], clean["method"]) == (0.0, "nats/example", "reconstruction loss")
    assert clean["settings"] == {"rows": len(x)}
    assert (noisy["n"], noisy["settings"]["noise"]) == (10 * len(x), "30 % of the values set to 0")
    assert found["log_likelihood"] is None
    assert found["why"].startswith("an autoencoder has no likelihood")
    shown = deepgen("evaluate", "run").out
    assert shown.startswith(f"autoencoder 16-8-2 on {len(x)} test rows of bars_and_stripes: reconstruction loss ")
    assert " nats/example, of rows from their own codes (± by choice of rows)" in shown
    assert "log-likelihood" not in shown
    assert shown.count("likelihood") == 1  # which is that there is none
    refused = deepgen("evaluate", "run", "--method", "ais")
    assert (refused.status, "an autoencoder has no likelihood" in refused.err) == (2, True)


def test_the_loss_under_noise_is_its_mean_over_noises(stream, alpha):
    """Four bits: the mean over all 2^4 masks, each by its probability."""
    model = dg.implicit.mlp_autoencoder(4, [6], latent=3, generator=stream)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)  # masks make a difference
    x, rate = torch.randint(2, (40, 4), generator=stream).float(), 0.3
    masks = torch.cartesian_prod(*[torch.arange(2.0)] * 4)
    chance = rate ** (1 - masks).sum(1) * (1 - rate) ** masks.sum(1)
    each = torch.stack([cross_entropy(model, x, x * mask) for mask in masks])
    exact = float((chance.double() @ each).mean())
    found = losses(model, x, rate, seed=stream, repeats=200).noisy
    assert abs(found.value - exact) < t_quantile(1 - alpha / 2, 0) * found.stderr
    spread = (chance.double() @ each.square() - (chance.double() @ each).square()).mean() / (200 * len(x))
    assert found.stderr == pytest.approx(float(spread.sqrt()), rel=0.1)
    assert losses(model, x, None, seed=0).noisy is None


def test_it_is_watched_by_the_loss_of_validation_rows(deepgen, trained):
    model = trained(f"{BARS} --patience 0")
    kept = load_run("run")
    assert kept.settings["objective"]["class"] == "Reconstruction"
    assert kept.settings["objective"]["corruption"]["rate"] == 0.3
    valid = dg.data.load("bars_and_stripes").valid
    watched = kept.history[-1].monitor
    assert watched == pytest.approx(-losses(model, valid, 0.3, seed=0, repeats=1).noisy.value, rel=1e-6)
    assert watched == denoising.Restoring(0.3)(model, valid)  # the same noise each time
    assert denoising.Restoring(0.0)(model, valid) == pytest.approx(-float(cross_entropy(model, valid, valid).mean()))


def test_draws_are_ends_of_the_chain_from_a_start_that_knows_no_data(deepgen, trained):
    model = trained(DIGITS)
    done = deepgen("sample", "run", "-n", 7, "--steps", 20, "--seed", 3, "--out", "a.npy")
    assert done.status == 0, done.err
    assert "no exact draws" in done.out
    kernel = dg.implicit.DenoisingChain(model, dg.implicit.Masking(0.3))
    trace = dg.samplers.sample_chain(kernel, torch.zeros(7, 64), 1, warmup=19, generator=3)
    assert np.array_equal(np.load("a.npy"), trace.draws[0].numpy())
    quality = told(deepgen, "--quality")["sample_quality"]
    assert quality["n_fake"] == 360
    assert deepgen("report", "run", "--steps", 20).status == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "An autoencoder has no likelihood" in page
    assert "reconstruction loss of validation rows" in page


def test_without_noise_there_is_no_chain_and_a_code_that_copies_is_warned_of(deepgen, trained):
    model = trained(f"{BARS} --noise 0")
    refused = deepgen("sample", "run", "--out", "a.npy")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "was trained without noise" in refused.err
    assert "--noise 0.3" in refused.err
    assert "reconstruction_loss_under_noise" not in told(deepgen)
    assert deepgen("report", "run").status == 0  # without samples
    dg.save(model, "bare")
    refused = deepgen("sample", "bare", "--out", "a.npy")
    assert (refused.status, "does not say under what noise" in refused.err) == (2, True)
    warned = deepgen("train", "autoencoder", *f"{BARS} --noise 0 --latent 16 --quiet --out wide".split())
    assert (warned.status, "learns to copy rows" in warned.err) == (0, True)
    refused = deepgen("train", "autoencoder", *f"{BARS} --noise 1 --out other".split())
    assert (refused.status, "--noise must be from 0 to below 1" in refused.err) == (2, True)


def test_grey_levels_and_texts(deepgen, trained, tmp_path):
    model = trained("--data digits --binarise none --epochs 1 --batch 200 --hidden 8 --latent 3")
    assert type(model.observation).__name__ == "Categorical"
    assert deepgen("sample", "run", "-n", 5, "--steps", 5, "--out", "a.npy").status == 0
    assert set(np.unique(np.load("a.npy"))) <= set(range(17))
    (tmp_path / "rows.txt").write_text("abc" * 700)
    refused = deepgen("train", "autoencoder", "--data", "rows.txt", "--out", "text")
    assert (refused.status, "lstm or transformer" in refused.err) == (2, True)


def test_real_columns_get_noise_in_their_own_units(deepgen, trained, stream):
    """The same training in other units is the same but for log |d x / d x'|, and so are the draws of its chain."""
    x = torch.randn(200, 3, generator=stream).double() @ torch.tensor([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]).double()
    scale, shift = torch.tensor([1000.0, 0.01, 1.0]).double(), torch.tensor([5000.0, 1.0, 0.0]).double()
    np.save("metres.npy", x.numpy())
    np.save("others.npy", (x * scale + shift).numpy())
    found, draws = [], []
    for name in ("metres", "others"):
        model = trained(f"--data {name}.npy --epochs 2 --hidden 8 --latent 2")
        noise = noise_of(model, 0.3)
        assert noise.sigma == pytest.approx((0.3 * model.encoder.scale).tolist())
        found.append(told(deepgen))
        assert deepgen("sample", "run", "-n", 50, "--steps", 3, "--out", "a.npy").status == 0
        draws.append(torch.from_numpy(np.load("a.npy")).double())
    for key in ("reconstruction_loss", "reconstruction_loss_under_noise"):
        assert found[1][key]["value"] - found[0][key]["value"] == pytest.approx(float(scale.log().sum()), abs=0.02)
    torch.testing.assert_close((draws[1] - shift) / scale, draws[0], atol=0.02, rtol=0.02)
    assert "densities in the units of the file" in deepgen("evaluate", "run").out


def test_a_chain_that_runs_away_is_refused(stream):
    x = torch.randn(200, 2, generator=stream)
    model = dg.implicit.mlp_autoencoder(2, [], latent=2, likelihood=dg.implicit.Gaussian(1.0), generator=stream)
    made = dg.implicit.Autoencoder(
        dg.layers.Standardised(model.encoder, 2).initialise(x),
        dg.layers.Restored(model.decoder, 2).initialise(x),
        likelihood=dg.implicit.Gaussian(1.0),
    )
    with torch.no_grad():
        model.encoder.layers[0].weight.copy_(2 * torch.eye(2))
        model.decoder.layers[0].weight.copy_(torch.eye(2))
    with pytest.raises(DivergenceError, match="runs away"):
        chain_draws(made, 5, 0.3, steps=100, seed=stream)
    with torch.no_grad():
        model.encoder.layers[0].weight.mul_(0.25)
    assert chain_draws(made, 5, 0.3, steps=100, seed=stream).shape == (5, 2)


def test_a_comparison_judges_it_by_its_draws_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("deepgen.cli.compare.page.page", lambda *_: None)
    with monkeypatch.context() as patched:
        patched.setattr("deepgen.cli.denoising.STEPS", 20)
        found = dg.compare("digits", "bernoulli,autoencoder", budget=0.6, out=tmp_path, progress=False)
    one = found["autoencoder"]
    assert (one.group, one.failed, list(one.likelihood)) == ("none", "", [])
    assert one.quality is not None
    assert any("an autoencoder has no likelihood" in note for note in one.notes)
    assert found.draws("autoencoder").shape == (360, 64)
    assert "no likelihood" in str(found)


def test_in_a_comparison_one_whose_chain_runs_away_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("deepgen.cli.compare.page.page", lambda *_: None)
    monkeypatch.setattr("deepgen.cli.denoising.FAR", 1e-6)
    monkeypatch.setattr("deepgen.cli.denoising.STEPS", 2)
    one = dg.compare("moons", "autoencoder", budget=0.3, out=tmp_path, progress=False)["autoencoder"]
    assert one.group == "failed"
    assert "runs away from the data" in one.failed
    assert "nsf" in one.failed


@pytest.mark.parametrize(
    ("words", "penalty"),
    [
        ("--penalty contraction", dg.objectives.Contraction(0.1)),
        ("--penalty l1 --penalty-weight 0.5", dg.objectives.L1(0.5)),
        ("--penalty sparsity --networks tied", dg.objectives.KLSparsity(0.1)),
        ("--penalty sparsity", dg.objectives.KLSparsity(0.1)),
        ("--penalty none", None),
    ],
)
def test_penalties_are_those_of_the_library(trained, words, penalty):
    model = trained(f"{BARS} --latent 4 {words}")
    history = load_run("run").history
    assert (penalty is None) or penalty.name in history[-1].metrics
    told = str(history.settings["objective"])
    assert penalty is None or f"weight': {penalty.weight}" in told or f"weight={penalty.weight}" in told
    codes = model.code(dg.data.load("bars_and_stripes").test)
    assert bool(((codes >= 0) & (codes <= 1)).all()) == isinstance(penalty, dg.objectives.KLSparsity)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--penalty contractive", "did you mean 'contraction'?"),
        ("--penalty r1", "unknown penalty 'r1'"),
        ("--penalty sparsity --networks conv", "take l1 with conv"),
        ("--penalty-weight 1", "there is no penalty"),
        ("--penalty l1 --penalty-weight nan", "must be above 0"),
        ("--loss hinge", "--loss is an option of gan"),
    ],
)
def test_penalties_that_do_not_go_together_are_refused(deepgen, tmp_path, words, told):
    done = deepgen("train", "autoencoder", "--data", "digits", *words.split(), "--out", tmp_path / "run")
    assert done.status == 2
    assert told in done.err
