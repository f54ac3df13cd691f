"""``deepgen evaluate --quality``."""

import json

import pytest
import torch

import deepgen as dg
from deepgen.cli.quality import in_grey, training
from deepgen.evaluate import sample_quality


def test_quality_is_printed_and_in_json(deepgen, tmp_path):
    words = "train mixture --data digits --components 3 --epochs 2 --quiet --out"
    assert deepgen(*words.split(), tmp_path / "run").status == 0
    shown = deepgen("evaluate", tmp_path / "run", "--quality")
    assert shown.status == 0, shown.err
    assert "digit network 8x8" in shown.out
    assert "nearer to training" in shown.out
    told = json.loads(deepgen("evaluate", tmp_path / "run", "--quality", "--json").out)
    found = told["sample_quality"]
    assert found["n_fake"] == found["n_real"] == 360
    assert found["scores"]["coverage"]["value"] <= 1
    assert told["collapsed"] == ""
    assert "collapsed" not in shown.out


def test_a_model_with_one_kind_of_draws_is_said_to_have_collapsed(deepgen, tmp_path, monkeypatch):
    words = "train mixture --data digits --components 3 --epochs 1 --quiet --out"
    assert deepgen(*words.split(), tmp_path / "run").status == 0
    one = dg.data.load("digits").train[0].expand(360, 64).clone()
    monkeypatch.setattr("deepgen.cli.quality.fakes", lambda *model, **settings: one)
    shown = deepgen("evaluate", tmp_path / "run", "--quality")
    assert shown.status == 0, shown.err
    assert "has collapsed: collapsed" not in shown.out
    assert "has collapsed: draws have 0 of the variance of held-out rows" in shown.out


def test_too_few_rows_are_refused(deepgen, trained):
    refused = deepgen("evaluate", trained, "--quality")
    assert refused.status == 2
    assert "at least" in refused.err


@pytest.mark.parametrize(("name", "apart"), [("bars_and_stripes", False), ("digits", True)])
def test_copies_are_looked_for_where_rows_are_held_out(name, apart):
    """Bars and stripes hold all that there is, in every split."""
    rows = dg.data.load(name)
    train = training(rows, rows.test.flatten(1))
    assert (train is not None) == apart
    assert train is None or torch.equal(train, rows.train)


def test_draws_beyond_grey_are_judged_as_a_picture_shows_them(stream):
    real, noisy = torch.rand(120, 64, generator=stream), torch.randn(120, 64, generator=stream)
    assert torch.equal(in_grey(real, noisy), noisy.clamp(0, 1))
    assert sample_quality(real=real, fake=in_grey(real, noisy), metrics="kernel", splits=0).width == 32
    assert torch.equal(in_grey(real[:, :5], noisy[:, :5]), noisy[:, :5])
    assert torch.equal(in_grey(2 * real, noisy), noisy)
