"""Do error bars tell the truth? Repeat an estimator over seeds, where the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from deepgen.errors import check_count
from deepgen.evaluate.estimate import Bracket, Estimate
from deepgen.random import resolve
from deepgen.testing.failure import demand


class Coverage(NamedTuple):
    """``covered``: the share of the seeds whose interval holds the truth; ``values``: the estimates, seed by seed.

    Of a Bracket ``values`` are those of its lower end.

    >>> check_estimate(lambda generator: Estimate(1.0, 0.0, "exact", "by hand"), 1.0)  # one run of an exact value
    Coverage(covered=1.0, values=[1.0])
    """

    covered: float
    values: list[float]


def check_estimate(
    estimate: Callable[..., Estimate | Bracket],
    truth: float,
    *,
    seeds: int = 200,
    level: float = 0.95,
    slack: float = 0.0,
    tolerance: float = 1e-9,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> Coverage:
    """Check that the intervals of ``estimate(generator=g)`` cover ``truth`` as often as they say, and its side.

    An exact value must agree to ``tolerance``. Otherwise ``seeds`` runs are made. The number of intervals (of a
    Bracket: the outer ends) that hold the truth must not be improbably small for a binomial of rate ``level - slack``.
    The mean of the values must lie on the promised side, or on the truth when unbiased, as far as their own scatter
    tells (a z test). And the reported stderr must match that scatter: the ratio of mean square stderr to variance is
    refused outside [1/3, 3].

    Args:
        estimate: called with the keyword ``generator``; an `Estimate` or a `Bracket`.
        truth: the quantity, known by enumeration or in closed form.
        seeds: number of runs, two or more.
        level: of the intervals.
        slack: how far actual coverage may stay below ``level``, for methods whose interval is asymptotic.
        tolerance: relative, for exact values.
        alpha: the greatest chance that an honest estimator fails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: with the coverage or the bias seen.

    >>> def mean_of_normals(generator):
    ...     x = torch.randn(100, generator=generator)
    ...     return Estimate(x.mean().item(), x.std().item() / 10, "unbiased", "sample mean", n=100)
    >>> check_estimate(mean_of_normals, 0.0, generator=0).covered > 0.85
    True
    """
    check_count(2, seeds=seeds)
    stream = resolve(generator)
    first = estimate(generator=stream)
    if isinstance(first, Estimate) and first.side == "exact":
        near = math.isclose(first.value, truth, rel_tol=tolerance, abs_tol=tolerance) or first.value == truth
        demand(near, f"an exact value is {first.value!r}, the truth {truth!r}")
        return Coverage(1.0, [first.value])
    runs = [first, *(estimate(generator=stream) for _ in range(seeds - 1))]
    ends = [run.interval(level) for run in runs]
    hits = sum(low <= truth <= high for low, high in ends)
    chance = _binomial_cdf(hits, len(runs), level - slack)
    demand(chance >= alpha, f"{hits} of {len(runs)} intervals of level {level:g} hold the truth (chance {chance:.1e})")
    points = [run for run in runs if isinstance(run, Estimate)]
    brackets = [run for run in runs if isinstance(run, Bracket)]
    for side in (points, [run.below for run in brackets], [run.above for run in brackets]):
        if side:
            _check_side(side, truth, alpha)
    return Coverage(hits / len(runs), [run.value if isinstance(run, Estimate) else run.below.value for run in runs])


def _check_side(runs: list[Estimate], truth: float, alpha: float) -> None:
    side = runs[0].side
    values = torch.tensor([run.value for run in runs], dtype=torch.float64)
    error = max(float(values.std()) / math.sqrt(len(runs)), 1e-12 * (1 + abs(truth)))
    z = (float(values.mean()) - truth) / error
    lower = side in ("unbiased", "above", "exact") and 0.5 * math.erfc(-z / math.sqrt(2)) < alpha
    upper = side in ("unbiased", "below", "exact") and 0.5 * math.erfc(z / math.sqrt(2)) < alpha
    demand(not lower and not upper, f"values said to be {side} average {z:+.1f} standard errors from the truth")
    reported = torch.tensor([run.stderr for run in runs], dtype=torch.float64).square().mean()
    if side != "exact":
        ratio = float(reported / values.var().clamp_min(1e-300))
        demand(1 / 3 < ratio < 3, f"stderr^2 is {ratio:.2g} times the variance over seeds")


def _binomial_cdf(hits: int, n: int, rate: float) -> float:
    """The chance of at most ``hits`` of ``n``."""
    from scipy.special import bdtr

    return float(bdtr(hits, n, rate))
