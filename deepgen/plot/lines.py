"""Learning curves and chain traces: small panels, each with one quantity and its own scale."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count, unknown_name
from deepgen.plot.figures import PALETTE, SERIES, new_figure, quiet, save, series
from deepgen.plot.quantities import PASSES, clock, columns, quantities, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS = 42  # of a title that a panel has room for
_STYLES = ("-", "--", ":")


def curves(
    *histories: Any,
    names: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    colours: Sequence[str] | None = None,
) -> Figure:
    """Draw learning curves, one panel per quantity and one line per history.

    Args:
        histories: each a `deepgen.train.History`, or a mapping from name to one number per epoch. A value that is None
            or not finite leaves a hole in its line. Of histories that count passes over the rows the axis is these,
            and epochs otherwise.
        names: the quantities to draw; when None every one that some history has.
        labels: names of the histories, for the legend.
        title: a line above all panels.
        path: write the figure there too.
        colours: one per history.

    Raises:
        ArgumentError: nothing to draw, or a number of labels or colours that does not fit.
        ShapeError: a quantity of another length than its epochs.
        UnknownName: one of ``names`` is in no history, with the nearest.

    >>> figure = curves({"epoch": [1, 2, 3], "error": [0.3, 0.2, 0.15]}, {"epoch": [1, 2], "error": [0.4, None]})
    >>> [line.get_ydata().tolist() for line in figure.axes[0].get_lines()]
    [[0.3, 0.2, 0.15], [0.4, nan]]
    """
    from matplotlib.ticker import MaxNLocator

    tables = [columns(history) for history in histories]
    names = list(names) if names is not None else quantities(*histories)
    if not tables or not names:
        raise ArgumentError("curves need at least one history with at least one quantity in it, got none")
    for name in names:
        if not any(name in table for table in tables):
            raise unknown_name("quantity", name, {known for table in tables for known in table})
    for what, each in (("labels", labels), ("colours", colours)):
        if each is not None and len(each) != len(tables):
            raise ArgumentError(f"{len(tables)} histories need as many {what}, got {len(each)}")
    colours = colours or [series(i) for i in range(len(tables))]
    along = clock(*histories)  # an epoch is one pass where it counts none itself
    figure, axes = panels(len(names), title)
    for name, ax in zip(names, axes, strict=True):
        for index, table in enumerate(tables):
            if name in table:
                y = table[name]
                x = table.get(PASSES, table.get("epoch", [float(i + 1) for i in range(len(y))]))
                if len(x) != len(y):
                    raise ShapeError(f"{name!r} has {len(y)} numbers, and the epochs beside it are {len(x)}")
                dots = "o" if sum(map(math.isfinite, y)) < 3 else None  # a line of one point would not be seen
                label = None if labels is None else labels[index]
                ax.plot(
                    x,
                    y,
                    _STYLES[index // len(SERIES) % 3],
                    color=colours[index],
                    linewidth=1.6,
                    marker=dots,
                    label=label,
                )
        told = quantity(name, *histories)
        ax.set_title(textwrap.fill(told.title, _LETTERS), fontsize=9, color=PALETTE["ink"], loc="left")
        ax.set_xlabel(along, fontsize=8, color=PALETTE["muted"])
        ax.set_ylabel(told.unit, fontsize=8, color=PALETTE["muted"])
        whole = along == "epoch"  # there are no half ones
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=whole))
    if labels is not None:
        axes[0].legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"])
    if path is not None:
        save(figure, path)
    return figure


def traces(
    trace: Any,
    *,
    chains: int = 4,
    draws: int = 500,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw what chains did: the draws in time on the left, their distribution on the right, one row per quantity.

    Good chains look alike and forget: lines of all colours cover the same band, and the histograms agree.

    Args:
        trace: ``[draws, chains]``, a mapping from name to such tensors, or a `deepgen.samplers.Trace` whose draws are
            one number per chain (``keep=`` of `sample_chain` can make them, for example of the free energy).
        chains: how many of them to draw; all count for the histogram.
        draws: at most this many points per line, evenly taken.
        title: a line above all panels.
        path: write the figure there too.

    Raises:
        ShapeError: draws that are no single number per chain.
        SupportError: NaN or infinite draws.
        ArgumentError: ``chains`` or ``draws`` below 1.

    >>> figure = traces(torch.rand(100, 8, generator=torch.Generator().manual_seed(0)), chains=3)
    >>> len(figure.axes[0].get_lines()), len(figure.axes)
    (3, 2)
    """
    table = scalars(trace)
    check_count(chains=chains, draws=draws)
    figure = new_figure(560, 160 * len(table) + (30 if title else 0))
    grid = figure.subplots(len(table), 2, sharey="row", squeeze=False, gridspec_kw={"width_ratios": [5, 1]})
    for (name, values), (left, right) in zip(table.items(), grid, strict=True):
        stride = math.ceil(len(values) / draws)
        time = torch.arange(0, len(values), stride)
        for chain in range(min(chains, values.shape[1])):
            left.plot(time, values[time, chain], color=series(chain), linewidth=0.8, alpha=0.85)
        right.hist(
            values.flatten(), bins=edges(values).tolist(), orientation="horizontal", color=PALETTE["muted"], alpha=0.6
        )
        left.margins(x=0)
        quiet(left)
        quiet(right)
        right.set_xticks([])
        right.spines["bottom"].set_visible(False)
        left.set_title(name, fontsize=9, color=PALETTE["ink"], loc="left")
        left.set_xlabel("draw", fontsize=8, color=PALETTE["muted"])
    _finish(figure, title)
    if path is not None:
        save(figure, path)
    return figure


