"""Parts ``modes`` and ``unequal`` of `samplers.py`: tempering and trained proposals on targets of many modes.

ESS is of 1,000 steps of 32 chains, the lesser coordinate, by A-NICE-MC's estimator (`KnownTarget.effective`: known mean
and variance, lags cut at 0.05, so 1,000 is the most). Seconds are CPU seconds of 1,024 chains of 977 steps, 10^6 draws,
with tuning or training and 500 steps of warm-up (2,000 for the unequal mixture, 50 for flows, whose chains come from
training). An effective draw costs 1,000 / ESS as much, once tuned or trained.

Tempering moves every rung by a random walk and then tries to swap: one density a rung and step, no gradient. Its ladder
and step sizes are tuned by 32 chains in 500 steps, starts at 5 N(0, 1). The numbers of rungs and the hottest
temperatures below were chosen with seeds 1 to 3.

A proposal is a RealNVP of 2 x [32, 32] on a base of 16 Gaussians, which begin where 16 chains of MALA are after 100
steps. It is trained by maximum likelihood on 256 chains of its own moves and MALA's (8 rounds of 40 steps and 60
updates), frozen, and then run with one step in 16 MALA's. More flows are compared in `neural_proposals.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from floor import verdict
from torch import Tensor

import deepgen as dg
from deepgen.samplers import RandomWalk, independence, ladder, mala, metropolis, mixture, sample_chain, tempering
from deepgen.testing import targets
from deepgen.testing.targets import KnownTarget

DRAWS = 10**6
CHAINS = 1024
STEPS = {"mog2": 0.25, "mog6": 0.25, "unequal mixture": 0.05}  # of MALA


class Ladder(NamedTuple):
    """How many rungs, where they begin, the least ESS of 1,000 that is aimed at, and steps of warm-up."""

    rungs: int
    hottest: float
    least: float = 0.0
    warm: int = 500


LADDERS = {
    "ring": Ladder(16, 0.1, 360),
    "mog2": Ladder(16, 0.02, 70),
    "mog6": Ladder(12, 0.035, 110),
    "ring5": Ladder(12, 0.1, 430),
    "unequal mixture": Ladder(16, 0.02, warm=2000),
}
PROPOSED = {"mog2": 320, "mog6": 320, "unequal mixture": 0}


class Measured(NamedTuple):
    """ESS of 1,000 steps; CPU seconds of a draw, and of the warm-up; mass of x_1 > 0 and its stderr over chains."""

    ess: float
    each: float
    warm: float
    right: float
    stderr: float
    info: dict[str, Tensor]

    def total(self, before: float) -> tuple[float, float]:
        """CPU seconds of 10^6 draws and of 10^6 effective ones, ``before`` and the warm-up counted."""
        start = before + self.warm
        return start + DRAWS * self.each, start + DRAWS * self.each * 1000 / self.ess


def measure(target: KnownTarget, kernel: Any, begin: Callable[[int], Any], seed: int, warm: int) -> Measured:
    """Run a frozen kernel from ``begin(chains)``: 32 chains for the ESS, 1,024 for costs and the mass on the right."""
    few = sample_chain(kernel, begin(32), draws=1000, warmup=warm, generator=seed)
    clock = time.process_time()
    start = sample_chain(kernel, begin(CHAINS), draws=1, warmup=warm, generator=seed + 1)
    warmed = time.process_time()
    trace = sample_chain(kernel, start.state, draws=math.ceil(DRAWS / CHAINS), generator=start.generator)
    each = (time.process_time() - warmed) / trace.draws[..., 0].numel()
    right = (trace.draws[..., 0] > 0).double().mean(0)
    ess, stderr = float(target.effective(few.draws).min()), float(right.std() / CHAINS**0.5)
    return Measured(ess, each, warmed - clock, float(right.mean()), stderr, trace.info)


def rows(position: Tensor) -> Callable[[int], Tensor]:
    """So many rows of ``position``, which is repeated where they do not suffice."""
    return lambda chains: position.repeat(math.ceil(chains / len(position)), *(1,) * (position.ndim - 1))[:chains]


def mass(target: KnownTarget, found: Measured) -> str:
    """The mass of x_1 > 0 beside the exact one: 1/2, but for the unequal mixture."""
    exact = 0.5
    if target.name == "unequal mixture":
        exact = 0.5 * (1 + math.erfc(5 / math.sqrt(6)) / 2 - math.erfc(5 / math.sqrt(0.1)) / 2)
    off = (found.right - exact) / found.stderr
    words = f"mass {found.right:.4f} +- {found.stderr:.4f}, exact {exact:.4f}: {off:+.1f} stderr"
    return words + (verdict(2 - abs(off), 0, ", target within 2") if target.name == "unequal mixture" else "")


def small_flow(target: KnownTarget, seed: int) -> Any:
    """A flow with a base of 16 Gaussians, placed where chains of MALA have gone."""
    base = dg.distributions.NormalMixture(2, components=16)
    pilot = sample_chain(mala(target, STEPS[target.name]), starts(16, seed), draws=1, warmup=99, generator=seed)
    with torch.no_grad():
        base.means.copy_(pilot.draws[0])
    return dg.explicit.RealNVP(2, transforms=2, hidden=[32, 32], base=base, generator=seed)


def starts(chains: int, seed: int) -> Tensor:
    """5 N(0, 1): ``[chains, 2]``."""
    return 5 * torch.randn(chains, 2, generator=dg.random.generator(seed))


def learn(target: KnownTarget, model: Any, kernel: Callable[[Any], Any], seed: int, **options: Any) -> Any:
    """Train ``model`` on 256 chains from 5 N(0, 1), MALA beside ``kernel(model)``."""
    local = mala(target, STEPS[target.name])
    return dg.samplers.train_proposal(model, kernel, local, starts(256, seed), generator=seed, **options)


def learn_flow(target: KnownTarget, flow: Any, seed: int, rounds: int, updates: int) -> Any:
    """By maximum likelihood, Adam at 3e-3."""
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    return learn(
        target, flow, lambda q: independence(target, q, ahead=1), seed,
        optimizer=optimizer, rounds=rounds, steps=40, updates=updates,
    )  # fmt: skip


def with_local(target: KnownTarget, kernel: Any) -> Any:
    """Fifteen steps in sixteen by ``kernel``, the others by MALA: a coin for all chains, so exact as both parts are."""
    return mixture(neural=kernel, local=mala(target, STEPS[target.name]), weights={"neural": 15, "local": 1})


def tempered(target: KnownTarget, seed: int) -> tuple[Measured, float, str]:
    """(what tempering does, CPU seconds of its tuning, words about its ladder)."""
    rungs, hottest, *_ = LADDERS[target.name]
    kernel = tempering(metropolis(target, RandomWalk(1.0)), rungs, hottest=hottest)
    clock = time.process_time()
    tuned, state = kernel.tune(starts(32, seed), 500, generator=dg.random.streams(seed))
    spent = time.process_time() - clock
    swaps = ladder(sample_chain(tuned, state, draws=200, generator=seed))
    words = f"{rungs} rungs from {hottest}, swaps {float(swaps.rates.mean()):.2f}, barrier {swaps.barrier:.2f}"
    replicas = rows(tuned.replicas(state))
    found = measure(target, tuned, lambda chains: tuned.start(replicas(chains)), seed, warm=LADDERS[target.name].warm)
    return found, spent, words


def line(name: str, kind: str, found: Measured, before: float, least: float, words: str) -> None:
    plain, effective = found.total(before)
    ess = verdict(found.ess, least) if least else f"{found.ess:.4g}"
    print(
        f"{name:>15}, {kind:9}  ESS of 1000 {ess}; CPU s: before {before:.1f}, 10^6 draws {plain:.1f}, "
        f"10^6 effective {effective:.1f}; {words}",
        flush=True,
    )


def run(seed: int) -> None:
    """ring, mog2, mog6, ring5."""
    for make in (targets.ring, targets.mog2, targets.mog6, targets.ring5):
        compare(make(), seed)


def unequal(seed: int) -> None:
    """Variances 3 and 0.05 at distance 10: the masses."""
    compare(targets.unequal_mixture(), seed)


def compare(target: KnownTarget, seed: int) -> None:
    found, spent, words = tempered(target, seed)
    line(target.name, "tempering", found, spent, LADDERS[target.name].least, words)
    if target.name not in PROPOSED:
        return
    clock = time.process_time()
    trained = learn_flow(target, small_flow(target, seed), seed, rounds=8, updates=60)
    training = time.process_time() - clock
    kernel = with_local(target, independence(target, trained.model, ahead=16))
    ours = measure(target, kernel, rows(trained.position), seed, warm=50)
    accepted = float(ours.info["acceptance"].mean())
    line(target.name, "flow", ours, training, PROPOSED[target.name], f"acceptance {accepted:.2f}")
    for which, one, two in zip(("plain", "effective"), found.total(spent), ours.total(training), strict=True):
        print(f"{'':>15}  tempering : flow, CPU seconds of 10^6 {which} draws = {verdict(one / two, 1)}")
    for kind, each in (("tempering", found), ("flow", ours)):
        print(f"{'':>15}  {kind:9}  {mass(target, each)}")
