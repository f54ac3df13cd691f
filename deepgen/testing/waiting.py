"""Whether steps wait for the device, found out without one.

On torch's ``meta`` device tensors have shapes and no numbers. What runs there has asked for none: all that makes the
host wait for an accelerator (``item``, ``tolist``, ``bool`` or ``float`` of a tensor, a boolean mask as an index) has
nothing to give and raises. There, too, code takes the way that it takes on an accelerator and not the CPU's own. What
is left are copies from one device to another, for which the host waits as well; these are looked for one by one: a
tensor moved, one made of Python numbers, an index that is a list or lies elsewhere.

What torch does inside one of its operations is not seen: on CUDA ``torch.cuda.set_sync_debug_mode("error")`` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from deepgen.samplers.kernel import Kernel
from deepgen.streams import Streams
from deepgen.testing.failure import CheckFailed

META = torch.device("meta")
MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)
INDEXED = (Tensor.__getitem__, Tensor.__setitem__)


class MetaStreams(Streams):
    """Streams of numbers on the ``meta`` device, where torch has no Generator.

    >>> MetaStreams(0).uniform((2, 3)).device
    device(type='meta')
    """

    device = META  # of the Generator underneath, which only counts


@contextmanager
def never_waits() -> Iterator[None]:
    """For the length of a ``with`` block refuse what would make the host wait for a device.

    Raises:
        CheckFailed: a copy between devices, or a number of a tensor (of any on ``meta``, of a CPU's by ``item``).

    >>> with never_waits():
    ...     torch.zeros(3).to("meta")
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: aten._to_copy.default copies from cpu to meta: the host waits for the device
    """
    with _Made(), _Copies():
        try:
            yield
        except (RuntimeError, TypeError, NotImplementedError) as error:
            if "meta" not in str(error).lower():
                raise
            raise CheckFailed(f"the host waits for a number of the device: {error}") from error


def check_never_waits(build: Callable[[torch.device], Kernel], position: Tensor, *, steps: int = 4) -> None:
    """Check that no step of a kernel makes the host wait for the device; none is needed.

    Args:
        build: the kernel with all its tensors on a given device; called for the CPU, whose ``init`` may look at
            numbers, and for ``meta``, whose steps may not.
        position: where chains begin, ``[chains, *event]`` on the CPU.
        steps: how many are watched, after a first one in which tables may be copied to the device.

    Raises:
        CheckFailed: a step waits.

    >>> import deepgen as dg
    >>> def walk(device):
    ...     spread = torch.ones(3, device=device)
    ...     return dg.samplers.mala(lambda x: -(x / spread).square().sum(-1), 0.5)
    >>> check_never_waits(walk, torch.zeros(5, 3))
    >>> def counted(device):
    ...     return dg.samplers.mala(lambda x: -x.square().sum(-1) / x.abs().max().item(), 0.5)
    >>> check_never_waits(counted, torch.ones(5, 3))
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: the host waits for a number of the device: Tensor.item() cannot be called ...
    """
    state = tree_map(_to_meta, build(torch.device("cpu")).init(position))
    kernel, stream = build(META), MetaStreams(0)
    for step in range(steps + 1):
        if step == 0:
            try:
                state, _ = kernel.step(state, generator=stream)
            except (RuntimeError, TypeError, NotImplementedError) as error:
                raise CheckFailed(f"the host waits for a number of the device: {error}") from error
            continue
        with never_waits():
            state, _ = kernel.step(state, generator=stream)


def _to_meta(leaf: Any) -> Any:
    return leaf.to(META) if isinstance(leaf, Tensor) else leaf


class _Copies(TorchDispatchMode):
    """Operations that read a number, or move numbers from one device to another."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal):
            raise CheckFailed(f"{func} gives a number to the host, which waits for the device")
        if packet is torch.ops.aten._to_copy:
            _demand_near(func, args[0].device, kwargs.get("device"), kwargs.get("non_blocking"))
        if packet is torch.ops.aten.copy_:
            _demand_near(func, args[1].device, args[0].device, any(args[2:]) or kwargs.get("non_blocking"))
        return func(*args, **kwargs)


class _Made(TorchFunctionMode):
    """Tensors made of Python numbers, and indices that are: what is copied before any operation is dispatched."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in MAKERS:
            own = func is Tensor.new_tensor
            device = kwargs.get("device") or (args[0].device if own else None)
            if not isinstance(args[1 if own else 0], Tensor):
                _demand_near(getattr(func, "__name__", func), torch.device("cpu"), device)
        elif func in INDEXED and args[0].device.type != "cpu":
            for part in args[1] if isinstance(args[1], tuple) else (args[1],):
                if isinstance(part, list) or (isinstance(part, Tensor) and part.ndim):
                    _demand_near("an index", getattr(part, "device", torch.device("cpu")), args[0].device)
        return func(*args, **kwargs)


def _demand_near(what: Any, source: torch.device, to: Any, non_blocking: Any = False) -> None:
    if to is not None and torch.device(to).type != source.type and not non_blocking:
        raise CheckFailed(f"{what} copies from {source} to {torch.device(to)}: the host waits for the device")
