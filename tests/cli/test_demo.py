"""`deepgen demo`: in small for every run, in full under the marker slow."""

import json
import re

import pytest
import torch

import deepgen as dg
from deepgen.cli.compare.judged import Judged
from deepgen.cli.compare.tables import HEAD, table
from deepgen.cli.demo.fits import latent
from deepgen.cli.demo.tables import paired, position
from deepgen.cli.progress import Bar, Steps
from deepgen.errors import CheckpointError
from deepgen.evaluate import Bracket, Estimate

# after three epochs a VAE's posterior is far from the true one, and that is said
pytestmark = pytest.mark.filterwarnings("default::deepgen.errors.DegenerateWeights")

ROWS = ("independent Bernoulli", "Bernoulli mixture", "RBM 64-20", "RBM 64-256", "VAE", "GAN")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from deepgen.cli.demo.run import run

    out = tmp_path_factory.mktemp("demo")
    return out, run(out, seed=1, epochs=3)


def test_it_leaves_page_picture_numbers_and_models(small):
    out, fitted = small
    page = (out / "report.html").read_text()
    assert all(f.name in page for f in fitted)
    assert "R-hat" in page
    assert (out / "samples.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((out / "results.json").read_text())
    assert [row["model"].split(",")[0] for row in stored] == list(ROWS)
    for name, row in zip(("independent", "mixture", "rbm-64-20", "rbm-64-256", "vae", "gan"), stored, strict=True):
        assert type(dg.load(out / name)).__name__ in ("RBM", "BernoulliMixture", "VAE", "GAN")
        assert bool(row["estimates"]) == (name != "gan")
        assert row["quality"]["n_fake"] == 360


def test_a_model_that_was_stopped_goes_on_and_one_that_is_trained_stays(tmp_path, monkeypatch):
    data = dg.data.load("digits")

    def fitted(name, seed=1, *, resume=True):
        with Bar(1) as bar:
            return latent(data, tmp_path / name, bar, seed, 3, resume=resume)

    whole, called = fitted("whole"), Steps.__call__

    def stop(self, record, model):
        called(self, record, model)
        if record.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            fitted("cut")
    resumed = fitted("cut")
    assert len(resumed.history) == 3
    assert resumed.estimates[0].value == whole.estimates[0].value
    again = fitted("cut")
    assert (again.history[-1].seconds, again.estimates[0].value) == (
        resumed.history[-1].seconds,
        whole.estimates[0].value,
    )
    with pytest.raises(CheckpointError, match="seed: "):
        fitted("cut", seed=2)
    anew = fitted("cut", seed=2, resume=False)
    assert anew.history[-1].step == whole.history[-1].step
    assert anew.estimates[0].value != whole.estimates[0].value


def test_the_command_says_how_to_go_on_and_how_to_begin_anew(deepgen, tmp_path, monkeypatch):
    from deepgen.cli.demo import run as demo

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "machine", stop)
    stopped = deepgen("demo", "--fresh", "--out", tmp_path)
    assert (stopped.status, "keeps what is done; to resume: deepgen demo --out" in stopped.err) == (130, True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "run.lock"}
    assert {path.parent.name for path in before} > {"independent", "mixture"}
    refused = deepgen("demo", "--seed", 1, "--out", tmp_path)
    assert refused.status == 2
    assert "begun with seed 0, now 1: repeat its command to go on, choose another --out, or discard it" in refused.err
    assert all(path.read_bytes() == held for path, held in before.items())
    assert "holds a demo begun" in refused.err
    mixed = deepgen(
        "compare", "--data", "digits", "--models", "bernoulli", "--budget", "1s", "--fresh", "--out", tmp_path
    )
    assert (mixed.status, "holds a demo, and a comparison needs a folder" in mixed.err) == (2, True)
    assert deepgen("demo", "--seed", 1, "--fresh", "--out", tmp_path).status == 130
    assert "independent" in deepgen("evaluate", tmp_path).err  # one of the models, as of a comparison


def test_its_directories_evaluate_to_the_printed_numbers(small, deepgen):
    out, fitted = small
    parsed = json.loads(deepgen("evaluate", out / "rbm-64-20", "--json").out)
    assert parsed["log_likelihood"]["value"] == pytest.approx(fitted[2].estimates[0].value, abs=1e-3)


def test_position_is_honest_whichever_way_it_falls():
    low, high = (
        Estimate(-9.2, 0.1, "below", "reverse AIS", n=500),
        Estimate(-9.0, 0.05, "above", "AIS", n=500),
    )
    inside, outside = position(-9.1, Bracket(low, high)), position(-8.8, Bracket(low, high))
    assert "-9.100 lies inside the 95 % AIS interval" in inside
    assert inside.endswith("+1.0 and -2.0 standard errors from its two estimates")
    assert "-8.800 lies OUTSIDE (as 1 in 20 may by chance) the 95 % AIS interval" in outside
    assert outside.endswith("+4.0 and +4.0 standard errors from its two estimates")
    assert "crossed" in position(-9.1, Bracket(low + 2.0, high))


def test_the_table_shows_small_errors_and_crossed_ends():
    low, high = (
        Estimate(-9.2, 0.00312, "below", "reverse AIS", n=500),
        Estimate(-9.1, 0.1, "above", "AIS", n=500),
    )
    models = [("point", [low]), ("good", [Bracket(low, high)]), ("bad", [Bracket(low + 2.0, high)])]
    shown = table([Judged(name, name, estimates, seconds=2.0) for name, estimates in models])
    point, good, bad = (line for line in shown.splitlines()[2:8] if line.startswith(("point", "good", "bad")))
    assert point.split()[1:3] == ["-9.2000", "0.0031"]
    ends = Bracket(low, high).interval()
    assert re.split(" {2,}", good)[1:4] == [f"[{ends[0]:.4f}, {ends[1]:.2f}]", "0.0031, 0.10", "below, above"]
    assert "crossed: failed" in bad


def test_paired_difference_has_the_error_of_the_differences():
    x = dg.data.load("digits").test
    one = dg.explicit.BernoulliMixture(64).initialise(x)
    other = dg.explicit.BernoulliMixture(64)
    rbm = dg.explicit.RBM(64, 1, generator=0)
    rbm.weight.data.zero_()
    rbm.visible_bias.data.copy_(one.logits[0].data)  # the same density but for its constant
    with torch.no_grad():
        gain, error = paired(rbm, float(one.log_prob(x).mean()), other, x)
        difference = (one.log_prob(x) - other.log_prob(x)).double()
    assert gain == pytest.approx(float(difference.mean()), abs=1e-3)
    assert error == pytest.approx(float(difference.std() / len(x) ** 0.5), rel=1e-3)


@pytest.mark.slow
def test_the_whole_demo_shows_what_it_promises(deepgen, tmp_path):
    done = deepgen("demo", "--out", tmp_path)
    assert done.status == 0
    lines = done.out.splitlines()
    assert all(title in lines[0] for title in HEAD)
    assert all(any(line.startswith(row) for line in lines) for row in ROWS)
    lower, upper = map(float, re.findall(r"AIS interval .*, (\S+) and (\S+) standard errors from", done.out)[0])
    assert lower > -6
    assert upper < 6
    for baseline in ROWS[:2]:
        (line,) = (one for one in lines if one.startswith(f"RBM 64-256 against {baseline}"))
        gain, error = map(float, re.findall(r": (\S+) ± (\S+) nats from", line)[0])
        assert gain > 2 * error
