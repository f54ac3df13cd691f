"""How each of some things stands to each other: a matrix of scores, by shade."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot.figures import PALETTE, axes_of, finished

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def heat_map(
    scores: Any,
    names: Sequence[str],
    *,
    breaks: Sequence[int] = (),
    low: float | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw a square matrix of scores, larger ones darker, with names at both sides and a bar of the shades.

    Args:
        scores: ``[n, n]``, in any unit; NaN is left grey, as a diagonal that says nothing.
        names: of the rows, which are those of the columns; fewer names stand each for as many neighbouring rows.
        breaks: rows before which a line is drawn, as between groups.
        low: score of the lightest shade; the smallest one by default.
        title, path, ax: as in `image_grid`.

    Raises:
        ShapeError: the scores are no square matrix, or their number is no multiple of that of the names.
        SupportError: a score is infinite, or all are NaN.
        ArgumentError: a break is at no row.

    >>> figure = heat_map([[1.0, 0.2], [0.2, 1.0]], ["tea", "nail"], breaks=[1])
    >>> [text.get_text() for text in figure.axes[0].get_xticklabels()], len(figure.axes[0].get_lines())
    (['tea', 'nail'], 2)
    """
    x = torch.as_tensor(scores).detach().cpu().double()
    if x.ndim != 2 or x.shape[0] != x.shape[1] or x.numel() == 0:
        raise ShapeError(f"a heat map is of scores [n, n], got {list(x.shape)}")
    if not names or len(x) % len(names):
        raise ShapeError(f"{len(x)} rows take as many names or a divisor of it, got {len(names)}")
    if x.isinf().any() or x.isnan().all():
        raise SupportError("scores are numbers, or NaN where there is none; got an infinite one, or no number at all")
    if any(not 0 < row < len(x) for row in breaks):
        raise ArgumentError(f"breaks are rows from 1 to {len(x) - 1}, got {list(breaks)}")
    ax = axes_of(640, 560, ax)
    ax.set_facecolor(PALETTE["rule"])  # what NaN leaves to be seen
    shown = ax.imshow(x.numpy(), cmap="Blues", vmin=low)
    each = len(x) // len(names)
    middle = [each * i + (each - 1) / 2 for i in range(len(names))]
    ax.set_xticks(middle, names, rotation=90, fontsize=8, color=PALETTE["ink"])
    ax.set_yticks(middle, names, fontsize=8, color=PALETTE["ink"])
    for row in breaks:
        ax.axhline(row - 0.5, color=PALETTE["ink"], linewidth=0.7)
        ax.axvline(row - 0.5, color=PALETTE["ink"], linewidth=0.7)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    shades = ax.figure.colorbar(shown, ax=ax, shrink=0.6, pad=0.02)
    shades.outline.set_visible(False)
    shades.ax.tick_params(length=0, labelsize=8, labelcolor=PALETTE["muted"])
    return finished(ax, title, path)
