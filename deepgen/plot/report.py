"""The report: one HTML page that shows what was fitted, how good it is, and whether the numbers can be believed.

The page holds everything it needs (style, pictures, figures), so it can be mailed, printed, and opened without a
network, in light or dark. Sections for which no entry has anything to show are left out.
"""

from __future__ import annotations

import datetime as dt
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.plot import page
from deepgen.plot.figures import inline_svg, series, write
from deepgen.plot.images import as_images, filter_mosaic, is_binary, mosaic, neighbours, strongest, weight_matrix
from deepgen.plot.intervals import SIDES, Scale, bar, marker
from deepgen.plot.lines import curves, quantities, scalars, traces

if TYPE_CHECKING:
    from deepgen.data import Data

_SHOWN = 64  # images per grid
_PAIRS = 18  # samples beside their nearest training image


@dataclass(frozen=True)
class Entry:
    """One model of a report; only its name is needed, and what is None is left out of the page.

    Attributes:
        name: as it stands in the tables.
        estimates: its test log-likelihood, one or several (exact and annealed, say), in nats per example.
        seconds: wall-clock time of training.
        samples: ``[n, features]``.
        filters: a machine with a ``weight``, or ``[visible, hidden]``.
        history: what `deepgen.fit` returned.
        trace: scalar chain draws: ``[draws, chains]``, a mapping of such tensors, or a Trace of them.
        settings: anything else worth keeping (objective, rate, epochs, ...), shown in the details.
    """

    name: str
    estimates: Estimate | Bracket | Sequence[Estimate | Bracket] = ()
    seconds: float | None = None
    samples: Tensor | None = None
    filters: Any = None
    history: Any = None
    trace: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def each_estimate(self) -> list[Estimate | Bracket]:
        """``estimates`` as a list, whether one or several were given."""
        return [self.estimates] if isinstance(self.estimates, (Estimate, Bracket)) else list(self.estimates)


def report(
    path: str | Path,
    entries: Sequence[Entry],
    data: Data | None = None,
    *,
    title: str = "Generative models compared",
    summary: str = "",
    facts: Mapping[str, Any] | None = None,
    date: dt.datetime | None = None,
) -> Path:
    """Write one self-contained HTML page about ``entries`` and return its path.

    Args:
        path: the file to write; it is replaced in one step.
        entries: one `Entry` per model, in the order to show.
        data: what they were fitted to. Its test rows stand beside the samples, its training rows are searched for
            copies, its provenance heads the page, and its ``image_shape`` says how a row is drawn. Without one, rows of
            square width are drawn as squares and others not at all.
        title: the heading.
        summary: a sentence or two below it.
        facts: what else was run: seed, command, machine. Versions and the date are added.
        date: printed on the page; now when None.

    Raises:
        ArgumentError: no entries, or the file cannot be written.

    >>> import tempfile
    >>> entry = Entry("RBM 64-20", Estimate(-19.41, 0.0, "exact", "enumeration", unit="nats/example"), seconds=12.0)
    >>> report(Path(tempfile.mkdtemp()) / "report.html", [entry]).name
    'report.html'
    """
    entries = list(entries)
    if not entries:
        raise ArgumentError("a report needs at least one entry, got none")
    train, real = (None, None) if data is None else (_rows(data.train), data.test)
    image_shape = None if data is None else data.image_shape
    drawable = _drawable(entries, train, real, image_shape)
    ink = is_binary(real if real is not None else train if train is not None else torch.zeros(1))
    shape = image_shape if drawable else None
    sections = [
        ("results", "Test log-likelihood", _results(entries)),
        ("samples", "Samples beside real data", _samples(entries, real, shape, ink) if drawable else ""),
        ("nearest", "Nearest training images", _nearest(entries, train, real, shape, ink) if drawable else ""),
        ("filters", "Learned filters", _filters(entries, image_shape)),
        ("curves", "Learning curves", _curves(entries)),
        ("chains", "Chains", _chains(entries)),
        ("details", "Details", _details(entries)),
    ]
    lede = f'<p class="lede">{escape(summary)}</p>' if summary else ""
    date = date or dt.datetime.now().astimezone()
    shown = {
        **_provenance(data),
        **(facts or {}),
        "date": date.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "versions": _versions(),
    }
    footer = (
        "Likelihoods are in nats per example; every number carries its error and its side. "
        "This page is self-contained: it loads nothing and runs no script."
    )
    text = page.document(title, lede + page.facts(shown), sections, f"<p>{footer}</p>")
    return write(path, text.encode())


def _results(entries: Sequence[Entry]) -> str:
    estimates = [e for entry in entries for e in entry.each_estimate()]
    if not estimates:
        return ""
    scale = Scale.over(estimates)
    head = [
        "<th>Model</th>",
        '<th class="num">Log-likelihood<small>nats per example</small></th>',
        '<th class="num">Stderr<small>Monte Carlo</small></th>',
        '<th class="num">Stderr<small>choice of test rows</small></th>' if _has_data_error(estimates) else "",
        f'<th class="plot">{scale.axis()}</th>',
        "<th>Side</th><th>Method</th>",
        '<th class="num">Seconds</th>',
    ]
    rows = []
    for index, entry in enumerate(entries):
        for again, estimate in enumerate(entry.each_estimate()):
            rows.append(_row(entry, estimate, bool(again), scale, index, _has_data_error(estimates)))
    sides = dict.fromkeys("both" if isinstance(e, Bracket) else e.side for e in estimates)
    key = "".join(
        f"<dt>{marker(side, 'var(--ink)')}{escape(SIDES[side].word)}</dt><dd>{escape(SIDES[side].meaning)}</dd>"
        for side in sides
    )
    lead = (
        "<p>Higher is better. Bars are 95 % intervals of the Monte-Carlo error, which more computing narrows, and a "
        "bound's arrow points to where the truth lies. The other standard error is how far another test set of this "
        "size would move the value; that luck is shared by all models.</p>"
    )
    return (
        lead + page.table(head, rows, "Test log-likelihood of each model", scale.grid()) + f'<dl class="key">{key}</dl>'
    )


def _row(entry: Entry, estimate: Estimate | Bracket, again: bool, scale: Scale, index: int, rows_too: bool) -> str:
    low, high = estimate.interval()
    span = f"95 %: {page.number(low)} to {page.number(high)}"
    if isinstance(estimate, Bracket):
        ends = (estimate.below, estimate.above)
        value, side = " to ".join(_value(e.value) for e in ends), "both"
        error = ", ".join(page.number(e.stderr) for e in ends)
        method = " | ".join(e.method for e in ends)
        data_error = estimate.below.stderr_data
    else:
        value, side, method, data_error = _value(estimate.value), estimate.side, estimate.method, estimate.stderr_data
        error = "0" if side == "exact" else page.number(estimate.stderr)
        span = "" if side == "exact" else span
    chip = f'<i class="chip" style="background:{_variable(index)}"></i>'
    cells = [
        f'<th scope="row"{_nowrap(entry.name)}><span>{chip}{escape(entry.name)}</span></th>',
        f'<td class="num" data-label="nats per example"><span>{value}<small>{span}</small></span></td>',
        f'<td class="num" data-label="stderr, Monte Carlo">{error}</td>',
        f'<td class="num" data-label="stderr, choice of test rows">{page.number(data_error)}</td>' if rows_too else "",
        f'<td class="plot">{bar(estimate, scale, _variable(index))}</td>',
        f'<td data-label="side" class="nowrap">{escape(SIDES[side].word)}</td>',
        f'<td data-label="method">{escape(method)}</td>',
        f'<td class="num" data-label="seconds">{_seconds(None if again else entry.seconds)}</td>',
    ]
    return f"<tr{' class=again' if again else ''}>{''.join(cells)}</tr>\n"


def _samples(entries: Sequence[Entry], real: Tensor | None, shape: Sequence[int] | None, ink: bool) -> str:
    cards = []
    if real is not None:
        grid = mosaic(real[:_SHOWN], shape, columns=8, ink=ink)
        count = min(len(real), _SHOWN)
        cards.append(
            page.figure(
                page.picture(grid, f"{count} images of held-out data", ink=ink),
                "<b>Real data</b>, held out of training",
            )
        )
    for entry in entries:
        if entry.samples is not None:
            grid = mosaic(entry.samples[:_SHOWN], shape, columns=8, ink=ink)
            alt = f"{min(len(entry.samples), _SHOWN)} samples of {entry.name}"
            cards.append(page.figure(page.picture(grid, alt, ink=ink), f"<b>{escape(entry.name)}</b>"))
    if len(cards) <= (real is not None):
        return ""
    lead = (
        "<p>Look for variety as well as for likeness: broken strokes and noise show a model that is too simple, one "
        "image again and again a model that has collapsed or a chain that is stuck.</p>"
    )
    return f'{lead}<div class="cards">{"".join(cards)}</div>'


