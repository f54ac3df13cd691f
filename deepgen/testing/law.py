"""Brute force: the law that an energy defines, from values of that energy alone.

    p(z) = exp(-E(z)) / Z,        z = (d, x),  d on a finite list of rows, x real and E quadratic in x:
    E(d, x) = E(d, 0) - c(d).x + x.P(d).x / 2
    log integral exp(-E) dx = -E(d, 0) + c.P^-1.c / 2 + (k log 2 pi - log det P) / 2

c and P are second differences of E with unit steps, which a quadratic has without error. So every pair of layers,
Gaussian ones included, has an exact answer that shares nothing with cumulants, conditionals or samplers, and that
autograd differentiates. A P that is not positive definite has no integral: its log weight is +inf. All in float64;
beside energies of 10^7 the differences lose half their digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.explicit.units import Units
from deepgen.random import resolve
from deepgen.testing.cells import cells
from deepgen.testing.goodness import chi_square, ks


def layout(units: Units) -> tuple[Tensor, list[int]]:
    """The joint states of the discrete units of a layer ``[rows, width]`` (0 in real columns), and its real columns.

    >>> from deepgen.explicit import Gaussian, Product, Spin
    >>> layout(Product(Spin(1), Gaussian(2)))
    (tensor([[-1.,  0.,  0.],
            [ 1.,  0.,  0.]], dtype=torch.float64), [1, 2])
    """
    if units.states is not None:
        return units.enumerate(0, units.states), []
    parts = getattr(units, "parts", None)
    if parts is None:
        return torch.zeros(1, units.width, dtype=torch.float64), list(range(units.width))
    rows, real = torch.zeros(1, 0, dtype=torch.float64), []
    for part in parts:
        more, columns = layout(part)
        real += [rows.shape[1] + column for column in columns]
        rows = pairs(rows, more)
    return rows, real


def pairs(first: Tensor, second: Tensor) -> Tensor:
    """Every row of ``first`` beside every row of ``second``: ``[a, m], [b, n] -> [a b, m + n]``, ``first`` slowest.

    >>> pairs(torch.tensor([[1], [2]]), torch.tensor([[3], [4]])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    a, b = len(first), len(second)
    return torch.cat([first.repeat_interleave(b, 0), second.repeat(a, 1)], 1)


@dataclass(frozen=True)
class Law:
    """p(z) of an energy over listed rows and real columns.

    Attributes:
        rows: ``[..., rows, width]``, 0 in the real columns.
        real: the real columns, k of them.
        log_weight: ``[..., rows]``, the integral of exp(-E) over the real columns, in nats.
        mean: ``[..., rows, k]`` of the real columns given the row.
        factor: ``[..., rows, k, k]``, the Cholesky factor of their precision.

    >>> coin = integrate(lambda z: -z.sum(-1) * math.log(3), torch.tensor([[0.0], [1.0]], dtype=torch.float64), [])
    >>> coin.probabilities, coin.sample(5, generator=torch.Generator().manual_seed(0)).shape
    (tensor([0.2500, 0.7500], dtype=torch.float64), torch.Size([5, 1]))
    """

    rows: Tensor
    real: list[int]
    log_weight: Tensor
    mean: Tensor
    factor: Tensor

    @property
    def log_z(self) -> Tensor:
        """log of the sum and integral of exp(-E), in nats: ``[...]``."""
        return self.log_weight.logsumexp(-1)

    @property
    def probabilities(self) -> Tensor:
        """Of the rows, the real columns integrated out: ``[..., rows]``."""
        return self.log_weight.softmax(-1)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` exact independent draws ``[n, width]``, float64."""
        generator = resolve(generator)
        index = torch.multinomial(self.probabilities, n, replacement=True, generator=generator)
        z = self.rows[index]
        if self.real:
            noise = torch.randn(n, len(self.real), 1, generator=generator, dtype=z.dtype)
            spread = torch.linalg.solve_triangular(self.factor[index].mT, noise, upper=True)
            z[:, self.real] = self.mean[index] + spread.squeeze(-1)
        return z

    @torch.no_grad()
    def p_values(self, z: Tensor) -> list[float]:
        """Goodness of fit of independent rows ``z`` ``[n, width]``: chi-square on the rows, KS on whitened columns.

        The real columns, less their mean given the row and times the factor of their precision, must be independent
        standard normals; the sum of all of them over sqrt(k) is tested too, since it sees correlations.
        """
        z = z.double().cpu()
        listed = z.clone()
        listed[:, self.real] = 0.0
        index = cells(torch.cat([self.rows, listed]))
        place = torch.full((int(index.max()) + 1,), -1)
        place[index[: len(self.rows)]] = torch.arange(len(self.rows))
        row = place[index[len(self.rows) :]]
        if bool((row < 0).any()):
            return [0.0]  # a value that the law does not have
        found = [chi_square(torch.bincount(row, minlength=len(self.rows)), self.probabilities)]
        if self.real:
            white = (self.factor[row].mT @ (z[:, self.real] - self.mean[row]).unsqueeze(-1)).squeeze(-1)
            both = torch.cat([white, white.sum(1, keepdim=True) / math.sqrt(len(self.real))], 1)
            found += [ks(column, torch.special.ndtr) for column in both.T]
        return found


def integrate(energy: Callable[[Tensor], Tensor], rows: Tensor, real: list[int]) -> Law:
    """The `Law` of ``energy`` (``[..., width] -> [...]``, quadratic in the columns ``real``) over ``rows``.

    >>> normal = integrate(lambda z: z.square().sum(-1) / 2, torch.zeros(1, 2, dtype=torch.float64), [0, 1])
    >>> normal.log_z - math.log(2 * math.pi)
    tensor(0., dtype=torch.float64)
    """
    at_zero, k = energy(rows), len(real)
    if not real:
        return Law(rows, [], -at_zero, rows[..., :0], rows.new_zeros(*rows.shape[:-1], 0, 0))
    unit = torch.eye(rows.shape[-1], dtype=rows.dtype)[real]
    plus, minus = energy(rows.unsqueeze(-2) + unit), energy(rows.unsqueeze(-2) - unit)
    both = energy(rows[..., None, None, :] + unit.unsqueeze(0) + unit.unsqueeze(1))
    linear = (minus - plus) / 2
    precision = both - plus.unsqueeze(-1) - plus.unsqueeze(-2) + at_zero[..., None, None]
    factor, failed = torch.linalg.cholesky_ex(precision)
    white = torch.linalg.solve_triangular(factor, linear.unsqueeze(-1), upper=False)
    mean = torch.linalg.solve_triangular(factor.mT, white, upper=True).squeeze(-1)
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)  # half that of the precision
    log_weight = -at_zero + white.square().sum((-2, -1)) / 2 + k * math.log(2 * math.pi) / 2 - log_det
    return Law(rows, real, log_weight.where(failed == 0, torch.inf), mean, factor)
