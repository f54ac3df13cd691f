"""torch Distributions where chains go: without the checks that would stop all chains for one of them.

A candidate may be anywhere: a scale may overflow, a value lie outside the support. torch's checks would raise an error
for all chains, and wait for the device; without them such a candidate has a density of 0 or NaN, is rejected and
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from threading import Lock
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

_lock = Lock()
_entered: list[Any] = []  # what torch's default was, once for each block that is under way, in whichever thread


def density_of(law: Distribution) -> Callable[[Tensor], Tensor]:
    """The log density of a Distribution, -inf outside its support, and without torch's checks.

    They would wait for the device, and raise an error for all chains where one has left.

    >>> density_of(torch.distributions.Exponential(1.0))(torch.tensor([-1.0, 2.0]))
    tensor([-inf, -2.])
    """
    plain, support = unchecked(law), cast(constraints.Constraint, law.support)
    if innermost(support) in (constraints.real, constraints.real_vector):
        return plain.log_prob
    return lambda x: plain.log_prob(x).masked_fill(~support.check(x), -torch.inf)


def innermost(support: Any) -> Any:
    """The constraint on one number inside constraints on events and mixtures of them.

    >>> innermost(constraints.independent(constraints.independent(constraints.boolean, 1), 1))
    Boolean()
    """
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def unchecked(law: Any) -> Any:
    """A copy of a Distribution that takes what it is given.

    >>> unchecked(torch.distributions.Normal(0.0, 1.0)).log_prob(torch.tensor(torch.nan))
    tensor(nan)
    """
    law = copy(law)
    law._validate_args = False
    for name, part in vars(law).items():  # base_dist, a mixture's parts, the Dirichlet within a Beta
        if isinstance(part, Distribution):
            setattr(law, name, unchecked(part))
    return law


@contextmanager
def lenient() -> Iterator[None]:
    """For the length of a ``with`` block new Distributions are made without checks.

    torch has one default for the whole process. It is put back when the last block ends, so threads that sample at the
    same time leave it as the first found it.

    >>> with lenient():
    ...     torch.distributions.Normal(0.0, torch.tensor(torch.nan)).log_prob(torch.tensor(1.0))
    tensor(nan)
    """
    with _lock:
        _entered.append(_entered[0] if _entered else Distribution._validate_args)
        Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        with _lock:
            before = _entered.pop()
            if not _entered:
                Distribution.set_default_validate_args(before)
