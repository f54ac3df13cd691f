"""The report: one HTML page that shows what was fitted, how good it is, and whether the numbers can be believed.

The page holds everything it needs (style, pictures, figures), so it can be mailed, printed, and opened without a
network, in light or dark. Sections for which no entry has anything to show are left out.
"""

from __future__ import annotations

import datetime as dt
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
from deepgen.plot import monitors, page, rows, sections, texts
from deepgen.plot.figures import write
from deepgen.plot.quality import quality
from deepgen.plot.results import results

if TYPE_CHECKING:
    from deepgen.data import Data
    from deepgen.evaluate.quality import Quality


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
        monitors: a history with what `deepgen.train.Monitors` saw, where ``history`` is chosen columns; else that one.
        trace: scalar chain draws: ``[draws, chains]``, a mapping of such tensors, or a Trace of them.
        settings: anything else worth keeping (objective, rate, epochs, ...), shown in the details.
        quality: what `deepgen.evaluate.sample_quality` found of its samples.
        group: a heading for its rows in the table of likelihoods, with those of the entries beside it of that group.
        note: a sentence below its name there: why it has no likelihood, or what else must be known.
        mark: a word or two below its name where its samples are judged, such as ``collapsed``.

    >>> exact = Estimate(-19.41, 0.0, "exact", "enumeration", unit="nats/example")
    >>> entry = Entry("RBM 64-20", exact, seconds=12.0, samples=torch.zeros(64, 64), settings={"rate": 0.05})
    >>> entry.each_estimate()[0].value
    -19.41
    """

    name: str
    estimates: Estimate | Bracket | Sequence[Estimate | Bracket] = ()
    seconds: float | None = None
    samples: Tensor | None = None
    filters: Any = None
    history: Any = None
    monitors: Any = None
    trace: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    group: str = ""
    note: str = ""
    mark: str = ""

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
            copies, its provenance heads the page, and its ``image_shape`` says how a row is drawn. Rows without one are
            compared column by column, and those of many columns as heat maps; of texts (an ``alphabet`` in the
            provenance) samples are codes, and shown as they read. Without data, rows of square width are
            drawn as squares.
        title: the heading.
        summary: a sentence or two below it.
        facts: what else was run: seed, command, machine. Versions and the date are added.
        date: printed on the page; now when None.

    Raises:
        ArgumentError: no entries, or the file cannot be written.
        ShapeError: samples of another width than the data.

    >>> import tempfile
    >>> entry = Entry("RBM 64-20", Estimate(-19.41, 0.0, "exact", "enumeration", unit="nats/example"), seconds=12.0)
    >>> report(Path(tempfile.mkdtemp()) / "report.html", [entry]).name
    'report.html'
    """
    entries = list(entries)
    if not entries:
        raise ArgumentError("a report needs at least one entry, got none")
    train, real = (None, None) if data is None else (_rows(data.train), data.test if len(data.test) else None)
    image_shape = None if data is None else data.image_shape
    images = data is None or image_shape is not None
    drawable = images and _drawable(entries, train, real, image_shape)
    look = sections.Look.of(
        next((x for x in (real, train, *(e.samples for e in entries)) if x is not None), None), image_shape
    )
    alphabet = None if data is None else data.provenance.get("alphabet")
    if alphabet is not None:
        shown, near = texts.samples(entries, train, real, alphabet), ""
    elif drawable:
        shown, near = sections.samples(entries, real, look), sections.nearest(entries, train, real, look)
    else:
        columns = _columns(data, entries)
        shown, near = rows.samples(entries, real, columns), rows.nearest(entries, train, real, columns)
    parts = [
        ("results", "Test log-likelihood", results(entries)),
        ("samples", "Samples beside real data", shown),
        ("quality", "Sample quality", quality(entries)),
        ("nearest", "Nearest training images" if drawable else "Nearest training rows", near),
        ("filters", "Learned filters", sections.filters(entries, image_shape) if images else ""),
        ("curves", "Learning curves", sections.curves(entries)),
        ("monitors", "Inside the training", monitors.section(entries)),
        ("chains", "Chains", sections.chains(entries)),
        ("details", "Details", sections.details(entries)),
    ]
    lede = f'<p class="lede">{escape(summary)}</p>' if summary else ""
    date = date or dt.datetime.now().astimezone()
    head = {
        **_provenance(data),
        **(facts or {}),
        "date": date.strftime("%Y-%m-%d %H:%M %Z").strip(),
        "versions": _versions(),
    }
    footer = (
        "Likelihoods are in nats per example; every number carries its error and its side. "
        "This page is self-contained: it loads nothing and runs no script."
    )
    text = page.document(title, lede + page.facts(head), parts, f"<p>{footer}</p>")
    return write(path, text.encode())


def _rows(train: Any) -> Tensor:
    """The training rows; of a `Redrawn` set one drawing of them."""
    return train if isinstance(train, Tensor) else torch.stack(list(train))


def _columns(data: Data | None, entries: Sequence[Entry]) -> list[str]:
    """The names of the columns, by number where the data have none."""
    samples = next((e.samples for e in entries if e.samples is not None), None)
    width = data.event_shape.numel() if data is not None else 0 if samples is None else samples.shape[-1]
    names = [] if data is None else data.provenance.get("columns") or []
    return [str(name) for name in names] if len(names) == width else [f"column {i + 1}" for i in range(width)]


def _provenance(data: Data | None) -> dict[str, Any]:
    if data is None:
        return {}
    shown_apart = ("name", "rows", "features", "alphabet")
    known = {k: v for k, v in data.provenance.items() if k not in shown_apart and v is not None}
    counts = " / ".join(f"{len(x):,}" for x in (data.train, data.valid, data.test))
    return {"data": data.provenance.get("name"), "train / valid / test rows": counts, **known}


def _versions() -> str:
    import deepgen

    return f"deepgen {deepgen.__version__}, torch {torch.__version__}, Python {platform.python_version()}"


def _drawable(entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, shape: Sequence[int] | None) -> bool:
    rows = [x for x in (real, train, *(e.samples for e in entries)) if x is not None and len(x)]
    return bool(rows) and all(x.ndim > 2 or sections.fits(x.shape[1], shape) for x in rows)
