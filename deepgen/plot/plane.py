"""Densities on the plane and draws of them, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.plot.figures import PALETTE, new_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL, _POINTS = 170, 4000  # pixels; more points than these would be one blot


def planes(
    panels: Sequence[Sequence[Tensor | Callable[[Tensor], Tensor]]],
    *,
    box: tuple[tuple[float, float], tuple[float, float]] = ((-4.5, 4.5), (-4.5, 4.5)),
    resolution: int = 150,
    columns: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw a table of panels: points as dots, densities in blue.

    The densities of a column share one scale: paper is 0 and the darkest blue the peak of the first of them, so that
    mass which a model puts elsewhere, or spreads out, is seen.

    Args:
        panels: rows of panels, all of one length; each panel points ``[n, 2]``, of which the first 4,000 are drawn, or
            a function ``[m, 2] -> [m]`` such as ``model.log_prob``, in nats.
        box: (low, high) of the first number, and of the second.
        resolution: densities are evaluated at the middles of as many cells along each axis.
        columns, rows: their headings.
        captions: a line under each panel, in the same shape as ``panels``.
        title: a line above all.
        path: write the figure there too.

    Raises:
        ArgumentError: no panels, rows of different lengths, or headings that do not fit.
        ShapeError: points that are not ``[n, 2]``.
        SupportError: a density that is NaN or infinite somewhere in the box.

    >>> import deepgen as dg
    >>> law = dg.data.moons()
    >>> figure = planes([[dg.data.load("moons").test, law.log_prob]], columns=["draws", "density"], resolution=40)
    >>> figure.axes[1].images[0].get_array().shape
    (40, 40)
    """
    across = len(panels[0]) if panels else 0
    fitting = across and all(len(part) == across for part in [*panels, *(captions or [])])
    fitting = fitting and len(captions or panels) == len(panels)
    if not fitting or len(columns or panels[0]) != across or len(rows or panels) != len(panels):
        raise ArgumentError(
            "panels must be rows of one length, with a heading for each row and each column and a caption for each "
            f"panel; got rows of {[len(part) for part in panels]}, {len(columns or [])} columns, {len(rows or [])} rows"
        )
    check_count(resolution=resolution)
    below, left = (20 if captions else 0), (24 if rows else 0)
    figure = new_figure(across * _PANEL + left, len(panels) * (_PANEL + below) + (66 if title else 36))
    axes = figure.subplots(len(panels), across, squeeze=False)
    peaks: list[float | None] = [None] * across
    share = (torch.arange(resolution) + 0.5) / resolution
    grid = torch.cartesian_prod(*(share * (high - low) + low for low, high in box))
    for i, line in enumerate(panels):
        for j, panel in enumerate(line):
            ax = axes[i, j]
            if isinstance(panel, Tensor):
                _dots(ax, panel)
            else:
                density = _density(panel, grid).reshape(resolution, resolution).T
                peaks[j] = peaks[j] or float(density.max()) or 1.0
                ax.imshow(
                    density.numpy(), cmap=_blues(), vmin=0, vmax=peaks[j], origin="lower", extent=(*box[0], *box[1])
                )
            ax.set(xlim=box[0], ylim=box[1], xticks=[], yticks=[], aspect="equal")
            ax.spines[:].set_color(PALETTE["rule"])
            if captions:
                ax.set_xlabel(captions[i][j], fontsize=11, color=PALETTE["muted"], labelpad=3)
            if columns and i == 0:
                ax.set_title(columns[j], fontsize=12, color=PALETTE["ink"])
            if rows and j == 0:
                ax.set_ylabel(rows[i], fontsize=12, color=PALETTE["ink"])
    figure.set_layout_engine("constrained")
    if title:
        figure.suptitle(title, fontsize=13, color=PALETTE["ink"])
    if path is not None:
        save(figure, path)
    return figure


def _dots(ax: Any, x: Tensor) -> None:
    if x.ndim != 2 or x.shape[1] != 2:
        raise ShapeError(f"points in the plane must be [n, 2], got {list(x.shape)}")
    x = x[:_POINTS].detach().cpu()
    ax.scatter(x[:, 0], x[:, 1], s=0.8, color=PALETTE["ink"], alpha=0.5, linewidths=0, rasterized=True)


@torch.no_grad()
def _density(log_prob: Callable[[Tensor], Tensor], grid: Tensor) -> Tensor:
    density = torch.cat([log_prob(part) for part in grid.split(8192)]).exp().cpu()
    if not bool(density.isfinite().all()):
        raise SupportError("a density must be finite everywhere in the box, and this one is NaN or infinite somewhere")
    return density


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("paper to blue", ["#ffffff", "#a9c6e6", PALETTE["s0"], "#0c2340"])
