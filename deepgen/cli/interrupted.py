"""What Ctrl-C leaves of a run, and the command that goes on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deepgen.cli.frame import Stopped


@contextmanager
def keeping(out: Path, words: Sequence[str]) -> Iterator[None]:
    """Turn Ctrl-C inside the block into a `Stopped` that says how to go on with the models that ``out`` keeps.

    Args:
        out: the directory with one run for each model.
        words: the command line behind ``deepgen``.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        where = re.split("[:;]", str(error))[0] or "interrupted"  # what the fit itself saved is a part of what is kept
        kept = f"{out} keeps what is done; to resume" if out.exists() else "nothing is saved yet; to start again"
        again = shlex.join(["deepgen", *(word for word in words if word != "--fresh")])
        raise Stopped(f"{where}; {kept}: {again}") from error


@contextmanager
def parting(out: Path, words: Sequence[str], *, fresh: bool) -> Iterator[None]:
    """Turn Ctrl-C inside the block into a `Stopped` that says what the directory ``out`` of the run holds by then.

    Args:
        out: the directory.
        words: the command line behind ``deepgen``.
        fresh: whether the command is to discard what was in ``out``.
    """
    from deepgen.train import Interrupted
    from deepgen.train.store import MANIFEST

    def saved() -> bytes | None:
        return (out / MANIFEST).read_bytes() if (out / MANIFEST).exists() else None

    before = saved()
    try:
        yield
    except KeyboardInterrupt as error:
        again = shlex.join(["deepgen", *words])
        resume = shlex.join(["deepgen", *(word for word in words if word != "--fresh")])
        if isinstance(error, Interrupted):
            raise Stopped(f"{str(error).partition(':')[0]}; to resume: {resume}") from error
        # else before the first step, after the last, or by a second Ctrl-C that did not wait for the step
        if saved() is None:
            raise Stopped(f"interrupted before the first step; nothing was saved; to start again: {again}") from error
        if fresh and saved() == before:
            kept = f"{out} still holds the run that was there"
            raise Stopped(f"interrupted before the first step; {kept}; to start again: {again}") from error
        raise Stopped(f"interrupted; {out} holds the run as it was last saved; to resume: {resume}") from error
