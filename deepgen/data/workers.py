"""The worker processes of a DataLoader: one that dies is told in words, and where a batch is asked for.

torch raises the death of a worker from a signal handler, wherever the program then is: in half a step, or in the middle
of a save. Here that is held back, and torch's other look at its workers tells of it, which it takes while it waits for
rows (every 5 seconds). Which error that is depends on what the worker was at (RuntimeError, ConnectionResetError,
EOFError); `DataError` says it for all of them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader

from deepgen.errors import DataError

_ENDS = 1.0  # seconds that a killed process may take to be gone after its connections are
_TORCHS = "DataLoader worker (pid"  # begins what torch says of one that is gone, and of nothing else


def of_loader(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of ``loader``, begun when the first is asked for.

    Raises:
        DataError: a worker was killed, or ended by itself.

    >>> import torch
    >>> [batch.tolist() for batch in of_loader(DataLoader([1.0, 2.0, 3.0], batch_size=2))]
    [[1.0, 2.0], [3.0]]
    """
    with ExitStack() as stack:
        rows: Iterator[Any] | None = None
        try:
            rows = iter(loader)  # which sets torch's handler
            stack.enter_context(_held_back())
            while True:
                yield next(rows)
        except StopIteration:
            return
        except Exception as error:
            if gone := _gone(getattr(rows, "_workers", []), error):
                raise DataError(
                    f"{gone}; nothing that was saved is lost. A system kills what takes more memory than there is: "
                    "fewer workers or smaller batches take less, and num_workers=0 shows an error of the data"
                ) from error
            raise
        finally:
            rows = None  # its workers end before the handler is back


def _gone(workers: list[Any], error: Exception) -> str | None:
    """Which of ``workers`` is gone and how, if that is what ``error`` comes from."""
    if workers and isinstance(error, (OSError, EOFError)):
        ends = wait([worker.sentinel for worker in workers], _ENDS)
        for worker in workers:
            if worker.sentinel in ends:
                worker.join(_ENDS)  # what it had open is closed a moment before its status is known
    for number, worker in enumerate(workers):
        if code := worker.exitcode:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
            return f"worker {number} of the DataLoader's {len(workers)} (process {worker.pid}) {how}"
    return str(error).strip().rstrip(".") if _is_torchs(error) else None


def _is_torchs(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and str(error).startswith(_TORCHS)


@contextmanager
def _held_back() -> Iterator[None]:
    """The block in which torch's handler of SIGCHLD, called as ever, raises no death of a worker."""
    number = getattr(signal, "SIGCHLD", None)  # Windows has none
    handler: Any = None if number is None else signal.getsignal(number)
    if number is None or not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def quiet(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except RuntimeError as error:
            if not _is_torchs(error):
                raise

    signal.signal(number, quiet)
    try:
        yield
    finally:
        if signal.getsignal(number) is quiet:
            signal.signal(number, handler)
