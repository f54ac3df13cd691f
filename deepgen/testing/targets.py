"""Targets with a known answer, for tests and benchmarks of samplers: each a `Target` that also says what is true of it.

    ring, mog2, mog6, ring5      Song, Zhao & Ermon 2017, "A-NICE-MC: adversarial training for MCMC", as in their code:
                                 log f = -((r - 2) / 0.4)^2;  2 and 6 equal Gaussians of standard deviation 0.5 on a
                                 circle of radius 5;  log f = -min_k ((r - k) / 0.2)^2, k = 1..5;   r = |x|
    ill_conditioned, correlated,
    rough_well, unequal_mixture  Levy, Hoffman & Sohl-Dickstein 2018, "Generalizing HMC with neural networks"
    banana                       a bent, skewed Gaussian, after Haario, Saksman & Tamminen 1999

What has no closed form (the radius of a ring, a coordinate of the rough well) is one-dimensional; its mean, variance
and draws come from a table of 2**17 cells in float64, off by less than 1e-6 of its spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.random import normal, resolve, uniform
from deepgen.samplers.target import Target


@dataclass(frozen=True, kw_only=True)
class KnownTarget(Target):
    """A target of which everything is known; it goes wherever a `Target` goes.

    Attributes:
        name: what papers call it.
        mean, variance: of ``statistic``, each ``[d]``, float64.
        log_z: log of the integral of exp ``log_density``, in nats.
        draw: ``draw(n, generator)``, independent exact draws ``[n, D]``.
        statistic: what its moments and its effective sample size are taken of, ``[..., D] -> [..., d]``: x itself,
            but for ring5, whose published figures are of the radius.

    >>> target = mog6()
    >>> target.variance, target.sample(5, generator=0).shape
    (tensor([12.7500, 12.7500], dtype=torch.float64), torch.Size([5, 2]))
    """

    name: str
    mean: Tensor
    variance: Tensor
    log_z: float
    draw: Callable[[int, torch.Generator], Tensor]
    statistic: Callable[[Tensor], Tensor] = lambda x: x

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws ``[n, D]``, one stream a row if ``generator`` is a `Streams`."""
        check_count(n=n)
        return self.draw(n, resolve(generator))

    def effective(self, draws: Tensor, *, cut: float = 0.05) -> Tensor:
        """Effective sample size of one chain of T steps, A-NICE-MC's estimator: ``[T, chains, D] -> [d]``.

            T / (1 + 2 sum_s (1 - s/T) rho_s),     rho_s = E[(y_t - mean)(y_(t+s) - mean)] / variance

        over t and chains, with the *known* mean and variance of ``statistic``, so that a chain that misses a mode is
        not taken for a good one. Lags end where no coordinate's rho_s is above ``cut``, and smaller ones count as 0, so
        T is the most that comes out, however antithetic the chains are.

        >>> target = mog2()
        >>> independent = target.sample(8000, generator=0).view(1000, 8, 2)
        >>> bool((target.effective(independent) > 900).all())
        True
        """
        y = self.statistic(draws.double()) - self.mean
        steps = len(y)
        power = torch.fft.rfft(y, n=2 * steps, dim=0).abs().square()
        products = torch.fft.irfft(power, n=2 * steps, dim=0)[:steps].mean(1)
        lags = torch.arange(steps, dtype=torch.float64).unsqueeze(1)
        rho = products / (steps - lags) / self.variance
        seen = rho > cut
        seen[0] = True
        last = int((~seen.any(1)).int().argmax()) if bool((~seen.any(1)).any()) else steps
        share = torch.where(seen, rho * (1 - lags / steps), 0.0)[1:last].sum(0)
        return steps / (1 + 2 * share)


def ring() -> KnownTarget:
    """log f = -((|x| - 2) / 0.4)^2 on the plane.

    >>> ring().log_density(torch.tensor([[2.2, 0.0], [0.0, 2.4]]))
    tensor([-0.2500, -1.0000])
    """
    return _radial("ring", lambda r: -((r - 2) / 0.4).square(), 6.0)


