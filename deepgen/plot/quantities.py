"""What a training history holds: a table of numbers, and of each quantity what it is, in words and with a unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from deepgen.errors import ArgumentError

_CLOCKS = ("epoch", "step", "seconds", "cpu_seconds")
PASSES = "passes"  # over the rows, of a history whose epochs are none
_NATS = "nats per example"


class Quantity(NamedTuple):
    """title: what a curve shows; unit: of its axis, empty where it has none or nobody knows."""

    title: str
    unit: str


_KNOWN = {  # what the objectives of deepgen report
    "log_likelihood": Quantity("training log-likelihood", _NATS),
    "order_log_likelihood": Quantity("training log-likelihood over orders", _NATS),
    "bound": Quantity("bound on the training log-likelihood", _NATS),
    "autocorrelation": Quantity("autocorrelation time of chains", "Gibbs steps"),
    "moment_gap": Quantity("moment gap between data and chains", "norm"),
    "gap": Quantity("mean log density, data less chains", "nats"),
    "acceptance": Quantity("acceptance", "share of the moves"),
    "far": Quantity("acceptance of the proposal", "share of the moves"),
    "score_error": Quantity("error of the score", "per variable"),
}


def quantities(*histories: Any) -> list[str]:
    """What there is to draw in ``histories``: the names of columns with a finite number in them, the monitor first."""
    seen = [name for h in histories for name, y in columns(h).items() if any(map(math.isfinite, y))]
    return sorted((n for n in dict.fromkeys(seen) if n not in (*_CLOCKS, PASSES)), key=lambda n: n != "monitor")


def columns(history: Any) -> dict[str, list[float]]:
    """A history as a table of floats: what is None or missing becomes NaN, so that lines break there."""
    if isinstance(history, Mapping):
        table: Mapping[str, Iterable[Any]] = history
    elif hasattr(history, "records"):
        records = history.records
        metrics = dict.fromkeys(key for record in records for key in record.metrics)
        table = {clock: [getattr(record, clock) for record in records] for clock in _CLOCKS}
        if any(record.passes is not None for record in records):
            table |= {PASSES: [record.passes for record in records]}
        table |= {"monitor": [record.monitor for record in records]}
        table |= {key: [record.metrics.get(key) for record in records] for key in metrics}
    else:
        raise ArgumentError(
            f"a history is what deepgen.fit returns, or a mapping from name to numbers; got {type(history).__name__}"
        )
    return {name: [_number(v) for v in values] for name, values in table.items()}


def clock(*histories: Any) -> str:
    """What goes along the axis of their curves.

    >>> clock({"epoch": [1, 2], "error": [0.3, 0.2]}), clock({"passes": [0.5, 1.0], "error": [0.3, 0.2]})
    ('epoch', 'passes over the rows')
    """
    return "passes over the rows" if any(PASSES in columns(history) for history in histories) else "epoch"


def quantity(name: str, *histories: Any) -> Quantity:
    """What ``name`` is in ``histories``; of the monitor by what its estimates say, where all of them agree.

    >>> quantity("log_likelihood"), quantity("my_error")
    (Quantity(title='training log-likelihood', unit='nats per example'), Quantity(title='my error', unit=''))
    """
    if name != "monitor":
        return _KNOWN.get(name, Quantity(name.replace("_", " "), ""))
    having = [h for h in histories if name in columns(h) and any(map(math.isfinite, columns(h)[name]))]
    estimates = [_estimate(h) for h in having]
    methods = list(dict.fromkeys(str(e.get("method")) for e in estimates))
    units = {str(e.get("unit")) for e in estimates}
    if not all(estimates) or len(units) != 1 or (len(methods) > 1 and "pseudo-likelihood" in methods):
        return Quantity("monitor on validation rows", "")
    what = "log-likelihood" if units == {"nats/example"} else "monitor"
    what = methods[0] if methods == ["pseudo-likelihood"] else f"{what} ({methods[0]})" if len(methods) == 1 else what
    return Quantity(f"validation {what}", units.pop().replace("/", " per "))


def monitored(history: Any) -> str | None:
    """What the monitor of a history was, such as ``pseudo-likelihood``; None where its records do not tell."""
    method = _estimate(history).get("method")
    return None if method is None else str(method)


def _estimate(history: Any) -> Mapping[str, Any]:
    """The first estimate of a history's monitor, of a bracket the lower one, which is drawn; empty without one."""
    for record in getattr(history, "records", ()):
        if record.estimate:
            found: Mapping[str, Any] = record.estimate.get("lower", record.estimate)
            return found
    return {}


def _number(value: Any) -> float:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan
