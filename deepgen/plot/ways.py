"""Ways through the plane over the level lines of a function: how optimizers go down, or how chains move about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot.figures import PALETTE, save, series
from deepgen.plot.lines import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def paths(
    function: Callable[[Tensor], Tensor],
    ways: Mapping[str, Tensor],
    *,
    box: tuple[tuple[float, float], tuple[float, float]],
    levels: int = 10,
    resolution: int = 150,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw ways over a function's level lines, one panel for each; a ring is the first place and a dot the last.

    The lines are at values with equal shares of the box between neighbouring ones, so that narrow valleys show on any
    scale.

    Args:
        function: ``[n, 2] -> [n]``, a loss or a log-density.
        ways: name of each panel, and the places ``[steps, 2]`` that were passed in turn.
        box: (low, high) of the first number, and of the second.
        levels: how many lines.
        resolution: of the grid where the function is looked at, along each axis.
        title: a line above all panels.
        path: write the figure there too.

    Raises:
        ArgumentError: no ways.
        ShapeError: a way that is not ``[steps, 2]``.
        SupportError: the function is not finite somewhere in the box.

    >>> down = torch.tensor([[2.0, 0.0], [1.0, 0.5], [0.0, 0.0]])
    >>> figure = paths(lambda x: x.square().sum(-1), {"three steps": down}, box=((-3, 3), (-3, 3)))
    >>> figure.axes[0].get_lines()[0].get_xdata().tolist()
    [2.0, 1.0, 0.0]
    """
    if not ways:
        raise ArgumentError("paths need at least one way, got none")
    for name, way in ways.items():
        if way.ndim != 2 or way.shape[1] != 2 or not len(way):
            raise ShapeError(f"a way must be [steps, 2], got {list(way.shape)} for {name!r}")
    across, up = (torch.linspace(low, high, resolution) for low, high in box)
    with torch.no_grad():
        height = function(torch.cartesian_prod(across, up)).detach().cpu().double().reshape(resolution, resolution)
    if not bool(height.isfinite().all()):
        raise SupportError("the function must be finite everywhere in the box")
    at = height.flatten().quantile(torch.linspace(0, 1, levels + 2, dtype=height.dtype)[1:-1]).unique().tolist()
    figure, axes = panels(len(ways), title)
    for index, (ax, (name, way)) in enumerate(zip(axes, ways.items(), strict=True)):
        ax.contour(across, up, height.t(), at, colors=[PALETTE["rule"]], linewidths=0.8)
        x, y = way.detach().cpu().unbind(1)
        ax.plot(x, y, color=series(index), linewidth=1.2, marker=".", markersize=3)
        ax.plot(x[:1], y[:1], "o", color=PALETTE["ink"], markerfacecolor="none", markersize=7)
        ax.plot(x[-1:], y[-1:], "o", color=PALETTE["ink"], markersize=5)
        ax.grid(visible=False)
        ax.set_xlim(*box[0])
        ax.set_ylim(*box[1])
        ax.set_title(name, fontsize=9, color=PALETTE["ink"], loc="left")
    if path is not None:
        save(figure, path)
    return figure
