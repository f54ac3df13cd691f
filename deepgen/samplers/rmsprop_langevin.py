"""Preconditioned stochastic-gradient Langevin dynamics: SGLD with RMSprop's diagonal scale.

    m' = a m + (1 - a) g~^2,      G = 1 / (floor + sqrt(m' / (1 - a^(t+1)))),
    x' = x + e/2 G g~(x) + sqrt(e G) xi,      xi ~ N(0, 1)

Convention (Welling & Teh's): e G is the variance of the noise, e G / 2 multiplies the gradient of the *sum* over all
rows. Li et al. take the mean over rows in m, so that their G is N times and their e 1/N of ours; the correction by
1 - a^(t+1) for m starting at 0, as in Adam, is not theirs.

What is neglected: m depends on where the chain has been, so G depends on the position, and dynamics with such a G
would need the drift (1/2) dG/dx. Li et al. leave it out, and so does this kernel. Without it a chain stays longer
where G is small: where m follows the position at once (a = 0, one dimension, small e) its law is

    f(x) / G(x)      and not f(x),

a bias that no small e removes. With a near 1, m averages over the whole posterior, G is near a constant, and what
remains is O(1 - a), the ordinary O(e) aside. `stationary` is the law for a -> 1.

Source: Li, Chen, Carlson & Carin 2016, "Preconditioned stochastic gradient Langevin dynamics for deep neural networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import check_real
from deepgen.random import normal
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.minibatch import estimated
from deepgen.samplers.stationary import matrix
from deepgen.samplers.stochastic_gradient import (
    Descended,
    StepSize,
    StochasticLangevin,
    check_steps,
    constant,
    counted,
    descended,
    langevin_move,
    step_sizes,
)
from deepgen.samplers.target import Estimated, rowwise


class Scaled(NamedTuple):
    """position: ``[chains, *event]``; step: t, ``[chains]``; mean_square: m, of each chain's gradients so far."""

    position: Tensor
    step: Tensor
    mean_square: Tensor


def check_scale(decay: float, floor: float) -> None:
    """Raise `ArgumentError` unless a is in [0, 1) and the floor positive."""
    check_real("decay", decay, 0, 1 - 1e-9)
    check_real("floor", floor, 1e-30)


def root_of_scale(mean_square: Tensor, t: Tensor | int, decay: float, floor: float) -> Tensor:
    """sqrt(G) from m after t + 1 steps.

    >>> root_of_scale(torch.tensor([0.09]), 0, 0.99, 1.0)  # m / (1 - 0.99) = 9, G = 1/4
    tensor([0.5000])
    """
    t = t.to(mean_square) if isinstance(t, Tensor) else t  # an int64 power would be in float32
    return (floor + (mean_square / (1 - decay ** (t + 1))).sqrt()).rsqrt()


@dataclass(frozen=True)
class RMSpropLangevin:
    """The kernel of `psgld`."""

    source: Estimated
    step_size: StepSize
    decay: float = 0.99
    floor: float = 1.0
    exactness: ClassVar[Exactness] = Exactness("biased", "O(step size), and O(1 - decay) from the neglected dG/dx")

    def __post_init__(self) -> None:
        check_steps(self.step_size)
        check_scale(self.decay, self.floor)

    def init(self, position: Tensor) -> Scaled:
        """The state at ``position`` ``[chains, *event]``, which has seen no gradient yet."""
        begun = counted(self.source, position)
        return Scaled(*begun, torch.zeros_like(begun.position))

    def enter(self, own: Scaled, other: Any) -> Scaled:
        """The state after another kernel has moved the chains to ``other.position``: its scale stays."""
        return own._replace(position=other.position)

    def step(self, state: Scaled, *, generator: torch.Generator) -> tuple[Scaled, Descended]:
        """One estimate of the gradient, which goes into the scale before it is used."""
        require_state(state, Scaled)
        x, sizes = state.position, step_sizes(self.step_size, state.step, state.position)
        value, gradient = self.source.estimate(x, generator=generator)
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        mean_square = self.decay * state.mean_square + (1 - self.decay) * gradient.square()
        root = root_of_scale(mean_square, rowwise(state.step, x), self.decay, self.floor)  # type: ignore[arg-type]
        moved = x + root * langevin_move(root * gradient, noise, rowwise(sizes, x))
        return Scaled(moved, state.step + 1, mean_square), descended(value, sizes, gradient)

    def scale(self, precision: Tensor, gradient_noise: Tensor | float = 0.0) -> Tensor:
        """G ``[D]`` in float64 where it has settled on a Gaussian target, for decay -> 1: a fixed point.

        G_k = 1 / (floor + sqrt((A C A + V)_kk)), and C is the covariance of SGLD with that G.
        """
        a, v = matrix(precision, len(precision)), matrix(gradient_noise, len(precision))
        g = 1 / (self.floor + (a + v).diagonal().sqrt())
        for _ in range(200):
            covariance = StochasticLangevin(self.source, constant(self.step_size), g.sqrt()).stationary(a, v)
            g = (g / (self.floor + (a @ covariance @ a + v).diagonal().sqrt())).sqrt()  # halfway in logarithms
        return g

    def stationary(self, precision: Tensor, gradient_noise: Tensor | float = 0.0) -> Tensor:
        """The kernel's own covariance ``[D, D]`` on a Gaussian target for decay -> 1, with V the same everywhere.

        Args:
            precision: A ``[D, D]``.
            gradient_noise: V: ``[D, D]``, ``[D]`` or a number.
        """
        root = self.scale(precision, gradient_noise).sqrt()
        return StochasticLangevin(self.source, constant(self.step_size), root).stationary(precision, gradient_noise)


def psgld(source: object, step_size: StepSize, *, decay: float = 0.99, floor: float = 1.0) -> RMSpropLangevin:
    """SGLD with RMSprop's preconditioner; biased, and by more than O(``step_size``): see what is neglected above.

    Args:
        source: ``posterior.minibatches(n)``; or a `Target`, a function, a Distribution or a model.
        step_size: e: a number, a tensor ``[chains]``, or the schedule `Polynomial`. e G is the variance of the noise.
        decay: a, of the mean square, in [0, 1). Near 1 the neglected term is small.
        floor: what is added to the root mean square of the gradient, in its units (1 / x): G is at most 1 / floor. A
            prior N(0, 1) alone gives gradients of size 1.

    >>> import deepgen as dg
    >>> kernel = psgld(lambda x: -(x * torch.tensor([1.0, 30.0])).square().sum(-1) / 2, 0.01)
    >>> state, info = kernel.step(kernel.init(torch.ones(5, 2)), generator=dg.random.streams(0))
    >>> state.mean_square[0] / (1 - 0.99)  # the squared gradient
    tensor([1.0000e+00, 8.1000e+05])
    """
    return RMSpropLangevin(estimated(source), step_size, decay, floor)
