"""What the demo's table shows, in words, and its numbers as JSON."""

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
from deepgen.explicit import RBM

if TYPE_CHECKING:
    from deepgen.cli.demo.fits import Fitted

_CROSSED = "the interval's ends crossed: one of its bounds or error bars has failed"


def verdict(fitted: Sequence[Fitted], test: Tensor) -> str:
    """What the demo is there to show, from the numbers and whichever way they fall."""
    small, large = (f for f in fitted if isinstance(f.model, RBM))
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
    from deepgen.plot.figures import write

    rows = [
        {
            "model": f.name,
            "seconds": f.seconds,
            "settings": f.settings,
            "estimates": [e.to_dict() for e in f.estimates],
            "quality": f.quality and f.quality.to_dict(),
        }
        for f in fitted
    ]
    write(path, (json.dumps(rows, indent=1) + "\n").encode())
