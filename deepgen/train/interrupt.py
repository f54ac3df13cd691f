"""Ctrl-C that waits for the step in progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit, after the step in progress was finished and saved; the message says how to go on."""


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
