"""What the parts of `faults.py` share: counting, telling what an error is worth, and children that may be killed."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import deepgen as dg
from deepgen.cli import main as command
from deepgen.errors import DeepgenError

SECONDS, WAIT = 20, 180  # of computing, and on the wall, that one attempt may take before it is a hang
ROWS = (torch.rand(60, 12, generator=dg.random.generator(1)) < 0.3).float()


@dataclass
class Tally:
    """One kind of fault: tried = survived + failed + lost."""

    name: str
    survived: int = 0
    failed: int = 0
    unsealed: int = 0  # of those that survived: other values, of a format that has no checksum
    lost: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return self.survived + self.failed + len(self.lost)

    def check(self, fine: bool, what: str) -> None:
        """Count one that must be ``fine``."""
        if fine:
            self.survived += 1
        else:
            self.lost.append(f"{self.name}: {what}")

    def refusal(self, error: BaseException, what: str) -> None:
        """Count one that ended in ``error``: lost unless it is a typed error of one line."""
        if isinstance(error, DeepgenError) and "\n" not in str(error):
            self.failed += 1
        else:
            self.lost.append(f"{self.name}: {what}: {type(error).__name__}: {str(error)[:200]!r}")


class Hang(BaseException):
    """An attempt took longer than `SECONDS` of computing, or `WAIT` on the wall of a busy machine."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hang(f"no end after {SECONDS} s of computing or {WAIT} s in all")

    before = [signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)


def same(a: Any, b: Any) -> bool:
    """Whether two loaded things are equal to the last bit."""
    if isinstance(a, torch.nn.Module):
        return type(a) is type(b) and repr(a) == repr(b) and same(a.state_dict(), b.state_dict())
    if isinstance(a, torch.Tensor):
        alike = isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape
        return alike and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(type(a) is type(b) and (a == b or (a != a and b != b)))


def machine(seed: int = 2, hidden: int = 5) -> Any:
    return dg.RBM(visible=12, hidden=hidden, generator=seed)


def fitted(out: Path | None = None, *, epochs: int = 2, data: Any = ROWS, **options: Any) -> Any:
    """A small machine after a fit into ``out``."""
    model = options.pop("model", None) or machine()
    objective = options.pop("objective", None) or dg.objectives.PersistentCD(k=1, chains=10)
    options = {"batch_size": 20, **options}
    dg.fit(model, data, objective, epochs=epochs, out=out, progress=False, **options)
    return model


def weights(model: Any) -> list[bytes]:
    return [value.numpy().tobytes() for value in model.state_dict().values()]


def shell(*words: object) -> tuple[int, str]:
    """Status and stderr of a ``deepgen`` command, run in this process."""
    said, status = io.StringIO(), 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            command([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
    return status, said.getvalue()


def one_line(status: int, said: str) -> bool:
    """Whether a command was refused with one line and no traceback, and took no blame for it."""
    errors = [line for line in said.splitlines() if line.startswith("deepgen: ") and "warning" not in line]
    return status == 2 and len(errors) == 1 and "fault in deepgen" not in said and "Traceback" not in said


def child(work: Callable[[], int]) -> int:
    """Run ``work`` in a process of its own, which ends with what it returns; its number."""
    sys.stdout.flush()
    made = os.fork()
    if made == 0:
        status = 9
        try:
            status = work()
        except BaseException:  # a child must never get back into the parent's code
            traceback.print_exc()
        os._exit(status)
    return made


def ended(process: int) -> int:
    """Its exit status, minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@contextlib.contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """Inside the block this process may have at most so many bytes of ``kind``."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def in_use() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def damaged(good: bytes, kind: str, dice: random.Random, others: list[bytes]) -> bytes:
    """``good`` after one fault of that kind."""
    raw, place = bytearray(good), dice.randrange(len(good))
    if kind == "flip":
        raw[place] ^= 1 << dice.randrange(8)
    elif kind == "byte":
        raw[place] = dice.randrange(256)
    elif kind == "cut":
        del raw[place:]
    elif kind == "insert":
        raw[place:place] = dice.randbytes(dice.randrange(1, 9))
    elif kind == "zeros":
        stop = min(len(raw), place + dice.choice((1, 8, 64, 512)))
        raw[place:stop] = bytes(stop - place)
    else:
        raw = bytearray(dice.choice(others))
    return bytes(raw)


DAMAGE = ("flip", "byte", "cut", "insert", "zeros", "swap")
