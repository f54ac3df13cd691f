"""The path of a target from its reference: what anneals an energy model.

    f_beta(x) = f(x)^beta r(x)^(1 - beta),      log f_t - log f_s = (t - s) (log f(x) - log r(x))

r is normalised, so log Z_0 = 0, and drawn from exactly. The kernel's states hold log f untempered: the weight needs no
evaluation of its own, and one state serves all temperatures, where a `KernelPath` evaluates anew at each. The size of a
step is found by `tuned` on chains of its own and is then a fixed function of the temperature, so every move is exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, check_count
from deepgen.samplers.kernel import require_exact
from deepgen.samplers.metropolis import Metropolis

_GRID, _SETTLE, _PILOTS = 17, 12, 100  # temperatures, steps at each and chains of the tuning


class TargetPath:
    """A `deepgen.samplers.Path` from the reference of a Metropolis kernel's target to that target.

    Args:
        kernel: exact, over a `Target` with a ``reference``.
        moves: kernel steps at each temperature.
        log_steps: None, or log step sizes ``[grid]`` at equally spaced temperatures from 0 to 1.

    Raises:
        MissingCapability: a biased kernel, or a target without a reference.

    >>> import deepgen as dg
    >>> normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    >>> target = dg.samplers.Target(lambda x: -2 * x.square().sum(-1), reference=normal)  # log Z = log(pi / 2)
    >>> g = dg.random.generator(0)
    >>> path = TargetPath(dg.samplers.hmc(target, 0.5, leaps=3))
    >>> _, log_weights = dg.samplers.anneal(
    ...     path, path.init(path.start(500, generator=g)), torch.linspace(0, 1, 50), generator=g
    ... )
    >>> bool((log_weights.exp().mean().log() - 0.4516).abs() < 0.1)
    True
    """

    log_base, named = 0.0, "Metropolis"

    def __init__(self, kernel: Metropolis, *, moves: int = 1, log_steps: Tensor | None = None) -> None:
        require_exact(kernel, "annealed importance sampling")
        check_count(moves=moves)
        if kernel.target.reference is None:
            raise MissingCapability("a path starts at a reference: Target(..., reference=a Distribution to draw from)")
        self.kernel, self.moves = kernel, moves
        self.target, self.reference = kernel.target, kernel.target.reference
        self.log_steps = None if log_steps is None else log_steps.double().tolist()

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` exact draws from the reference."""
        return self.target.start(n, generator=generator)

    def init(self, position: Tensor) -> Any:
        return self.kernel.init(position)

    def at(self, beta: float) -> Metropolis:
        """The kernel that leaves f_beta invariant."""
        kernel = self.kernel.at(beta)
        if self.log_steps is None:
            return kernel
        place = beta * (len(self.log_steps) - 1)
        left = min(int(place), len(self.log_steps) - 2)
        log_step = self.log_steps[left] + (place - left) * (self.log_steps[left + 1] - self.log_steps[left])
        return _sized(kernel, torch.tensor(log_step).exp())

    @torch.no_grad()
    def step(self, state: Any, old: float, new: float, *, generator: torch.Generator) -> tuple[Any, Tensor]:
        log_ratio = (new - old) * (state.log_density - self.reference.log_prob(state.position)).double()
        kernel = self.at(new)
        for _ in range(self.moves):
            state, _info = kernel.step(state, generator=generator)
        return state, log_ratio

    @torch.no_grad()
    def tuned(self, *, generator: torch.Generator) -> TargetPath:
        """The same path with step sizes that meet the proposal's aim at every temperature, from a pilot of its own.

        100 chains go up 17 temperatures with 12 steps at each; a proposal without a step size is left as it is.
        """
        proposal: Any = self.kernel.proposal
        if not hasattr(proposal, "step_size"):
            return self
        state = self.init(self.start(_PILOTS, generator=generator))
        found: list[Tensor] = []
        log_step = torch.as_tensor(proposal.step_size, dtype=torch.float64).log()
        for beta in torch.linspace(0, 1, _GRID).tolist():
            kernel, sizes = self.kernel.at(beta), []
            for t in range(_SETTLE if found else 4 * _SETTLE):
                step = log_step.exp().to(state.position)
                state, info = _sized(kernel, step).step(state, generator=generator)
                log_step = log_step + 2.0 / (1 + t) ** 0.6 * (info.acceptance.double().mean() - proposal.acceptance)
                sizes.append(log_step)
            log_step = torch.stack(sizes[len(sizes) // 2 :]).mean()
            found.append(log_step)
        return TargetPath(self.kernel, moves=self.moves, log_steps=torch.stack(found))


def _sized(kernel: Metropolis, step_size: Tensor) -> Metropolis:
    proposal: Any = kernel.proposal
    return replace(kernel, proposal=replace(proposal, step_size=step_size))
