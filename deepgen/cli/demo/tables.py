"""The demo's numbers in words: the table, what it shows, and the same as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepgen.evaluate import Bracket, Estimate, plus_minus
from deepgen.evaluate.estimate import LEVEL

if TYPE_CHECKING:
    from deepgen.cli.demo.fits import Fitted

_CROSSED = "the interval's ends crossed: one of its bounds or error bars has failed"
HEAD = ("model", "test log-likelihood", "stderr", "side", "method", "seconds")


def table(fitted: Sequence[Fitted]) -> str:
    """One line per estimate; of two-sided ones the interval."""
    rows = [
        (f.name if first else "", *_cells(estimate), f"{f.seconds:.1f}" if first else "")
        for f in fitted
        for first, estimate in ((i == 0, e) for i, e in enumerate(f.estimates))
    ]
    widths = [max(len(row[c]) for row in (HEAD, *rows)) for c in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (HEAD, *rows)]
    rule = "-" * max(map(len, lines))
    note = f"nats per example, higher is better; [intervals] at {100 * LEVEL:.0f} %; seconds of training"
    return "\n".join([lines[0], rule, *lines[1:], rule, note])


def verdict(fitted: Sequence[Fitted], test: Tensor) -> str:
    """What the demo is there to show, from the numbers and whichever way they fall."""
    small, large = fitted[-2], fitted[-1]
    exact = next(e.value for e in small.estimates if isinstance(e, Estimate) and e.side == "exact")
    bracket = next(e for e in small.estimates if isinstance(e, Bracket))
    lines = [f"{small.name}: {position(exact, bracket)}"]
    wide = next(e for e in large.estimates if isinstance(e, Bracket))
    if wide.crossed:
        lines.append(f"{large.name}: {_CROSSED}")
    floor = wide.interval()[0]
    for other in fitted[:2]:
        gain, error = paired(large.model, floor, other.model, test)
        lead = plus_minus(gain, error, signed=True)
        lines.append(
            f"{large.name} against {other.name}: {lead} nats from the interval's lower end (± by choice of test rows)"
        )
    return "\n".join(lines)


def position(exact: float, bracket: Bracket) -> str:
    """Where ``exact`` lies with respect to the interval of ``bracket``, whichever way it fell.

    >>> low, high = Estimate(-9.2, 0.1, "below", "reverse", n=500), Estimate(-9.0, 0.1, "above", "AIS", n=500)
    >>> position(-9.1, Bracket(low, high))
    'the exact -9.100 lies inside the 95 % AIS interval [-9.396, -8.804], +1.0 and -1.0 standard errors from its ...'
    """
    if bracket.crossed:
        return f"the exact {exact:.3f} has no interval to lie in, as {_CROSSED}"
    low, high = bracket.interval()
    place = "inside" if low <= exact <= high else f"OUTSIDE (as 1 in {1 / (1 - LEVEL):.0f} may by chance)"
    lower, upper = ((exact - end.value) / (end.stderr or math.nan) for end in (bracket.below, bracket.above))
    return (
        f"the exact {exact:.3f} lies {place} the {100 * LEVEL:.0f} % AIS interval [{low:.3f}, {high:.3f}], "
        f"{lower:+.1f} and {upper:+.1f} standard errors from its two estimates"
    )


@torch.no_grad()
def paired(large: nn.Module, floor: float, other: nn.Module, test: Tensor) -> tuple[float, float]:
    """By how much ``floor`` exceeds the mean of ``other``, and its error over the test rows, taken in pairs.

    The error needs no log Z, which is the same for all rows.
    """
    mine, theirs = large.log_density(test).double(), other.log_prob(test).double()  # type: ignore[operator]
    return floor - float(theirs.mean()), float((mine - theirs).std() / len(test) ** 0.5)


def store(fitted: Sequence[Fitted], path: Path) -> None:
    """Write every estimate with its settings as JSON."""
    rows = [
        {"model": f.name, "seconds": f.seconds, "settings": f.settings, "estimates": [e.to_dict() for e in f.estimates]}
        for f in fitted
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n")


def _cells(estimate: Estimate | Bracket) -> tuple[str, str, str, str]:
    if isinstance(estimate, Estimate):
        value, _, error = plus_minus(estimate.value, estimate.stderr).partition(" ± ")
        return value, error, estimate.side, estimate.method
    both = (estimate.below, estimate.above)
    ends = [plus_minus(end, one.stderr).split(" ± ") for end, one in zip(estimate.interval(), both, strict=True)]
    sides = "crossed: failed" if estimate.crossed else ", ".join(one.side for one in both)
    methods = ", ".join(one.method.partition(" from ")[0] for one in both)  # the page has them in full
    return f"[{ends[0][0]}, {ends[1][0]}]", f"{ends[0][1]}, {ends[1][1]}", sides, methods
