"""One progress bar over several fits."""

from __future__ import annotations

import sys
from typing import Any


class Bar:
    """A bar on stderr with the time left; where stderr is no terminal, a line per stage."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self.plain = not sys.stderr.isatty()
        shape = "{desc:24}{bar} {percentage:3.0f} %  {remaining} left"
        self.bar = tqdm(total=total, disable=self.plain, bar_format=shape)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, what: str) -> None:
        """Name the stage."""
        self.bar.set_description_str(what)
        if self.plain:
            print(f"demo: {what}", file=sys.stderr, flush=True)

    def every(self, epochs: int) -> Any:
        """A callback for `deepgen.fit` that moves the bar on once in so many epochs."""

        def advance(record: Any, model: Any) -> None:
            if record.epoch % epochs == 0:
                self.bar.update(1)

        return advance
