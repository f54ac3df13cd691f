"""Ctrl-C that waits for the step in progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit, after the step in progress was finished and saved; the message says how to go on.

    A KeyboardInterrupt, so that ``except Exception`` does not swallow it.

    >>> import signal, tempfile, torch, deepgen as dg
    >>> def press(record, model):
    ...     signal.raise_signal(signal.SIGINT)
    >>> rbm, objective = dg.RBM(visible=3, hidden=2), dg.objectives.PersistentCD()
    >>> try:
    ...     dg.fit(rbm, torch.eye(3), objective, epochs=5, callbacks=[press], progress=False)
    ... except KeyboardInterrupt as stopped:
    ...     print(stopped)
    interrupted after step 1, with 1 epoch done; nothing was saved, as the fit had no out= directory
    """


class Flag:
    """Whether Ctrl-C was pressed."""

    pressed = False


@contextmanager
def delayed_interrupt() -> Iterator[Flag]:
    """Let the first Ctrl-C only raise a flag; a second one raises KeyboardInterrupt on the spot.

    Python runs signal handlers in the main thread only, so elsewhere, and where SIGINT is ignored or handled by
    other than Python code, nothing changes. The handler found is always put back.
    """
    flag, previous = Flag(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield flag
        return

    def press(number: int, frame: FrameType | None) -> None:
        if flag.pressed:
            raise KeyboardInterrupt
        flag.pressed = True

    signal.signal(signal.SIGINT, press)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
