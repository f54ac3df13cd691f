"""The path from a reference law to a target, moved by the target's own kernel: annealing in one line.

    f_beta = f^beta r^(1 - beta),      log Z_0 = 0,      exact draws of r at beta = 0

The kernel's state goes along and holds log f untempered, so that a step costs what it costs in sampling and the weight
nothing; `deepgen.samplers.KernelPath` is for paths and kernels of other kinds. The best step is another at every
temperature: `TemperedPath.tuned` finds it on chains of its own and fixes it, so that every move stays exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability
from deepgen.samplers.adaptation import Follower, aim_of
from deepgen.samplers.annealing import Path
from deepgen.samplers.composed import Thinned
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.temperature import log_ratio, require_temperable, target_of

_GRID, _SETTLE, _PILOTS = 17, 12, 100  # temperatures, steps at each and chains of the tuning


class TemperedPath:
    """The path of `kernel_path`.

    Args:
        kernel: exact, with ``at(beta)``, over a `Target` with a ``reference``.
        log_steps: None, or the kernel's log step sizes ``[grid]`` at the temperatures u^power, u equally spaced in
            [0, 1].
        power: of that grid; 4, say, where the target is far narrower than the reference and most happens near 0.

    >>> import deepgen as dg
    >>> target = dg.samplers.Target(lambda x: -x.square().sum(-1), reference=dg.data.mixture([[0.0, 0.0]], 1.0))
    >>> TemperedPath(dg.samplers.mala(target, 0.5)).log_base
    0.0
    """

    log_base = 0.0

    def __init__(self, kernel: Any, *, log_steps: Tensor | None = None, power: float = 1.0) -> None:
        self.kernel, self.target = require_temperable(kernel, "annealed importance sampling"), target_of(kernel)
        self.log_steps = None if log_steps is None else log_steps.double().tolist()
        self.power = power
        if self.target is None or self.target.reference is None:
            raise MissingCapability(
                "the path to this kernel's target has no beginning: give it a reference law, "
                "Target(log_density, reference=a Distribution), and make the kernel of that"
            )

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        assert self.target is not None
        return self.target.start(n, generator=generator)

    def init(self, position: Tensor) -> Any:
        return self.kernel.init(position)

    @torch.no_grad()
    def step(self, state: Any, old: float, new: float, *, generator: torch.Generator) -> tuple[Any, Tensor]:
        gain = log_ratio(self.kernel, state, old, new).double()
        moved, _info = self.at(new).step(state, generator=generator)
        return moved, gain

    def at(self, beta: float) -> Any:
        """The kernel that leaves f^beta r^(1 - beta) invariant."""
        kernel = self.kernel.at(beta)
        if self.log_steps is None:
            return kernel
        place = beta ** (1 / self.power) * (len(self.log_steps) - 1)
        left = min(int(place), len(self.log_steps) - 2)
        log_step = self.log_steps[left] + (place - left) * (self.log_steps[left + 1] - self.log_steps[left])
        return _sized(kernel, torch.tensor(log_step).exp())

    @torch.no_grad()
    def tuned(
        self,
        *,
        generator: torch.Generator,
        position: Tensor | None = None,
        acceptance: float | None = None,
        power: float = 1.0,
    ) -> TemperedPath:
        """The same path with step sizes that meet the proposal's aim at every temperature, from a pilot of its own.

        100 chains, or those at ``position`` (draws of the reference), go up 17 temperatures u^power with 12 steps at
        each. ``acceptance`` is the aim, the proposal's own by default. A kernel other than Metropolis with a proposal
        that has a ``step_size``, and an ``acceptance`` where none is given here, is left as it is; of `thin` of such a
        one the pilot takes single steps.
        """
        if isinstance(self.kernel, Thinned):
            single = TemperedPath(self.kernel.kernel).tuned(
                generator=generator, position=position, acceptance=acceptance, power=power
            )
            if single.log_steps is None:
                return self
            return TemperedPath(self.kernel, log_steps=torch.tensor(single.log_steps, dtype=torch.float64), power=power)
        proposal: Any = getattr(self.kernel, "proposal", None)
        aims = acceptance is not None or hasattr(proposal, "acceptance")
        if not (isinstance(self.kernel, Metropolis) and hasattr(proposal, "step_size") and aims):
            return self
        state = self.init(self.start(_PILOTS, generator=generator) if position is None else position)
        aim = aim_of(proposal, state.position[0].numel()) if acceptance is None else acceptance
        found: list[Tensor] = []
        log_step = torch.as_tensor(proposal.step_size, dtype=torch.float64).log()
        for beta in torch.linspace(0, 1, _GRID).pow(power).tolist():
            kernel, steps = self.kernel.at(beta), _SETTLE if found else 4 * _SETTLE
            follower = Follower(log_step, steps, gain=2.0)
            for _ in range(steps):
                step = follower.log_step.exp().to(state.position)
                state, info = _sized(kernel, step).step(state, generator=generator)
                follower.follow(info.acceptance.double().mean() - aim)
            log_step = follower.settled
            found.append(log_step)
        return TemperedPath(self.kernel, log_steps=torch.stack(found), power=power)


def _sized(kernel: Any, step_size: Tensor) -> Any:
    if isinstance(kernel, Thinned):
        return replace(kernel, kernel=_sized(kernel.kernel, step_size))
    proposal: Any = kernel.proposal
    return replace(kernel, proposal=replace(proposal, step_size=step_size))


def kernel_path(kernel: Any) -> Path:
    """The path that ``kernel`` moves along, from the reference law of its target to the target.

    Args:
        kernel: an exact one with ``at(beta)``: `Metropolis` with any proposal, say, or a `mixture` of such.

    Raises:
        MissingCapability: a biased kernel, one without ``at``, or a target without a reference.

    >>> import math, deepgen as dg
    >>> target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2, reference=dg.data.mixture([[0.0, 0.0]], 2.0))
    >>> log_z = dg.evaluate.log_partition(dg.samplers.mala(target, 0.5), method="ais", temperatures=50, generator=0)
    >>> abs(log_z.value - math.log(2 * math.pi)) < 0.2, log_z.side  # which anneals along it
    (True, 'below')
    """
    return TemperedPath(kernel)
