"""The demo's numbers in words: the table, what it shows, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deepgen.evaluate import Bracket, Estimate

if TYPE_CHECKING:
    from deepgen.demo.fits import Fitted

HEAD = ("model", "test log-likelihood", "stderr", "side", "method", "seconds")
LEVEL = 0.99


def table(fitted: Sequence[Fitted]) -> str:
    """One line per estimate; of two-sided ones the interval."""
    rows = [
        (f.name if first else "", *_cells(estimate), f"{f.seconds:.1f}" if first else "")
        for f in fitted
        for first, estimate in ((i == 0, e) for i, e in enumerate(f.estimates))
    ]
    widths = [max(len(row[c]) for row in (HEAD, *rows)) for c in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (HEAD, *rows)]
    rule, note = (
        "-" * max(map(len, lines)),
        f"nats per example, higher is better; [intervals] at {LEVEL:.0%}; seconds of training",
    )
    return "\n".join([lines[0], rule, *lines[1:], rule, note])


def verdict(fitted: Sequence[Fitted], test: Tensor) -> str:
    """What the demo is there to show, from the numbers and whichever way they fall."""
    small, large = fitted[-2], fitted[-1]
    exact = next(e.value for e in small.estimates if isinstance(e, Estimate) and e.side == "exact")
    low, high = next(e for e in small.estimates if isinstance(e, Bracket)).interval(LEVEL)
    inside = "inside" if low <= exact <= high else "OUTSIDE"
    interval = f"the {100 * LEVEL:.0f} % AIS interval [{low:.3f}, {high:.3f}]"
    lines = [f"{small.name}: the exact {exact:.3f} lies {inside} {interval}"]
    floor = next(e for e in large.estimates if isinstance(e, Bracket)).interval(LEVEL)[0]
    for other in fitted[:2]:
        gain, error = paired(large.model, floor, other.model, test)
        lines.append(
            f"{large.name} against {other.name}: {gain:+.2f} ± {error:.2f} nats from the interval's lower end "
            "(± by choice of test rows)"
        )
    return "\n".join(lines)


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
    if isinstance(estimate, Bracket):
        low, high = estimate.below, estimate.above
        ends = estimate.interval(LEVEL)
        value, error = f"[{ends[0]:.2f}, {ends[1]:.2f}]", f"{low.stderr:.2f}, {high.stderr:.2f}"
        methods = ", ".join(one.method.partition(" from ")[0] for one in (low, high))  # the page has them in full
        return value, error, f"{low.side}, {high.side}", methods
    return f"{estimate.value:.2f}", f"{estimate.stderr:.2f}", estimate.side, estimate.method
