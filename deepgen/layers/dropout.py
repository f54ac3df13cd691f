"""Dropout whose mask comes from a generator: torch's own draws from its global stream, so no run could be repeated."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_real


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Set each entry of ``x`` to 0 with probability ``rate`` and divide the others by 1 - ``rate``; any shape.

    Without a generator nothing is drawn and ``x`` comes back as it is: the network whose probabilities are reported.

    >>> x = dropout(torch.ones(1000), 0.5, torch.Generator().manual_seed(0))
    >>> x.unique(), abs(x.mean() - 1) < 0.2
    (tensor([0., 2.]), tensor(True))
    """
    if generator is None or rate == 0:
        return x
    keep = 1 - rate
    return x * torch.empty_like(x).bernoulli_(keep, generator=generator).div_(keep)


def check_rate(rate: Any) -> float:
    """Return ``rate`` as a float; raise `ArgumentError` unless it is at least 0 and below 1."""
    check_real("dropout", rate, 0)
    if rate >= 1:
        raise ArgumentError(f"dropout must be below 1, got {rate!r}")
    return float(rate)
