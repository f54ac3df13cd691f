"""What the swaps of a tempered chain tell: how well the ladder carries, and log Z at its top.

    barrier    sum over pairs of the rejection rate, about the integral of the local barrier, so it hardly depends on K
    log Z      log Z_0 + sum_r [log E_r sqrt(f_r+1 / f_r) - log E_r+1 sqrt(f_r / f_r+1)]

If a rung's moves forget where it was between two swaps, the replicas of a chain together complete a round trip in every

    2 + 2 sum_r r_r / (1 - r_r) steps,      r_r the rejection rate of pair r.

With barrier B the ladder that has most of them for its work rejects half of its swaps, and has some 2 B + 1 rungs: a
trip in 2 + 4 B steps, and one of each replica in 2 B + 1 times that. With ever more rungs of the same B the first falls
to 2 + 2 B and no further. Moves that remember make trips rarer.

log Z is by the geometric bridge (Bennett 1976; Meng & Wong 1996) between neighbours, from the same numbers that decide
swaps. Its error is the jackknife's over chains: it is right as far as chains are independent and have mixed.
Sources: Syed, Bouchard-Côté, Deligiannidis & Doucet 2022, sections 4 and 5.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.samplers.alphabet import log_states
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.checkerboard import Checkerboard
from deepgen.samplers.kernel import require_state
from deepgen.samplers.replicas import Ledger, Replicas, Tempering
from deepgen.samplers.temperature import target_of

if TYPE_CHECKING:
    from deepgen.evaluate.estimate import Estimate


@dataclass(frozen=True)
class Ladder:
    """How a tempered chain went; ``print`` makes a table of it.

    Attributes:
        betas: ``[rungs]``; step_sizes: ``[rungs]`` or None.
        rates: of swaps by pair ``[rungs - 1]``, in probability, over the chains that have a density.
        steps: steps counted, in each chain; chains: their number.
        trips: round trips from beta = 1 to the hottest rung and back, of all its replicas, a chain.
        ledger: the sums by chain and pair that log Z is made of.
        log_base: log Z at the hottest rung. Known where the ladder begins at 0 and there is a reference law (0.0), for
            a Boltzmann machine (all fields zero) and for finitely many states (log of their number); None elsewhere.
    """

    betas: Tensor
    rates: Tensor
    step_sizes: Tensor | None
    steps: int
    chains: int
    trips: float
    ledger: Ledger = field(repr=False)
    log_base: float | None = None

    @property
    def barrier(self) -> float:
        """Sum of the rejection rates."""
        return float((1 - self.rates).sum())

    def log_partition(self, *, log_base: float | None = None) -> Estimate:
        """log Z of the target by the bridges between rungs.

        Args:
            log_base: log Z at the hottest rung, where it is not known without.

        Returns:
            An `Estimate` whose side is ``undetermined``: chains that have not mixed can err either way. Its stderr is
            that of independent chains (jackknife), so a hundred short ones are better than two long ones. Chains that
            were at a point without a density (NaN, or zero at their own rung) are left out, with a warning.

        Raises:
            MissingCapability: log Z is not known at the hottest rung.
            ArgumentError: fewer than 2 chains with a density, or a pair of rungs that was never tried.

        >>> import deepgen as dg
        >>> law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), 3.0), 1)
        >>> target = dg.samplers.Target(lambda x: -x.square().sum(-1) / 2, reference=law)  # Z is 2 pi
        >>> kernel = dg.samplers.tempering(dg.samplers.mala(target, 1.0), [0.0, 0.1, 0.4, 1.0])
        >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(100, 2), draws=200, warmup=50, generator=0)
        >>> estimate = dg.samplers.ladder(trace).log_partition()
        >>> abs(estimate.value - math.log(2 * math.pi)) < 5 * estimate.stderr, estimate.side
        (True, 'undetermined')
        """
        from deepgen.evaluate.estimate import Estimate  # which imports samplers

        base, hottest = self.log_base if log_base is None else log_base, float(self.betas[0])
        if base is None:
            raise MissingCapability(
                f"log Z is not known at beta = {hottest:.3g}, the hottest rung: give the target a reference law and "
                "the ladder betas[0] = 0, or say log_base="
            )
        up, down = self._bridges()  # the same number of tries in both, which cancels
        chains = len(up)
        if chains < 2 or self.steps < 2:
            raise ArgumentError(
                "the error of log Z is taken over chains with a density, and every pair of rungs: at least 2 chains of "
                f"2 steps, got {chains} of {self.steps}"
            )
        value = float((up.logsumexp(0) - down.logsumexp(0)).sum())
        without = (_leave_one_out(up) - _leave_one_out(down)).sum(1)
        stderr = math.sqrt((chains - 1) / chains * float((without - without.mean()).square().sum()))
        settings = {"rungs": len(self.betas), "steps": self.steps, "chains": chains, "hottest": hottest}
        method = "geometric bridges along the rungs of tempering"
        return Estimate(base + value, stderr, "undetermined", method, chains, settings=settings)

    def _bridges(self) -> tuple[Tensor, Tensor]:
        """up and down of the `Ledger`, of the chains that have them; a warning names the others."""
        gone = lost(self.ledger)
        if bool(gone.any()):
            which = gone.nonzero().flatten().tolist()
            warnings.warn(
                f"log Z leaves out {len(which)} of {self.chains} chains, which were where the target has no density "
                f"(NaN, or zero): {which[:8]}{' and more' if len(which) > 8 else ''}; "
                "start them elsewhere, or give a longer warm-up",
                RuntimeWarning,
                stacklevel=3,
            )
        return self.ledger.up[~gone], self.ledger.down[~gone]

    def __str__(self) -> str:
        rows = ["   beta  swaps up  step size" if self.step_sizes is not None else "   beta  swaps up"]
        for r, beta in enumerate(self.betas.tolist()):
            rate = f"{float(self.rates[r]):10.3f}" if r < len(self.rates) else 10 * " "
            size = "" if self.step_sizes is None else f"{float(self.step_sizes[r]):11.3g}"
            rows.append(f"{beta:7.4f}{rate}{size}")
        rows.append(
            f"barrier {self.barrier:.2f}, for which {wanted_rungs(self.barrier)} rungs do; "
            f"{self.trips:.2f} round trips a chain in {self.steps} steps, {self.chains} chains"
        )
        return "\n".join(rows)


def wanted_rungs(barrier: float) -> int:
    """How many rungs reject about half of their swaps: 2 B + 1, at least 3.

    >>> wanted_rungs(2.6)
    7
    """
    return max(3, math.ceil(2 * barrier) + 1)


def ladder(kernel: Any, state: Any = None) -> Ladder:
    """How the swaps went since the warm-up: rates, barrier, round trips, and log Z.

    Args:
        kernel: a Trace of `tempering`; or its tuned kernel, with ``state``.
        state: of that kernel.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.tempering(dg.samplers.mala(lambda x: -x.square().sum(-1), 0.5), [0.2, 0.5, 1.0])
    >>> print(ladder(dg.samplers.sample_chain(kernel, torch.zeros(100, 2), draws=100, generator=0)))
       beta  swaps up
     0.2000     0...
     0.5000     0...
     1.0000
    barrier 0..., for which 3 rungs do; ... round trips a chain in 100 steps, 100 chains
    """
    kernel, state = _both(kernel, state)
    rates = swap_rates(state).cpu()
    steps, trips = int(state.clock[0]), float(state.trips.double().mean())
    base = _log_base(kernel, state)
    return Ladder(kernel.betas, rates, kernel.step_sizes, steps, len(state.clock), trips, state.ledger, base)


def lost(ledger: Ledger) -> Tensor:
    """Which chains were where there is no density (NaN, or zero at their own rung): ``[chains]``."""
    # -inf is a weight of zero, which counts; inf is a point that its own rung cannot be at
    bridges = torch.cat([ledger.up, ledger.down], 1)
    return (bridges.isnan() | (bridges == torch.inf)).any(1)


def swap_rates(state: Replicas) -> Tensor:
    """How often each pair swapped, over the chains that have a density: ``[rungs - 1]``."""
    counts = ~lost(state.ledger).unsqueeze(1)
    return torch.where(counts, state.ledger.swapped / tries(state), 0.0).sum(0) / counts.sum().clamp_min(1)


def tries(state: Replicas) -> Tensor:
    """How often each pair was tried: ``[chains, rungs - 1]``, 1 at least."""
    pairs = state.rung.shape[1] - 1
    if pairs == 1:
        return state.clock.unsqueeze(1).clamp_min(1)
    odd = torch.arange(pairs, device=state.clock.device) % 2
    return ((state.clock.unsqueeze(1) + 1 - odd) // 2).clamp_min(1)


def _leave_one_out(logs: Tensor) -> Tensor:
    """log of the sum over all chains but one ``[chains, pairs]``, without taking a difference of large numbers."""
    scaled = (logs - logs.amax(0)).exp()
    before = torch.nn.functional.pad(scaled.cumsum(0)[:-1], (0, 0, 1, 0))
    after = torch.nn.functional.pad(scaled.flip(0).cumsum(0)[:-1], (0, 0, 1, 0)).flip(0)
    return (before + after).log() + logs.amax(0)


def _both(kernel: Any, state: Any) -> tuple[Tempering, Replicas]:
    if state is None and hasattr(kernel, "kernel") and hasattr(kernel, "state"):
        kernel, state = kernel.kernel, kernel.state
    if not isinstance(kernel, Tempering):
        raise MissingCapability(
            f"expected the trace or the tuned kernel of tempering, got {type(kernel).__name__}; of a composition give "
            "the part: ladder(trace.kernel.kernels[0], trace.state.states[0])"
        )
    require_state(state, Replicas)
    return kernel, state


def _log_base(tempering: Tempering, state: Replicas) -> float | None:
    kernel, hottest = tempering.kernel, float(tempering.betas[0])
    target = target_of(kernel)
    if hottest == 0 and target is not None and target.reference is not None:
        return 0.0
    if hottest == 0 and isinstance(kernel, BlockGibbs) and kernel.clamp is None:
        model, total = kernel.model, 0.0
        for layer in (model.visible, model.hidden):
            field = torch.zeros(layer.width, dtype=torch.float64, device=model.weight.device)
            total += float(layer.cumulant(field).detach())
        return total
    if hottest == 0 and isinstance(kernel, Checkerboard):
        return math.prod(kernel.model.shape) * math.log(kernel.model.states)
    return log_states(target, state.position) if hottest == 0 and target is not None else None
