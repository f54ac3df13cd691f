"""Gibbs with gradients: which variable to change next, told by one gradient.

    q(i, k | x) ~ exp(gain(i, k) / 2),      x' = x with variable i shifted by k;       accepted by Metropolis
    q(stay | x) ~ 1                         x' = x

gain(i, k) is the first-order change of log f (`deepgen.samplers.alphabet`). Half of it makes the proposal locally
balanced: were the gains exact and unchanged by the move, the ratio would be that of two normalisers. The way back is
the shift q - k of the same variable at x', so a step costs one new gradient. With ``flips`` R the variables are drawn R
times from q(. | x), with replacement, and shifted together; the list read backwards from x' is the way back, so it is
exact for any R. To stay is a move, of gain 0: of two values an even number of flips keeps the parity of x, and on a
flat target a chain of single flips has that of the number of its steps. All in logarithms: gains of any size overflow
nothing.

Sources: Grathwohl, Swersky, Hashemi, Duvenaud & Maddison 2021, "Oops I took a gradient: scalable sampling for discrete
distributions"; Zanella 2020, "Informed proposals for local MCMC in discrete spaces".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.errors import check_count
from deepgen.random import categorical
from deepgen.samplers.alphabet import alphabet_of, move_of, shifted, tempered_moves
from deepgen.samplers.metropolis import Metropolis, Slope
from deepgen.samplers.target import Beta, Target, as_target


@dataclass(frozen=True)
class GibbsWithGradients:
    """The proposal of `gibbs_with_gradients`.

    Attributes:
        flips: R, how many draws of a variable and its new value make one proposal.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(dg.explicit.Ising((4, 4), coupling=0.4), GibbsWithGradients(flips=2))
    >>> state, info = kernel.step(kernel.init(torch.ones(10, 4, 4)), generator=dg.random.generator(0))
    >>> bool(((state.position != 1).sum((1, 2)) <= 2).all())
    True
    """

    flips: int = 1

    def __post_init__(self) -> None:
        check_count(flips=self.flips)

    def init(self, target: Target, position: Tensor) -> Slope:
        return Slope(position, *target.slope(position))

    def propose(self, target: Target, state: Slope, beta: Beta, *, generator: torch.Generator) -> tuple[Slope, Tensor]:
        x = state.position
        alphabet = alphabet_of(target, x)
        there = self._logits(alphabet, target, state, beta)
        drawn = categorical(there, generator=generator, draws=self.flips)
        last = there.shape[1] - 1
        site, by = move_of(drawn, alphabet, last)
        moved = shifted(alphabet, x, site, by)
        new = Slope(moved, *target.slope(moved))
        back = self._logits(alphabet, target, new, beta)
        undone = torch.where(by == 0, last, site * (alphabet.size - 1) + (alphabet.size - by) - 1)
        return new, (_log_softmax_at(back, undone) - _log_softmax_at(there, drawn)).sum(1)

    @staticmethod
    def _logits(alphabet: Any, target: Target, state: Slope, beta: Beta) -> Tensor:
        """Of every shift of every variable, and of staying: ``[chains, sites (q - 1) + 1]``."""
        return F.pad(tempered_moves(alphabet, target, state, beta)[0].flatten(1) / 2, (0, 1))


def _log_softmax_at(logits: Tensor, index: Tensor) -> Tensor:
    return logits.gather(1, index) - logits.logsumexp(1, keepdim=True)


def gibbs_with_gradients(log_density: object, *, flips: int = 1, support: Any = None) -> Metropolis:
    """Gibbs with gradients: exact, one gradient a step.

    Args:
        log_density: a `Target`, a model, or a function ``[chains, *event] -> [chains]`` that autograd can differentiate
            with respect to x.
        flips: variables changed at once, at most; more where few interact.
        support: ``constraints.boolean``, ``deepgen.distributions.spin``, ``constraints.integer_interval(0, q - 1)``,
            ``constraints.one_hot`` or ``deepgen.distributions.OneHotGroups(q)``; a model's or Target's own by default.

    Raises:
        MissingCapability: the support is none of these.
        ArgumentError: ``flips`` below 1.

    >>> import deepgen as dg
    >>> def log_density(x):
    ...     return x @ torch.tensor([1.0, -0.5, 2.0]) - 2 * x[:, 0] * x[:, 2]
    >>> kernel = gibbs_with_gradients(log_density, support=torch.distributions.constraints.boolean)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 3), draws=200, warmup=50, generator=0)
    >>> rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    >>> exact = log_density(rows).softmax(0) @ rows  # 0.39, 0.38, 0.73
    >>> bool((trace.draws.mean((0, 1)) - exact).abs().max() < 0.02), trace.exactness.kind
    (True, 'exact')
    """
    return Metropolis(discrete_target(log_density, support), GibbsWithGradients(flips))


def discrete_target(log_density: object, support: Any = None) -> Target:
    """`as_target`, refusing at once a support whose values cannot be flipped."""
    target = as_target(log_density, support)
    alphabet_of(target, torch.zeros(1, 1))
    return target
