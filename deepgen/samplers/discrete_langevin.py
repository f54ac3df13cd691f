"""Langevin proposals over discrete values: every variable may change at once, each by its own gain.

    q(x' | x) = prod_i q_i(x'_i | x),      q_i(k | x) ~ exp(gain(i, k) / 2 - distance(i, k)^2 / (2 h s_i))

(0 in the exponent for the value that it has),

the law N(x + h/2 grad log f, h) restricted to the support and factorised. h is ``step_size``, s_i an optional ``scale``
for each variable. Distances are those of the values: 1 for {0, 1}, 2 for spins, sqrt 2 for categories.

`dmala` accepts or rejects, so it is exact; `dula` does not. A variable on which nothing pulls changes with probability
about exp(-distance^2 / (2 h)), and the bias of dula is of that order: a lone spin in a field g has odds e^2g times
(1 + e^(-g - 2/h)) / (1 + e^(g - 2/h)). It vanishes with h if gains are exact (log f linear in each variable); else
what the gradient tells wrongly stays.

Everything is a log-sigmoid or a log-softmax: no gain overflows. Source: Zhang, Liu & Liu 2022, "A Langevin-like
sampler for discrete distributions" (whose alpha is h).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.random import categorical, uniform
from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.alphabet import alphabet_of, tempered_moves
from deepgen.samplers.gradient_gibbs import discrete_target
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.metropolis import Metropolis, Slope
from deepgen.samplers.positions import checked_start
from deepgen.samplers.scale import check_given, check_step_size
from deepgen.samplers.target import Beta, Target, check_beta, rowwise


@dataclass(frozen=True)
class DiscreteLangevin:
    """The proposal of `dmala` and `dula`.

    Attributes:
        step_size: h, a number, a 0-d tensor or one a chain ``[chains]``.
        scale: s, None or one positive number for each variable, ``[sites]`` or shaped like the variables.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(dg.explicit.Ising((4, 4), coupling=0.2), DiscreteLangevin(2.0))
    >>> kernel.init(torch.ones(1, 4, 4)).gradient[0, 0]  # four neighbours
    tensor([0.8000, 0.8000, 0.8000, 0.8000])
    """

    step_size: float | Tensor
    scale: Tensor | None = None
    acceptance = 0.574

    def __post_init__(self) -> None:
        check_step_size(self.step_size)

    def init(self, target: Target, position: Tensor) -> Slope:
        return Slope(position, *target.slope(position))

    def propose(self, target: Target, state: Slope, beta: Beta, *, generator: torch.Generator) -> tuple[Slope, Tensor]:
        moved, by, there = self.jump(target, state, beta, generator=generator)
        new = Slope(moved, *target.slope(moved))
        back = self._logits(target, new, beta)
        undone = (there.shape[-1] + 1 - by) % (there.shape[-1] + 1)
        return new, (_log_mass(back, undone) - _log_mass(there, by)).sum(1)

    def jump(
        self, target: Target, state: Slope, beta: Beta, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(x', its shifts ``[chains, sites]``, the logits they were drawn by ``[chains, sites, q - 1]``)."""
        logits = self._logits(target, state, beta)
        if logits.shape[-1] == 1:
            flip = logits.squeeze(-1).sigmoid()
            by = (uniform(flip.shape, generator=generator, dtype=flip.dtype) < flip).long()
        else:
            by = categorical(F.pad(logits, (1, 0)), generator=generator)
        return alphabet_of(target, state.position).shift(state.position, by), by, logits

    def _logits(self, target: Target, state: Slope, beta: Beta) -> Tensor:
        gain, distance = tempered_moves(alphabet_of(target, state.position), target, state, beta)
        width = rowwise(self.step_size, gain)
        if self.scale is not None:
            if self.scale.numel() != gain.shape[1]:
                raise ShapeError(f"scale is one number a variable, {gain.shape[1]}, got {list(self.scale.shape)}")
            width = width * self.scale.to(gain).reshape(1, -1, 1)
        return gain / 2 - distance / (2 * width)


def _log_mass(logits: Tensor, by: Tensor) -> Tensor:
    """log q_i of the shifts ``by``: ``[chains, sites, q - 1], [chains, sites] -> [chains, sites]``."""
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        return F.logsigmoid(torch.where(by > 0, logit, -logit))
    padded = F.pad(logits, (1, 0))
    return padded.gather(-1, by.unsqueeze(-1)).squeeze(-1) - padded.logsumexp(-1)