def ring5() -> KnownTarget:
    """Five rings of radius 1 to 5, log f = -min_k ((|x| - k) / 0.2)^2; its ``statistic`` is the radius.

    >>> ring5().mean  # the paper's code has 3.6
    tensor([3.6...], dtype=torch.float64)
    """
    target = _radial("ring5", lambda r: -((r - r.round().clamp(1, 5)) / 0.2).square(), 7.0)
    table = _Table(lambda r: target.log_density(torch.stack([r, 0 * r], 1)) + r.log(), 1e-9, 7.0)
    radius: Callable[[Tensor], Tensor] = lambda x: x.norm(dim=-1, keepdim=True)  # noqa: E731
    return KnownTarget(
        target.log_density,
        name="ring5",
        mean=table.mean.view(1),
        variance=table.variance.view(1),
        log_z=target.log_z,
        draw=target.draw,
        statistic=radius,
    )


def mog2() -> KnownTarget:
    """Two Gaussians of standard deviation 0.5 at (-5, 0) and (5, 0).

    >>> mog2().variance
    tensor([25.2500,  0.2500], dtype=torch.float64)
    """
    return mixture("mog2", [[5.0, 0.0], [-5.0, 0.0]], [0.5, 0.5])


def mog6() -> KnownTarget:
    """Six Gaussians of standard deviation 0.5 on a circle of radius 5.

    >>> mog6().log_z
    0.0
    """
    angles = [math.pi / 3 * k for k in range(6)]
    return mixture("mog6", [[5 * math.cos(a), 5 * math.sin(a)] for a in angles], [0.5] * 6)


def unequal_mixture() -> KnownTarget:
    """Two equal masses of variance 3 and 0.05 at distance 10: no map that keeps volume goes from one to the other.

    >>> unequal_mixture().variance
    tensor([26.5250,  1.5250], dtype=torch.float64)
    """
    return mixture("unequal mixture", [[-5.0, 0.0], [5.0, 0.0]], [3**0.5, 0.05**0.5])


def mixture(name: str, centres: Sequence[Sequence[float]], stds: Sequence[float]) -> KnownTarget:
    """Equal masses at ``centres`` ``[K, D]``, round with standard deviations ``stds`` ``[K]``; its gradient is by hand.

    >>> mixture("one", [[0.0]], [1.0]).slope(torch.tensor([[2.0]]))
    (tensor([-2.9189]), tensor([[-2.]]))
    """
    places = torch.tensor(centres, dtype=torch.float64)
    spread = torch.tensor(stds, dtype=torch.float64)
    level = -places.shape[1] * (spread * math.sqrt(2 * math.pi)).log() - math.log(len(places))
    mean = places.mean(0)
    variance = (places.square() + spread.square().unsqueeze(1)).mean(0) - mean.square()

    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        gap = places.to(x) - x.unsqueeze(-2)
        return gap, level.to(x) - gap.square().sum(-1) / (2 * spread.to(x).square())

    def slope(x: Tensor) -> tuple[Tensor, Tensor]:
        gap, each = parts(x)
        share = each.softmax(-1) / spread.to(x).square()
        return each.logsumexp(-1), (share.unsqueeze(-1) * gap).sum(-2)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        u = uniform((n, 1), generator=generator)
        noise = normal((n, places.shape[1]), generator=generator)
        which = (u.squeeze(1) * len(places)).long().clamp_max(len(places) - 1)
        return places.to(noise)[which] + spread.to(noise)[which].unsqueeze(1) * noise

    return KnownTarget(
        lambda x: parts(x)[1].logsumexp(-1), slope, name=name, mean=mean, variance=variance, log_z=0.0, draw=draw
    )


def banana(bend: float = 0.5) -> KnownTarget:
    """x_1 ~ N(0, 1), x_2 | x_1 ~ N(bend (x_1^2 - 1), 0.25).

    >>> banana().variance  # 0.25 + 2 bend^2
    tensor([1.0000, 0.7500], dtype=torch.float64)
    """

    def log_density(x: Tensor) -> Tensor:
        return -x[..., 0].square() / 2 - 2 * (x[..., 1] - bend * (x[..., 0].square() - 1)).square()

    def draw(n: int, generator: torch.Generator) -> Tensor:
        z = normal((n, 2), generator=generator)
        return torch.stack([z[:, 0], z[:, 1] / 2 + bend * (z[:, 0].square() - 1)], 1)

    variance = torch.tensor([1.0, 0.25 + 2 * bend**2], dtype=torch.float64)
    return KnownTarget(
        log_density,
        name="banana",
        mean=torch.zeros_like(variance),
        variance=variance,
        log_z=math.log(math.pi),
        draw=draw,
    )


