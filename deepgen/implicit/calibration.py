"""Is D(x) the log ratio of data to draws? A line through the logits, and tests of it on rows that trained neither.

    log p_data(x) / p_G(x) = slope D(x) + shift

by logistic regression of "real" on D over held-out rows and as many draws (Platt 1999, with its smoothed targets). On
other such rows, y = 1 for a real one and p = sigmoid(slope D + shift), two tests say whether p are probabilities:

    r_b = sum over the rows of bin b of y - p,     S = covariance of r
    z = sum_b r_b / sqrt(sum_bc S_bc) ~ N(0, 1)    as a whole (Turner et al. 2019, section 3.3)
    Q = r' S^-1 r ~ chi-square(rank of S)          over the range of p (after Hosmer & Lemeshow 1980)

Both sources take y as coins, with variance sum p (1 - p). Here there are as many real rows as draws, by design, so that
the true variance is less: S is that of n independent real rows and n independent draws, from the rows themselves. (With
the coins' variance z would be far too small, and hardly anything would fail.) And the line has an error of its own, as
large as that of the rows that test it: with J = dr / d(slope, shift) and V the covariance of the line, J V J' is a part
of S. (Without it z has nearly twice the variance, and one good discriminator in eight fails at 5 %.)

A trained discriminator that was held back by penalties, or trained by least squares or Wasserstein's loss, gives no log
ratio by itself; the line mends scale and shift, and Q tells when a line is not enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ShapeError, SupportError, check_count
from deepgen.implicit.gan import judging
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest

_LEAST = 100  # rows
_ROWS = 1000  # through the networks at a time


class Bin(NamedTuple):
    """Mean of p over the rows of a bin, the share of real ones seen, the error of their difference, how many rows."""

    expected: float
    seen: float
    stderr: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found.

    Attributes:
        slope, shift: of the line; 1 and 0 for a discriminator that is a log ratio already.
        z, p: of the test as a whole, two-sided.
        z_raw: z of the logits as they are.
        q, p_bins: of the test over bins.
        bins: the reliability table; rows with one logit are in one bin.
        n: rows in the tests, half of them real.

    >>> line = Calibration(2.0, -1.0)
    >>> line.log_ratio(torch.tensor([0.5, 1.0]))
    tensor([0., 1.])
    """

    slope: float = 1.0
    shift: float = 0.0
    z: float = 0.0
    p: float = 1.0
    z_raw: float = 0.0
    q: float = 0.0
    p_bins: float = 1.0
    bins: tuple[Bin, ...] = ()
    n: int = 0

    def log_ratio(self, logit: Tensor) -> Tensor:
        """log p_data / p_G in nats, from logits of the same shape."""
        return self.slope * logit + self.shift

    def __str__(self) -> str:
        lines = [
            f"log ratio = {self.slope:.3g} D {'-' if self.shift < 0 else '+'} {abs(self.shift):.3g}; on {self.n} rows "
            f"z = {self.z:.2f} (p = {self.p:.2g}; {self.z_raw:.2f} uncalibrated), over {len(self.bins)} bins "
            f"Q = {self.q:.1f} (p = {self.p_bins:.2g})",
            "expected   seen   stderr   rows",
            *(f"{b.expected:8.3f} {b.seen:6.3f} {b.stderr:8.3f} {b.n:6d}" for b in self.bins),
        ]
        return "\n".join(lines)


@answered_at_rest
def calibrate(
    model: Any, real: Tensor, *, bins: int = 10, generator: torch.Generator | int | None = None
) -> Calibration:
    """The line from the discriminator's logits to log ratios, and its tests, on data held out of training.

    Args:
        model: a trained `GAN`, or ``gan(context)`` with rows of that context, which is asked at rest.
        real: held-out rows ``[n, *event]``. A random half fits the line, the other tests it, each beside as many draws.
        bins: of the reliability table, with as many rows in each.
        generator: of the halves and the draws: a generator, a seed, or None for fresh entropy.

    Raises:
        MissingCapability, ArgumentError: ``model`` is no `GAN`, or one whose context is missing.
        ShapeError: no rows, fewer than 100, or rows of another shape.
        SupportError: rows or logits that are NaN or infinite.

    >>> import deepgen as dg
    >>> G, D = dg.implicit.Dense(2, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1)
    >>> gan = dg.implicit.GAN(G, D, latent=2)
    >>> calibrate(gan, gan.sample(1000, generator=0), generator=1).p > 1e-4  # nothing to tell apart
    True
    """
    check_count(1, 50, bins=bins)
    judging(model)
    if not isinstance(real, Tensor) or len(real) < _LEAST:
        got = len(real) if isinstance(real, Tensor) else type(real).__name__
        raise ShapeError(f"a calibration needs a tensor of at least {_LEAST} held-out rows, got {got}")
    if not bool(real.isfinite().all()):
        raise SupportError("real holds NaN or infinite values: drop those rows or replace them")
    law = model.prior()
    stream = resolve(generator, real.device)
    real = real[torch.randperm(len(real), generator=stream, device=stream.device).to(real.device)]
    latents = draw(law, (len(real),), generator=stream)
    on_real = finite_logits(torch.cat([model.logit(x) for x in real.split(_ROWS)])).double()
    on_fake = finite_logits(torch.cat([model.logit(model.generate(part)) for part in latents.split(_ROWS)])).double()
    fit, test = ([x[start::2] for x in (on_real, on_fake)] for start in (0, 1))
    slope, shift, spread = _line(*fit)
    score = torch.cat(test)
    y = torch.cat([torch.ones_like(test[0]), torch.zeros_like(test[1])])
    table, z, q, degrees = _reliability(y, slope * score + shift, bins, (score, spread))
    z_raw = _reliability(y, score, 1)[1]
    p_bins = float(torch.special.gammaincc(torch.tensor(degrees / 2), torch.tensor(q / 2))) if degrees else 1.0
    return Calibration(slope, shift, z, math.erfc(abs(z) / math.sqrt(2)), z_raw, q, p_bins, table, len(y))


