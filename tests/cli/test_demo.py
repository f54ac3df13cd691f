"""`deepgen demo`: in small for every run, in full under the marker slow."""

import json
import re

import pytest
import torch

import deepgen as dg
from deepgen.demo.tables import HEAD, paired

ROWS = ("independent Bernoulli", "Bernoulli mixture", "RBM 64-20", "RBM 64-256")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from deepgen.demo import run

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
    for name, row in zip(("independent", "mixture", "rbm-64-20", "rbm-64-256"), stored, strict=True):
        assert type(dg.load(out / name)).__name__ in ("RBM", "BernoulliMixture")
        assert row["estimates"]


def test_its_directories_evaluate_to_the_printed_numbers(small, deepgen):
    out, fitted = small
    parsed = json.loads(deepgen("evaluate", out / "rbm-64-20", "--json").out)
    assert parsed["log_likelihood"]["value"] == pytest.approx(fitted[2].estimates[0].value, abs=1e-3)


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
    assert re.search(r"RBM 64-20: the exact \S+ lies inside the 99 % AIS interval", done.out)
    for baseline in ROWS[:2]:
        (line,) = (one for one in lines if one.startswith(f"RBM 64-256 against {baseline}"))
        gain, error = map(float, re.findall(r": (\S+) ± (\S+) nats from", line)[0])
        assert gain > 2 * error
