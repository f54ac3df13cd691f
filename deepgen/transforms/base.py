"""What a transform is: an invertible map of rows, each direction returning the value and its log-determinant at once.

    encode(x, context) -> z, log |det dz/dx|        from data to code
    decode(z, context) -> x, log |det dx/dz|        from code to data

x and z are ``[batch, *event]``, context ``[batch, context]`` or None, log-determinants ``[batch]`` in nats. Names say
where a direction leads and not what it is called in one paper or another; `Inverse` exchanges the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, unknown_name

_CLOSED = "closed form"
METHODS = ("auto", "incremental", "jacobi", "sequential")
DIRECTIONS = ("encode", "decode")


@runtime_checkable
class Transform(Protocol):
    """``encode(x, context)`` and ``decode(z, context)``, each ``[batch, *event] -> ([batch, *event], [batch])``."""

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]: ...


def check_event(x: Tensor, *event: int) -> None:
    """Raise `ShapeError` unless ``x`` is ``[batch, *event]``: a narrower row would be broadcast, a wider one cut.

    >>> import torch
    >>> check_event(torch.zeros(5, 2), 3)
    Traceback (most recent call last):
    deepgen.errors.ShapeError: rows must be [batch, 3], got [5, 2]
    """
    if x.shape[1:] != event:
        raise ShapeError(f"rows must be [batch, {', '.join(map(str, event))}], got {list(x.shape)}")


def check_way(towards: str, method: str) -> None:
    """Raise `UnknownName` unless ``towards`` is a direction and ``method`` a way to take it.

    >>> check_way("decode", "sequental")
    Traceback (most recent call last):
    deepgen.errors.UnknownName: unknown method 'sequental': did you mean 'sequential'? ...
    """
    if towards not in DIRECTIONS:
        raise unknown_name("direction", towards, DIRECTIONS)
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)


class Cost(NamedTuple):
    """What one call costs, in words, for ``repr``: network passes, or variables that wait for one another."""

    encode: str
    decode: str


def cost(transform: nn.Module) -> Cost:
    """The cost of ``transform``; closed form unless it says otherwise by an attribute ``cost``."""
    return getattr(transform, "cost", Cost(_CLOSED, _CLOSED))


def _times(costs: list[str]) -> str:
    """Costs counted: ``5 x 1 network pass + closed form``."""
    counted = {one: costs.count(one) for one in costs}
    return " + ".join(one if number == 1 or one == _CLOSED else f"{number} x {one}" for one, number in counted.items())


class Solved(NamedTuple):
    """x, log-determinant of the direction taken, and the sweeps of each autoregressive part (None where not swept)."""

    value: Tensor
    log_det: Tensor
    sweeps: tuple[int | None, ...]


class Chain(nn.Module):
    """Transforms applied in order by ``encode``, in reverse order by ``decode``.

    >>> import torch
    >>> from deepgen.transforms import Affine, Chain
    >>> chain = Chain([Affine(3), Affine(3)])
    >>> z, log_det = chain.encode(torch.ones(2, 3))
    >>> torch.allclose(chain.decode(z)[0], torch.ones(2, 3)), log_det.shape
    (True, torch.Size([2]))
    """

    def __init__(self, transforms: Iterable[nn.Module]) -> None:
        super().__init__()
        listed = list(transforms)
        for transform in listed:
            _check_transform("a Chain", transform)
        self.transforms = nn.ModuleList(listed)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"transforms": list(self.transforms)}

    @property
    def cost(self) -> Cost:
        each = [cost(transform) for transform in self.transforms]
        return Cost(_times([c.encode for c in each]), _times([c.decode for c in each]))

    def encode(self, x: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """x to z through all parts; ``method`` is for parts whose encoding is the sequential direction."""
        return self.solve(x, context, towards="encode", method=method)[:2]

    def decode(self, z: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """z to x through all parts in reverse; ``method`` is for autoregressive parts."""
        return self.solve(z, context, towards="decode", method=method)[:2]

    def solve(self, value: Tensor, context: Tensor | None = None, *, towards: str, method: str = "auto") -> Solved:
        """Either direction, with the number of sweeps of every part."""
        check_way(towards, method)
        total: Tensor | float = 0.0
        sweeps: tuple[int | None, ...] = ()
        for transform in self.transforms if towards == "encode" else reversed(self.transforms):
            value, log_det, count = solve(transform, value, context, towards=towards, method=method)
            total, sweeps = total + log_det, sweeps + count
        if isinstance(total, float):
            total = value.new_zeros(len(value))
        return Solved(value, total, sweeps)


class Inverse(nn.Module):
    """The same map seen from the other side: its ``encode`` is the other's ``decode``.

    >>> import torch
    >>> from deepgen.transforms import Affine, Inverse
    >>> Inverse(Affine(2, log_scale=0.5)).encode(torch.zeros(1, 2))[1]
    tensor([1.], grad_fn=...)
    """

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        _check_transform("an Inverse", transform)
        self.transform = transform

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"transform": self.transform}

    @property
    def cost(self) -> Cost:
        own = cost(self.transform)
        return Cost(own.decode, own.encode)

    def encode(self, x: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """The other's ``decode``."""
        return self.solve(x, context, towards="encode", method=method)[:2]

    def decode(self, z: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """The other's ``encode``."""
        return self.solve(z, context, towards="decode", method=method)[:2]

    def solve(self, value: Tensor, context: Tensor | None = None, *, towards: str, method: str = "auto") -> Solved:
        """Either direction, with the number of sweeps of every part."""
        check_way(towards, method)
        other = "decode" if towards == "encode" else "encode"
        return solve(self.transform, value, context, towards=other, method=method)


def _check_transform(what: str, transform: object) -> None:
    """Raise `ArgumentError` unless ``transform`` is a module with both directions."""
    if not isinstance(transform, nn.Module) or not isinstance(transform, Transform):
        raise ArgumentError(f"{what} takes transforms with encode and decode, got {type(transform).__name__}")


def solve(transform: Any, value: Tensor, context: Tensor | None, *, towards: str, method: str) -> Solved:
    """One direction of any transform, with its sweeps; ``method`` is handed on to those that have a choice."""
    check_way(towards, method)
    if hasattr(transform, "solve"):
        return transform.solve(value, context, towards=towards, method=method)
    out, log_det = getattr(transform, towards)(value, context)
    return Solved(out, log_det, (None,))
