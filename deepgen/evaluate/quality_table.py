"""How a `Quality` is printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepgen.evaluate.error_bars import plus_minus
from deepgen.evaluate.score import Score

if TYPE_CHECKING:
    from deepgen.evaluate.quality import Quality

_BETTER = {"precision": "high", "recall": "high", "density": "1", "coverage": "high", "modes": "high"}
_BETTER |= {"classifier": "0.5", "memorisation": "0.5"}
_HEAD = ("figure", "value", "floor (real against real)", "better", "p", "rows real/fake", "note")


def table(quality: Quality, *, markdown: bool = False) -> str:
    """One line a figure: value ± standard error, floor ± deviation of a single one, which way is better, p-value."""
    rows = [_HEAD, *(_row(key, score) for key, score in quality.scores.items())]
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(_HEAD))
    else:
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
        lines = ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    of = f" of {quality.data}" if quality.data else ""
    head = f"{quality.n_fake:,} fake rows against {quality.n_real:,} real ones{of}"
    floors = f"floors from {quality.splits} divisions of the real rows" if quality.splits else "no floors of real rows"
    about = f"{head}; features: {quality.features} ({quality.width}); {floors}"
    told = [quality.copies] if quality.copies else []
    return "\n".join([about, *([""] if markdown else []), *lines, *([""] if markdown and told else []), *told])


def _row(key: str, score: Score) -> tuple[str, ...]:
    written = _counted if key == "modes" else plus_minus
    value = written(score.value, score.stderr)
    floor = "" if math.isnan(score.floor) else written(score.floor, score.floor_spread)
    p = "" if math.isnan(score.p_value) else f"{score.p_value:.2g}"
    sizes = f"{score.n_real:,}/{score.n_fake:,}"
    return score.name, value, floor, _BETTER.get(key, "low"), p, sizes, score.note


def _counted(count: float, error: float) -> str:
    """A whole number, or a mean of some, whose error is next to nothing where all kinds are frequent."""
    if not math.isfinite(count):
        return plus_minus(count, error)
    whole = f"{count:.0f}" if count == round(count) else f"{count:.2f}"
    return f"{whole} ± {f'{error:.2f}' if error >= 0.005 else '0' if error == 0 else '<0.01'}"
