"""Dropout whose mask comes from a generator: torch's own draws from its global stream, whatever state that is in.

Networks with dropout are called with the generator of their masks, or where that stream is lent out: `deepgen.fit`
lends each step one that is a function of its seed and the step's number, and `deepgen.random.lend` lends any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_real
from deepgen.random import borrowed


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
    check_real("dropout", rate, 0, below=1)
    return float(rate)


def mask_source(net: nn.Module, rates: Sequence[float], generator: torch.Generator | None) -> torch.Generator | None:
    """Where masks come from: None outside training; in training ``generator``, or torch's global stream if it is lent.

    Raises:
        ArgumentError: in training, and neither is there.

    >>> mask_source(nn.Identity().eval(), [0.5], torch.Generator()) is None
    True
    """
    if not net.training or not any(rates):
        return None
    found = borrowed(next(net.parameters()).device) if generator is None else generator
    if found is None:
        raise ArgumentError(
            f"in training this {type(net).__name__} drops units and needs a source of its masks: deepgen.fit lends one "
            "in its steps; elsewhere call net(x, generator=...), or net.eval() first"
        )
    return found