def finite_logits(logits: Tensor) -> Tensor:
    """The logits, or `SupportError`: a network that has left the numbers judges nothing."""
    if not bool(logits.isfinite().all()):
        raise SupportError("the discriminator gives NaN or infinite logits: training diverged")
    return logits


def _line(real: Tensor, fake: Tensor) -> tuple[float, float, Tensor]:
    """Slope, shift and their covariance ``[2, 2]``, for n independent real rows and n independent draws.

    Logistic regression by Newton steps in the scale of the logits, towards Platt's targets (n + 1) / (n + 2). The
    covariance is the sandwich of the curvature and of what the rows of each kind vary around their mean.
    """
    score = torch.cat([real, fake])
    centre, scale = score.mean(), score.std().clamp_min(1e-12)
    high = (len(real) + 1) / (len(real) + 2)
    y = torch.cat([torch.full_like(real, high), torch.full_like(fake, 1 - high)])
    rows = torch.stack([(score - centre) / scale, torch.ones_like(score)], 1)
    w = torch.zeros(2, dtype=rows.dtype, device=rows.device)
    for _ in range(50):
        p = torch.sigmoid(rows @ w)
        curvature = rows.t() @ ((p * (1 - p)).unsqueeze(1) * rows) + 1e-9 * torch.eye(2).to(rows)
        move = torch.linalg.solve(curvature, rows.t() @ (y - p))
        w = w + move * (2 / move.norm()).clamp_max(1.0)  # far steps overshoot where classes are apart
    off = (y - torch.sigmoid(rows @ w)).unsqueeze(1) * rows
    meat = sum((len(part) * torch.cov(part.t()) for part in off.split(len(real))), torch.zeros_like(curvature))
    back = torch.stack([torch.stack([1 / scale, 0 * scale]), torch.stack([-centre / scale, 1 + 0 * scale])])
    half = back @ torch.linalg.inv(curvature)
    slope, shift = (back @ w).tolist()
    return slope, shift, half @ meat @ half.t()


def _reliability(
    y: Tensor, log_ratio: Tensor, bins: int, line: tuple[Tensor, Tensor] | None = None
) -> tuple[tuple[Bin, ...], float, float, int]:
    """The table, z, Q and its degrees of freedom; ``line``: the logits, and the covariance of their slope and shift."""
    score = torch.zeros_like(log_ratio) if line is None else line[0]
    order = log_ratio.argsort()
    log_ratio, y, score = log_ratio[order], y[order], score[order]
    p = torch.sigmoid(log_ratio)
    first = torch.searchsorted(log_ratio, log_ratio)  # ties go together: which of them comes first says nothing
    place = (first * bins // len(y)).unique(return_inverse=True)[1]
    bins = int(place.max()) + 1
    weights = torch.zeros(len(y), bins, dtype=p.dtype, device=y.device).scatter_(1, place.unsqueeze(1), 1.0)
    off = weights * (y - p).unsqueeze(1)  # [rows, bins]
    r, parts = off.sum(0), [off[y == value] for value in (0, 1)]
    s = sum((len(part) * torch.cov(part.t()).view(bins, bins) for part in parts), torch.zeros_like(r))
    if line is not None:
        slopes = weights.t() @ ((p * (1 - p)).unsqueeze(1) * torch.stack([score, torch.ones_like(score)], 1))
        s = s + slopes @ line[1] @ slopes.t()
    z = float(r.sum() / s.sum().clamp_min(1e-12).sqrt())
    degrees = int(torch.linalg.matrix_rank(s, hermitian=True))
    q = float(r @ torch.linalg.pinv(s, hermitian=True) @ r)
    table = []
    for b in range(bins):
        mine = place == b
        n, each = int(mine.sum()), p[mine]
        table.append(Bin(float(each.mean()), float(y[mine].mean()), float(s[b, b].sqrt()) / n, n))
    return tuple(table), z, q, degrees
