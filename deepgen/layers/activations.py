"""Activations by name, so that `deepgen.save` can write them down."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.errors import unknown_name
from deepgen.layers.tanh import tanh

Activation = Callable[[Tensor], Tensor]

SLOPE = 0.2  # of leaky rectifiers, as in DCGAN


def leaky_relu(h: Tensor) -> Tensor:
    """max(h, 0.2 h).

    >>> leaky_relu(torch.tensor([-1.0, 1.0]))
    tensor([-0.2000,  1.0000])
    """
    return F.leaky_relu(h, SLOPE)


ACTIVATIONS: dict[str, Activation] = {
    "tanh": tanh,
    "relu": F.relu,
    "leaky_relu": leaky_relu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
}


def activation_of(name: str) -> Activation:
    """The function of a name.

    >>> activation_of("relu")(torch.tensor(-1.0))
    tensor(0.)
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def name_of(activation: Activation) -> str | Activation:
    """The name of a function; one that has none as it is, which no checkpoint can hold.

    >>> name_of(F.silu), name_of(torch.relu), name_of(torch.exp) is torch.exp
    ('silu', 'relu', True)
    """
    same: dict[Activation, Activation] = {torch.relu: F.relu, torch.tanh: tanh}  # other functions of the same numbers
    known = {function: name for name, function in ACTIVATIONS.items()}
    return known.get(same.get(activation, activation), activation)
