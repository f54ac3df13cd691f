"""Estimates as small drawings in a table: a marker for the side, a bar for the interval, one scale for all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.plot.page import number

WIDTH, HEIGHT, MARGIN = 184, 24, 20
_DIGIT, _GAP = 6.2, 8.0  # pixels: of a character of a tick label, and between two labels


class SideNote(NamedTuple):
    """word: in the table; meaning: in the legend; shape: of the marker, a polygon around (0, 0), or None: a disc."""

    word: str
    meaning: str
    shape: str | None


# A bound's arrow points to where the truth lies: a value above it is an arrow to the left.
SIDES = {
    "exact": SideNote("exact", "The value itself, by enumeration or in closed form; nothing was drawn.", None),
    "unbiased": SideNote("unbiased", "Right on average; the truth lies in the interval.", "0,-6 6,0 0,6 -6,0"),
    "below": SideNote("below", "A lower bound on average: the truth is at or above the value.", "-5,-6 7,0 -5,6"),
    "above": SideNote(
        "above", "Above the truth on average, hence optimistic: the truth is at or below the value.", "5,-6 -7,0 5,6"
    ),
    "undetermined": SideNote(
        "undetermined", "No inequality is known: the truth may lie on either side.", "-5,-5 5,-5 5,5 -5,5"
    ),
    "both": SideNote("two-sided", "One bound from each side: the truth lies between them, errors allowed for.", ""),
    "tentative": SideNote(
        "two-sided, if mixed",
        "One estimate from each side, of which one is a bound only if the chain behind it has mixed: see Details.",
        "",
    ),
    "bound": SideNote(
        "a bound, two-sided",
        "Between these two lies a lower bound of the truth, which itself may lie above both.",
        "",
    ),
    "reversed": SideNote(
        "in reverse order",
        "The two estimates stand the wrong way round by less than their errors, which close ones do by chance: the "
        "interval is what to read.",
        "",
    ),
    "crossed": SideNote(
        "ends crossed",
        "The two bounds contradict one another beyond their errors: one of them, or its error bar, has failed. "
        "Neither is to be believed; more temperatures or more chains may mend it.",
        "",
    ),
}


class Scale(NamedTuple):
    """Nats to pixels: ``low`` and ``high`` are the ends of the axis, ``ticks`` round numbers between them."""

    low: float
    high: float
    ticks: list[float]

    @classmethod
    def over(cls, estimates: Sequence[Estimate | Bracket]) -> Scale:
        """The scale that has room for all intervals, from tick to tick, with as many ticks as have room for labels."""
        ends = [end for e in estimates for end in (*e.interval(), *_values(e)) if math.isfinite(end)] or [0.0]
        low, high = min(ends), max(ends)
        pad = 0.02 * (high - low) or max(0.5, 1e-6 * abs(high))
        low, high = low - pad, high + pad
        unit = 10.0 ** math.floor(math.log10((high - low) / 10))
        for step in (unit * m for m in (1, 2, 5, 10, 20, 50, 100)):  # the last leaves one step or two
            first, last = math.floor(low / step), math.ceil(high / step)
            ticks = [i * step for i in range(first, last + 1)]
            widest = max(len(_label(tick, step)) for tick in ticks)
            if (WIDTH - 2 * MARGIN) / (last - first) >= widest * _DIGIT + _GAP:
                break
        return cls(ticks[0], ticks[-1], ticks)

    def x(self, value: float) -> float:
        """The pixel of ``value``, which is kept inside the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return MARGIN + min(max(share, 0.0), 1.0) * (WIDTH - 2 * MARGIN)

    def grid(self) -> str:
        """The tick lines as a CSS background, so that they run through rows of any height."""
        lines = [f"linear-gradient(var(--rule),var(--rule)) {self.x(t):.1f}px 0/1px 100% no-repeat" for t in self.ticks]
        return ",".join(lines) or "none"

    def axis(self) -> str:
        """The tick labels, for the head of the column."""
        step = self.ticks[1] - self.ticks[0]
        labels = "".join(
            f'<text x="{self.x(t):.1f}" y="13" text-anchor="middle" font-size="11" fill="var(--muted)">'
            f"{_label(t, step)}</text>"
            for t in self.ticks
        )
        return f'<svg width="{WIDTH}" height="18" viewBox="0 0 {WIDTH} 18" aria-hidden="true">{labels}</svg>'


def bar(estimate: Estimate | Bracket, scale: Scale, colour: str) -> str:
    """One row: the interval, and a marker at each value. The numbers stand in the row as text."""
    middle = HEIGHT / 2
    low, high = estimate.interval()
    span = ""
    if math.isfinite(low) and math.isfinite(high) and high > low:
        span = (
            f'<path d="M{scale.x(low):.1f} {middle}H{scale.x(high):.1f}" stroke="{colour}" stroke-width="5" '
            'stroke-linecap="round" opacity=".4"/>'
        )
    if isinstance(estimate, Bracket):
        marks = "".join(
            f'<path d="M{scale.x(v):.1f} {middle - 6}v12" stroke="{colour}" stroke-width="2.5" stroke-linecap="round"/>'
            for v in _values(estimate)
        )
    else:
        marks = _mark(estimate.side, scale.x(estimate.value), colour) if math.isfinite(estimate.value) else ""
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{span}{marks}</svg>'
    )


def marker(side: str, colour: str) -> str:
    """The marker of a side alone, for the legend."""
    if side == "crossed":
        inner = f'<path d="M5 3l12 12M17 3L5 15" stroke="{colour}" stroke-width="2" fill="none"/>'
    elif side in ("both", "tentative", "bound", "reversed"):
        inner = f'<path d="M3 3v12M3 9h16M19 3v12" stroke="{colour}" stroke-width="2" fill="none"/>'
    else:
        inner = f'<g transform="translate(0 {9 - HEIGHT / 2})">{_mark(side, 11, colour)}</g>'
    return f'<svg width="22" height="18" viewBox="0 0 22 18" aria-hidden="true">{inner}</svg>'


def side_of(estimate: Estimate | Bracket) -> str:
    """The key of `SIDES`: a bracket is two-sided for certain when neither of its ends is undetermined."""
    if isinstance(estimate, Estimate):
        return estimate.side
    if estimate.crossed:
        return "crossed"
    if estimate.of_bound:
        return "bound"
    return "tentative" if "undetermined" in (estimate.below.side, estimate.above.side) else "both"


def _mark(side: str, x: float, colour: str) -> str:
    shape, middle = SIDES[side].shape, HEIGHT / 2
    if shape is None:
        return f'<circle cx="{x:.1f}" cy="{middle}" r="5" fill="{colour}"/>'
    fill = "var(--page)" if side == "undetermined" else colour
    return (
        f'<polygon transform="translate({x:.1f} {middle})" points="{shape}" fill="{fill}" stroke="{colour}" '
        'stroke-width="1.5"/>'
    )


def _label(tick: float, step: float) -> str:
    """In as many decimals as the step between ticks has."""
    return number(tick, max(0, -math.floor(math.log10(step) + 1e-9)))


def _values(estimate: Estimate | Bracket) -> tuple[float, ...]:
    if isinstance(estimate, Bracket):
        return estimate.below.value, estimate.above.value
    return (estimate.value,)
