"""The table of a report: one row per estimate, with its errors, its side, its method, and its interval drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from deepgen.evaluate.estimate import LEVEL, Bracket, Estimate
from deepgen.plot import page
from deepgen.plot.intervals import SIDES, Scale, bar, marker, side_of

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

_PERCENT = f"{100 * LEVEL:.0f} %"


def results(entries: Sequence[Entry]) -> str:
    """The section's markup; empty when no entry has an estimate."""
    estimates = [e for entry in entries for e in entry.each_estimate()]
    if not estimates:
        return "".join(f"<p><b>{escape(e.name)}</b>: {escape(e.note)}</p>" for e in entries if e.note)
    scale = Scale.over(estimates)
    head = [
        "<th>Model</th>",
        '<th class="num">Log-likelihood<small>nats per example</small></th>',
        '<th class="num">Stderr<small>Monte Carlo</small></th>',
        '<th class="num">Stderr<small>test rows</small></th>' if _has_data_error(estimates) else "",
        f'<th class="plot">{scale.axis()}</th>',
        "<th>Side</th>",
        "<th>Method</th>",
        '<th class="num">Seconds</th>',
    ]
    rows, group, columns = [], "", len([cell for cell in head if cell])
    for index, entry in enumerate(entries):
        if entry.group and entry.group != group:
            group = entry.group
            rows.append(f'<tr class="group"><th colspan="{columns}">{escape(group)}</th></tr>\n')
        for again, estimate in enumerate(entry.each_estimate()):
            rows.append(_row(entry, estimate, bool(again), scale, index, _has_data_error(estimates)))
        if entry.note:
            rows.append(_noted(entry, index, columns))
    sides = [*dict.fromkeys(side_of(e) for e in estimates), *(["reversed"] if any(map(_reversed, estimates)) else [])]
    key = "".join(
        f"<dt>{marker(side, 'var(--ink)')}{escape(SIDES[side].word)}</dt><dd>{escape(SIDES[side].meaning)}</dd>"
        for side in sides
    )
    lead = (
        f"<p>Higher is better. Bars and the numbers under a value are {_PERCENT} intervals of the Monte-Carlo error, "
        "which more computing narrows; of two estimates from both sides they go from the lower end of the one to the "
        "upper end of the other. A bound's arrow points to where the truth lies. The other standard error is how far "
        "another test set of this size would move the value; that luck is shared by all models.</p>"
    )
    return (
        lead + page.table(head, rows, "Test log-likelihood of each model", scale.grid()) + f'<dl class="key">{key}</dl>'
    )


def _row(entry: Entry, estimate: Estimate | Bracket, again: bool, scale: Scale, index: int, rows_too: bool) -> str:
    ends = (estimate.below, estimate.above) if isinstance(estimate, Bracket) else (estimate,)
    written = [page.with_error(e.value, e.stderr) for e in ends]
    value = " to ".join(f'<data value="{e.value!r}">{text}</data>' for e, (text, _) in zip(ends, written, strict=True))
    error, method = ", ".join(error for _, error in written), " | ".join(e.method for e in ends)
    low, high = estimate.interval()
    side = side_of(estimate)
    span = f"{_PERCENT}: {page.with_error(low, ends[0].stderr)[0]} to {page.with_error(high, ends[-1].stderr)[0]}"
    span = "" if side == "exact" else span
    note = f"<small>{SIDES['reversed'].word}</small>" if _reversed(estimate) else ""
    data_error = page.with_error(ends[0].value, ends[0].stderr_data)[1]
    chip = f'<i class="chip" style="background:{page.variable(index)}"></i>'
    cells = [
        f'<th scope="row"{_nowrap(entry.name)}><span>{chip}{escape(entry.name)}</span></th>',
        f'<td class="num" data-label="nats per example"><span>{value}<small>{span}</small></span></td>',
        f'<td class="num" data-label="stderr, Monte Carlo">{error}</td>',
        f'<td class="num" data-label="stderr, choice of test rows">{data_error}</td>' if rows_too else "",
        f'<td class="plot">{bar(estimate, scale, page.variable(index))}</td>',
        f'<td data-label="side" class="side"><span>{escape(SIDES[side].word)}{note}</span></td>',
        f'<td data-label="method">{escape(method)}</td>',
        f'<td class="num" data-label="seconds">{_seconds(None if again else entry.seconds)}</td>',
    ]
    return f"<tr{' class=again' if again else ''}>{''.join(cells)}</tr>\n"


def _noted(entry: Entry, index: int, columns: int) -> str:
    """What must be known of an entry, across the table; with its name where no estimate has told that."""
    chip = f'<i class="chip" style="background:{page.variable(index)}"></i>'
    name = "" if entry.each_estimate() else f"<span>{chip}{escape(entry.name)}</span>"
    head = f'<th scope="row"{_nowrap(entry.name)}>{name}</th>'
    return f'<tr class="note">{head}<td colspan="{columns - 1}">{escape(entry.note)}</td></tr>\n'


def _reversed(estimate: Estimate | Bracket) -> bool:
    return isinstance(estimate, Bracket) and estimate.reversed


def _has_data_error(estimates: Sequence[Estimate | Bracket]) -> bool:
    return any(math.isfinite(e.below.stderr_data if isinstance(e, Bracket) else e.stderr_data) for e in estimates)


def _nowrap(text: str) -> str:
    return ' class="nowrap"' if len(text) <= 24 else ""


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return page.number(seconds, 1 if seconds < 100 else 0)
