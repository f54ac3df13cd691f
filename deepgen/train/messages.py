"""Tensors that go between ranks by torch.distributed: waited for so that a signal is heard, and lost with the rank.

gloo waits for a message to a rank that was killed until the group's timeout, half an hour by default, where the other
died between its own message and the notice that it can take ours (of two ranks that talk all the time one kill in some
fifty). No Python code runs meanwhile, not even the handler of the SIGTERM by which torchrun ends the ranks that are
left. So the wait is cut into slices, and handlers run between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from torch import Tensor

from deepgen.errors import DeepgenError, RankLost

if TYPE_CHECKING:
    import torch.distributed as dist

_SLICE = timedelta(seconds=0.5)  # after a signal; a message that comes earlier is not kept waiting


class Messages:
    """What this rank of ``world`` says to the others and hears from them.

    Raises:
        RankLost: by each method, where another rank does not answer.
    """

    def __init__(self, world: int) -> None:
        self.world = world
        self._last: dist.Work | None = None

    def sum(self, x: Tensor) -> None:
        """Add ``x`` up over all ranks, in place."""
        with self._sending() as dist:
            self._done(dist.all_reduce(x, async_op=True), x)

    def largest(self, x: Tensor) -> None:
        """The largest over all ranks of each entry of ``x``, in place."""
        with self._sending() as dist:
            self._done(dist.all_reduce(x, dist.ReduceOp.MAX, async_op=True), x)

    def copy(self, x: Tensor, rank: int) -> None:
        """What ``rank`` has in ``x``, in place."""
        with self._sending() as dist:
            self._done(dist.broadcast(x, rank, async_op=True), x)

    @property
    def hangs(self) -> bool:
        """Whether a message was left in the middle: torch then waits for it where it takes the group down."""
        return self._last is not None and not self._last.is_completed()

    def _done(self, work: dist.Work, x: Tensor) -> None:
        self._last = work
        while x.device.type == "cpu" and not work.is_completed():  # elsewhere `wait` queues, and returns at once
            try:
                work.wait(_SLICE)
            except DeepgenError:  # of the handler of a signal
                raise
            except RuntimeError:  # the slice is over, or the message failed, of which `wait` speaks below
                pass
        work.wait()

    @contextmanager
    def _sending(self) -> Iterator[Any]:
        import torch.distributed as dist

        try:
            yield dist
        except DeepgenError:
            raise
        except RuntimeError as error:
            if not _of_the_network(error):
                raise
            raise RankLost(lost(self.world)) from error


# What gloo and NCCL say where another rank is gone or silent, and not where a message was wrong.
_NETWORK = ("closed", "reset by peer", "refused", "broken pipe", "timed out", "timeout", "remote", "aborted", "socket")


def _of_the_network(error: RuntimeError) -> bool:
    """Whether ``error`` is that of torch.distributed for a rank, or the store that all ask, that does not answer."""
    import torch.distributed as dist

    if isinstance(error, (dist.DistNetworkError, dist.DistStoreError)):
        return True
    said = str(error).lower()
    ours = isinstance(error, dist.DistBackendError) or "gloo/" in said  # gloo names its own file, and has no type
    return ours and any(word in said for word in _NETWORK)


def lost(world: int) -> str:
    """The line for one of ``world`` ranks that does not answer.

    >>> lost(3)
    'one of 3 ranks is gone, so the others stop too'
    """
    return f"one of {world} ranks is gone, so the others stop too"
