"""Linear layers whose initial weights come from a generator: torch's own constructors draw from its global stream."""

from __future__ import annotations

import math

import torch
from torch import nn

from deepgen.errors import check_count
from deepgen.random import resolve


def linear(
    inputs: int,
    outputs: int,
    *,
    bias: bool = True,
    scale: float = 1.0,
    generator: torch.Generator | int | None = None,
) -> nn.Linear:
    """Return ``nn.Linear(inputs, outputs)`` with weights and biases U(-r, r), r = ``scale`` / sqrt(``inputs``).

    At scale 1 that is torch's own initial law; a last layer with a small scale starts a transform near its identity.

    >>> linear(4, 2, generator=0).weight.abs().max() <= 0.5
    tensor(True)
    """
    check_count(outputs=outputs)
    generator = resolve(generator)
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias)
    bound = scale / math.sqrt(max(inputs, 1))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer
