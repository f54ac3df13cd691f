"""Densities on the plane with a known answer: torch Distributions whose ``log_prob`` is exact.

    gaussian_mixture   three round Gaussians of unequal weight
    gaussian_grid      25 narrow ones on a square grid              Dumoulin et al. 2017
    gaussian_ring      8 narrow ones on a circle                    Metz et al. 2017
    rings              four concentric circles, blurred             Grathwohl et al. 2019
    moons              two half circles that interlock, blurred     scikit-learn's ``make_moons``
    spirals            two arms of 1.5 turns, blurred               Grathwohl et al. 2019
    swiss_roll         one arm of 1.5 turns, blurred                Marsland 2009, scikit-learn's ``make_swiss_roll``
    pinwheel           five Gaussians, twisted                      Johnson et al. 2016
    checkerboard       uniform on every other square                Grathwohl et al. 2019

All are 4 to 8 wide and centred near 0. A blurred circle is in closed form. The other blurred curves *are* mixtures of
Gaussians at points of the curve one ``std`` apart, where blurring the whole curve differs from it by some 1e-8 of the
density (but for the curve's ends). A model q that is scored on draws of p stays KL(p, q) = E_p[log p - log q] below p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, Normal

from deepgen.data.planar_laws import Checkerboard, Pinwheel, Rings, RoundMixture, finite, positive
from deepgen.errors import ArgumentError, check_count


def mixture(
    centres: Tensor | Sequence[Sequence[float]], std: float, weights: Sequence[float] | None = None
) -> RoundMixture:
    """Return the mixture of round Gaussians at ``centres`` ``[components, dimensions]``; equal weights unless given.

    >>> float(mixture([[0.0, 0.0]], 1.0).log_prob(torch.zeros(2)))  # -log(2 pi)
    -1.837877...
    """
    places = finite("centres", centres)
    if places.ndim != 2 or places.numel() == 0:
        raise ArgumentError(f"centres must be [components, dimensions], got {list(places.shape)}")
    positive(std=std)
    probs = torch.ones(len(places)) if weights is None else finite("weights", weights)
    if probs.shape != (len(places),) or float(probs.min()) < 0 or float(probs.sum()) == 0:
        raise ArgumentError(f"weights must be {len(places)} numbers of at least 0 and not all 0, got {weights!r}")
    return RoundMixture(Categorical(probs=probs), Independent(Normal(places, torch.full_like(places, std)), 1))


def gaussian_mixture() -> RoundMixture:
    """Three Gaussians of weights 0.6, 0.3, 0.1 at (0, 0), (3, 1), (-1, 4), std 0.5: skewed, so sign errors show.

    >>> gaussian_mixture().mean  # 0.6 (0, 0) + 0.3 (3, 1) + 0.1 (-1, 4)
    tensor([0.8000, 0.7000])
    """
    return mixture([[0.0, 0.0], [3.0, 1.0], [-1.0, 4.0]], 0.5, [0.6, 0.3, 0.1])


def gaussian_grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> RoundMixture:
    """``side**2`` equal Gaussians on a square grid centred at 0 (25 by default; Dumoulin et al. 2017).

    >>> gaussian_grid(side=2).component_distribution.mean.tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    check_count(1, 100, side=side)
    line = (torch.arange(side) - (side - 1) / 2) * spacing
    return mixture(torch.cartesian_prod(line, line).reshape(-1, 2), std)


def gaussian_ring(components: int = 8, radius: float = 2.0, std: float = 0.02) -> RoundMixture:
    """``components`` equal Gaussians on a circle (8 by default; Metz et al. 2017).

    >>> gaussian_ring(4, radius=3.0).component_distribution.mean.norm(dim=1)
    tensor([3., 3., 3., 3.])
    """
    check_count(1, 10_000, components=components)
    angle = 2 * math.pi * torch.arange(components) / components
    return mixture(torch.stack([angle.cos(), angle.sin()], 1) * radius, std)


