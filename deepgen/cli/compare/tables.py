"""The table of a comparison, for a terminal and in Markdown, and what it shows in a sentence.

Values stand in groups by their side, and compare only within one; the sentence below says what follows across them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepgen.cli.compare.judged import GROUPS, Judged, leaders
from deepgen.cli.describe import counted
from deepgen.evaluate import Bracket, Estimate, Score, plus_minus
from deepgen.evaluate.estimate import LEVEL

QUALITY = {
    "frechet": "Fréchet",
    "precision": "precision",
    "recall": "recall",
    "modes": "modes",
    "mode_kl": "KL of modes",
    "classifier": "told apart",
}
HEAD = ("model", "test log-likelihood", "± Monte Carlo", "± test rows", "to the best of its side", "side", "method")
TRAINED = ("training", "seconds", "updates", "passes over the rows", "updates to the state kept")
MODES = (
    "; modes: kinds of rows, as a classifier sees them, that draws reach, of those in the held-out rows; KL of modes: "
    "of their shares in the draws from those in the rows, nats, low is better, its floor that of as many exact draws"
)
FLOOR = "real rows among themselves"


def table(judged: Sequence[Judged], *, markdown: bool = False) -> str:
    """Likelihoods, one line per estimate, of two-sided ones the interval, group by group; then draws, then training.

    >>> print(table([Judged("a", "A", [Estimate(-2.0, 0.0, "exact", "sum")], seconds=3.0), Judged("b", "B")]))
    model  test log-likelihood  ± Monte Carlo  ± test rows  to the best of its side  side   method
    ----------------------------------------------------------------------------------------------
    [exact]
    A      -2.00                0                                                    exact  sum
    [no likelihood]
    B
    ----------------------------------------------------------------------------------------------
    training  seconds  updates  passes over the rows  updates to the state kept
    ---------------------------------------------------------------------------
    A         3.0      0        0                     0
    ---------------------------------------------------------------------------
    """
    lines: list[tuple[str, ...]] = []
    group, best = None, {one.difference.to for one in judged if one.difference is not None}
    for one in judged:
        if one.group != group:
            group = one.group
            lines.append((f"**{GROUPS[group]}**" if markdown else f"[{GROUPS[group]}]",))
        lines += _lines(one, best=one.title in best)
    having = [
        (f"{one.title} (collapsed)" if one.collapsed else one.title, one.quality)
        for one in judged
        if one.quality is not None
    ]
    keys = [key for key in QUALITY if any(key in quality.scores for _, quality in having)]
    drawn = [(title, *(_score(key, quality.scores.get(key)) for key in keys)) for title, quality in having]
    if having:
        floors = having[0][1].scores
        drawn.append((f"*{FLOOR}*" if markdown else FLOOR, *(_score(key, floors.get(key), floor=True) for key in keys)))
    draws = ("samples", *(QUALITY[key] for key in keys))
    done = [_training(one) for one in judged if one.seconds is not None]
    parts = [(HEAD, lines), *([(draws, drawn)] if drawn else []), *([(TRAINED, done)] if done else [])]
    if markdown:
        return "\n\n".join(_markdown(head, body) for head, body in parts)
    return "\n".join(_aligned(head, body) for head, body in parts)


def _aligned(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[c]) for line in (head, *lines) if len(line) > 1) for c in range(len(head))]
    texts = [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=False)).rstrip() for line in (head, *lines)
    ]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    return "\n".join([texts[0], rule, *texts[1:], rule])


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    full = [[*line, *[""] * (len(head) - len(line))] for line in (head, *lines)]
    marked = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in full]
    return "\n".join([marked[0], "|" + "---|" * len(head), *marked[1:]])


def key(judged: Sequence[Judged]) -> str:
    """What the numbers of the table mean."""
    text = (
        f"nats per example, higher is better; [intervals] at {100 * LEVEL:.0f} %\n"
        "± is one standard error: Monte Carlo, of the estimate on these very rows (0 where nothing is drawn; more "
        "computing narrows it); test rows, how far as many other rows would move it (only more rows narrow it); to the "
        "best, a paired difference on the same rows, ± over rows and Monte Carlo of both, of [intervals] that of the "
        "lower ends; of samples, over draws and rows; of real rows among themselves, the standard deviation of such a "
        "figure"
    )
    first = next((one.quality for one in judged if one.quality is not None), None)
    if first is None:
        return text
    told = "share of rows that a classifier tells from real ones, 0.5 at best"
    return (
        f"{text}\nsamples: {first.n_fake:,} draws against {first.n_real:,} held-out rows, features: {first.features}; "
        f"Fréchet distance, low is better; told apart: {told}{MODES if 'modes' in first.scores else ''}"
    )


def remarks(judged: Sequence[Judged]) -> list[str]:
    """A line for each note, by model; first of those that have collapsed."""
    first = [f"{one.title} has {one.collapsed}" for one in judged if one.collapsed]
    notes = [f"{one.title}: {note}" for one in judged for note in (*([one.failed] if one.failed else []), *one.notes)]
    return [*first, *notes]


def verdict(judged: Sequence[Judged]) -> str:
    """Which model has the largest likelihood of these rows, as far as the sides let it be known.

    >>> exact = [Judged(n, n, [Estimate(v, 0.0, "exact", "sum")]) for n, v in (("a", -2.0), ("b", -1.0))]
    >>> verdict(exact)
    'b has the largest log-likelihood of these rows'
    >>> verdict([*exact, Judged("c", "c", [Estimate(-3.0, 0.1, "below", "bound", n=9)])])
    'b has at least -1.00 nats/example; that c lies above is not excluded'
    """
    known = [one.title for one in judged if one.comparable]
    if len(known) == 1:
        return f"{known[0]} is the only model with a log-likelihood of these rows"
    sure, if_mixed = (_verdict(judged, mixed=mixed) for mixed in (False, True))
    if sure == if_mixed:
        return sure
    behind = _listed([one.title for one in judged if one.tentative])
    return f"{sure}; if the chains behind the undetermined ends of {behind} have mixed, {if_mixed}"


def _verdict(judged: Sequence[Judged], *, mixed: bool) -> str:
    first, surest = leaders(judged, mixed=mixed)
    if surest is None:
        return "no log-likelihood is known from below" if first else "no log-likelihood to compare"
    others = [one.title for one in first if one is not surest]
    if not others:
        return f"{surest.title} has the largest log-likelihood of these rows"
    floor = surest.range(mixed=mixed)[0]
    lie = "lies" if len(others) == 1 else "lie"
    return f"{surest.title} has at least {floor:.2f} nats/example; that {_listed(others)} {lie} above is not excluded"


def cells(estimate: Estimate | Bracket) -> tuple[str, str, str, str]:
    """Value, standard error, side and method of one line."""
    if isinstance(estimate, Estimate):
        value, _, error = plus_minus(estimate.value, estimate.stderr).partition(" ± ")
        return value, error, estimate.side, estimate.method
    both = (estimate.below, estimate.above)
    ends = [plus_minus(end, one.stderr).split(" ± ") for end, one in zip(estimate.interval(), both, strict=True)]
    sides = "crossed: failed" if estimate.crossed else ", ".join(one.side for one in both)
    first, last = (one.method.partition(" from ")[0] for one in both)  # the page has them in full
    shared, bound, _ = first.rpartition("; log Z: ")
    methods = f"{first}, {last.removeprefix(shared + bound)}"
    return f"[{ends[0][0]}, {ends[1][0]}]", f"{ends[0][1]}, {ends[1][1]}", sides, methods


def _lines(one: Judged, *, best: bool) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for number, estimate in enumerate(one.likelihood):
        value, error, side, method = cells(estimate)
        known = estimate.below if isinstance(estimate, Bracket) else estimate
        rows = plus_minus(known.value, known.stderr_data).partition(" ± ")[2].replace("?", "")
        first = ("", "") if number else (one.title, _apart(one, best))
        lines.append((first[0], value, error, rows, first[1], side, method))
    return lines or [(one.title, *[""] * (len(HEAD) - 1))]


def _apart(one: Judged, best: bool) -> str:
    if one.difference is None:
        return "best" if best else ""
    return plus_minus(one.difference.value, one.difference.stderr, signed=True)


def _training(one: Judged) -> tuple[str, ...]:
    seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
    return one.title, seconds, f"{one.updates:,}", counted(one.passes), f"{one.kept:,}"


def _score(key: str, score: Score | None, *, floor: bool = False) -> str:
    if score is None:
        return ""
    if key == "modes" and not floor:
        return f"{score.value:.0f} {score.note.partition(' in ')[0]}"  # of so many
    value, error = (score.floor, score.floor_spread) if floor else (score.value, score.stderr)
    return "" if math.isnan(value) else plus_minus(value, error)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
