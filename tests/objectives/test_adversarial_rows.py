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
    again = row.run(row, task(rows, tmp_path / "run"))  # from the checkpoint
    for name in ("modes found", "good draws, %", "told apart at the end"):
        assert again[name] == found[name]


def test_modes_and_good_draws_are_counted(rows, tmp_path, monkeypatch):
    """Of 2,500 draws 500 in the middle of one mode, 500 within three deviations of another, 1,500 outside of all."""
    row, centres = rows.GRID[0], dg.data.gaussian_grid(5).component_distribution.mean
    shifts = torch.tensor([0.0, 0.149, 0.151, 0.5, 0.5])
    draws = (centres[[3, 7, 11, 0, 24]] + shifts.unsqueeze(1) * torch.tensor([1.0, 0.0])).repeat(500, 1)

    def known(gan, *run):
        monkeypatch.setattr(gan, "sample", lambda n, generator: draws[:n] / row.setting["unit"], raising=False)
        return {}

    monkeypatch.setattr(rows, "fitted", known)
    found = row.run(row, task(rows, tmp_path / "run"))
    assert (found["modes found"], found["good draws, %"], found["n"]) == (2, 40.0, 2500)
    assert found["stderr"] == round(100 * (0.4 * 0.6 / 2500) ** 0.5, 2)


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
