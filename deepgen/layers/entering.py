"""Which weights enter a unit: for each weight of a module the axis that counts units, and the entries that exist.

    torch's linear, bilinear and recurrent layers, convolutions     the first axis
    torch's transposed convolutions                                 the second, in each group of channels by itself
    torch's embeddings                                              the first: the vector of a row, as in ``max_norm``
    a module with ``entering()``                                    what it says, of itself and of the modules in it

``entering()`` returns a dict from names of parameters to `Entering`. Modules of this library that have none have no
weights of their own, only biases, scales and the like; so have torch's norms.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from deepgen.errors import MissingCapability, ShapeError
from deepgen.layers.initialisation import CONVOLUTIONS, TRANSPOSED

_BY_ROWS = (nn.Linear, nn.Bilinear, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Embedding, nn.EmbeddingBag)
_NORMS = (nn.LayerNorm, nn.RMSNorm)
_HOLDERS = (nn.ParameterList, nn.ParameterDict)  # whose tensors are weights where the module around them says so


class Entering(NamedTuple):
    """The axis of a weight that counts units, its mask, 1 where a connection exists (None where all do), and into how
    many groups the first axis falls, each with units of its own.
    """

    axis: int = 0
    mask: Tensor | None = None
    groups: int = 1


@runtime_checkable
class Entered(Protocol):
    """A module that says which of its parameters are weights that enter units."""

    def entering(self) -> dict[str, Entering]: ...


def weights_that_enter(module: nn.Module) -> list[tuple[nn.Parameter, Entering]]:
    """All weights of ``module`` that are trained; where two modules speak of one, the outer one is right.

    Raises:
        MissingCapability: a module of a kind that is not known, or weights that are computed from others.

    >>> import deepgen as dg
    >>> [(list(weight.shape), how.axis) for weight, how in weights_that_enter(dg.RBM(visible=4, hidden=3))]
    [([4, 3], 1)]
    """
    found: dict[int, tuple[nn.Parameter, Entering]] = {}
    for name, part in module.named_modules():
        if nn.utils.parametrize.is_parametrized(part):
            raise MissingCapability(
                f"a weight of {name or type(part).__name__} is a parametrisation of other tensors: constrain those, "
                "or take the parametrisation off"
            )
        for weight, how in _own(part, name):
            if weight.requires_grad:
                found.setdefault(id(weight), (weight, how))
    return [*found.values()]


def check_units_axis(weight: Tensor, axis: int) -> None:
    """Raise `ShapeError` unless ``axis`` of ``weight`` can count units, each with inputs along another axis.

    >>> import torch
    >>> check_units_axis(torch.zeros(3), 0)
    Traceback (most recent call last):
    deepgen.errors.ShapeError: weights must have an axis 0 of units and one of inputs, got [3]
    """
    if weight.ndim < 2 or not isinstance(axis, int) or not -weight.ndim <= axis < weight.ndim:
        raise ShapeError(f"weights must have an axis {axis} of units and one of inputs, got {list(weight.shape)}")


def _own(part: nn.Module, name: str) -> list[tuple[nn.Parameter, Entering]]:
    if isinstance(part, Entered):
        return [(part.get_parameter(weight), how) for weight, how in part.entering().items()]
    weights = [p for key, p in part.named_parameters(recurse=False) if p.ndim > 1 and "bias" not in key]
    if isinstance(part, TRANSPOSED):
        return [(weight, Entering(1, groups=part.groups)) for weight in weights]
    if isinstance(part, (*_BY_ROWS, *CONVOLUTIONS)):
        return [(weight, Entering()) for weight in weights]
    strange: Any = weights and not isinstance(part, (*_NORMS, *_HOLDERS))
    if strange and not type(part).__module__.startswith("deepgen."):
        raise MissingCapability(
            f"which axis of the weights of {name or 'the module'}, a {type(part).__name__}, counts units is not known: "
            "give it a method entering() (deepgen.layers.entering), or pass tensors and their axis"
        )
    return []
