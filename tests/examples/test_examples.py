"""Every example runs, gives the numbers it promises, and writes its picture. Reduced sizes; the claims still hold."""

from __future__ import annotations

import importlib.util
import math
import sys
import warnings
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

import deepgen as dg
from tests.data.formats import write_mnist

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> Callable[..., dict[str, float]]:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module.main


def test_rbm_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("rbm_digits")(epochs=10, hidden=10, out=tmp_path)
    # a 95 % interval misses now and then; three of its widths around it do not
    reach = 3 * (numbers["high"] - numbers["low"])
    assert numbers["low"] - reach < numbers["exact"] < numbers["high"] + reach
    assert numbers["exact"] > numbers["baseline"] + 1
    assert "exact" in capsys.readouterr().out
    assert imread(tmp_path / "rbm_digits.png").ndim == 3


def test_bars_and_stripes(tmp_path: Path) -> None:
    numbers = example("bars_and_stripes")(epochs=30, out=tmp_path)
    assert numbers["ceiling"] == pytest.approx(-3.379, abs=5e-4)
    # Gibbs' inequality: with mass m on the patterns the best possible model scores log m above the ceiling
    assert numbers["exact"] <= numbers["ceiling"] + math.log(numbers["mass"]) + 1e-6
    # an untrained machine gives each pattern about 2^-16, and so scores -11.1
    assert numbers["exact"] > -10
    assert 30 / 2**16 < numbers["mass"] <= 1
    error = (numbers["mass"] * (1 - numbers["mass"]) / 100) ** 0.5 + 0.01
    assert abs(numbers["right"] - numbers["mass"]) < 5 * error  # 100 samples of a chain that has mixed
    assert imread(tmp_path / "bars_and_stripes.png").ndim == 3


def test_inpaint_digits(tmp_path: Path) -> None:
    numbers = example("inpaint_digits")(epochs=20, rows=20, copies=200, out=tmp_path)
    assert abs(numbers["ratio"] - 1) < 6 * numbers["error"]
    assert numbers["error"] < 0.2
    assert numbers["seeing"] > numbers["blind"]
    seen = imread(tmp_path / "inpaint_digits.png")
    orange = (seen[..., 0] > 0.8) & (seen[..., 2] < 0.3)
    assert orange.mean() == pytest.approx(0.1, abs=0.03)  # half of one strip in five


def test_text_streaming(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("text_streaming")(characters=40_000, hidden=48, epochs=8, out=tmp_path)
    assert numbers["by character"] == pytest.approx(numbers["best"], rel=1e-9)  # a word's bits are those of its letters
    assert numbers["best"] == pytest.approx(numbers["rate"], rel=0.1)
    assert numbers["best"] - 0.005 < numbers["learned"] < numbers["rate"] + 0.1
    assert "many birds that" in capsys.readouterr().out
    assert imread(tmp_path / "text_streaming.png").ndim == 3


def test_read_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("read_dates")(rows=2500, tests=200, hidden=24, out=tmp_path)
    reader, columns = numbers["Seq2Seq"], numbers["MADE, the text as columns"]
    assert numbers["the law itself"] - reader == pytest.approx(numbers["behind"], abs=1e-9)
    assert numbers["behind"] > -6 * numbers["behind, error"]  # nobody reads better than the law but by luck
    assert reader > columns + 0.5
    assert columns > -math.log(36_525) + 0.5  # both have read something
    # the law: 100 years of 132 days with two readings, half of them in figures, nats log(10/7) or log(10/3)
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3)) * 100 * 132 / 36_525 / 2
    assert numbers["the law itself"] == pytest.approx(-entropy, abs=0.1)
    assert 0.3 < numbers["right"] < numbers["best"] + 0.02
    assert 0.1 < numbers["together"] <= 1
    assert "Seq2Seq is behind the law by" in capsys.readouterr().out
    assert imread(tmp_path / "read_dates.png").ndim == 3


def test_densities_2d(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("densities_2d")(rows=10_000, epochs=12, targets=("moons", "checkerboard"), out=tmp_path)
    for target in ("moons", "checkerboard"):
        (spline, error), (affine, affine_error) = (numbers[f"{target}, {f}"] for f in ("splines", "affine maps"))
        assert -6 * error < spline < affine + 6 * (error + affine_error)  # no flow is better than the target
        # the board's entropy is log 32; a flow that learned nothing but its place would score about log 64
    assert numbers["checkerboard, splines"][0] < math.log(2)
    assert "-3.466" in capsys.readouterr().out
    assert imread(tmp_path / "densities_2d.png").ndim == 3


def test_regression_intervals(tmp_path: Path) -> None:
    numbers = example("regression_intervals")(rows=5_000, tests=2_000, epochs=20, out=tmp_path)
    assert -6 * numbers["error"] < numbers["kl"] < 0.3
    for level in (0.5, 0.8, 0.95):
        binomial = (level * (1 - level) / 2_000) ** 0.5
        assert abs(numbers[f"inside {level}"] - numbers[f"exact {level}"]) < 6 * binomial
        assert numbers[f"exact {level}"] == pytest.approx(level, abs=0.1)
    assert imread(tmp_path / "regression_intervals.png").ndim == 3


def test_pyro_posterior(tmp_path: Path) -> None:
    stream = torch.get_rng_state()
    numbers = example("pyro_posterior")(steps=150, draws=100_000, out=tmp_path)
    assert torch.equal(torch.get_rng_state(), stream)  # though Pyro draws from it
    apart, normal, flow = (numbers[f"{name}, KL"] for name in ("independent normals", "one normal", "spline flow"))
    assert flow > -5 * numbers["spline flow, KL error"]
    assert apart > normal > flow
    for name in ("independent normals", "one normal", "spline flow"):  # whatever the guide misses
        assert abs(numbers[f"{name}, weighted"] - numbers["exact"]) < 5.5 * numbers[f"{name}, weighted error"]
        assert numbers[f"{name}, weighted error"] < 0.03
    assert imread(tmp_path / "pyro_posterior.png").ndim == 3


@pytest.mark.slow  # deepgen.interop's own tests and its page run in little time
def test_pyro_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = torch.get_rng_state()
    numbers = example("pyro_program")(rounds=3, updates=60, draws=120, out=tmp_path)
    assert torch.equal(torch.get_rng_state(), stream)  # though Pyro draws from it
    assert numbers["exact"] == pytest.approx(0.6573, abs=5e-5)
    assert abs(numbers["MALA and flow"] - numbers["exact"]) < 6 * numbers["MALA and flow, error"] < 0.2
    assert numbers["MALA alone, R-hat"] > 1.5
    assert numbers["MALA and flow, R-hat"] < 1.1
    assert numbers["flow, accepted"] > 0.1
    printed = capsys.readouterr().out
    assert all(site in printed for site in ("uptake", "removal", "volume", "ess_bulk"))
    assert imread(tmp_path / "pyro_program.png").ndim == 3


def test_complete_images(tmp_path: Path) -> None:
    numbers = example("complete_images")(epochs=2, rows=60, copies=4, out=tmp_path)
    rates, model, own = (numbers[name] for name in ("base rates", "GatedPixelCNN", "its own completions"))
    assert rates + 1 < model < 0  # after two epochs it has seen that halves belong together
    assert abs(own - model) < 4
    seen = imread(tmp_path / "complete_images.png")
    orange = (seen[..., 0] > 0.8) & (seen[..., 2] < 0.3)
    blue = (seen[..., 2] > seen[..., 0] + 0.2) & (seen[..., 2] < 0.8)
    assert 0.03 < orange.mean() < 0.1  # half of one picture in six
    assert blue.mean() > orange.mean()


def test_complete_images_of_a_saved_model(tmp_path: Path) -> None:
    model = dg.explicit.PixelCNN((8, 8), channels=4, layers=2, generator=0)
    model.initialise(dg.data.load("digits").train)
    dg.save(model, tmp_path / "run")
    numbers = example("complete_images")(model=tmp_path / "run", rows=12, copies=2, out=tmp_path)
    assert numbers["PixelCNN"] == pytest.approx(numbers["base rates"], abs=0.5)  # which is all that it knows


def test_tempering_ising(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size, coupling = 4, 0.6
    numbers = example("tempering_ising")(size=size, coupling=coupling, draws=800, warmup=200, out=tmp_path)
    spins = 2.0 * (torch.arange(2**16).unsqueeze(1) >> torch.arange(16) & 1).double().reshape(-1, size, size) - 1
    energies = coupling * (spins * (spins.roll(1, 1) + spins.roll(1, 2))).sum((1, 2))  # all 65,536
    square = float((energies.softmax(0) * spins.mean((1, 2)).square()).sum())
    assert numbers["log Z exact"] == pytest.approx(float(energies.logsumexp(0)), rel=1e-9)  # Kaufman's formula
    assert numbers["worst z"] < 6
    assert abs(numbers["log Z"] - numbers["log Z exact"]) < 6 * numbers["log Z error"] < 0.5
    assert abs(numbers["square"] - square) < 6 * numbers["square error"] < 0.1
    assert abs(numbers["up"] - 0.5) < 6 * numbers["up error"] < 0.3
    assert "Kaufman" in capsys.readouterr().out
    assert imread(tmp_path / "tempering_ising.png").ndim == 3


def test_neural_proposals(tmp_path: Path) -> None:
    numbers = example("neural_proposals")(rounds=6, draws=500, out=tmp_path)
    assert numbers["MALA, ESS"] < 20
    assert numbers["flow, ESS"] > 100
    assert numbers["MALA, visited"] == 1
    assert numbers["flow, visited"] == 6
    assert numbers["flow, error"] < min(0.02, numbers["MALA, error"])
    assert imread(tmp_path / "neural_proposals.png").ndim == 3


def test_energy_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("energy_digits")(updates=130, hidden=64, chains=30, temperatures=60, out=tmp_path)
    assert numbers["gaussian"] < numbers["mixture"]
    # the network starts at the Gaussian, and some steps of training take it above
    assert numbers["gaussian"] < numbers["low"] < numbers["high"] < numbers["mixture"] + 5
    assert numbers["high"] - numbers["low"] < 3
    assert "moves of the chains: exact" in capsys.readouterr().out
    assert imread(tmp_path / "energy_digits.png").ndim == 3


def test_energy_digits_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_mnist(tmp_path / "mnist", rows=900, test_rows=50)  # noise in its format
    monkeypatch.setenv("DEEPGEN_DATA", str(tmp_path))
    main = example("energy_digits")
    _, test, shape = sys.modules["energy_digits"].load("mnist", 0)
    blocks = torch.from_numpy(made["t10k"] / 255).reshape(50, 14, 2, 14, 2).mean((2, 4)).flatten(1)
    assert shape == (14, 14)
    assert bool(((16 * test).floor() - 15 * blocks).abs().max() <= 0.5 + 1e-4)
    mixture = sys.modules["energy_digits"].mixture_of  # its 700 updates are those of the other test
    monkeypatch.setattr(sys.modules["energy_digits"], "mixture_of", lambda train, seed: mixture(train, seed, updates=9))
    with warnings.catch_warnings():  # few temperatures
        warnings.simplefilter("ignore", dg.errors.DegenerateWeights)
        numbers = main(data="mnist", updates=8, hidden=16, chains=10, temperatures=20, out=tmp_path)
    assert numbers["gaussian"] == pytest.approx(numbers["low"], abs=20)  # eight updates learn little
    assert imread(tmp_path / "energy_mnist.png").ndim == 3


def test_cvae_digits(tmp_path: Path) -> None:
    numbers = example("cvae_digits")(epochs=25, hidden=64, draws=50, out=tmp_path)
    assert numbers["gain"] > 5 * numbers["error"] > 0
    assert numbers["classified"] > 0.6  # 0.1 by chance
    assert numbers["marginal"] <= numbers["log p(x | y)"]  # Bayes' rule with classes as frequent as one another, nearly
    assert imread(tmp_path / "cvae_digits.png").ndim == 3


def test_vae_manifold(tmp_path: Path) -> None:
    numbers = example("vae_manifold")(updates=400, hidden=64, draws=50, out=tmp_path)
    for latent in ("latent 2", "latent 8"):
        assert -25.35 < numbers[latent] < -10  # above independent Bernoullis
    assert numbers["neighbours"] > 0.25  # 0.1 by chance
    assert imread(tmp_path / "vae_manifold_digits.png").ndim == 3


def test_latent_arithmetic(tmp_path: Path) -> None:
    numbers = example("latent_arithmetic")(epochs=60, hidden=64, out=tmp_path)
    assert numbers["before"] < 0.15
    assert numbers["moved"] > numbers["before"] + 10 * numbers["error"]
    assert numbers["moved"] > numbers["random"] + 10 * numbers["error"]
    assert numbers["own"] > 0.6  # 0.1 by chance
    assert 2 <= numbers["active"] <= 8
    assert imread(tmp_path / "latent_arithmetic.png").ndim == 3


def test_bayesian_network(tmp_path: Path) -> None:
    numbers = example("bayesian_network")(problems=4, chains=4, steps=600, leaps=40, hidden=10, out=tmp_path)
    assert numbers["HMC, all rows, R-hat"] < 1.5
    for kernel in ("SGLD, 30 rows", "HMC, all rows"):
        assert numbers[f"{kernel}, data, sd"] < 0.15  # the noise of one row is 0.2, and there are 60
        assert numbers[f"{kernel}, gap, sd"] > 1.2 * numbers[f"{kernel}, data, sd"]
        for level in (0.95, 0.8, 0.5):
            assert abs(numbers[f"{kernel}, data, {level}"] - level) < 0.2
    assert imread(tmp_path / "bayesian_network.png").ndim == 3


def test_no_example_is_left_out() -> None:
    tested = {name[len("test_") :] for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested


def test_gan_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("gan_frames")(updates=150, frames=3, out=tmp_path)  # the strip; modes are found later
    last = f"  150 updates: {numbers['modes']} modes, {100 * numbers['good']:.0f} % good;"
    assert last in capsys.readouterr().out  # the last frame is of the generator that is judged
    assert (numbers["modes"] > 0) == (numbers["good"] > 0)
    assert numbers["real"] == pytest.approx(1 - math.exp(-4.5), abs=0.02)
    assert imread(tmp_path / "gan_frames.png").ndim == 3


def test_families(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():  # a VAE of a second has few weights that count
        warnings.simplefilter("ignore", dg.errors.DegenerateWeights)
        numbers = example("families")(budget=1, models=("bernoulli", "nsf", "vae"), out=tmp_path)
    assert numbers.keys() == {"bernoulli", "nsf", "vae"}
    assert numbers["bernoulli"] == pytest.approx(-25.35, abs=0.02)  # as in README
    assert "lower bounds: the truth is at or above" in capsys.readouterr().out
    assert imread(tmp_path / "families_digits.png").ndim == 3


def test_rbm_filters(tmp_path: Path) -> None:
    numbers = example("rbm_filters")(hidden=30, epochs=40, rows=100, out=tmp_path)
    assert numbers["test, low"] > numbers["baseline"] + 1
    assert numbers["test, high"] - numbers["test, low"] < 2
    assert 1 < numbers["pixels"] < 64
    assert imread(tmp_path / "rbm_filters_digits.png").ndim == 3


def test_nonnegative_rbm(tmp_path: Path) -> None:
    numbers = example("nonnegative_rbm")(hidden=30, epochs=40, rows=100, out=tmp_path)
    assert numbers["none below 0, low"] > numbers["baseline"] + 1  # independence is where bad first weights leave it
    assert numbers["any weights, low"] > numbers["none below 0, high"] + 1
    assert 1 < numbers["none below 0, pixels"] < numbers["any weights, pixels"] / 2
    assert numbers["none below 0, least"] == 0 > numbers["any weights, least"]
    assert imread(tmp_path / "nonnegative_rbm_digits.png").ndim == 3


def test_complete_dbm(tmp_path: Path) -> None:
    numbers = example("complete_dbm")(epochs=35, hidden=(50, 25), rows=200, copies=6, out=tmp_path)
    ahead = numbers["DBM, pixels"] - numbers["base rates, pixels"]
    assert ahead > 2 * numbers["DBM, pixels, error"]  # a tenth of the full training
    assert numbers["judge"] > 0.8
    seen = imread(tmp_path / "complete_dbm_digits.png")
    orange = (seen[..., 0] > 0.8) & (seen[..., 2] < 0.3)
    assert 0.02 < orange.mean() < 0.1  # half of one picture in ten


def test_multimodal_dbm(tmp_path: Path) -> None:
    numbers = example("multimodal_dbm")(epochs=30, levels=[[60, 30], 50], rows=100, copies=5, each=12, out=tmp_path)
    told = "label drawn most for a test image is the true one"
    assert numbers[told] > 0.1 + 3 * numbers[f"{told}, error"]  # 0.1 by chance; images of labels take longer to learn
    assert numbers["a label's ten nearest test images show its digit"] > 0.2
    assert imread(tmp_path / "multimodal_dbm_digits.png").ndim == 3


def test_dbn_features(tmp_path: Path) -> None:
    numbers = example("dbn_features")(splits=2, labelled=(100,), hidden=(60, 40), epochs=5, out=tmp_path)
    for kind in ("raw pixels", "DBN features"):
        assert 0.02 < numbers[f"{kind}, 100"] < 0.35  # 0.9 by chance
    gain = numbers["raw pixels, 100"] - numbers["DBN features, 100"]
    assert numbers["gain, 100"] == pytest.approx(gain, abs=1e-6)
    assert imread(tmp_path / "dbn_features_digits.png").ndim == 3


@pytest.mark.parametrize("name", ["rbm_filters", "nonnegative_rbm", "complete_dbm", "multimodal_dbm", "dbn_features"])
def test_boltzmann_examples_of_mnist(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "mnist", rows=900, test_rows=60)  # noise in its format
    small = {
        "rbm_filters": {"hidden": 5, "epochs": 1, "rows": 20, "temperatures": 200},
        "nonnegative_rbm": {"hidden": 5, "epochs": 1, "rows": 20, "temperatures": 200},
        "complete_dbm": {"hidden": (5, 4), "epochs": 1, "rows": 10, "copies": 2},
        "multimodal_dbm": {"epochs": 1, "levels": [[5, 4], 3], "rows": 10, "copies": 2, "each": 2},
        "dbn_features": {"splits": 2, "labelled": (100,), "hidden": (5, 4), "epochs": 1},
    }
    example(name)(root=tmp_path, out=tmp_path, **small[name])
    assert imread(tmp_path / f"{name}_mnist.png").ndim == 3


def test_impute_table(tmp_path: Path) -> None:
    numbers = example("impute_table")(tables=2, rows=300, epochs=40, out=tmp_path)
    for kind in ("yes/no, % wrong", "categories, % wrong", "numbers, RMSE"):
        best, rbm, blind = (numbers[f"{name}, {kind}"] for name in ("the law itself", "RBM", "mean, mode"))
        assert best < rbm < blind  # nothing beats the law but by luck, and 300 rows leave room for little of that
    assert numbers["mean, mode, numbers, RMSE"] == pytest.approx(1.0, abs=0.25)
    assert 0.5 < numbers["inside"] < 0.95
    assert imread(tmp_path / "impute_table.png").ndim == 3


def test_optimizers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("optimizers")(steps=40, seeds=2, rates=(3e-3, 0.03, 0.3, 1.0), rounds=2, out=tmp_path)
    last = {problem: {key: v for key, v in numbers.items() if problem in key} for problem in ("quadratic", "digits")}
    for problem, values in last.items():
        assert min(values, key=values.__getitem__) == f"K-FAC, {problem}"
    assert numbers["K-FAC, quadratic"] < 1e-12  # the Fisher matrix is the curvature
    assert all(value < 24.2 / 4 for key, value in numbers.items() if "Rosenbrock" in key)  # from 24.2
    assert all(value < math.log(10) for key, value in numbers.items() if "digits" in key)
    assert "K-FAC" in capsys.readouterr().out
    assert imread(tmp_path / "optimizers.png").ndim == 3


def test_les_miserables(tmp_path: Path) -> None:
    numbers = example("les_miserables")(seeds=2, epochs=2, out=tmp_path)
    for name in ("q = 0.5", "q = 2"):
        assert 0.4 < numbers[f"{name}, modularity"] <= numbers["Louvain"] + 0.01
        assert abs(numbers[f"{name}, roles"]) < 0.2  # the page says that neither finds roles
    assert imread(tmp_path / "les_miserables.png").ndim == 3


def test_karate_club(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = example("karate_club")(seeds=3, epochs=8, out=tmp_path)
    assert 30 < numbers["right"] <= numbers["members"] == 34  # 17 by chance
    assert "of 34 members on the side that they took" in capsys.readouterr().out
    assert imread(tmp_path / "karate_club.png").ndim == 3


def test_link_prediction(tmp_path: Path) -> None:
    numbers = example("link_prediction")(products=600, links=4200, epochs=2, out=tmp_path)
    assert abs(numbers["product of degrees, matched"] - 0.5) < 5 * numbers["product of degrees, matched, error"]
    assert numbers["product of degrees, uniform"] > 0.6
    for kind in ("uniform", "matched"):
        assert numbers[f"in_out, {kind}"] > 0.5 + 8 * numbers[f"in_out, {kind}, error"]
    assert imread(tmp_path / "link_prediction.png").ndim == 3


def test_word_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text in which words of a group stand in the same places."""
    groups = {"my {} weeps for his {}": "father mother son daughter", "every {} is long and no {} returns":
              "day night morning hour", "the {} of england and the {} of france": "king queen duke earl"}  # fmt: skip
    lines = [frame.format(*pair) for frame, words in groups.items() for pair in permutations(words.split(), 2)]
    (tmp_path / "input.txt").write_text("\n\n".join(f"First Citizen:\n{line}" for line in lines * 8))
    numbers = example("word_vectors")(root=tmp_path, dim=16, epochs=20, out=tmp_path)
    assert numbers["within"] > numbers["across"] + 0.1
    assert numbers["nearest"] > 0.7  # by chance 3 of 11
    printed = capsys.readouterr().out
    assert "citizen" not in printed
    assert "king " in printed
    assert imread(tmp_path / "word_vectors.png").ndim == 3


def test_item_vectors(tmp_path: Path) -> None:
    numbers = example("item_vectors")(count=1500, epochs=8, out=tmp_path)
    assert numbers["cosine"] > 0.5  # by chance 0.05
    assert numbers["in · out"] > 0.5  # by chance 0.14
    assert imread(tmp_path / "item_vectors.png").ndim == 3
