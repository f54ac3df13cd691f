"""How far a comparison is: a bar on a terminal, a line for each stage elsewhere, both with an estimate of what is left.

What training takes is known, the budget's share; what judging takes is guessed until some models are judged.
"""

from __future__ import annotations

import sys
import time

from deepgen.progress import bar

GUESS = 0.3  # of a model's time for training: its judging


class Told:
    """Progress of ``models`` models of ``share`` seconds of training each.

    >>> told = Told(["rbm", "vae"], 60.0, show=False)
    >>> told.left() == 2 * 60 * (1 + GUESS)
    True
    """

    def __init__(self, models: list[str], share: float, *, show: bool) -> None:
        self.models, self.share, self.show = models, share, show
        self.plain = not sys.stderr.isatty()
        shape = "{desc} {bar} {percentage:3.0f} %"
        self.bar = bar(what="compare", unit="", show=show and not self.plain, total=100, bar_format=shape)
        self.done, self.trained = 0, 0.0  # models done, and the share of the training of the one at hand
        self.judging: list[float] = []
        self._begun = self._shown = self._since = time.monotonic()
        self._what = ""

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def left(self) -> float:
        """Seconds, about."""
        judging = sum(self.judging) / len(self.judging) if self.judging else GUESS * self.share
        ahead = len(self.models) - self.done
        return max(0.0, (ahead - self.trained) * self.share + ahead * judging)

    def stage(self, name: str, what: str) -> None:
        """Begin a stage of the model ``name``."""
        self._what = f"{name} ({self.done + 1} of {len(self.models)}), {what}"
        if what == "judging":
            self.trained, self._since = 1.0, time.monotonic()
        if self.show and self.plain:
            print(f"compare: {self._what}; {_about(self.left())} left in all", file=sys.stderr, flush=True)
        self._draw()

    def tick(self, share: float) -> None:
        """Training of the model at hand has used up ``share`` of its time."""
        self.trained = share
        if time.monotonic() - self._shown > 0.2:
            self._draw()

    def over(self, *, kept: bool = False) -> None:
        """The model at hand is done, or was done before (``kept``)."""
        if not kept and self.trained == 1.0:
            self.judging.append(time.monotonic() - self._since)
        self.done, self.trained = self.done + 1, 0.0

    def _draw(self) -> None:
        self._shown = time.monotonic()
        if self.plain or not self.show:
            return
        spent, left = self._shown - self._begun, self.left()
        self.bar.n = int(100 * spent / max(spent + left, 1e-9))
        self.bar.set_description_str(f"{self._what}; {_about(left)} left")


def _about(seconds: float) -> str:
    """A time in the unit that it deserves.

    >>> _about(8.0), _about(100.0), _about(5000.0)
    ('about 10 s', 'about 2 min', 'about 1.4 h')
    """
    if seconds < 60:
        return f"about {5 * max(1, round(seconds / 5))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 3600 else f"about {seconds / 3600:.1f} h"
