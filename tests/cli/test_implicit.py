"""Latent-variable, adversarial and energy models on the command line: bounds are called bounds, and a GAN has none."""

import json
import math

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.cli.feed import Feed, sliced
from deepgen.data import batches
from deepgen.train import load_run

# models of one epoch have posteriors far from the true ones, and that is said
pytestmark = pytest.mark.filterwarnings("default::deepgen.errors.DegenerateWeights")

BARS = "--data bars_and_stripes --epochs 2 --batch 16 --hidden 8"
DIGITS = "--data digits --epochs 1 --batch 200 --hidden 8"


@pytest.fixture
def trained(deepgen, tmp_path, monkeypatch):
    """``trained("vae ...")`` -> the model, in the directory ``run`` of the current folder."""
    monkeypatch.chdir(tmp_path)

    def command(words, out="run"):
        done = deepgen("train", *words.split(), "--quiet", "--out", out)
        assert done.status == 0, done.err
        return dg.load(out)

    return command


def answer(deepgen, *words):
    return json.loads(deepgen("evaluate", "run", "--json", *words).out)


@pytest.mark.parametrize("name", ["vae", "iwae --k 3"])
def test_what_is_printed_of_a_vae_is_its_importance_bound(deepgen, trained, name):
    model = trained(f"{name} {BARS} --latent 3")
    x = dg.data.load("bars_and_stripes").test
    expected = dg.evaluate.latent_bound(model, x, 1000, generator=4).estimate()
    told = answer(deepgen, "--seed", 4)["log_likelihood"]
    assert (told["side"], told["settings"]["k"]) == ("below", 1000)
    assert told["value"] == pytest.approx(expected.value, rel=1e-9)
    assert told["stderr"] == pytest.approx(expected.stderr, rel=1e-6)
    shown = deepgen("evaluate", "run", "--seed", 4).out
    assert "nats/example (below; importance-weighted bound, k = 1000)" in shown
    assert "of 1,000 draws a row" in shown
    assert f"of {len(x)} rows the weights have a tail with Pareto k above 0.7" in shown
    assert answer(deepgen, "--method", "elbo")["log_likelihood"]["method"] == "ELBO"
    refused = deepgen("evaluate", "run", "--method", "reverse")
    assert refused.status == 2
    assert "take one of auto, bound, elbo, iwae, prior, ais, or leave --method out" in refused.err
    objective = load_run("run").settings["objective"]
    assert (objective["class"], objective.get("k")) == (("IWAE", 3) if "iwae" in name else ("ELBO", None))


