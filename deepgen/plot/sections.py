"""The sections of a report below its table: each a function from entries to markup, empty with nothing to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepgen.evaluate.estimate import Bracket
from deepgen.plot import lines, page
from deepgen.plot.distances import Neighbours, distance, neighbours
from deepgen.plot.figures import inline_svg, series
from deepgen.plot.images import filter_mosaic, is_binary, mosaic, strongest, value_limits, weight_matrix
from deepgen.plot.quantities import clock, monitored, quantities, quantity
from deepgen.random import generator

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

_SHOWN = 64  # images per grid
_PAIRS = 18  # samples beside their nearest training image


class Look(NamedTuple):
    """How all rows of a page are drawn, so that pictures compare: image shape, values at the ends of the scale, ink."""

    shape: Sequence[int] | None
    limits: tuple[float, float]
    ink: bool

    @classmethod
    def of(cls, x: Tensor | None, shape: Sequence[int] | None) -> Look:
        """The look that suits the rows ``x``."""
        return cls(shape, (0.0, 1.0), True) if x is None else cls(shape, value_limits(x), is_binary(x))

    @property
    def kind(self) -> str:
        """What `deepgen.plot.page.picture` calls it."""
        return "ink" if self.ink else "photo"

    def mosaic(self, x: Tensor, columns: int) -> Tensor:
        """``x`` as a grid."""
        return mosaic(x, self.shape, columns=columns, limits=self.limits, ink=self.ink)


def samples(entries: Sequence[Entry], real: Tensor | None, look: Look) -> str:
    cards = []
    if real is not None:
        shown = some(real, _SHOWN)
        grid, count = look.mosaic(shown, 8), len(shown)
        cards.append(
            page.figure(
                page.picture(grid, f"{count} images of held-out data", look.kind),
                "<b>Real data</b>, held out of training",
            )
        )
    for entry in entries:
        if entry.samples is not None:
            grid = look.mosaic(entry.samples[:_SHOWN], 8)
            alt = f"{min(len(entry.samples), _SHOWN)} samples of {entry.name}"
            cards.append(page.figure(page.picture(grid, alt, look.kind), f"<b>{escape(entry.name)}</b>"))
    if len(cards) <= (real is not None):
        return ""
    lead = (
        "<p>Look for variety as well as for likeness: broken strokes and noise show a model that is too simple, one "
        "image again and again a model that has collapsed or a chain that is stuck.</p>"
    )
    return f'{lead}<div class="cards">{"".join(cards)}</div>'


def nearest(entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, look: Look) -> str:
    if train is None:
        return ""
    train, base = reference(train, real)
    cards = []
    for entry in entries:
        if entry.samples is None:
            continue
        found = neighbours(entry.samples, train)
        pairs = []
        for k in range(min(_PAIRS, len(entry.samples))):
            both = torch.stack([entry.samples[k].cpu().flatten().float(), train[found.row[k]].cpu().flatten().float()])
            apart = distance(float(found.distance[k]), found.metric)
            alt = f"sample {k + 1} above its nearest training image, distance {apart}"
            grid = look.mosaic(both.reshape(2, *train.shape[1:]), 1)
            pairs.append(f"<li>{page.picture(grid, alt, look.kind, width=96)}{apart}</li>")
        cards.append(page.figure(f'<ul class="pairs">{"".join(pairs)}</ul>', memory(entry.name, found, base)))
    if not cards:
        return ""
    lead = (
        "<p>Each sample stands above the training image nearest to it, with their distance. Samples much nearer to "
        "the training set than held-out data are would be remembered, not generated.</p>"
    )
    return f'{lead}<div class="cards wide">{"".join(cards)}</div>'


def filters(entries: Sequence[Entry], shape: Sequence[int] | None) -> str:
    cards = []
    for entry in entries:
        if entry.filters is None:
            continue
        weights = weight_matrix(entry.filters)
        if not fits(weights.shape[0], shape):
            continue
        units = strongest(weights, _SHOWN)
        limit = float(weights[:, units].abs().flatten().kthvalue(math.ceil(0.99 * len(units) * len(weights))).values)
        grid = filter_mosaic(weights, shape, units=units, columns=8, limit=limit)
        alt = f"weights of {len(units)} hidden units of {entry.name}"
        of = "all" if len(units) == weights.shape[1] else f"the {len(units)} strongest of"
        caption = (
            f"<b>{escape(entry.name)}</b>, {of} {weights.shape[1]} hidden units. Full colour: ±{limit:.2g} and beyond."
        )
        cards.append(page.figure(page.picture(grid, alt, "weights"), caption))
    if not cards:
        return ""
    lead = (
        "<p>The weights of each hidden unit as an image: blue pixels are switched on by the unit, red ones off. "
        "Strokes and edges are features; speckle is noise not yet unlearned, and a blank tile a unit that does nothing."
        "</p>"
    )
    return f'{lead}<div class="cards">{"".join(cards)}</div>'


def curves(entries: Sequence[Entry]) -> str:
    having = [(i, e) for i, e in enumerate(entries) if e.history is not None and quantities(e.history)]
    if not having:
        return ""
    histories = [e.history for _, e in having]
    panels = []
    for number, name in enumerate(quantities(*histories)):
        drawing = lines.curves(*histories, names=[name], colours=[series(i) for i, _ in having])
        label = f"{quantity(name, *histories).title} by {clock(*histories)} for {', '.join(e.name for _, e in having)}"
        panels.append(f'<div class="panel">{inline_svg(drawing, label, f"curve{number}")}</div>')
    watched = [(e.name, monitored(e.history)) for _, e in having]
    told = "; ".join(f"{escape(method)} for {escape(name)}" for name, method in watched if method)
    lead = (
        f"<p>What training saw, one panel per quantity. The monitor{f' ({told})' if told else ''} is computed on "
        "validation rows: once it falls while the rest goes on improving, the model is learning its training set by "
        "heart.</p>"
    )
    legend = page.legend((i, e.name) for i, e in having)
    return f'{lead}{legend}<div class="cards">{"".join(panels)}</div>'


def chains(entries: Sequence[Entry]) -> str:
    cards = []
    for number, entry in enumerate(entries):
        if entry.trace is not None:
            drawing = inline_svg(lines.traces(entry.trace), f"chain traces of {entry.name}", f"trace{number}")
            verdicts = "".join(f"<br>{_mixing(name, draws)}" for name, draws in lines.scalars(entry.trace).items())
            cards.append(page.figure(drawing, f"<b>{escape(entry.name)}</b>{verdicts}"))
    if not cards:
        return ""
    lead = (
        "<p>Chains of the fitted models, four of them in colour and all in the histogram. They should cover the same "
        "band and cross often. R-hat compares chains with one another (1.01 or less is good); ESS is how many "
        "independent draws they are worth (Vehtari et al. 2021 ask for 400).</p>"
    )
    return f'{lead}<div class="cards wide">{"".join(cards)}</div>'


def _mixing(name: str, draws: Tensor) -> str:
    from deepgen.evaluate.chains import diagnose

    told = diagnose(draws)
    size, shrink = float(told["ess_bulk"]), float(told["r_hat"])
    if shrink <= 1.01 and size >= 400:
        verdict = "mixed"
    else:  # a NaN, from chains that never moved, lands in the last case
        verdict = "nearly mixed: run longer" if shrink <= 1.05 else "not mixed: averages over them mislead"
    return (
        f"{escape(name)}: {draws.shape[1]} chains of {draws.shape[0]:,} draws, ESS {page.number(size, 0)}, "
        f"R-hat {page.number(shrink, 3)} ({verdict})"
    )


def details(entries: Sequence[Entry]) -> str:
    """Settings of models and of estimates, folded away."""
    blocks = []
    for entry in entries:
        rows = list(entry.settings.items())
        for estimate in entry.each_estimate():
            ends = (estimate.below, estimate.above) if isinstance(estimate, Bracket) else (estimate,)
            for one in ends:
                rows.append(("estimate", str(one)))
                rows += [("draws, effective draws", f"{one.n:,}, {page.number(one.ess, 1)}")] if one.n else []
                rows += [(k, v) for k, v in one.settings.items() if k != "data" or (k, v) not in rows]
        if rows:
            lines = "".join(_setting(str(name), page.plain(value)) for name, value in rows)
            summary = f"<summary>{escape(entry.name)}</summary>"
            blocks.append(f"<details>{summary}<table><tbody>{lines}</tbody></table></details>")
    lead = "<p>What is needed to repeat each number.</p>" if blocks else ""
    return lead + "\n".join(blocks)


def _setting(name: str, value: str) -> str:
    mark = " class=mark" if name == "estimate" else ""
    return f'<tr{mark}><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'


def fits(width: int, shape: Sequence[int] | None) -> bool:
    """Whether rows of this width can be drawn."""
    return shape is not None or math.isqrt(width) ** 2 == width


def reference(train: Tensor, real: Tensor | None) -> tuple[Tensor, Neighbours | None]:
    """Training rows to be near to, and how near held-out ones are; rows with missing values have no distance."""
    train = train[train.flatten(1).isfinite().all(1)]
    base = None if real is None else neighbours(some(real[real.flatten(1).isfinite().all(1)], 500), train)
    return train, base


def some(x: Tensor, most: int) -> Tensor:
    """``most`` rows of ``x`` at random but always the same: files may be in the order of their classes.

    >>> some(torch.arange(5), 9).tolist(), len(some(torch.arange(5), 2))
    ([0, 1, 2, 3, 4], 2)
    """
    return x if len(x) <= most else x[torch.randperm(len(x), generator=generator(0))[:most].to(x.device)]


def memory(name: str, found: Neighbours, base: Neighbours | None) -> str:
    """The caption that tells whether a model repeats its training rows."""
    against = "" if base is None else f", of held-out data {distance(float(base.distance.median()), base.metric)}"
    return (
        f"<b>{escape(name)}</b>. Median {found.metric.capitalize()} distance of {len(found.row)} samples "
        f"{distance(float(found.distance.median()), found.metric)}{against}. "
        f"Exact copies: {_copies(found)}{'' if base is None else f' (held-out data {_copies(base)})'}."
    )


def _copies(found: Neighbours) -> str:
    return f"{int((found.distance == 0).sum())} of {len(found.row)}"
