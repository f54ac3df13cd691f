"""Regions of known mass, against a normal's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from deepgen.data import planar
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import regions
from deepgen.plot.decision_regions import on_grid, region_levels

BOX = ((-5.0, 5.0), (-7.0, 7.0))


def normal(x: torch.Tensor) -> torch.Tensor:
    """N(0, 1) times N(0, 1.4^2), up to a constant."""
    return -0.5 * (x[:, 0].square() + (x[:, 1] / 1.4).square()) + 100


def test_levels_are_those_of_a_normal() -> None:
    """The region of mass m of two normals is where exp(-r^2 / 2) > 1 - m."""
    axes = [torch.linspace(low, high, 400, dtype=torch.float64) for low, high in BOX]
    levels = region_levels(on_grid(normal, *axes), (0.5, 0.9, 0.99))
    assert levels == pytest.approx([0.01, 0.1, 0.5], rel=0.02)


def test_first_variable_runs_to_the_right() -> None:
    def shifted(x: torch.Tensor) -> torch.Tensor:
        return normal(x - torch.tensor([2.0, -3.0]))

    density = on_grid(shifted, torch.linspace(-4, 4, 9), torch.linspace(-5, 5, 11))
    assert divmod(int(density.argmax()), 11) == (6, 2)
    figure = regions(shifted, {"a": torch.zeros(3, 2), "b": torch.ones(2000, 2)}, box=BOX, masses=(0.5,))
    first, second = figure.axes
    corners = first.collections[-1].get_paths()[0].vertices
    radius = math.sqrt(2 * math.log(2))
    assert corners.min(0) == pytest.approx([2 - radius, -3 - 1.4 * radius], abs=0.05)
    assert corners.max(0) == pytest.approx([2 + radius, -3 + 1.4 * radius], abs=0.05)
    dots = [ax.collections[1].get_offsets() for ax in (first, second)]
    assert [len(each) for each in dots] == [3, 800]
    assert (dots[1] == 1).all()
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["a", "b"]


def test_a_flat_density_has_one_region_for_all_masses() -> None:
    square = planar.checkerboard(2, 2.0)
    figure = regions(square.log_prob, {"a": torch.zeros(3, 2)}, box=((-3, 3), (-3, 3)), resolution=30)
    assert len(figure.axes[0].collections[-1].get_array()) == 1


def test_it_is_written(tmp_path: Path) -> None:
    regions(normal, {"a": torch.zeros(3, 2)}, box=BOX, resolution=20, path=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ShapeError, match="'a'"):
        regions(normal, {"a": torch.zeros(3, 3)}, box=BOX)
    with pytest.raises(ArgumentError, match="at least one"):
        regions(normal, {}, box=BOX)
    with pytest.raises(ArgumentError, match="masses"):
        regions(normal, {"a": torch.zeros(3, 2)}, box=BOX, masses=(90,), resolution=10)
    with pytest.raises(SupportError, match="NaN"):
        regions(lambda x: x.sum(1) * float("nan"), {"a": torch.zeros(3, 2)}, box=BOX, resolution=10)