def test_a_cvae_is_given_labels_and_says_so(deepgen, trained):
    model = trained(f"cvae {DIGITS}")
    data = dg.data.load("digits")
    assert model.classes == 10
    pair = (data.test, torch.as_tensor(data.labels.test).long())
    expected = dg.evaluate.log_likelihood(model, pair, generator=0)
    told = answer(deepgen)
    assert told["given"] == "labels"
    assert "baseline" not in told  # which is of log p(x), another quantity
    assert told["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-9)
    assert "given their labels" in deepgen("evaluate", "run").out
    assert deepgen("sample", "run", "-n", 5, "--label", 3, "--seed", 2, "--out", "a.npy").status == 0
    assert np.array_equal(np.load("a.npy"), model.sample(5, torch.full((5,), 3), generator=2).numpy())
    refused = deepgen("sample", "run", "--label", 10)
    assert (refused.status, "labels 0 to 9" in refused.err) == (2, True)
    refused = deepgen("train", "cvae", "--data", "bars_and_stripes", "--out", "other")
    assert refused.status == 2
    assert "bars_and_stripes has none" in refused.err


def test_a_gan_is_refused_a_likelihood_in_words_and_judged_by_its_draws(deepgen, trained):
    model = trained(f"gan {DIGITS} --latent 4")
    shown = deepgen("evaluate", "run")
    assert shown.status == 0
    assert "a GAN has no likelihood" in shown.out
    assert "digit network 8x8" in shown.out
    told = answer(deepgen)
    assert told["log_likelihood"] is None
    assert told["sample_quality"]["n_fake"] == 360
    refused = deepgen("evaluate", "run", "--method", "ais")
    assert (refused.status, "a GAN has no likelihood" in refused.err) == (2, True)
    assert deepgen("sample", "run", "-n", 20, "--out", "a.npy").status == 0
    draws = np.load("a.npy")
    assert np.array_equal(draws, model.sample(20, generator=0).numpy())
    assert set(np.unique(draws)) <= {0.0, 1.0}  # bits, as the data
    page = deepgen("report", "run")
    assert page.status == 0, page.err


def test_grey_levels_and_images_of_a_gan(deepgen, trained, stream):
    grey = torch.randint(5, (120, 16, 20), generator=stream)
    np.savez("grey5.npz", x=(grey / 4).numpy().astype(np.float32))
    np.save("grey.npy", torch.randint(256, (120, 16, 20), generator=stream).numpy().astype(np.uint8))
    model = trained("gan --data grey.npy --epochs 1 --channels 2 --latent 3")
    assert model.sample(2, generator=0).shape == (2, 16, 20)
    assert deepgen("sample", "run", "-n", 3, "--out", "a.npy").status == 0
    draws = torch.from_numpy(np.load("a.npy"))
    assert draws.shape == (3, 320)
    torch.testing.assert_close(draws * 255, (draws * 255).round())
    assert deepgen("evaluate", "run").status == 2  # 24 rows: too few to judge draws by, and the line says so


def test_an_energy_model_of_few_bits_is_summed_exactly(deepgen, trained):
    model = trained(f"energy {BARS} --k 2 --chains 20")
    x = dg.data.load("bars_and_stripes").test
    every = ((torch.arange(2**16)[:, None] >> torch.arange(16)) & 1).float()
    with torch.no_grad():
        log_z = model.log_density(every).double().logsumexp(0)
        expected = float(model.log_density(x).double().mean() - log_z)
    told = answer(deepgen)["log_likelihood"]
    assert told["side"] == "exact"
    assert told["value"] == pytest.approx(expected, abs=1e-4)
    assert "takes 40 steps, got 10" in deepgen("sample", "run", "-n", 3, "--steps", 10, "--out", "a.csv").err
    assert deepgen("sample", "run", "-n", 3, "--steps", 40, "--out", "a.csv").status == 0


def test_the_unit_of_a_column_moves_a_bound_by_its_logarithm(deepgen, trained, stream):
    """Networks are standardised inside: the same training in other units is the same but for log |d x / d x'|."""
    x = torch.randn(200, 3, generator=stream).double()
    np.save("metres.npy", x.numpy())
    np.save("millimetres.npy", (1000 * x + 5000).numpy())
    bounds = []
    for name in ("metres", "millimetres"):
        trained(f"vae --data {name}.npy --epochs 2 --hidden 8 --latent 2 --fresh")
        bounds.append(answer(deepgen)["log_likelihood"]["value"])
    assert bounds[0] - bounds[1] == pytest.approx(3 * math.log(1000), abs=0.02)


def test_grey_levels_of_a_vae_are_probabilities(deepgen, trained):
    model = trained("vae --data digits --binarise none --epochs 1 --batch 200 --hidden 8")
    assert type(model.observation).__name__ == "Categorical"
    told = answer(deepgen)
    assert told["bits/dim"]["side"] == "above"
    value = told["log_likelihood"]["value"]
    assert told["bits/dim"]["value"] == pytest.approx(-value / (64 * math.log(2)), rel=1e-9)
    assert value < 0


@pytest.mark.parametrize("name", ["vae", "gan", "energy"])
def test_a_text_is_refused(deepgen, trained, tmp_path, name):
    (tmp_path / "rows.txt").write_text("abc" * 700)
    refused = deepgen("train", name, "--data", tmp_path / "rows.txt", "--out", tmp_path / "run")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "lstm or transformer" in refused.err


def test_an_epoch_of_any_length_is_repeatable():
    x, y = torch.arange(10.0)[:, None], torch.arange(10)
    many = sliced(x, 35)
    assert many.shape == (40, 1)
    assert torch.equal(many.flatten().long().bincount(), torch.full((10,), 4))  # whole passes
    few = sliced(TensorDataset(x, y), 4)
    assert len(few) == 4
    once, again, other = (
        [torch.cat(part) for part in zip(*batches(few, 3, seed=1, epoch=epoch), strict=True)] for epoch in (0, 0, 1)
    )
    assert torch.equal(once[0], again[0])
    assert not torch.equal(once[0], other[0])
    assert torch.equal(once[0].flatten(), once[1].float())  # each row with its own label
    before = torch.get_rng_state()
    list(batches(Feed(x, drawn=5), 2, seed=0, epoch=0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("words", "loss", "penalties"),
    [
        ("", "Relativistic", ["R1", "R2"]),
        ("--loss hinge --penalty none --spectral-norm", "Hinge", []),
        ("--loss wasserstein --penalty gradient", "Wasserstein", ["GradientPenalty"]),
        ("--loss non-saturating --penalty r1", "NonSaturating", ["R1"]),
        ("--loss least-squares --penalty r2", "LeastSquares", ["R2"]),
        ("--loss minimax", "Minimax", ["R1", "R2"]),
    ],
)
def test_the_game_of_a_gan_is_the_one_that_is_named(trained, words, loss, penalties):
    model = trained(f"gan --data bars_and_stripes --epochs 1 --hidden 8 --latent 2 {words}")
    objective = load_run("run").history.settings["objective"]
    assert loss in str(objective["loss"])
    assert [name for name in ("R1", "R2", "GradientPenalty") if name in str(objective["penalty"])] == penalties
    normed = any(isinstance(part, dg.implicit.SpectralNorm) for part in model.discriminator.modules())
    assert normed == ("--spectral-norm" in words)


def test_a_game_that_is_none_is_refused(deepgen, tmp_path):
    words = ("train", "gan", "--data", "digits", "--out", tmp_path / "run")
    assert "did you mean 'least-squares'?" in deepgen(*words, "--loss", "least-square").err
    assert "unknown penalty 'l1'" in deepgen(*words, "--penalty", "l1").err
    assert "is an option of autoencoder" in deepgen(*words, "--penalty-weight", "1").err
    assert "--spectral-norm is an option of gan" in deepgen("train", "vae", *words[2:], "--spectral-norm").err