def scalars(trace: Any) -> dict[str, Tensor]:
    """A trace as a table of ``[draws, chains]`` float64 tensors on the CPU."""
    values = getattr(trace, "draws", trace)
    named: Mapping[str, Any] = values if isinstance(values, Mapping) else {"value": values}
    table = {}
    for name, x in named.items():
        if not isinstance(x, Tensor) or x.ndim != 2 or x.numel() == 0:
            got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(
                f"a trace to draw is [draws, chains], one number per chain, got {got} for {name!r}: "
                "pass keep=lambda state: ... to sample_chain, or a tensor such as rbm.free_energy(trace.draws)"
            )
        if not bool(x.isfinite().all()):
            raise SupportError(f"the trace of {name!r} holds NaN or infinite draws")
        table[str(name)] = x.detach().cpu().double()
    if not table:
        raise ShapeError("a trace needs at least one quantity, got an empty mapping")
    return table


def edges(values: Tensor) -> Tensor:
    """24 equal bins; for a quantity with few values one or more whole values to each, so that no bin is empty."""
    low, high = float(values.min()), float(values.max())
    steps = values.unique().diff()
    step = float(steps.min()) if 0 < len(steps) < 200 else 0.0
    if step == 0 or (high - low) / step > 200:
        half = 0.0 if high > low else 0.5
        return torch.linspace(low - half, high + half, 25, dtype=values.dtype)
    width = step * math.ceil((high - low) / step / 24)
    return torch.arange(low - step / 2, high + width, width, dtype=values.dtype)


def panels(count: int, title: str | None) -> tuple[Figure, list[Axes]]:
    """``count`` axes in rows of up to three."""
    across = min(count, 3)
    down = math.ceil(count / across)
    figure = new_figure(340 * across, 230 * down + (30 if title else 0))
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    for ax in axes[:count]:
        quiet(ax)
    _finish(figure, title)
    return figure, axes[:count]


def _finish(figure: Figure, title: str | None) -> None:
    figure.set_layout_engine("constrained")
    if title:
        figure.suptitle(title, fontsize=11, color=PALETTE["ink"])
