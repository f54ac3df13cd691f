"""Tempering, and the warm-up that finds its ladder.

Between two rungs the rejection rate is about the length of the path between them, so the cumulative sum of the rates is
the communication barrier L(beta), a function of the target and not of the ladder. A window of steps measures it at the
present rungs; the next window has rungs at equal steps of it, which then reject equally. Meanwhile every rung's step
size goes to its own acceptance by Robbins and Monro, as in `deepgen.samplers.adaptation`. All chains learn together;
what comes out is fixed.

Source: Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, "Non-reversible parallel tempering", section 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, check_real, is_whole
from deepgen.samplers.adaptation import Adaptive, Follower, aim_of
from deepgen.samplers.annealing import evenly
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.kernel import Exactness
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.replicas import Replicas, Tempering
from deepgen.samplers.scale import check_given
from deepgen.samplers.swaps import swap_rates, wanted_rungs
from deepgen.samplers.temperature import require_temperable, target_of

ENDS = (0.04, 0.1, 0.2, 0.35, 0.55, 0.8, 1.0)  # of windows, as shares of the warm-up; the ladder stays in the last
LEAST = 50
MOST = 64  # rungs that are taken unasked
PILOT = 8


@dataclass(frozen=True)
class AdaptiveTempering:
    """Tempering that is yet to be tuned: what `sample_chain` does in its warm-up.

    Attributes:
        tempering: where it starts.
        rungs: how many; None: as many as reject about half of the swaps, 64 at most. Ignored without ``moves``.
        moves: whether the rungs move; their ends stay.
        acceptance: the aim for each rung's step size; None: the proposal's own. Of a kernel without a step size or an
            aim there is nothing to tune on a rung.

    >>> import deepgen as dg
    >>> log_density = dg.data.mixture([[-5.0, 0.0], [5.0, 0.0]], 0.5).log_prob
    >>> kernel = dg.samplers.tempering(dg.samplers.mala(log_density), hottest=0.02)
    >>> trace = dg.samplers.sample_chain(kernel, torch.full((64, 2), -5.0), draws=300, warmup=300, generator=0)
    >>> bool(((trace.draws[..., 0] > 0).float().mean() - 0.5).abs() < 0.1)  # though all began at the left
    True
    """

    tempering: Tempering
    rungs: int | None
    moves: bool
    acceptance: float | None = None
    exactness: ClassVar[Exactness] = Exactness("adaptive")

    def init(self, position: Tensor) -> Replicas:
        """The state at ``position`` ``[chains, *event]``."""
        return self.tempering.init(position)

    def step(self, state: Replicas, *, generator: torch.Generator) -> tuple[Replicas, Any]:
        """A step of the kernel as it is before it is tuned."""
        return self.tempering.step(state, generator=generator)

    def tune(
        self,
        position: Any,
        steps: int,
        *,
        generator: torch.Generator,
        tick: Callable[[], object] | None = None,
    ) -> tuple[Tempering, Replicas]:
        """Run ``steps`` steps from ``position`` (or a state) and return (the frozen kernel, the state).

        Raises:
            ArgumentError: fewer than 50 steps.
        """
        check_count(steps=steps)
        if steps < LEAST:
            raise ArgumentError(f"tuning a ladder takes at least {LEAST} steps, better some hundred; got {steps}")
        tempering = self.tempering
        state = tempering.init(position) if isinstance(position, Tensor) else position
        if state.rung.shape[1] != len(tempering.betas):  # of a ladder tuned before
            state = tempering.init(state.position)
        device = state.position.device
        tempering = replace(tempering, betas=tempering.betas.to(device))  # once: every copy would wait for the device
        aim, start = self._aim(state), 0
        log_steps = None if aim is None else self._first(state)
        for end in (round(share * steps) for share in ENDS):
            state, settled = self._window(tempering, state, log_steps, aim, end - start, generator, tick)
            wanted, replicas = tempering.betas, tempering.replicas(state)
            if self.moves and end < steps:
                rates = swap_rates(state).cpu()
                wanted = next_ladder(tempering.betas.cpu(), rates, self.rungs).to(device)
                nearest = (wanted.unsqueeze(1) - tempering.betas).abs().argmin(1)
                replicas = replicas[:, nearest]
                settled = None if settled is None else settled[nearest]
            log_steps, start = settled, end
            sizes = None if settled is None else settled.exp().to(state.position.dtype)
            tempering = Tempering(tempering.kernel, wanted, sizes)
            state = tempering.start(replicas)  # and a new ledger
        return tempering, state

    def _aim(self, state: Replicas) -> float | None:
        proposal: Any = getattr(self.tempering.kernel, "proposal", None)
        if not isinstance(self.tempering.kernel, Metropolis) or not hasattr(proposal, "step_size"):
            return None
        if self.acceptance is None and hasattr(proposal, "acceptance"):
            return aim_of(proposal, state.position[0].numel())
        return self.acceptance

    def _first(self, state: Replicas) -> Tensor:
        sizes: Any = self.tempering.step_sizes
        if sizes is None:
            sizes = self.tempering.kernel.proposal.step_size
        device = state.position.device
        return torch.as_tensor(sizes, dtype=torch.float64).to(device).log().expand(state.rung.shape[1])

    def _window(
        self,
        tempering: Tempering,
        state: Replicas,
        log_steps: Tensor | None,
        aim: float | None,
        steps: int,
        generator: torch.Generator,
        tick: Callable[[], object] | None,
    ) -> tuple[Replicas, Tensor | None]:
        """Some steps with a fixed ladder: the state, and the mean of log step sizes over the later half."""
        follower = None if log_steps is None else Follower(log_steps, steps)
        for _ in range(steps):
            if follower is not None:
                tempering = replace(tempering, step_sizes=follower.log_step.exp().to(state.position.dtype))
            state, info = tempering.step(state, generator=generator)
            if follower is not None:
                assert info.moves is not None
                assert aim is not None
                follower.follow(info.moves.double().mean(0) - aim)
            if tick is not None:
                tick()
        return state, None if follower is None else follower.settled


def next_ladder(betas: Tensor, rates: Tensor, rungs: int | None) -> Tensor:
    """Rungs at equal steps of the barrier that ``rates`` of swaps ``[rungs - 1]`` show between ``betas`` ``[rungs]``.

    >>> next_ladder(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.4, 0.8]), 5)
    tensor([0.0000, 0.1667, 0.3333, 0.5000, 1.0000])
    """
    rejected = (1 - rates).clamp_min(1e-3).double()
    if rungs is None:
        rungs = min(wanted_rungs(float(rejected.sum())), MOST)
    return evenly(betas.double(), rejected, rungs).to(betas)


def tempering(
    kernel: Any,
    betas: int | Sequence[float] | Tensor | None = None,
    *,
    hottest: float | None = None,
    step_sizes: Tensor | None = None,
) -> Tempering | AdaptiveTempering:
    """Replica exchange over any exact kernel that has ``at(beta)``: exact, and a way out of every mode.

    Args:
        kernel: `Metropolis` with any proposal, `mala` and `hmc` with or without a step size, `BlockGibbs`, or one of
            the reader's own (see `deepgen.samplers.temperature`).
        betas: the ladder, rising to 1; or how many rungs the warm-up is to place; by default it decides that too.
        hottest: where a ladder that is tuned begins; 0 by default where that is a law (a reference, discrete values, a
            Boltzmann machine). A real target without a reference needs it: the modes should have met there.
        step_sizes: with a ladder that is given, one a rung, the hottest first.

    Returns:
        A kernel with the ladder as given; or, if it is to be tuned or the kernel has no step size yet, one that
        `sample_chain` tunes in its warm-up and then freezes. A tuned ladder tunes the step size of every rung as well,
        from the one given. A position ``[chains, *event]`` is that of the replica at beta = 1.

    Raises:
        MissingCapability: the kernel is biased, or has no ``at``.
        ArgumentError: the ladder does not rise to 1, or begins at 0 where that is no law.

    >>> import deepgen as dg
    >>> kernel = tempering(dg.samplers.metropolis(lambda x: -x.abs().sum(-1), dg.samplers.RandomWalk(1.0)), [0.5, 1.0])
    >>> kernel.exactness.kind, kernel.betas
    ('exact', tensor([0.5000, 1.0000]))
    """
    aim, untuned = None, isinstance(kernel, Adaptive)
    if isinstance(kernel, Adaptive):
        kernel, aim = kernel.kernel, kernel.acceptance
    require_temperable(kernel, "tempering")
    count = int(betas) if is_whole(betas) else None
    given = betas is not None and count is None
    if given and hottest is not None:
        raise ArgumentError("hottest is where a tuned ladder begins: give it, or the betas themselves")
    if not given and step_sizes is not None:
        raise ArgumentError("step_sizes go with betas that are given; those of a tuned ladder are tuned with it")
    proper = _proper(kernel)
    if step_sizes is not None:
        check_given(step_sizes)
    rungs = torch.as_tensor(betas, dtype=torch.float32).detach() if given else _spaced(count, hottest, proper)
    rises = rungs.ndim == 1 and len(rungs) >= 2 and bool((rungs.diff() > 0).all()) and rungs[0] >= 0 and rungs[-1] == 1
    if not rises:
        raise ArgumentError(f"betas must be two or more numbers that rise from 0 or more to 1, got {rungs.tolist()}")
    if rungs[0] == 0 and not proper:
        raise ArgumentError(
            "f^0 is no law over the real numbers: begin the ladder above 0, or give the Target a reference law"
        )
    made = Tempering(kernel, rungs, step_sizes)
    if given and not untuned:
        return made
    return AdaptiveTempering(made, count, not given, aim)


def _proper(kernel: Any) -> bool:
    """Whether the law at beta = 0 is one, as far as can be seen; a kernel without a target is taken at its word."""
    target = target_of(kernel)
    return isinstance(kernel, BlockGibbs) or target is None or target.discrete or target.reference is not None


def _spaced(count: int | None, hottest: float | None, proper: bool) -> Tensor:
    if count is not None:
        check_count(2, betas=count)
    if hottest is None and not proper:
        raise ArgumentError(
            "where should the ladder begin? Give hottest=, a beta at which chains cross between the modes, such as "
            "0.05, or give the Target a reference law"
        )
    least = 0.0 if hottest is None else hottest
    check_real("hottest", least, 0, 1 - 1e-6)
    count = PILOT if count is None else count
    if least == 0:
        return torch.linspace(0, 1, count)
    return torch.logspace(math.log10(least), 0, count).clamp_max(1.0)
