"""The worker processes of a DataLoader: one that dies is told in words, and where a batch is asked for.

torch raises the death of a worker from a signal handler, wherever the program then is: in half a step, or in the middle
of a save. Here that is held back, of persistent workers between epochs too, and torch's other look at its workers tells
of it, which it takes while it waits for rows (every 5 seconds). Which error that is depends on what the worker was at
(RuntimeError, ConnectionResetError, EOFError); `DataError` says it for all of them.
"""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
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
    rows: Any = None
    quiet = None
    try:
        rows = iter(loader)  # which sets torch's handler
        quiet = _Quiet.installed()
        while True:
            yield next(rows)
    except StopIteration:
        return
    except Exception as error:
        if gone := _gone(getattr(_lasting(loader) if rows is None else rows, "_workers", []), error):
            loader._iterator = None  # whoever asks next gets new workers
            raise DataError(
                f"{gone}; nothing that was saved is lost. A system kills what takes more memory than there is: "
                "fewer workers or smaller batches take less, and num_workers=0 shows an error of the data"
            ) from error
        raise
    finally:
        rows = None  # workers that do not last end before the handler is back
        if quiet is not None and _lasting(loader) is None:
            quiet.release()
        elif quiet is not None:
            weakref.finalize(_lasting(loader), quiet.release)


def _lasting(loader: DataLoader[Any]) -> Any:
    """What holds the workers that are kept from epoch to epoch, if any are."""
    return getattr(loader, "_iterator", None)


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


class _Quiet:
    """Calls torch's handler of SIGCHLD, and lets it raise no death of a worker, until `release`."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            self.handler(number, frame)
        except RuntimeError as error:
            if not _is_torchs(error):
                raise

    @classmethod
    def installed(cls) -> _Quiet | None:
        """One in place of the present handler; None where one is in place already, or none can be."""
        number = getattr(signal, "SIGCHLD", None)  # Windows has none
        handler: Any = None if number is None else signal.getsignal(number)
        if number is None or not callable(handler) or isinstance(handler, cls) or not _on_main_thread():
            return None
        signal.signal(number, quiet := cls(handler))
        return quiet

    def release(self) -> None:
        if _on_main_thread() and isinstance(signal.getsignal(signal.SIGCHLD), _Quiet):
            signal.signal(signal.SIGCHLD, self.handler)


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