def dmala(
    log_density: object, step_size: float | Tensor | None = None, *, scale: Tensor | None = None, support: Any = None
) -> Metropolis | Adaptive:
    """The discrete Metropolis-adjusted Langevin algorithm: exact, one gradient a step.

    Args:
        log_density: a `Target`, a model, or a function ``[chains, *event] -> [chains]`` that autograd can differentiate
            with respect to x.
        step_size: h; larger ones change more variables at once. None: found in the warm-up, for an acceptance of 0.57.
        scale: a factor of h for each variable, such as larger ones where the field is flat.
        support: ``constraints.boolean``, ``deepgen.distributions.spin``, ``constraints.integer_interval(0, q - 1)``,
            ``constraints.one_hot`` or ``deepgen.distributions.OneHotGroups(q)``; a model's or Target's own by default.

    Returns:
        A kernel; with ``step_size=None`` one that `sample_chain` adapts in its warm-up and then freezes.

    Raises:
        MissingCapability: the support is none of these.
        ArgumentError: ``step_size`` or a number of ``scale`` is not positive.

    >>> import deepgen as dg
    >>> ising = dg.explicit.Ising((3, 3), coupling=0.2, field=0.2)
    >>> trace = dg.samplers.sample_chain(dmala(ising), torch.ones(500, 3, 3), draws=100, warmup=200, generator=0)
    >>> bool((trace.info["acceptance"].mean() - 0.574).abs() < 0.05), trace.exactness.kind
    (True, 'exact')
    >>> states = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 9).reshape(-1, 3, 3)
    >>> exact = ising.log_density(states).softmax(0) @ states.mean((1, 2))  # 0.465
    >>> bool((trace.draws.mean() - exact).abs() < 0.05)
    True
    """
    target = discrete_target(log_density, support)
    _check_numbers(step_size, scale)
    if step_size is None:
        return Adaptive(Metropolis(target, DiscreteLangevin(1.0, scale)), covariance=False)
    return Metropolis(target, DiscreteLangevin(step_size, scale))


class Jumped(NamedTuple):
    """flips: how many variables changed ``[chains]``; nan: chains whose gradient was NaN ``[chains]``."""

    flips: Tensor
    nan: Tensor


@dataclass(frozen=True)
class UnadjustedDiscreteLangevin:
    """The kernel of `dula`.

    >>> import deepgen as dg
    >>> print(dula(dg.explicit.Ising((4, 4)), 0.5).exactness)
    biased (O(exp(-distance^2 / (2 step size))) where gains are exact)
    """

    target: Target
    proposal: DiscreteLangevin
    beta: Beta = 1.0
    exactness: ClassVar[Exactness] = Exactness("biased", "O(exp(-distance^2 / (2 step size))) where gains are exact")

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def at(self, beta: Beta) -> UnadjustedDiscreteLangevin:
        """The kernel at inverse temperature ``beta``."""
        return replace(self, beta=beta)

    def init(self, position: Tensor) -> Slope:
        return self.proposal.init(self.target, checked_start(self.target, position))

    def enter(self, own: Slope, other: Any) -> Slope:
        """The state after another kernel has moved the chains to ``other.position``."""
        return self.proposal.init(self.target, other.position)

    @torch.no_grad()
    def step(self, state: Slope, *, generator: torch.Generator) -> tuple[Slope, Jumped]:
        """One gradient."""
        require_state(state, Slope)
        moved, by, logits = self.proposal.jump(self.target, state, self.beta, generator=generator)
        new = Slope(moved, *self.target.slope(moved))
        return new, Jumped((by > 0).sum(1), logits.isnan().flatten(1).any(1))


def dula(
    log_density: object, step_size: float | Tensor, *, scale: Tensor | None = None, support: Any = None
) -> UnadjustedDiscreteLangevin:
    """The discrete unadjusted Langevin algorithm: biased, never rejecting.

    Args:
        log_density, step_size, scale, support: as for `dmala`.

    >>> import deepgen as dg
    >>> kernel = dula(lambda x: x.sum(-1), 1.0, support=dg.distributions.spin)  # lone spins: mean tanh 1 = 0.762
    >>> trace = dg.samplers.sample_chain(kernel, torch.ones(1000, 2), draws=50, warmup=50, generator=0)
    >>> bool((trace.draws.mean() - 0.700).abs() < 0.02)  # from the formula at the head of this file, with h = 1
    True
    """
    _check_numbers(step_size, scale)
    return UnadjustedDiscreteLangevin(discrete_target(log_density, support), DiscreteLangevin(step_size, scale))


def _check_numbers(step_size: float | Tensor | None, scale: Tensor | None) -> None:
    """Of what a reader hands in, here, as a proposal is made anew in every step of a warm-up, which must not wait."""
    if step_size is not None:
        check_given(step_size)
    if scale is not None and not bool((scale.isfinite() & (scale > 0)).all()):
        raise ArgumentError(f"scale must be positive numbers, the least is {float(scale.min()):.3g}")
