"""A density of two variables as nested regions, with draws that should fill them: one panel for each set of draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.plot.figures import PALETTE, save, series
from deepgen.plot.lines import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = 800  # dots of a panel; more of them hide the regions


def regions(
    log_density: Callable[[Tensor], Tensor],
    samples: Mapping[str, Tensor],
    *,
    box: tuple[tuple[float, float], tuple[float, float]],
    masses: Sequence[float] = (0.5, 0.9, 0.99),
    resolution: int = 200,
    names: tuple[str, str] = ("first", "second"),
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw the highest-density regions of a known density, and over them draws that claim to come from it.

    A region of mass m is the smallest that holds the share m of the density within ``box``. Of exact draws the share m
    lies in it; draws beyond the outermost line, or a part of it without draws, show what their source gets wrong.

    Args:
        log_density: ``[n, 2] -> [n]``, known up to a constant.
        samples: name of each panel, and its draws ``[n, 2]``; the first 800 are shown.
        box: (low, high) of the first variable, and of the second: what is drawn, and where the density is looked at.
        masses: of the regions, between 0 and 1.
        resolution: of the grid where the density is looked at, along each axis.
        names: of the two variables, for the axes.
        title: a line above all panels.
        path: write the figure there too.

    Raises:
        ArgumentError: no draws, or no masses between 0 and 1.
        ShapeError: draws that are not ``[n, 2]``.
        SupportError: the density is NaN somewhere in the box, or nowhere above 0.

    >>> normal = torch.distributions.Normal(0.0, 1.0)
    >>> figure = regions(lambda x: normal.log_prob(x).sum(-1), {"a": torch.zeros(5, 2)}, box=((-3, 3), (-3, 3)))
    >>> figure.axes[0].get_title(loc="left")
    'a'
    """
    if not samples:
        raise ArgumentError("regions need at least one set of draws, got none")
    for name, x in samples.items():
        if x.ndim != 2 or x.shape[1] != 2:
            raise ShapeError(f"draws must be [n, 2], got {list(x.shape)} for {name!r}")
    check_count(2, resolution=resolution)
    across, up = (torch.linspace(low, high, resolution, dtype=torch.float64) for low, high in box)
    density = on_grid(log_density, across, up)
    levels = sorted(set(region_levels(density, masses)))  # one for several masses where the density is flat
    figure, axes = panels(len(samples), title)
    for index, (ax, (name, x)) in enumerate(zip(axes, samples.items(), strict=True)):
        ax.contourf(across, up, density.t(), [*levels, float("inf")], colors=[PALETTE["rule"]], alpha=0.35)
        dots = x[:_DRAWN].detach().cpu()
        ax.scatter(dots[:, 0], dots[:, 1], s=4, color=series(index), alpha=0.6, linewidths=0)
        ax.contour(across, up, density.t(), levels, colors=[PALETTE["ink"]], linewidths=0.9)
        ax.set_xlim(*box[0])
        ax.set_ylim(*box[1])
        ax.grid(visible=False)
        ax.set_title(name, fontsize=9, color=PALETTE["ink"], loc="left")
        ax.set_xlabel(names[0], fontsize=8, color=PALETTE["muted"])
        if index % 3 == 0:
            ax.set_ylabel(names[1], fontsize=8, color=PALETTE["muted"])
    if path is not None:
        save(figure, path, scale=2)
    return figure


@torch.no_grad()
def on_grid(log_density: Callable[[Tensor], Tensor], across: Tensor, up: Tensor) -> Tensor:
    """The density at all points of a grid ``[len(across), len(up)]``, scaled to a largest value of 1."""
    rows = torch.cartesian_prod(across, up).to(torch.get_default_dtype())
    value = log_density(rows).double().cpu().reshape(len(across), len(up))
    top = value.max()  # NaN if any value is
    if not bool(top.isfinite()):
        raise SupportError(f"the log-density must be finite somewhere in the box and NaN nowhere; its largest is {top}")
    return (value - top).exp()


def region_levels(density: Tensor, masses: Sequence[float]) -> list[float]:
    """The densities above which the shares ``masses`` of a grid's mass lie, lowest first.

    >>> region_levels(torch.tensor([[0.5, 0.3], [0.1, 0.1]]), [0.9, 0.4])
    [0.10000000149011612, 0.5]
    """
    if not masses or not all(0 < mass < 1 for mass in masses):
        raise ArgumentError(f"masses must lie between 0 and 1, one at least, got {list(masses)}")
    falling = density.flatten().sort(descending=True).values
    share = falling.cumsum(0) / falling.sum()
    places = [int(torch.searchsorted(share, torch.tensor(mass, dtype=share.dtype))) for mass in sorted(masses)]
    return [float(falling[min(place, len(falling) - 1)]) for place in reversed(places)]
