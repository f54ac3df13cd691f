"""What a conditional density says of y at each x, and whether outcomes bear it out.

fan           bands between the quantiles of y given x, symmetric in probability about the median
calibration   the share of outcomes inside the central interval of each probability, less that probability
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot.figures import PALETTE, axes_of, finished, quiet, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def fan(
    x: Tensor,
    quantiles: Tensor,
    levels: Sequence[float],
    *,
    truth: Tensor | None = None,
    points: Tensor | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the central intervals of y given x as bands, wider ones paler.

    Args:
        x: ``[n]``, increasing.
        quantiles: of y: ``[2 * bands, n]`` from lowest to highest, or one more in the middle, the median, as a line.
        levels: the probability of each band, widest first, for the legend.
        truth: quantiles of the true law in the same shape, as dashed lines.
        points: ``[m, 2]`` of x and y, as dots.
        title: a line above the axes.
        path: write the figure there too.
        ax: draw into these axes rather than a figure of its own.

    Raises:
        ShapeError: quantiles that do not fit ``x`` or ``levels``.

    >>> x = torch.linspace(0, 1, 20)
    >>> figure = fan(x, torch.stack([-x, 0 * x, x]), [0.9])
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['90 %', 'median']
    """
    k = len(levels)
    for lines in (quantiles, quantiles if truth is None else truth):
        if lines.shape not in ((2 * k, len(x)), (2 * k + 1, len(x))) or lines.shape != quantiles.shape:
            raise ShapeError(f"{k} bands over {len(x)} places need [{2 * k} or {2 * k + 1}, {len(x)}] quantiles, "
                             f"got {list(lines.shape)}")  # fmt: skip
    ax = axes_of(620, 380, ax)
    quiet(ax)
    at, drawn = x.detach().cpu(), quantiles.detach().cpu()
    if points is not None:
        dots = points.detach().cpu()
        ax.scatter(dots[:, 0], dots[:, 1], s=3, color=PALETTE["ink"], alpha=0.35, linewidths=0, zorder=1.5)
    for band, level in enumerate(levels):
        shade = 0.16 + 0.14 * band
        ax.fill_between(
            at, drawn[band], drawn[-1 - band], color=series(0), alpha=shade, lw=0, label=f"{100 * level:g} %"
        )
    if len(drawn) % 2:
        ax.plot(at, drawn[k], color=series(0), linewidth=1.6, label="median")
    if truth is not None:
        dashed = ax.plot(at, truth.detach().cpu().T, "--", color=series(1), linewidth=0.9)
        dashed[0].set_label("true quantiles")
    ax.margins(x=0)
    ax.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"])
    return finished(ax, title, path)


def calibration(
    ranks: Tensor | Mapping[str, Tensor],
    *,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw, for central intervals of every probability, the share of outcomes inside it less that probability.

    Above 0 intervals are too wide, below 0 too narrow. The grey band holds 95 of 100 perfect models at each place,
    for the group with the fewest outcomes: twice the binomial standard error.

    Args:
        ranks: F(y | x) ``[n]`` of outcomes y under the predicted distribution function F, which are uniform if that is
            right; or several such groups by name.
        title, path, ax: as in `fan`.

    Raises:
        SupportError: ranks outside [0, 1].

    >>> figure = calibration({"uniform": (torch.arange(1000) + 0.5) / 1000})
    >>> float(torch.as_tensor(figure.axes[0].get_lines()[-1].get_ydata()).abs().max()) < 2e-3
    True
    """
    groups = ranks if isinstance(ranks, Mapping) else {"": ranks}
    if not groups or any(u.numel() == 0 for u in groups.values()):
        raise ArgumentError("calibration needs at least one group with at least one rank in it, got none")
    ax = axes_of(380, 300, ax)
    quiet(ax)
    level = torch.linspace(0, 1, 201, dtype=torch.float64)
    error = 2 * (level * (1 - level)).sqrt() / math.sqrt(min(u.numel() for u in groups.values()))
    ax.fill_between(level, -error, error, color=PALETTE["rule"], alpha=0.6, lw=0)
    ax.axhline(0, color=PALETTE["muted"], linewidth=0.8)
    for index, (name, u) in enumerate(groups.items()):
        u = u.detach().cpu().double().flatten()
        if not bool(((u >= 0) & (u <= 1)).all()):
            raise SupportError(f"ranks are values of a distribution function, in [0, 1]; those of {name!r} are not")
        share = torch.searchsorted((2 * u - 1).abs().sort()[0], level, right=True) / u.numel()
        ax.plot(level, share - level, color=series(index), linewidth=1.6, label=name or None)
    ax.set_xlabel("probability of the central interval", fontsize=8, color=PALETTE["muted"])
    ax.margins(x=0)
    if any(groups):
        ax.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"])
    return finished(ax, title, path)
