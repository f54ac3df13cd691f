"""The curve of a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepgen.plot.figures import PALETTE, axes_of, finished, quiet, series
from deepgen.plot.quantities import quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deepgen.train.rates import RateRange


def rates(found: RateRange, *, title: str | None = None, path: str | Path | None = None) -> Figure:
    """Draw the metric by rate, step by step and smoothed, with the suggested rate and that of divergence marked.

    Args:
        found: what `deepgen.train.find_rate` returned.
        title: a line above.
        path: write the figure there too.

    >>> from deepgen.train import RateRange
    >>> figure = rates(RateRange([0.1, 1.0], [2.0, 1.0], [2.0, 1.5], 0.3, None, "score_error"))
    >>> figure.axes[0].get_xscale(), len(figure.axes[0].get_lines())
    ('log', 3)
    """
    ax = axes_of(560, 300)
    told = quantity(found.metric)
    ax.plot(found.rates, found.values, color=PALETTE["rule"], linewidth=1, label="each step")
    ax.plot(found.rates[: len(found.smoothed)], found.smoothed, color=series(0), linewidth=1.8, label="smoothed")
    for rate, name, colour in ((found.suggested, "suggested", series(2)), (found.diverged, "diverged", series(1))):
        if rate is not None:
            ax.axvline(rate, color=colour, linewidth=1.2, linestyle="--", label=f"{name}: {rate:.2g}")
    ax.set_xscale("log")
    quiet(ax)
    ax.tick_params(which="minor", length=0)
    spread = max(found.smoothed, default=1.0) - min(found.smoothed, default=0.0)
    if spread > 0:  # single steps beyond divergence would hide the rest
        ax.set_ylim(min(found.smoothed) - 0.1 * spread, max(found.smoothed) + 0.1 * spread)
    ax.set_xlabel("learning rate", fontsize=8, color=PALETTE["muted"])
    ax.set_ylabel(told.unit or told.title, fontsize=8, color=PALETTE["muted"])
    ax.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"])
    if title:
        ax.figure.figure.suptitle(title, fontsize=11, color=PALETTE["ink"])
    return finished(ax, None, path)
