"""When compiled kernels may take the place of tensor operations, and where they come from.

Kernels see memory and not operations. So they serve only where nothing has to follow each operation: not under
`torch.compile`, autocast, forward-mode differentiation or the transforms of `torch.func`, and not for tensor
subclasses. They run on one thread: where torch uses many, its own loops overtake them.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

_PLAIN = (Tensor, nn.Parameter)
THREADS = 4  # of torch's own, at most, where kernels stand in for large loops


@functools.cache
def kernels(name: str) -> ModuleType | None:
    """The module of compiled kernels called ``name``, or None where it cannot be loaded.

    >>> kernels("deepgen.nothing") is None
    True
    """
    try:
        return importlib.import_module(name)
    except Exception:  # numba is absent, does not support this Python, or has nowhere to keep its cache
        return None


def plain_memory(*tensors: Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """Whether kernels may read and write these tensors: of that type, on a CPU, and nothing follows each operation.

    >>> plain_memory(torch.zeros(2), torch.zeros(3)), plain_memory(torch.zeros(2), torch.zeros(2).double())
    (True, False)
    """
    if torch.is_autocast_enabled("cpu") or followed():
        return False
    batched = torch._C._functorch.is_legacy_batchedtensor  # what `is_grads_batched=True` sends backwards
    return all(t.is_cpu and t.dtype is dtype and type(t) in _PLAIN and not batched(t) for t in tensors)


def followed() -> bool:
    """Whether something follows each operation, which must then be torch's own.

    >>> followed()
    False
    """
    transformed = torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    return bool(torch.compiler.is_compiling() or transformed)


def few_threads() -> bool:
    """Whether torch has so few threads that kernels, which have one, keep up with its loops."""
    return torch.get_num_threads() <= THREADS
