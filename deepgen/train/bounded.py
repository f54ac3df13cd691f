"""A bound on what may be built: a checkpoint of kilobytes can ask for a model of terabytes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deepgen.errors import CheckpointError

FREE = 2**26  # numbers that any model may make while it is built
_EACH = 4000  # what an operation counts at least, so that a loop over small ones ends too
_COUNTED = ("eye", "arange", "linspace", "randperm")  # whose size is a plain number


class Bounded(TorchDispatchMode):
    """Inside the block, `CheckpointError` once the tensors made have many more numbers than ``stored``.

    Sizes are looked at before the memory is asked for. Numbers of tensors that were let go count too.

    >>> with Bounded(stored=12):
    ...     _ = torch.zeros(3, 4)
    >>> with Bounded(stored=12):
    ...     _ = torch.zeros(10**6, 10**6)
    Traceback (most recent call last):
    deepgen.errors.CheckpointError: the model would have over 67,109,632 numbers, and 12 are stored
    """

    def __init__(self, stored: int) -> None:
        super().__init__()
        self.stored, self.most, self.made = stored, FREE + 64 * stored, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._count(_announced(func, args))
        out = func(*args, **(kwargs or {}))
        self._count(0, sum(t.numel() for t in _tensors(out)) + _EACH)
        return out

    def _count(self, coming: int, made: int = 0) -> None:
        self.made += made
        if self.made + coming > self.most:
            raise CheckpointError(f"the model would have over {self.most:,} numbers, and {self.stored:,} are stored")


def _announced(func: Any, args: Any) -> int:
    """Numbers that ``func`` is about to make, as far as its arguments say."""
    name, tensors = func.overloadpacket.__name__, _tensors(args)
    if name in _COUNTED:
        whole = [int(a) for a in args if isinstance(a, (int, float))]
        return math.prod(whole) if name == "eye" else max(whole, default=0)
    if not tensors:
        return max((math.prod(a) for a in args if isinstance(a, (list, tuple)) and _whole(a)), default=0)
    if name == "repeat":
        return tensors[0].numel() * math.prod(args[1])
    if len(tensors) > 1 and math.prod(t.numel() for t in tensors[:2]) > FREE:
        try:
            return math.prod(torch.broadcast_shapes(*(t.shape for t in tensors)))
        except RuntimeError:  # a product of matrices or the like
            return 0
    return tensors[0].numel()


def _whole(sizes: Any) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _tensors(values: Any) -> list[Tensor]:
    found = [values] if isinstance(values, Tensor) else values if isinstance(values, (list, tuple)) else []
    return [value for value in found if isinstance(value, Tensor)]
