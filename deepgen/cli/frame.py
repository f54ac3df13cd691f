"""What surrounds every command: errors and warnings as one line each, quiet pipes, and the exit status."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from deepgen.cli.ranks import speaks, speaks_of_interrupt
from deepgen.errors import DeepgenError

OK, FAULT, REFUSED, INTERRUPTED = 0, 1, 2, 130


class Stopped(Exception):
    """Ctrl-C, after everything worth keeping was saved; the message says how to go on."""


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run ``app`` on ``arguments`` and return the exit status, having printed at most one line of error."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]  # so that it may stand anywhere on the line
    try:
        with _plain_warnings():
            status = app(args=arguments, prog_name="deepgen", standalone_mode=False, obj=arguments)
            sys.stdout.flush()  # a closed pipe shows here, not at exit where Python would complain
    except (BrokenPipeError, SystemExit):  # typer itself exits when it meets a closed pipe, and for nothing else
        _silence_stdout()
        return OK
    except Exception as error:
        if debug and not isinstance(error, Stopped):
            traceback.print_exc()
        status, line = _explain(error, arguments)
        if line and (speaks_of_interrupt() if status == INTERRUPTED else speaks(line, error)):
            print(f"deepgen: {line}", file=sys.stderr)
        return status
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status == INTERRUPTED and speaks_of_interrupt():
        print("deepgen: interrupted", file=sys.stderr)
    return status if isinstance(status, int) else OK


def _explain(error: Exception, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit status of ``error`` and its one line."""
    text = " ".join(str(error).split())
    if isinstance(error, Stopped):
        return INTERRUPTED, text
    if isinstance(error, typer.Abort):
        return INTERRUPTED, "interrupted"
    if isinstance(error, DeepgenError):
        return REFUSED, text
    if hasattr(error, "format_message"):  # typer's usage errors; its exception classes move between versions
        return getattr(error, "exit_code", REFUSED), _usage(error, arguments)
    if _no_memory(error):
        return REFUSED, f"out of memory ({text or 'none is left'}): less at once, such as a smaller --batch, needs less"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return REFUSED, f"{where}{error.strerror or text}"
    return FAULT, f"this is a fault in deepgen: {type(error).__name__}: {text} (--debug shows where)"


def _no_memory(error: Exception) -> bool:
    """Whether Python, numpy, torch (a RuntimeError) or the loader of libraries (an ImportError) found no memory.

    Of some C code a SystemError "without exception set" is all that is left of it.
    """
    said = str(error).lower()
    words = (
        "allocate memory",
        "out of memory",
        "not enough memory",
        "bad_alloc",
        "failed to map",
        "start new thread",
        "without exception set",
    )
    kinds = (RuntimeError, ImportError, OSError, SystemError)
    return isinstance(error, MemoryError) or (isinstance(error, kinds) and any(word in said for word in words))


def _usage(error: Any, arguments: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "deepgen"
    message = " ".join(error.format_message().split())
    got = _given(getattr(error, "param", None), arguments)
    if got is not None and repr(got) not in message:
        message += f", got {got!r}"
    return f"{message} ({path} --help lists what there is)" if message else ""


def _given(option: Any, arguments: Sequence[str]) -> str | None:
    """The word that stands for ``option`` on the line, which typer's messages leave out; None where there is none."""
    for name in getattr(option, "opts", ()):
        for word, following in zip(arguments, [*arguments[1:], None], strict=True):
            if word == name:
                return following
            if word.startswith(f"{name}=") or (len(name) == 2 and name[0] == "-" and word.startswith(name)):
                return word[len(name) :].removeprefix("=")
    return None


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not meet the closed pipe again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings as one line without the source line that raised them."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"deepgen: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