def _nearest(
    entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, shape: Sequence[int] | None, ink: bool
) -> str:
    if train is None:
        return ""
    base = None if real is None else neighbours(real[:500], train)
    cards = []
    for entry in entries:
        if entry.samples is None:
            continue
        found = neighbours(entry.samples, train)
        pairs = []
        for k in range(min(_PAIRS, len(entry.samples))):
            both = torch.stack([entry.samples[k].cpu().flatten().float(), train[found.row[k]].cpu().flatten().float()])
            distance = _distance(float(found.distance[k]), found.metric)
            alt = f"sample {k + 1} above its nearest training image, distance {distance}"
            grid = mosaic(both, shape or tuple(as_images(train[:1], None).shape[1:]), columns=1, ink=ink)
            pairs.append(f"<li>{page.picture(grid, alt, ink=ink, width=96)}{distance}</li>")
        middle = _distance(float(found.distance.median()), found.metric)
        against = "" if base is None else f", of held-out data {_distance(float(base.distance.median()), base.metric)}"
        copies = int((found.distance == 0).sum())
        caption = (
            f"<b>{escape(entry.name)}</b>. Median {found.metric.capitalize()} distance of {len(found.row)} samples "
            f"{middle}{against}. Exact copies: {copies}."
        )
        cards.append(page.figure(f'<ul class="pairs">{"".join(pairs)}</ul>', caption))
    if not cards:
        return ""
    lead = (
        "<p>Each sample stands above the training image nearest to it, with their distance. Samples much nearer to "
        "the training set than held-out data are would be remembered, not generated.</p>"
    )
    return f'{lead}<div class="cards wide">{"".join(cards)}</div>'


def _filters(entries: Sequence[Entry], shape: Sequence[int] | None) -> str:
    cards = []
    for entry in entries:
        if entry.filters is None:
            continue
        weights = weight_matrix(entry.filters)
        if not _fits(weights.shape[0], shape):
            continue
        units = strongest(weights, _SHOWN)
        limit = float(weights[:, units].abs().max())
        grid = filter_mosaic(weights, shape, units=units, columns=8, limit=limit)
        alt = f"weights of {len(units)} hidden units of {entry.name}"
        of = "all" if len(units) == weights.shape[1] else f"the {len(units)} strongest of"
        caption = f"<b>{escape(entry.name)}</b>, {of} {weights.shape[1]} hidden units. Full colour: {limit:.2g}."
        cards.append(page.figure(page.picture(grid, alt, ink=True), caption))
    if not cards:
        return ""
    lead = (
        "<p>The weights of each hidden unit as an image: blue pixels are switched on by the unit, red ones off. "
        "Strokes and edges are features; speckle is noise not yet unlearned, and a blank tile a unit that does nothing."
        "</p>"
    )
    return f'{lead}<div class="cards">{"".join(cards)}</div>'


def _curves(entries: Sequence[Entry]) -> str:
    having = [(i, e) for i, e in enumerate(entries) if e.history is not None and quantities(e.history)]
    if not having:
        return ""
    histories = [e.history for _, e in having]
    panels = []
    for number, name in enumerate(quantities(*histories)):
        drawing = curves(*histories, names=[name], colours=[series(i) for i, _ in having])
        label = f"{name} by epoch for {', '.join(e.name for _, e in having)}"
        panels.append(f'<div class="panel">{inline_svg(drawing, label, f"curve{number}")}</div>')
    legend = "".join(
        f'<li><i class="chip" style="background:{_variable(i)}"></i>{escape(e.name)}</li>' for i, e in having
    )
    lead = (
        "<p>What training saw, one panel per quantity. The monitor is computed on validation rows: once it falls while "
        "the rest goes on improving, the model is learning its training set by heart.</p>"
    )
    return f'{lead}<ul class="legend">{legend}</ul><div class="cards">{"".join(panels)}</div>'


