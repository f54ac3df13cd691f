"""The figures behind `sample_quality`, and their floors: the same between two parts of the real rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import torch
from torch import Tensor

from deepgen.evaluate.classifier_test import classifier_test
from deepgen.evaluate.error_bars import plus_minus
from deepgen.evaluate.frechet import frechet_both
from deepgen.evaluate.kernel_distance import kernel_distance
from deepgen.evaluate.mmd import mmd_test
from deepgen.evaluate.modes import exact_floor, plug_in_kl
from deepgen.evaluate.score import Score
from deepgen.evaluate.supports import support_overlap

_OVERLAP = ("precision", "recall", "density", "coverage")
# Quadratic forms around equal laws: mean and deviation go as 1/n_real + 1/n_fake
_QUADRATIC = ("frechet", "frechet_infinity", "kernel", "mmd", "mode_kl")


def figures(
    x: Tensor,
    y: Tensor,
    *,
    metrics: Sequence[str],
    k: int,
    stream: torch.Generator,
    kinds: tuple[Tensor, Tensor] | None,
    permutations: int = 1,
    errors: bool = True,
) -> dict[str, Score]:
    """The figures asked for, of features ``[n, d]`` and (``kinds``) the modes ``[n]`` of both samples."""
    found: dict[str, Score] = {}
    if "frechet" in metrics:
        found["frechet"], found["frechet_infinity"] = frechet_both(real=x, fake=y)
    if "kernel" in metrics:
        found["kernel"] = kernel_distance(real=x, fake=y)
    if "overlap" in metrics:
        found.update(zip(_OVERLAP, support_overlap(real=x, fake=y, k=k, errors=errors), strict=True))
    if "mmd" in metrics:
        found["mmd"] = mmd_test(real=x, fake=y, permutations=permutations, generator=stream)
    if "classifier" in metrics:
        found["classifier"] = classifier_test(real=x, fake=y, generator=stream)
    if kinds is not None:
        found.update(modes(*kinds, stream=stream if errors else None))
    return found


def modes(real: Tensor, fake: Tensor, *, stream: torch.Generator | None = None) -> dict[str, Score]:
    """Modes of the reals that the fakes reach, and the KL of the fakes' shares from the reals'.

    The floor of the second is that of as many exact draws of the reals' shares (with ``stream``, which simulates its
    spread): it takes these as known. They come of n rows, so that of a perfect generator is 1 + m / n times as high to
    first order, as it is between two parts of the reals.

    The error of the first is that of the fakes, (1 - p)^m the chance that m of them miss a mode of share p. It errs
    upwards, as modes do not come independently, and downwards, as a mode that was missed counts as one that always is:
    to 0.79 of the true error where the only mode in doubt has 1.4 rows on average.
    """
    n, m = len(real), len(fake)
    place = torch.unique(torch.cat([real, fake]), return_inverse=True)[1]
    size = int(place.max()) + 1
    theirs, ours = (torch.bincount(kinds, minlength=size).double() for kinds in (place[:n], place[n:]))
    known = theirs > 0
    seen = float((known & (ours > 0)).sum())
    p = ours / m
    missed = (1 - p[known]) ** m
    theirs = theirs + 0.5  # half a row more, so that no mode is impossible
    q = theirs / theirs.sum()
    kl = float(plug_in_kl(ours, q))
    ratio = torch.where(p > 0, (p / q).log(), 0.0)
    variance = float((p * (ratio - kl).square()).sum()) / m
    variance += float((q * (p / q - 1).square()).sum()) / n
    note, about = f"of {int(known.sum()):,} in the real rows", "nats"
    floor: tuple[float, float] = math.nan, math.nan
    if stream is not None:
        exact = exact_floor(m, q.cpu(), generator=stream)
        floor, about = (exact.mean, exact.spread), f"nats; floor: {m:,} exact draws of the reals' shares"
    return {
        "modes": Score("modes", seen, math.sqrt(float((missed * (1 - missed)).sum())), n, m, note=note),
        "mode_kl": Score(
            "KL of modes", kl, math.sqrt(variance), n, m, floor=floor[0], floor_spread=floor[1], note=about
        ),
    }


def divided(
    x: Tensor, kinds: Tensor | None, size: int, judge: Callable[..., dict[str, Score]], stream: torch.Generator
) -> dict[str, Score]:
    """The figures between ``size`` of the real rows, chosen at random, and the others."""
    order = torch.randperm(len(x), generator=stream, device=stream.device).cpu()
    first, second = order[:size], order[size:]
    both = None if kinds is None else (kinds[first], kinds[second])
    return judge(x[first.to(x.device)], x[second.to(x.device)], kinds=both, errors=False)


def floored(key: str, score: Score, halves: Sequence[Score]) -> Score:
    """``score`` beside mean and deviation of the same figure between real rows, at its own n where that is known.

    A floor that is known exactly stays, and the note tells of the real rows.
    """
    if not halves:
        return score
    values = [half.value for half in halves]
    scale = _spread(score) / _spread(halves[0]) if key in _QUADRATIC else 1.0
    floor, spread = scale * fmean(values), scale * stdev(values)
    if not math.isnan(score.floor):
        return replace(score, note=f"{score.note}; real against real {plus_minus(floor, spread)}")
    return replace(score, floor=floor, floor_spread=spread)


def _spread(score: Score) -> float:
    return 1 / score.n_real + 1 / score.n_fake
