"""The sections of a report for rows that are no images: columns one by one where there are few, heat maps for many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.plot import page
from deepgen.plot.distances import distance, neighbours
from deepgen.plot.figures import PALETTE, inline_svg, series
from deepgen.plot.images import is_binary, mosaic
from deepgen.plot.lines import edges, panels
from deepgen.plot.scatter import scatter
from deepgen.plot.sections import memory, reference

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

FEW = 12  # columns that get a histogram each, and stand in a table
_SHOWN = 48  # rows of a heat map
_JUDGED = 500  # samples whose nearest training row is looked for
_TOLD = 6  # samples in a table
_SCALED = (
    " Each column is counted in standard deviations of the training rows, so that its unit does not matter; the table "
    "shows values in the units of the data."
)


def samples(entries: Sequence[Entry], real: Tensor | None, names: Sequence[str]) -> str:
    """Samples against held-out rows ``[rows, columns]``; empty where no entry has samples."""
    having = [(i, e) for i, e in enumerate(entries) if e.samples is not None]
    if not having:
        return ""
    for _, entry in having:
        if entry.samples is not None and (entry.samples.ndim != 2 or entry.samples.shape[1] != len(names)):
            raise ShapeError(f"samples of {entry.name} must be [n, {len(names)}], got {list(entry.samples.shape)}")
    if len(names) <= FEW:
        plane = scatter(having, real, names) if len(names) == 2 and not _discrete(real, having) else ""
        return plane + _histograms(having, real, names)
    cards = [] if real is None else [("<b>Real data</b>, held out of training", "rows of held-out data", real)]
    cards += [
        (f"<b>{escape(e.name)}</b>", f"samples of {e.name}", e.samples) for _, e in having if e.samples is not None
    ]
    low, high = _limits([x for _, _, x in cards])
    figures = [
        page.figure(page.picture(_heat(x, low, high), f"{min(len(x), _SHOWN)} {alt}", "ink"), caption)
        for caption, alt, x in cards
    ]
    lead = (
        "<p>Each line of a picture is a row, each place in it a column; dark is high on the column's own scale, which "
        "all pictures share. Columns that are dark in one picture and light in another, or rows that are all alike, "
        "show what the model has not learned.</p>"
    )
    return f'{lead}<div class="cards wide heat">{"".join(figures)}</div>'


def nearest(entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, names: Sequence[str]) -> str:
    """Whether samples repeat training rows, and for few columns the first samples with the row nearest to each.

    Distances are between columns standardised by the training rows, so that no unit of measurement weighs more than
    another; rows of bits are compared as they are.
    """
    if train is None:
        return ""
    train = train[train.flatten(1).isfinite().all(1)]
    bits = is_binary(train)
    scaled = _standardiser(train, bits)
    scaled_train, base = reference(scaled(train), None if real is None else scaled(real))
    cards = []
    for entry in entries:
        if entry.samples is None:
            continue
        found = neighbours(scaled(entry.samples[:_JUDGED]), scaled_train)
        table = ""
        if len(names) <= FEW:
            head = "".join(f'<th class="num">{escape(name)}</th>' for name in names)
            body = []
            for k in range(min(_TOLD, len(entry.samples))):
                apart = distance(float(found.distance[k]), found.metric)
                body.append(_line(f"sample {k + 1}", entry.samples[k], ""))
                body.append(_line("nearest", train[found.row[k]], apart, " class=again"))
            table = (
                f'<div class="scroll"><table><thead><tr><th></th>{head}<th class="num">distance</th></tr></thead>'
                f"<tbody>{''.join(body)}</tbody></table></div>"
            )
        cards.append(page.figure(table, memory(entry.name, found, base)))
    lead = (
        "<p>How far each sample is from the training row nearest to it. Samples much nearer to the training set than "
        f"held-out data are would be remembered, not generated.{'' if bits else _SCALED}</p>"
    )
    return f'{lead}<div class="tables">{"".join(cards)}</div>' if cards else ""


def _standardiser(train: Tensor, bits: bool) -> Callable[[Tensor], Tensor]:
    """``x -> (x - mean) / spread`` by column of ``train``, in which a constant column keeps its scale; bits stay."""
    train = train.cpu().double()
    centre, spread = train.mean(0), train.std(0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    return lambda x: x if bits else (x.cpu().double() - centre) / spread


def _histograms(having: Sequence[tuple[int, Entry]], real: Tensor | None, names: Sequence[str]) -> str:
    cards = []
    for column, name in enumerate(names):
        drawn = [(series(i), e.samples[:, column].cpu().double()) for i, e in having if e.samples is not None]
        held_out = None if real is None else real[:, column].cpu().double()
        first = drawn[0][1] if held_out is None else held_out
        bins = edges(first[first.isfinite()])
        figure, (ax,) = panels(1, None)
        if held_out is not None:
            ax.stairs(_shares(held_out, bins), bins, fill=True, color=PALETTE["rule"])
        for colour, x in drawn:
            ax.stairs(_shares(x, bins), bins, color=colour, linewidth=1.6)
        ax.set_title(name, fontsize=9, color=PALETTE["ink"], loc="left")
        ax.set_ylim(bottom=0)
        label = f"histogram of {name} for {', '.join(e.name for _, e in having)}"
        cards.append(f'<div class="panel">{inline_svg(figure, label, f"column{column}")}</div>')
    lead = (
        "<p>The share of rows by value, one panel per column: held-out data in grey, samples as lines. Values beyond "
        "the range of the data are counted in the outermost bars. That columns agree one by one does not yet say that "
        "they vary together as they should: the likelihood does.</p>"
    )
    legend = page.legend((i, e.name) for i, e in having)
    return f'{lead}{legend}<div class="cards">{"".join(cards)}</div>'


def _discrete(real: Tensor | None, having: Sequence[tuple[int, Entry]]) -> bool:
    """Whether some column has so few values that points in a plane would hide one another."""
    x = having[0][1].samples if real is None else real
    return x is None or any(len(column.unique()) <= 0.1 * len(column) for column in x.t())


def _shares(x: Tensor, bins: Tensor) -> Tensor:
    """The share of ``x`` in each bin; what lies beyond counts in the first or the last."""
    x = x[x.isfinite()]
    place = torch.bucketize(x, bins[1:-1], right=True)
    return torch.bincount(place, minlength=len(bins) - 1).double() / max(1, len(x))


def _limits(tables: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Per column the values drawn light and dark: the range of the first table, the data where there are any."""
    x = tables[0].cpu().double()
    inside = torch.where(x.isfinite(), x, x.nanmean(0))
    return inside.amin(0), inside.amax(0)


def _heat(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    chosen = torch.linspace(0, len(x) - 1, min(len(x), _SHOWN)).long()  # the first rows of ordered data are alike
    level = (x[chosen].cpu().double() - low) / (high - low).clamp(min=1e-12)
    return mosaic(level.clamp(0, 1).float().reshape(1, -1), level.shape, limits=(0, 1), ink=True)


def _line(name: str, row: Tensor, apart: str, kind: str = "") -> str:
    cells = "".join(f'<td class="num">{page.number(float(v), _decimals(float(v)))}</td>' for v in row)
    return f'<tr{kind}><th scope="row" class="nowrap">{name}</th>{cells}<td class="num">{apart}</td></tr>'


def _decimals(value: float) -> int:
    """Three significant digits, none after the point of whole numbers."""
    if value == round(value) or not math.isfinite(value):
        return 0
    return max(0, 2 - math.floor(math.log10(abs(value))))
