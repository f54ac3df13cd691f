"""The torch Distributions behind `deepgen.data.planar` that torch lacks: blurred circles, a pinwheel, a board.

The last three are single laws, without a batch shape: of them `expand` is not implemented, as torch has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, constraints

from deepgen.errors import ArgumentError, check_count, check_real


class RoundMixture(MixtureSameFamily):
    """``MixtureSameFamily`` of round Gaussians; a draw takes noise for the chosen one alone, not for all.

    >>> from deepgen.data import mixture
    >>> mixture([[0.0, 0.0], [9.0, 9.0]], 0.1).sample((5,)).shape
    torch.Size([5, 2])
    """

    def sample(self, sample_shape: Any = ()) -> Tensor:
        if self.batch_shape:
            drawn: Tensor = super().sample(sample_shape)
            return drawn
        with torch.no_grad():
            which = self.mixture_distribution.sample(sample_shape)
            return torch.normal(self.component_distribution.mean[which], self.component_distribution.stddev[which])


class Rings(Distribution):
    """Concentric circles, equally probable, blurred by a round Gaussian: |x| given the circle follows Rice's law.

        p(x) = 1/K sum_k exp(-(|x| - r_k)^2 / 2 s^2) I0e(|x| r_k / s^2) / 2 pi s^2,       I0e(t) = exp(-t) I0(t)

    Args:
        radii: r_1 to r_K, at least 0 (where it is a Gaussian).
        std: s.

    >>> Rings([3.0], 0.1).log_prob(torch.tensor([3.0, 0.0]))  # about -log(2 pi 3 0.1 sqrt(2 pi))
    tensor(-1.5...)
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class declares it a property)
    support = constraints.real_vector

    def __init__(self, radii: Sequence[float], std: float) -> None:
        self.radii = finite("radii", radii)
        if self.radii.ndim != 1 or not len(self.radii) or float(self.radii.min()) < 0:
            raise ArgumentError(f"radii must be one or more numbers of at least 0, got {radii}")
        positive(std=std)
        self.std = float(std)
        super().__init__(event_shape=torch.Size([2]), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        radius = self.radii[torch.randint(len(self.radii), torch.Size(sample_shape))].unsqueeze(-1)
        angle = 2 * math.pi * torch.rand(torch.Size(sample_shape))
        return radius * torch.stack([angle.cos(), angle.sin()], -1) + self.std * torch.randn((*sample_shape, 2))

    def log_prob(self, value: Tensor) -> Tensor:
        r, radii, variance = value.norm(dim=-1, keepdim=True), self.radii.to(value), self.std**2
        each = torch.special.i0e(r * radii / variance).log() - (r - radii).square() / (2 * variance)
        return each.logsumexp(-1) - math.log(2 * math.pi * variance * len(radii))


class Pinwheel(Distribution):
    """Gaussian blades, 2 away from 0, turned by ``rate`` radians per unit of distance from 0.

        p(x) = 1/K sum_k N(y; (2, 0), diag(along^2, across^2)),       y = x turned back by 2 pi k / K + rate |x|

    Such a twist turns each circle as a whole, so areas stay as they are and no determinant appears.

    >>> Pinwheel(1, 0.6, 0.2, 0.0).log_prob(torch.tensor([2.0, 0.0]))  # a Gaussian: -log(2 pi 0.6 0.2)
    tensor(0.282...)
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class declares it a property)
    support = constraints.real_vector

    def __init__(self, arms: int, along: float, across: float, rate: float) -> None:
        check_count(1, 100, arms=arms)
        positive(along=along, across=across)
        check_real("rate", rate)
        self.arms, self.rate = 2 * math.pi * torch.arange(arms) / arms, float(rate)
        self.centre, self.std = torch.tensor([2.0, 0.0]), torch.tensor([along, across])
        super().__init__(event_shape=torch.Size([2]), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        blade = self.centre + self.std * torch.randn((*sample_shape, 2))
        arm = self.arms[torch.randint(len(self.arms), torch.Size(sample_shape))]
        return _turned(blade, arm + self.rate * blade.norm(dim=-1))

    def log_prob(self, value: Tensor) -> Tensor:
        blade = _turned(value.unsqueeze(-2), -self.arms - self.rate * value.norm(dim=-1, keepdim=True))
        away = ((blade - self.centre) / self.std).square().sum(-1)
        return (-away / 2).logsumexp(-1) - float((2 * math.pi * len(self.arms) * self.std.prod()).log())


class Checkerboard(Distribution):
    """Uniform on every other square of a board of ``squares`` by ``squares`` squares of side ``size``, centred at 0.

    Its entropy is the log of the area that is filled; outside, ``log_prob`` is -inf.

    >>> Checkerboard(2, 1.0).log_prob(torch.tensor([[0.5, 0.5], [0.5, -0.5]]))  # two squares of area 1
    tensor([-0.6931,    -inf])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class declares it a property)

    def __init__(self, squares: int, size: float) -> None:
        check_count(1, 64, squares=squares)
        positive(size=size)
        self.squares, self.size = squares, float(size)
        cells = torch.cartesian_prod(torch.arange(squares), torch.arange(squares))
        self.cells = cells[cells.sum(1) % 2 == 0]
        super().__init__(event_shape=torch.Size([2]), validate_args=False)

    @property
    def support(self) -> Any:
        half = self.squares * self.size / 2
        return constraints.independent(constraints.interval(-half, half), 1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        cell = self.cells[torch.randint(len(self.cells), torch.Size(sample_shape))]
        inside = torch.rand((*sample_shape, 2)).clamp_max_(1 - 2**-18)  # rounding would reach the next square
        return (cell + inside - self.squares / 2) * self.size

    def log_prob(self, value: Tensor) -> Tensor:
        place = (value / self.size + self.squares / 2).floor()
        on_board = ((place >= 0) & (place < self.squares)).all(-1)
        filled = on_board & (place.sum(-1) % 2 == 0)
        return torch.where(filled, -self.entropy().to(value), -math.inf)

    def entropy(self) -> Tensor:
        return torch.tensor(len(self.cells) * self.size**2).log()


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return torch.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], -1)


def positive(**values: float) -> None:
    """Raise `ArgumentError` unless every one of ``values`` is a finite number above 0."""
    for name, value in values.items():
        check_real(name, value, 0.0)
        if value == 0:
            raise ArgumentError(f"{name} must be positive, got 0")


def finite(name: str, values: Any) -> Tensor:
    """``values`` in float32; an `ArgumentError` unless they are finite numbers, lists of them all of one length.

    >>> finite("radii", [1, 2])
    tensor([1., 2.])
    """
    try:
        found = torch.as_tensor(values, dtype=torch.float32).clone()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ArgumentError(f"{name} must be numbers, got {values!r}") from None
    if not bool(found.isfinite().all()):
        raise ArgumentError(f"{name} must be finite, got {values!r}")
    return found