def ill_conditioned(features: int = 50) -> KnownTarget:
    """A Gaussian with variances from 1e-2 to 1e2, evenly spaced in their logarithm.

    >>> ill_conditioned().variance[[0, -1]]
    tensor([1.0000e-02, 1.0000e+02], dtype=torch.float64)
    """
    variance = torch.logspace(-2, 2, features, dtype=torch.float64)
    return _gaussian("ill-conditioned Gaussian", variance, torch.eye(features, dtype=torch.float64))


def correlated() -> KnownTarget:
    """A Gaussian on the plane with variances 1e2 and 1e-2 along the diagonals: correlation 0.9998.

    >>> correlated().variance
    tensor([50.0050, 50.0050], dtype=torch.float64)
    """
    half = math.sqrt(0.5)
    turn = torch.tensor([[half, -half], [half, half]], dtype=torch.float64)
    return _gaussian("correlated Gaussian", torch.tensor([1e2, 1e-2], dtype=torch.float64), turn)


def rough_well(features: int = 2, eta: float = 1e-2) -> KnownTarget:
    """log f = -|x|^2 / 2 - eta sum_i cos(x_i / eta): nearly a standard normal, with a gradient that is nearly noise.

    >>> rough_well().variance
    tensor([1.0..., 1.0...], dtype=torch.float64)
    """
    table = _Table(lambda x: -x.square() / 2 - eta * (x / eta).cos(), -8.0, 8.0)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return table.draw(uniform((n, features), generator=generator, dtype=torch.float64))

    return KnownTarget(
        lambda x: (-x.square() / 2 - eta * (x / eta).cos()).sum(-1),
        name="rough well",
        mean=table.mean.expand(features),
        variance=table.variance.expand(features),
        log_z=features * table.log_z,
        draw=draw,
    )


def _gaussian(name: str, variance: Tensor, turn: Tensor) -> KnownTarget:
    """N(0, turn diag(variance) turn')."""
    precision = turn @ (turn / variance).mT
    factor = turn * variance.sqrt()
    log_z = float((2 * math.pi * variance).log().sum() / 2)

    def slope(x: Tensor) -> tuple[Tensor, Tensor]:
        pull = -x @ precision.to(x)
        return (x * pull).sum(-1) / 2, pull

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return normal((n, len(variance)), generator=generator) @ factor.mT.float()

    spread = (turn.square() * variance).sum(1)
    return KnownTarget(
        lambda x: slope(x)[0], slope, name=name, mean=0 * spread, variance=spread, log_z=log_z, draw=draw
    )


def _radial(name: str, log_f: Callable[[Tensor], Tensor], reach: float) -> KnownTarget:
    """exp log_f(|x|) on the plane: the radius from a table of r exp log_f(r), the angle uniform."""
    table = _Table(lambda r: log_f(r) + r.log(), 1e-9, reach)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        u = uniform((n, 2), generator=generator, dtype=torch.float64)
        radius, angle = table.draw(u[:, 0]), 2 * math.pi * u[:, 1].to(torch.get_default_dtype())
        return radius.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)

    variance = ((table.variance + table.mean.square()) / 2).expand(2)
    return KnownTarget(
        lambda x: log_f(x.norm(dim=-1)),
        name=name,
        mean=torch.zeros(2, dtype=torch.float64),
        variance=variance,
        log_z=math.log(2 * math.pi) + table.log_z,
        draw=draw,
    )


class _Table:
    """A density on [low, high] by its mass in 2**17 cells: log integral, mean, variance, and draws from uniforms."""

    def __init__(self, log_density: Callable[[Tensor], Tensor], low: float, high: float, cells: int = 2**17) -> None:
        self.low, self.width = low, (high - low) / cells
        middle = low + (torch.arange(cells, dtype=torch.float64) + 0.5) * self.width
        value = log_density(middle)
        mass = (value - value.logsumexp(0)).exp()
        self.log_z = float(value.logsumexp(0)) + math.log(self.width)
        self.mean = (mass * middle).sum()
        self.variance = (mass * (middle - self.mean).square()).sum()
        self.below = torch.cat([mass.new_zeros(1), mass.cumsum(0)])

    def draw(self, u: Tensor) -> Tensor:
        """Where a share u of the mass lies below; the density is taken as constant in a cell."""
        u = u * self.below[-1]
        cell = torch.searchsorted(self.below, u.contiguous(), right=True).clamp(1, len(self.below) - 1) - 1
        inside = (u - self.below[cell]) / (self.below[cell + 1] - self.below[cell]).clamp_min(1e-300)
        return (self.low + (cell + inside) * self.width).to(torch.get_default_dtype())
