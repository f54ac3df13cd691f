"""The section of a report on sample quality: one row a model, each figure beside what real rows score themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from deepgen.evaluate.score import Score
from deepgen.plot import page

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

# key: heading, what is better
_FIGURES = {
    "frechet": ("Fréchet distance", "low"),
    "kernel": ("Kernel distance", "low"),
    "precision": ("Precision", "high"),
    "recall": ("Recall", "high"),
    "coverage": ("Coverage", "high"),
    "modes": ("Modes", "high"),
    "mode_kl": ("KL of modes", "low, nats"),
    "classifier": ("Told apart", "0.5"),
    "memorisation": ("Nearer to training", "0.5"),
}


_MODES = (
    " Modes are the kinds of rows that a classifier sees; the KL is of their shares in the draws from those in the "
    "rows, and what stands for it in the last row is that of as many exact draws."
)


def quality(entries: Sequence[Entry]) -> str:
    """The section's markup; empty when no entry has been judged by its draws."""
    having = [(index, entry) for index, entry in enumerate(entries) if entry.quality is not None]
    if not having:
        return ""
    first = having[0][1].quality
    assert first is not None
    keys = [key for key in _FIGURES if any(e.quality is not None and key in e.quality.scores for _, e in having)]
    head = ["<th>Model</th>"]
    head += [f'<th class="num">{escape(_FIGURES[key][0])}<small>{_FIGURES[key][1]}</small></th>' for key in keys]
    rows = []
    for index, entry in having:
        assert entry.quality is not None
        chip = f'<i class="chip" style="background:{page.variable(index)}"></i>'
        mark = f"<small>{escape(entry.mark)}</small>" if entry.mark else ""
        cells = [_cell(key, entry.quality.scores.get(key)) for key in keys]
        rows.append(f'<tr><th scope="row"><span>{chip}{escape(entry.name)}{mark}</span></th>{"".join(cells)}</tr>\n')
    floors = [_cell(key, first.scores.get(key), floor=True) for key in keys]
    rows.append(
        f'<tr class="floor"><th scope="row"><span>Real rows among themselves</span></th>{"".join(floors)}</tr>\n'
    )
    lead = (
        f"<p>{first.n_fake:,} draws of each model against {first.n_real:,} held-out rows; features: "
        f"{escape(first.features)}. The last row is what real rows score against other real rows, the best that can be "
        "hoped for, give or take its error. Precision falls when draws look wrong, recall when kinds of rows are "
        "missing; told apart is the share of rows that a classifier assigns rightly to draws or to data; nearer to "
        "training is well above a half for draws that repeat training rows."
        f"{_MODES if 'modes' in keys else ''} ± is one standard error, and in the last row the standard deviation of "
        "a single such figure.</p>"
    )
    return lead + page.table(head, rows, "Sample quality of each model", "none")


def _cell(key: str, score: Score | None, *, floor: bool = False) -> str:
    label = f'data-label="{escape(_FIGURES[key][0])}"'
    if score is None:
        return f'<td class="num" {label}></td>'
    if key == "modes" and not floor:
        return f'<td class="num" {label}>{score.value:.0f}<small>{escape(score.note.partition(" in ")[0])}</small></td>'
    value, error = (score.floor, score.floor_spread) if floor else (score.value, score.stderr)
    if math.isnan(value):
        return f'<td class="num" {label}></td>'
    text, digits = page.with_error(value, error)
    return f'<td class="num" {label}><span>{text}<small>± {digits}</small></span></td>'
