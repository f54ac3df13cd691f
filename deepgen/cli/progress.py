"""Progress on stderr: a bar where it is a terminal, and now and then a line where it is a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepgen.progress import COMPILING, bar, on_compiling


@contextmanager
def told_of_compiling(show: bool = True) -> Iterator[None]:
    """Say so, once, if kernels are compiled inside the block: it takes seconds in which nothing else is shown."""
    said: list[str] = []

    def say() -> None:
        if show and not said:
            print(COMPILING, file=sys.stderr, flush=True)
        said.append(COMPILING)

    stop = on_compiling(say)
    try:
        yield
    finally:
        stop()


class Bar:
    """One bar over several fits, with the time left; where stderr is no terminal, a line per stage."""

    def __init__(self, total: int) -> None:
        self.plain = not sys.stderr.isatty()
        shape = "{desc:24}{bar} {percentage:3.0f} %  {remaining} left"
        self.bar = bar(what="", unit="epoch", show=not self.plain, total=total, bar_format=shape)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, what: str) -> None:
        """Name the stage."""
        if self.plain:
            print(f"demo: {what}", file=sys.stderr, flush=True)
        else:
            self.bar.set_description_str(what)

    def every(self, epochs: int) -> Steps:
        """A callback for `deepgen.fit` that moves the bar on once in so many epochs."""
        return Steps(self.bar, epochs)


class Steps:
    """A callback that moves a bar on once in so many ``epochs``, those of a run that is taken up again included."""

    def __init__(self, shown: Any, epochs: int) -> None:
        self.shown, self.epochs, self.done = shown, epochs, 0

    def __call__(self, record: Any, model: Any) -> None:
        self.to(record.epoch)

    def to(self, epoch: int) -> None:
        """The bar as it stands after ``epoch``."""
        self.shown.update(epoch // self.epochs - self.done)
        self.done = epoch // self.epochs


class Shares:
    """A function for the ``progress=`` of `deepgen.words.train_embeddings`: a line every ten seconds, as `Lines`."""

    def __init__(self, every: float = 10.0) -> None:
        self.every, self.shown = every, 0.0
        self.begun: tuple[float, float] | None = None

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if self.begun is None:
            self.begun = now, share
        seconds = now - self.begun[0]
        if seconds - self.shown < self.every or share == self.begun[1]:  # at 1 it stays, where more came than expected
            return
        self.shown = seconds
        left = seconds * (1 - share) / (share - self.begun[1])
        print(f"{share:.0%} of the tokens, {seconds:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True)


class Lines:
    """A callback for `deepgen.fit`: a line every ten seconds and at the end, what a log file can hold of a bar."""

    def __init__(self, epochs: int, every: float = 10.0) -> None:
        self.epochs, self.every, self.shown = epochs, every, 0.0

    def __call__(self, record: Any, model: Any) -> None:
        if record.seconds - self.shown < self.every and record.epoch != self.epochs:
            return
        self.shown = record.seconds
        from deepgen.cli.pages import figures

        text = ", ".join(f"{name} {value:.4g}" + (f" {unit}" if unit else "") for name, value, unit in
                         figures(record, type(model)))  # fmt: skip
        print(f"epoch {record.epoch}/{self.epochs}, {record.seconds:.0f} s: {text}", file=sys.stderr)
