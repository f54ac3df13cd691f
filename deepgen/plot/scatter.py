"""Samples of two columns as points in their plane, beside held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor

from deepgen.plot import page
from deepgen.plot.figures import PALETTE, axes_of, inline_svg, quiet, series

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

_POINTS = 1000  # of each picture
_MARGIN = 0.08  # round the data, as a part of their range


def scatter(having: Sequence[tuple[int, Entry]], real: Tensor | None, names: Sequence[str]) -> str:
    """Held-out rows and each entry's samples ``[n, 2]``, all on the range of the held-out rows."""
    clouds = [(series(i), e.name, e.samples) for i, e in having if e.samples is not None]
    frame = clouds[0][2] if real is None else real
    shown = [] if real is None else [(PALETTE["muted"], "Real data", real)]
    frame = frame[frame.isfinite().all(1)].cpu().double()
    low, high = frame.amin(0), frame.amax(0)
    room = (high - low).clamp_min(1e-12) * _MARGIN
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    cards = []
    for number, (colour, name, x) in enumerate([*shown, *clouds]):
        points = x[:_POINTS].cpu().double()
        ax = axes_of(340, 300)
        ax.plot(points[:, 0], points[:, 1], "o", color=colour, markersize=1.6, markeredgewidth=0, alpha=0.7)
        ax.set_xlim(left, right)
        ax.set_ylim(bottom, top)
        quiet(ax)
        ax.set_xlabel(names[0], fontsize=8, color=PALETTE["muted"])
        ax.set_ylabel(names[1], fontsize=8, color=PALETTE["muted"])
        inside = (points[:, 0] >= left) & (points[:, 0] <= right) & (points[:, 1] >= bottom) & (points[:, 1] <= top)
        beyond = len(points) - int(inside.sum())
        drawing = inline_svg(ax.figure.figure, f"{len(points)} rows of {name} as points", f"scatter{number}")
        held_out = ", held out of training" if number < len(shown) else ""
        outside = f"; {beyond} lie outside of the picture" if beyond else ""
        cards.append(page.figure(drawing, f"<b>{escape(name)}</b>{held_out}: {len(points)} rows{outside}."))
    return f'<div class="cards">{"".join(cards)}</div>'
