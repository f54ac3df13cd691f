"""Small generated sets with known answers.

Pattern sets list every pattern once per way of making it; a model that fits one exactly reaches its `ceiling`, the mean
log-likelihood of the set's own distribution. Planar sets are torch Distributions, so that their log-density is known,
or, for the rings, a sampler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from deepgen.errors import ArgumentError
from deepgen.random import resolve


def bars_and_stripes(size: int = 4, *, distinct: bool = False) -> Tensor:
    """All ``size x size`` images of full columns or of full rows: ``[2 * 2**size, size**2]`` of 0 and 1.

    The empty and the full image come twice, as both (MacKay 2003, section 43.3), so they are twice as probable;
    ``distinct=True`` leaves ``2 * 2**size - 2`` patterns, equally probable.

    >>> x = bars_and_stripes(4)
    >>> x.shape, round(ceiling(x), 3)
    (torch.Size([32, 16]), -3.379)
    """
    _within("size", size, 1, 12)
    lines = _binary(size)
    columns = lines.unsqueeze(1).expand(-1, size, size)
    images = torch.cat([columns, columns.transpose(1, 2)]).reshape(-1, size * size)
    return images.unique(dim=0) if distinct else images


def labelled_shifter(bits: int = 8) -> Tensor:
    """Every bit string, the string shifted by one to the left, not at all, or to the right (cyclically), and which.

    Rows are ``bits + bits + 3`` wide, the last three one-hot: ``[3 * 2**bits, 2 * bits + 3]``, all different
    (Hinton & Sejnowski 1986; 768 patterns of 19 bits for ``bits=8``).

    >>> x = labelled_shifter()
    >>> x.shape, round(ceiling(x), 3)
    (torch.Size([768, 19]), -6.644)
    """
    _within("bits", bits, 2, 16)
    source = _binary(bits)
    rows = []
    for label, shift in enumerate((-1, 0, 1)):
        which = torch.zeros(len(source), 3)
        which[:, label] = 1
        rows.append(torch.cat([source, source.roll(shift, dims=1), which], 1))
    return torch.cat(rows)


def shifting_bar(size: int = 9, length: int = 1, *, flipped: bool = False) -> Tensor:
    """A bar of ``length`` ones at each place on a ring of ``size`` zeros: ``[size, size]``; ``flipped`` swaps 0 and 1.

    The flipped set shows whether training is invariant to what is called on and off (Melchior, Fischer & Wiskott 2016).

    >>> shifting_bar(3)
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    _within("size", size, 2, 4096)
    _within("length", length, 1, size - 1)
    bar = (torch.arange(size) < length).float()
    rows = torch.stack([bar.roll(place) for place in range(size)])
    return 1 - rows if flipped else rows


def ceiling(x: Tensor) -> float:
    """Return the mean log-likelihood in nats of rows ``x`` under their own frequencies: the best a model can do.

    >>> ceiling(torch.eye(4))  # -log 4
    -1.386...
    """
    counts = x.unique(dim=0, return_counts=True)[1].double()
    return float((counts * (counts / len(x)).log()).sum() / len(x))


def mixture(
    centres: Tensor | Sequence[Sequence[float]], std: float, weights: Sequence[float] | None = None
) -> MixtureSameFamily:
    """Return the mixture of round Gaussians at ``centres`` ``[components, 2]``; equal weights unless given.

    >>> float(mixture([[0.0, 0.0]], 1.0).log_prob(torch.zeros(2)))  # -log(2 pi)
    -1.837877...
    """
    places = torch.as_tensor(centres, dtype=torch.float32)
    if places.ndim != 2 or len(places) == 0 or not std > 0:
        raise ArgumentError(f"need centres [components, dimensions] and std > 0, got {list(places.shape)} and {std}")
    probs = torch.ones(len(places)) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    return MixtureSameFamily(Categorical(probs=probs), Independent(Normal(places, torch.full_like(places, std)), 1))


def gaussian_mixture() -> MixtureSameFamily:
    """Three Gaussians of weights 0.6, 0.3, 0.1 at (0, 0), (3, 1), (-1, 4), std 0.5: skewed, so sign errors show.

    >>> gaussian_mixture().mean  # 0.6 (0, 0) + 0.3 (3, 1) + 0.1 (-1, 4)
    tensor([0.8000, 0.7000])
    """
    return mixture([[0.0, 0.0], [3.0, 1.0], [-1.0, 4.0]], 0.5, [0.6, 0.3, 0.1])


def gaussian_grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> MixtureSameFamily:
    """``side**2`` equal Gaussians on a square grid centred at 0 (25 by default; Dumoulin et al. 2017).

    >>> gaussian_grid(side=2).component_distribution.mean.tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    _within("side", side, 1, 100)
    line = (torch.arange(side) - (side - 1) / 2) * spacing
    return mixture(torch.cartesian_prod(line, line).reshape(-1, 2), std)


def gaussian_ring(components: int = 8, radius: float = 2.0, std: float = 0.02) -> MixtureSameFamily:
    """``components`` equal Gaussians on a circle (8 by default; Metz et al. 2017).

    >>> gaussian_ring(4, radius=3.0).component_distribution.mean.norm(dim=1)
    tensor([3., 3., 3., 3.])
    """
    _within("components", components, 1, 10_000)
    angle = 2 * math.pi * torch.arange(components) / components
    return mixture(torch.stack([angle.cos(), angle.sin()], 1) * radius, std)


def rings(
    n: int,
    radii: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    std: float = 0.08,
    *,
    generator: torch.Generator | int | None = None,
) -> Tensor:
    """Draw ``n`` points around concentric circles: a circle at random, a uniform angle, normal noise on the radius.

    >>> rings(5, generator=0).shape
    torch.Size([5, 2])
    """
    if n < 1 or not len(radii) or min(radii) < 0 or std < 0:
        raise ArgumentError(f"need n >= 1, radii >= 0 and std >= 0, got n={n}, radii={radii}, std={std}")
    source = resolve(generator)
    which = torch.randint(len(radii), (n,), generator=source)
    radius = torch.tensor(list(radii))[which] + std * torch.randn(n, generator=source)
    angle = 2 * math.pi * torch.rand(n, generator=source)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _binary(bits: int) -> Tensor:
    return (torch.arange(2**bits).unsqueeze(1) // 2 ** torch.arange(bits) % 2).float()


def _within(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ArgumentError(f"{name} must be an integer from {low} to {high}, got {value!r}")