def _chains(entries: Sequence[Entry]) -> str:
    cards = []
    for number, entry in enumerate(entries):
        if entry.trace is not None:
            drawing = inline_svg(traces(entry.trace), f"chain traces of {entry.name}", f"trace{number}")
            lines = "".join(f"<br>{_mixing(name, draws)}" for name, draws in scalars(entry.trace).items())
            cards.append(page.figure(drawing, f"<b>{escape(entry.name)}</b>{lines}"))
    if not cards:
        return ""
    lead = (
        "<p>Chains of the fitted models, four of them in colour and all in the histogram. They should cover the same "
        "band and cross often. R-hat compares chains with one another (1.01 or less is good); ESS is how many "
        "independent draws they are worth (Vehtari et al. 2021 ask for 400).</p>"
    )
    return f'{lead}<div class="cards wide">{"".join(cards)}</div>'


def _mixing(name: str, draws: Tensor) -> str:
    from deepgen.interop.arviz import ess, rhat

    size, shrink = float(ess(draws)), float(rhat(draws))
    verdict = "not mixed: do not trust averages over these chains" if not (shrink <= 1.01 and size >= 400) else "mixed"
    return (
        f"{escape(name)}: {draws.shape[1]} chains of {draws.shape[0]:,} draws, ESS {page.number(size, 0)}, "
        f"R-hat {page.number(shrink, 3)} ({verdict})"
    )


def _details(entries: Sequence[Entry]) -> str:
    blocks = []
    for entry in entries:
        rows = [(k, v) for k, v in entry.settings.items()]
        for estimate in entry.each_estimate():
            ends = (estimate.below, estimate.above) if isinstance(estimate, Bracket) else (estimate,)
            for one in ends:
                rows += [("estimate", str(one))]
                rows += [("draws, effective draws", f"{one.n:,}, {page.number(one.ess, 1)}")] if one.n else []
                rows += [(k, v) for k, v in one.settings.items()]
        if rows:
            lines = "".join(
                f'<tr><th scope="row">{escape(str(k))}</th><td>{escape(page.plain(v))}</td></tr>' for k, v in rows
            )
            blocks.append(
                f"<details><summary>{escape(entry.name)}</summary><table><tbody>{lines}</tbody></table></details>"
            )
    lead = "<p>What is needed to repeat each number.</p>" if blocks else ""
    return lead + "\n".join(blocks)


def _rows(train: Any) -> Tensor:
    """The training rows; of a `Redrawn` set one drawing of them."""
    return train if isinstance(train, Tensor) else torch.stack(list(train))


def _provenance(data: Data | None) -> dict[str, Any]:
    if data is None:
        return {}
    known = {k: v for k, v in data.provenance.items() if k not in ("name", "rows", "features") and v is not None}
    rows = " / ".join(f"{len(x):,}" for x in (data.train, data.valid, data.test))
    return {"data": data.provenance.get("name"), "train / valid / test rows": rows, **known}


def _versions() -> str:
    import deepgen

    return f"deepgen {deepgen.__version__}, torch {torch.__version__}, Python {platform.python_version()}"


def _drawable(entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, shape: Sequence[int] | None) -> bool:
    rows = [x for x in (real, train, *(e.samples for e in entries)) if x is not None and len(x)]
    return bool(rows) and all(x.ndim > 2 or _fits(x.shape[1], shape) for x in rows)


def _fits(width: int, shape: Sequence[int] | None) -> bool:
    return shape is not None or math.isqrt(width) ** 2 == width


def _has_data_error(estimates: Sequence[Estimate | Bracket]) -> bool:
    return any(math.isfinite(e.below.stderr_data if isinstance(e, Bracket) else e.stderr_data) for e in estimates)


def _nowrap(text: str) -> str:
    return ' class="nowrap"' if len(text) <= 24 else ""


def _value(value: float) -> str:
    return f'<data value="{value!r}">{page.number(value)}</data>'


def _variable(index: int) -> str:
    return f"var(--s{index % 6})"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return page.number(seconds, 1 if seconds < 100 else 0)


def _distance(value: float, metric: str) -> str:
    return f"{value:.0f}" if metric == "hamming" else f"{value:.2g}"
