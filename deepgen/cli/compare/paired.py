"""Differences of log-likelihoods on the same rows: models of one side against the best of that side.

    d = mean_i (l_i - b_i),   stderr^2 = var_i (l_i - b_i) / rows + (Monte-Carlo errors of both)^2

Rows that are hard are hard for both models, so that d has a smaller error than either mean. Of two-sided estimates l
and b are the lower ends. Where each row has Monte-Carlo noise of its own the rows' spread has it already, and the error
errs upwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepgen.cli.compare.asked import folder
from deepgen.cli.compare.judged import Difference, Judged
from deepgen.data.files import replacing
from deepgen.data.packed import read_npy, write_npy
from deepgen.evaluate import Bracket, Estimate
from deepgen.evaluate.error_bars import plus_minus

EACH = "log_likelihood.npy"  # of each held-out row, in nats, beside a model's run


def end(one: Judged) -> Estimate:
    """The estimate that stands for it: of a bracket the lower end, by which the table is in order."""
    first = one.likelihood[0]
    return first.below if isinstance(first, Bracket) else first


def store(where: Path, one: Judged) -> None:
    """Keep the log-likelihood of each row; where the estimate has none, nothing."""
    each = end(one).each if one.likelihood else None
    if each is not None:
        with replacing(where / EACH) as file:
            write_npy(file, each.detach().cpu().double().numpy())


def paired(directory: Path, ranked: Sequence[Judged]) -> list[Judged]:
    """``ranked`` with the difference of each model from the first of its group, by the rows kept in ``directory``."""
    best: dict[str, Judged] = {}
    found = []
    for one in ranked:
        first = best.setdefault(one.group, one)
        paths = [directory / folder(each.model) / EACH for each in (one, first)]
        known = bool(one.likelihood) and one is not first and all(path.exists() for path in paths)
        found.append(replace(one, difference=_difference(one, first, paths) if known else None))
    return found


def _difference(one: Judged, first: Judged, paths: Sequence[Path]) -> Difference | None:
    mine, theirs = (read_npy(path) for path in paths)
    if mine.ndim != 1 or mine.shape != theirs.shape or len(mine) < 2:
        return None
    apart = mine - theirs
    error = math.hypot(float(apart.std(ddof=1)) / math.sqrt(len(apart)), end(one).stderr, end(first).stderr)
    return Difference(first.title, float(apart.mean()), error)


def in_words(one: Judged) -> str:
    """Such as ``-1.20 ± 0.11 nats/example from MADE 64-500 on the same rows``; empty without a difference.

    >>> in_words(Judged("vae", "VAE", difference=Difference("IWAE", -1.2, 0.11)))
    '-1.20 ± 0.11 nats/example from IWAE on the same rows'
    """
    apart = one.difference
    if apart is None:
        return ""
    return f"{plus_minus(apart.value, apart.stderr, signed=True)} nats/example from {apart.to} on the same rows"
