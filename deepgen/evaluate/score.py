"""What is said of two samples: a figure, its standard error, and how many rows of each kind stand behind it.

A figure of sample quality is an estimate from two finite samples, so its error comes from both, and it means little
without their numbers and the feature map. `Score` keeps these together. It is no `Estimate`, which is a likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.evaluate.error_bars import plus_minus
from deepgen.evaluate.estimate import LEVEL, Side, _strict
from deepgen.evaluate.student import t_quantile
from deepgen.random import generator

BLOCKS = 10  # of rows that the jackknife leaves out in turn, on each side


@dataclass(frozen=True)
class Score:
    """A figure of two samples.

    Attributes:
        name: what it is, in words.
        value: the figure; ``unit``-less, or squared units of the features for distances.
        stderr: standard error over both samples, rows taken as independent; NaN when it was not asked for. Where it
            is a jackknife's it errs upwards (Efron & Stein 1981).
        n_real, n_fake: the rows behind it.
        side: where ``value`` lies, in expectation, with respect to the same figure of the two laws.
        p_value: of the hypothesis that both samples have one law; NaN where the figure has no test.
        replicates: what ``stderr`` was made of, where that is few; 0 for many. The interval widens by it.
        floor: the mean of the same figure between parts of the real rows, by `sample_quality`, or its expectation
            where that is known: of equal laws, or of exact draws; NaN for none.
        floor_spread: the standard deviation of a single such figure.
        features: the name of the feature map; empty when the caller gave features.
        note: what else must be known, in words.

    >>> score = Score("kernel distance", 0.031, 0.004, n_real=500, n_fake=1000, side="unbiased")
    >>> print(score)
    kernel distance 0.0310 ± 0.0040 (500 real, 1,000 fake)
    >>> [round(end, 4) for end in score.interval()]
    [0.0232, 0.0388]
    """

    name: str
    value: float
    stderr: float
    n_real: int
    n_fake: int
    side: Side = "undetermined"
    p_value: float = math.nan
    replicates: int = 0
    floor: float = math.nan
    floor_spread: float = math.nan
    features: str = ""
    note: str = ""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return ``value -/+ t * stderr`` (Student's t); the whole line where the error is unknown."""
        if math.isnan(self.stderr):
            return -math.inf, math.inf
        reach = self.stderr * t_quantile(level, self.replicates)
        return self.value - reach, self.value + reach

    def to_dict(self) -> dict[str, Any]:
        """Return values that strict JSON can hold: NaN becomes None, an infinity the string ``inf`` or ``-inf``."""
        return {name: _strict(getattr(self, name)) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        p = "" if math.isnan(self.p_value) else f", p = {self.p_value:.2g}"
        space = f"; {self.features}" if self.features else ""
        return (
            f"{self.name} {plus_minus(self.value, self.stderr)}{p} ({self.n_real:,} real, {self.n_fake:,} fake{space})"
        )


def feature_rows(*, least: int = 2, **samples: Tensor) -> list[Tensor]:
    """Return the feature matrices ``[n, d]`` in float64, or raise.

    Args:
        least: how many rows each must have.
        samples: the matrices by the name that an error should call them.

    Raises:
        ShapeError: no tensor, not two axes, no rows or columns, or widths that differ.
        SupportError: NaN or infinite entries.
        ArgumentError: fewer than ``least`` rows, or matrices on different devices.

    >>> feature_rows(real=torch.zeros(3, 2), fake=torch.zeros(3, 4))
    Traceback (most recent call last):
    deepgen.errors.ShapeError: real and fake must have the same number of features, got 2 and 4
    """
    for name, x in samples.items():
        if not isinstance(x, Tensor):
            raise ShapeError(f"{name} must be a tensor, got {type(x).__name__}; torch.as_tensor(x) makes one")
        if x.dim() != 2:
            raise ShapeError(f"{name} must be features [n, d], got {list(x.shape)}; flatten(1) makes rows of pixels")
        if 0 in x.shape:
            raise ShapeError(f"{name} is empty: {list(x.shape)}")
    first = next(iter(samples))
    for name, x in samples.items():
        width = samples[first].shape[1]
        if x.shape[1] != width:
            raise ShapeError(f"{first} and {name} must have the same number of features, got {width} and {x.shape[1]}")
        if x.device != samples[first].device:
            raise ArgumentError(f"{first} is on {samples[first].device} and {name} on {x.device}: move one by .to()")
    for name, x in samples.items():
        if x.is_complex():
            raise SupportError(f"{name} must be real numbers, got {x.dtype}")
        if not bool(x.isfinite().all()):
            rows = int((~x.isfinite()).any(1).sum())
            raise SupportError(f"{name} holds NaN or infinite features, in {rows:,} of {len(x):,} rows")
        if len(x) < least:
            raise ArgumentError(f"{name} needs at least {least:,} rows for this figure, got {len(x):,}")
    return [x.detach().double() for x in samples.values()]


def jackknife(*replicates: Tensor) -> float:
    """The delete-a-block jackknife's standard error of a figure of independent samples.

    ``sqrt(sum over samples of (B - 1)/B sum_b (t_b - mean t)^2)``, ``t_b`` the figure without block b (Quenouille 1956;
    Tukey 1958). Its square is above the variance in expectation (Efron & Stein 1981), up to twice as large for figures
    that are quadratic around equal laws.
    """
    return math.sqrt(sum(float((len(t) - 1) * t.var(correction=0)) for t in replicates))


def blocks_of(x: Tensor, blocks: int = BLOCKS) -> Tensor:
    """The block of each row, ``[n]``: of equal size, by a fixed shuffle.

    In order, rows sorted by class would part into blocks of one class each; in turn, rows whose labels go round
    (``torch.arange(n) % 10``, as one draws from a conditional model) would.
    """
    return (torch.randperm(len(x), generator=generator(0)) % blocks).to(x.device)
