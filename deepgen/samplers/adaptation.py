"""Warm-up of a Metropolis kernel: a step size and a covariance, from all chains together, then frozen.

Step size, after every step (Robbins & Monro 1951; the mean over the last half of a window is kept):

    log h += gain_t (mean over chains of the acceptance probability - its aim)

Covariance: of all chains over a window of the warm-up, of windows that grow, the last of which ends at 80 %; what is
left settles the step size. With C chains a window of W steps holds C W positions, so a dense covariance is good within
tens of steps, where one chain needs thousands. Chains that move while the kernel changes have no stationary law yet;
`Adaptive` says so, and what `tune` returns is an ordinary kernel again.

A chain that is refused again and again (far out, where gradients are steep) takes shorter steps of its own until it
moves; in the last window all steps are equal, as they will be.

No step waits for the device. Andrieu & Thoms 2008, "A tutorial on adaptive MCMC".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.samplers.kernel import Exactness
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.scale import Scale

ENDS = (
    0.1,
    0.2,
    0.35,
    0.55,
    0.8,
    1.0,
)  # of the windows, as shares of the warm-up; the first and last learn no covariance
STUCK = 0.01  # an acceptance at which a chain seems to be where the common step is far too long
LEAST = 20
DENSE = 256  # dimensions up to which a whole covariance is learnt; beyond, variances


@dataclass(frozen=True)
class Adaptive:
    """A kernel that is yet to be tuned: what `sample_chain` does in its warm-up.

    Raises:
        MissingCapability: ``kernel`` has nothing to tune.

    Attributes:
        kernel: `Metropolis` with a proposal that has ``step_size``, ``scale`` and an aim, ``acceptance``.
        acceptance: the aim, the proposal's own by default (``acceptance_in_one`` of single numbers, if it has that).
        dense: learn a whole covariance; by default up to 256 dimensions, variances beyond.
        covariance: learn one at all; without, the step size alone (a scale of discrete values is no such factor).

    >>> import deepgen as dg
    >>> adaptive = dg.samplers.mala(lambda x: -50 * x.square().sum(-1))
    >>> stream = dg.random.streams(0)
    >>> kernel, state = adaptive.tune(stream.normal((50, 2)), 200, generator=stream)
    >>> kernel.exactness.kind, 0.05 < float(kernel.proposal.scale[0, 0]) < 0.2  # the standard deviation is 0.1
    ('exact', True)
    """

    kernel: Metropolis
    acceptance: float | None = None
    dense: bool | None = None
    covariance: bool = True
    exactness: ClassVar[Exactness] = Exactness("adaptive")

    def __post_init__(self) -> None:
        proposal: Any = getattr(self.kernel, "proposal", None)
        known = {field.name for field in fields(proposal)} if is_dataclass(proposal) else set()
        known |= {"acceptance"} if self.acceptance is not None or hasattr(proposal, "acceptance") else set()
        missing = [name for name in ("step_size", "scale", "acceptance") if name not in known]
        if not self.covariance:
            missing = [name for name in missing if name != "scale"]
        if missing or not isinstance(self.kernel, Metropolis):
            found = type(self.kernel if proposal is None else proposal).__name__
            raise MissingCapability(
                "tuning takes a Metropolis kernel whose proposal has step_size, scale (unless covariance=False) and an "
                f"aim, acceptance; {found} has no {' and no '.join(missing) or 'such kernel'}"
            )
        if self.covariance and self.kernel.target.discrete:
            raise ArgumentError(
                "a covariance of discrete values is no scale of their moves: Adaptive(covariance=False)"
            )
        if self.acceptance is not None:
            check_real("acceptance", self.acceptance, 0, 1)

    def init(self, position: Tensor) -> Any:
        """The state at ``position`` ``[chains, *event]``."""
        return self.kernel.init(position)

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]:
        """A step of the kernel as it is before it is tuned."""
        return self.kernel.step(state, generator=generator)

    def tune(
        self,
        position: Any,
        steps: int,
        *,
        generator: torch.Generator,
        tick: Callable[[], object] | None = None,
    ) -> tuple[Metropolis, Any]:
        """Run ``steps`` steps from ``position`` (or a state) and return (the frozen kernel, the state).

        Raises:
            ArgumentError: fewer than 20 steps.
        """
        check_count(steps=steps)
        if steps < LEAST:
            raise ArgumentError(f"warming up takes at least {LEAST} steps, better some hundred; got {steps}")
        proposal: Any = self.kernel.proposal
        state = self.init(position) if isinstance(position, Tensor) else position
        size = state.position[0].numel()
        kernel, start = self.kernel, 0
        lag = torch.zeros(len(state.position), device=state.position.device)
        log_step = torch.as_tensor(proposal.step_size, dtype=torch.float64).to(state.position.device).log()
        log_step = log_step - math.log(size) / 3
        aim = aim_of(proposal, size) if self.acceptance is None else self.acceptance
        for window, share in enumerate(ENDS):
            end = round(share * steps)
            learns = self.covariance and 0 < window < len(ENDS) - 1
            moments = Moments(state.position, size <= DENSE if self.dense is None else self.dense) if learns else None
            follower = Follower(log_step, end - start)
            for _ in range(end - start):
                own = follower.log_step if window == len(ENDS) - 1 else follower.log_step + lag
                kernel = _with(kernel, step_size=own.exp().to(state.position.dtype))
                state, info = kernel.step(state, generator=generator)
                lag = torch.where(info.acceptance < STUCK, lag - 0.5, lag + 0.25).clamp_max(0.0)
                follower.follow(info.acceptance.double().mean() - aim)
                if moments is not None:
                    moments.add(state.position)
                if tick is not None:
                    tick()
            log_step = follower.settled
            if moments is not None:
                kernel = _with(kernel, scale=moments.scale())
                log_step = torch.zeros_like(log_step) - math.log(size) / 3  # the new coordinates are of unit size
            start = end
        return _with(kernel, step_size=log_step.exp().to(state.position.dtype)), state


def aim_of(proposal: Any, size: int) -> float:
    """The acceptance that a proposal's step size aims at, of events of ``size`` numbers.

    >>> import deepgen as dg
    >>> aim_of(dg.samplers.RandomWalk(1.0), 1), aim_of(dg.samplers.RandomWalk(1.0), 2)
    (0.44, 0.234)
    """
    aim: float = getattr(proposal, "acceptance_in_one", proposal.acceptance) if size == 1 else proposal.acceptance
    return aim


class Follower:
    """A log step size that follows its aim for the acceptance, and the mean of it over the later half of the steps.

        log h <- log h + gain / (1 + t)^0.6 (acceptance - aim)          (Robbins & Monro 1951; Andrieu & Thoms 2008)

    Args:
        log_step: of any shape, float64.
        steps: how many there will be.

    >>> follower = Follower(torch.zeros((), dtype=torch.float64), 200)
    >>> for _ in range(200):  # where acceptance is exp(-h), and its aim 1/2
    ...     follower.follow((-follower.log_step.exp()).exp() - 0.5)
    >>> bool((follower.settled.exp() - math.log(2)).abs() < 0.01)
    True
    """

    def __init__(self, log_step: Tensor, steps: int, *, gain: float = 4.0) -> None:
        self.log_step, self.settled = log_step, log_step
        self.gain, self.half, self.done = gain, steps // 2, 0

    def follow(self, excess: Tensor) -> None:
        """One step, whose acceptance was ``excess`` above the aim."""
        change = self.gain / (1 + self.done) ** 0.6 * excess
        self.log_step = (self.log_step + change).clamp(-30, 30)  # where all is accepted, however long the step
        late = self.done - self.half
        if late >= 0:
            self.settled = self.settled + (self.log_step - self.settled) / (late + 1)
        self.done += 1


class Moments:
    """Sums of positions over chains and steps, for their covariance: around the first mean, so that none cancels.

    >>> moments = Moments(torch.zeros(1, 2), dense=False)
    >>> for x in torch.randn(200, 50, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0]):
    ...     moments.add(x)
    >>> moments.scale()
    tensor([1.0..., 3.0...])
    """

    def __init__(self, position: Tensor, dense: bool) -> None:
        rows = position.reshape(len(position), -1)
        size = rows.shape[1]
        self.centre, self.count, self.dense = rows.mean(0), 0, dense
        self.first = torch.zeros(size, dtype=torch.float64, device=rows.device)
        self.second = torch.zeros((size, size) if dense else (size,), dtype=torch.float64, device=rows.device)

    def add(self, position: Tensor) -> None:
        """Count the positions ``[chains, *event]`` of one step."""
        rows = position.reshape(len(position), -1) - self.centre
        self.count += len(rows)
        self.first += rows.sum(0)
        self.second += rows.mT @ rows if self.dense else rows.square().sum(0)

    def scale(self) -> Scale:
        """The factor L of the covariance, drawn towards its diagonal where the positions are few for a whole one."""
        mean = self.first / self.count
        square = torch.outer(mean, mean) if self.dense else mean.square()
        covariance = self.second / self.count - square
        variance = covariance.diagonal() if self.dense else covariance
        variance = variance.clamp_min(1e-12 * variance.max().clamp_min(1e-30))
        if not self.dense:
            return variance.sqrt().to(self.centre.dtype)
        share = math.exp(-self.count / 10 / len(mean))  # of the diagonal alone: 1 for few positions, 0 for many
        covariance = (1 - share) * covariance + share * variance.diag()
        factor, failed = torch.linalg.cholesky_ex(covariance)
        return torch.where(failed == 0, factor, variance.sqrt().diag()).to(self.centre.dtype)


def _with(kernel: Metropolis, **changed: Any) -> Metropolis:
    return replace(kernel, proposal=replace(kernel.proposal, **changed))  # type: ignore[type-var]