def moons(std: float = 0.2) -> RoundMixture:
    """Two half circles of radius 2 that interlock, blurred by ``std``: ``make_moons`` of scikit-learn, doubled in size.

    >>> moons().log_prob(torch.tensor([[-1.0, 1.8], [-1.0, 0.8]]))  # on the upper moon, and under it
    tensor([-1.8393, -2.5324])
    """
    t = _steps(math.pi * 2, std) * math.pi
    upper = torch.stack([2 * t.cos() - 1, 2 * t.sin() - 0.2], 1)
    return mixture(torch.cat([upper, torch.tensor([0.0, 0.6]) - upper]), std)


def spirals(arms: int = 2, turns: float = 1.5, radius: float = math.pi, std: float = 0.1) -> RoundMixture:
    """``arms`` spirals out of the centre, r in proportion to the angle, as dense near it as far out.

    >>> law = spirals()
    >>> law.log_prob(torch.tensor([[2.09, 0.0], [2.62, 0.0]]))  # on an arm, and between two
    tensor([ -2.0165, -14.9657])
    """
    check_count(1, 100, arms=arms)
    positive(turns=turns, radius=radius)
    share = _steps(math.pi * turns * radius, std).sqrt()  # equal shares of r dr, so about equal lengths
    angle = 2 * math.pi * (turns * share + torch.arange(arms).unsqueeze(1) / arms)
    return mixture(torch.stack([-radius * share * angle.cos(), radius * share * angle.sin()], -1).flatten(0, 1), std)


def swiss_roll(std: float = 0.2) -> RoundMixture:
    """One spiral from 0.94 to 2.83 away from the centre: ``make_swiss_roll`` of scikit-learn from its end, over 5.

    >>> swiss_roll().mean  # 2/5 and 2/(15 pi): the mean of t (cos t, sin t) / 5, t uniform from 1.5 pi to 4.5 pi
    tensor([0.400..., 0.0424])
    """
    t = 1.5 * math.pi * (1 + 2 * _steps(4.5 * math.pi * 3 * math.pi / 5, std))
    return mixture(torch.stack([t * t.cos(), t * t.sin()], 1) / 5, std)


def rings(radii: Sequence[float] = (1.0, 2.0, 3.0, 4.0), std: float = 0.08) -> Rings:
    """Four concentric circles unless ``radii`` are given, see `Rings`.

    >>> rings([0.0], 1.0).log_prob(torch.zeros(2))  # a Gaussian: -log(2 pi)
    tensor(-1.8379)
    """
    return Rings(radii, std)


def pinwheel(arms: int = 5, along: float = 0.6, across: float = 0.2, rate: float = 0.4) -> Pinwheel:
    """``arms`` Gaussians of std ``along`` a ray and ``across`` it, 2 from the centre and twisted, see `Pinwheel`.

    In Johnson et al. 2016 the twist grows exponentially with the place along the ray, which has no density in closed
    form; here in proportion to the distance from 0.

    >>> law = pinwheel()
    >>> law.log_prob(torch.tensor([2 * math.cos(0.8), 2 * math.sin(0.8)]))  # -log(5 2 pi 0.6 0.2), the top of an arm
    tensor(-1.327...)
    """
    return Pinwheel(arms, along, across, rate)


def checkerboard(squares: int = 4, size: float = 2.0) -> Checkerboard:
    """Uniform on 8 of the 16 squares of [-4, 4]^2 unless told otherwise, see `Checkerboard`.

    >>> checkerboard().entropy(), checkerboard().log_prob(torch.tensor([[0.1, 0.1], [0.1, -0.1]]))  # log 32 nats
    (tensor(3.4657), tensor([-3.4657,    -inf]))
    """
    return Checkerboard(squares, size)


def _steps(length: float, std: float) -> Tensor:
    """Midpoints of equal parts of [0, 1], so many that on a curve of ``length`` they are about one ``std`` apart."""
    positive(std=std)
    points = math.ceil(length / std)
    check_count(1, 10_000, **{"the number of points that a std so small takes": points})
    return (torch.arange(points) + 0.5) / points
