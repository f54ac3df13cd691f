"""Layers of different kinds side by side in one layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ArgumentError
from deepgen.explicit.units import Units, as_units


class Product(nn.Module):
    """Layers of different kinds side by side in one layer: ``Product(Bernoulli(5), Gaussian(2), Softmax(1, 3))``.

    The parts are independent given their fields, so u and A are sums over them. Values and fields are the parts' joined
    along the last axis, in the order given.

    Args:
        parts: layers of units, or numbers of Bernoulli units; at least one.

    >>> from deepgen.explicit import Bernoulli, Gaussian, Softmax
    >>> Product(Bernoulli(5), Gaussian(2), Softmax(1, 3)).width
    10
    """

    def __init__(self, *parts: int | Units) -> None:
        super().__init__()
        if not parts:
            raise ArgumentError("a Product needs at least one layer of units")
        layers = [as_units(part, "a part of a Product") for part in parts]
        self.parts: Sequence[Units] = nn.ModuleList(layers)  # type: ignore[arg-type, assignment]
        self.widths = [part.width for part in layers]
        self.width = sum(self.widths)

    @property
    def states(self) -> int | None:
        """The product of the parts' numbers of states; None where one is not discrete."""
        counts = [part.states for part in self.parts]
        return None if None in counts else math.prod(c for c in counts if c is not None)

    @property
    def support(self) -> Any:
        """Of the parts, side by side; None where one does not say."""
        parts = [getattr(part, "support", None) for part in self.parts]
        return None if None in parts else constraints.cat(parts, -1, self.widths)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"*": list(self.parts)}

    def _blocks(self, x: Tensor) -> list[tuple[Units, Tensor]]:
        return list(zip(self.parts, x.split(self.widths, -1), strict=True))

    def _total(self, method: Callable[[Units], Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
        return torch.stack([method(part)(block) for part, block in self._blocks(x)]).sum(0)

    def energy(self, x: Tensor) -> Tensor:
        """The sum of the parts' u(x), in nats: ``[..., width] -> [...]``."""
        return self._total(lambda part: part.energy, x)

    def cumulant(self, field: Tensor) -> Tensor:
        """The sum of the parts' A(f), in nats: ``[..., width] -> [...]``."""
        return self._total(lambda part: part.cumulant, field)

    def mean(self, field: Tensor) -> Tensor:
        """The parts' E[x | f], joined: ``[..., width] -> [..., width]``."""
        return torch.cat([part.mean(block) for part, block in self._blocks(field)], -1)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """The parts' draws, joined, one after the other from ``generator``: ``[..., width] -> [..., width]``."""
        return torch.cat([part.sample(block, generator=generator) for part, block in self._blocks(field)], -1)

    def enumerate(self, start: int, stop: int) -> Tensor:
        """States ``start`` to ``stop - 1``, the first part fastest: ``[stop - start, width]``."""
        if start >= stop:
            return torch.empty(0, self.width, dtype=torch.float64)
        index, stride, columns = torch.arange(start, stop), 1, []
        for part in self.parts:  # mixed radix, the first part turning fastest
            if part.states is None:
                raise ArgumentError(f"{type(part).__name__} units are not discrete and cannot be enumerated")
            first = start // stride
            columns.append(_turn(part, part.states, first, (stop - 1) // stride + 1)[index // stride - first])
            stride *= part.states
        return torch.cat(columns, -1)

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` where a part does."""
        for part, block in self._blocks(x):
            part.check(block)

    def check_mask(self, mask: Tensor) -> None:
        """Raise `ArgumentError` where a part does."""
        for part, block in self._blocks(mask):
            part.check_mask(block)

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """The parts' base fields, joined: ``[width] -> [width]``."""
        return torch.cat([part.base_field(block, n) for part, block in self._blocks(mean)], -1)


def _turn(part: Units, count: int, first: int, last: int) -> Tensor:
    """The states numbered ``first`` to ``last - 1`` modulo ``count``, building no more states than that."""
    length, begin = last - first, first % count
    if length >= count:
        return part.enumerate(0, count)[torch.arange(first, last) % count]
    wrapped = begin + length - count
    head = part.enumerate(begin, min(begin + length, count))
    return head if wrapped <= 0 else torch.cat([head, part.enumerate(0, wrapped)])
