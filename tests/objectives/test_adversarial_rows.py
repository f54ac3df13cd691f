"""The rows of `benchmarks/quality.py adversarial` at sizes of seconds: they run, resume and say what they should."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import deepgen as dg

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FEW = {"JUDGED": 1000, "STACKED_DRAWS": 1000}


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("quality_adversarial")
    for name, value in FEW.items():
        monkeypatch.setattr(module, name, value)
    yield module
    for name in ("quality_adversarial", "quality_rows"):
        sys.modules.pop(name, None)


def small(row, **setting):
    return replace(row, setting={**row.setting, **setting})


def task(rows, folder, judge="test"):
    return rows.Task(None, folder, 0, judge, "cpu")


@pytest.mark.parametrize("index", range(10))
def test_a_row_of_25_gaussians(rows, index, tmp_path):
    row = small([*rows.GRID, *rows.OTHERS][index], updates=5, batch=20)
    found = row.run(row, task(rows, tmp_path / "run"))
    assert found["updates"] == 5
    assert 0 <= found["modes found"] <= 25
    assert row.run(row, task(rows, tmp_path / "run"))["good draws, %"] == found["good draws, %"]


@pytest.mark.parametrize("way", ["R1 and R2", "WGAN-GP", "SN", "DCGAN"])
def test_a_row_of_images(rows, way, tmp_path, monkeypatch, stream):
    grey = torch.rand(1100, 784, generator=stream)
    labels = dg.data.load("digits").labels

    class Fake:
        train, valid, test = grey[:40], grey, grey

    Fake.labels = type(labels)(*(torch.arange(n) % 10 for n in (40, 1100, 1100)))
    monkeypatch.setattr(dg.data, "load", lambda *args, **options: Fake)
    small_networks = {"epochs": 1, "width": 4, "batch": 10}
    row = small(rows._mnist(way), **small_networks)
    found = row.run(row, task(rows, tmp_path / "grey"))
    assert found["features"].startswith("digit network 28x28")
    assert (found["updates"], found["modes"], found["n real, fake"]) == (4, 10, [1000, 1000])
    if way == "R1 and R2":
        row = small(rows._stacked(way, rows=20), **small_networks)
        found = row.run(row, task(rows, tmp_path / "colours", "valid"))
        assert (found["updates"], found["modes"], found["draws read"]) == (2, 1000, 1000)
        assert found["Fréchet distance"] > 0


def test_real_digits_score_what_real_digits_should(rows, stream):
    """Stacked channels are read as one number, the first channel the highest, and every row is three digits."""
    images = torch.rand(50, 784, generator=stream)
    made = rows.Stacked(images, 30, 0)
    assert torch.equal(made[3], images.view(-1, 28, 28)[made.chosen[3]])
    assert torch.equal(made.all()[3], made[3])
    assert torch.equal(rows.Stacked(images, 30, 0).chosen, made.chosen)
    features = rows.DigitsOf(3)
    x = made.all()
    one = features.network(x[:, 1])
    assert torch.allclose(features(x).view(30, 3, -1)[:, 1], one, atol=1e-5)
    read = torch.stack([features.network.classes(x[:, i]) for i in range(3)], 1)
    assert torch.equal(features.classes(x), read @ torch.tensor([100, 10, 1]))
