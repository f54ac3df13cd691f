"""Statistical decisions with a stated false-alarm rate and fresh seeds every time.

One round of a test gives a p-value q. With K stages, beta = alpha / K and gamma = beta^(1/K):

    fail where q <= beta,    pass where q > beta + gamma,    else draw afresh (4 times as much, once), beta /= gamma

A correct program fails with probability at most alpha and mostly passes at the first stage; a doubtful one is looked
at again with more data instead of being called either way. Source: Gandy & Scott 2020, "Unit testing for MCMC and other
Monte Carlo methods", algorithm 1, https://arxiv.org/abs/2001.06465.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from deepgen.errors import ArgumentError
from deepgen.testing.failure import CheckFailed

STAGES = 7


class Evidence(NamedTuple):
    """What a passed test rests on: its last p-value (Bonferroni-corrected), its stages, and the draws of the last.

    >>> sequential(lambda n, generator: [0.4, 0.9], what="a law", n=100, generator=torch.Generator())
    Evidence(p=0.8, stages=1, n=100)
    """

    p: float
    stages: int
    n: int


def sequential(
    p_values: Callable[[int, torch.Generator], Sequence[float]],
    *,
    what: str,
    n: int = 4096,
    alpha: float = 1e-5,
    stages: int = STAGES,
    generator: torch.Generator,
) -> Evidence:
    """Run ``p_values(n, generator)`` until it is clear whether what it tests is true.

    Args:
        p_values: draws ``n`` fresh independent samples and returns p-values; the smallest, times their number, decides
            (NaN counts as 0).
        what: completes 'failed: ...' in the message.
        n: draws in the first stage.
        alpha: the greatest chance that something true fails, if its p-values are valid: P(p <= t) <= t.
        stages: K.
        generator: source of all draws.

    Raises:
        CheckFailed: it is not true.

    >>> from deepgen.testing import ks
    >>> uniform = lambda n, generator: [ks(torch.rand(n, generator=generator), lambda x: x)]
    >>> sequential(uniform, what="uniforms", generator=torch.Generator().manual_seed(0)).p > 0.05
    True
    """
    if not (0 < alpha < 1 and stages >= 1 and n >= 1):
        raise ArgumentError(f"need 0 < alpha < 1, stages >= 1, n >= 1; got {alpha}, {stages}, {n}")
    beta = alpha / stages
    gamma = beta ** (1 / stages)
    for stage in range(1, stages + 1):
        found = list(p_values(n, generator))
        q = 0.0 if any(math.isnan(p) for p in found) else min(1.0, len(found) * min(found))
        if q <= beta:
            raise CheckFailed(f"{what}: p = {q:.1e} at stage {stage} of {stages} with {n} draws (alpha {alpha:.0e})")
        if q > beta + gamma or stage == stages:
            break
        beta /= gamma
        n = 4 * n if stage == 1 else n
    return Evidence(q, stage, n)
