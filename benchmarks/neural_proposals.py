"""Neural proposals on mixtures that local kernels do not cross: effective draws, masses, training, break-even.

Chains start at 5 N(0, 1), 256 of them; MALA is the local move and the flow learns from what both find. A trained kernel
is then run alone: 32 chains of 1,000 steps for the effective sample size (`KnownTarget.effective`, A-NICE-MC's
estimator with known mean and variance, lags cut at 0.05; the lesser of the two coordinates), 1,024 chains of 1,000
steps for the mass on the right and the cost. CPU seconds of one thread. Rows with a local move take one step of MALA in
16, by a coin; alone, a chain in a tail that the flow misses is held there, which ``heaviest`` shows.

    python benchmarks/neural_proposals.py                    # flows and reflections, about three minutes
    python benchmarks/neural_proposals.py --ahead            # how far ahead candidates should be drawn
    python benchmarks/neural_proposals.py --adversarial      # A-NICE-MC's training, about ten minutes
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from sampler_modes import STEPS, learn, learn_flow, mass, measure, rows, with_local

import deepgen as dg
from deepgen.samplers import BreakEven, Involution, Reversible, heaviest, independence, mala, metropolis
from deepgen.testing import targets


def mixture_base(seed: int) -> dg.distributions.NormalMixture:
    """Eight Gaussians, spread as widely as the chains start."""
    base = dg.distributions.NormalMixture(2, components=8, generator=seed)
    with torch.no_grad():
        base.means.mul_(3)
    return base


MODELS: dict[str, Callable[[int], Any]] = {
    "RealNVP 2 x [32, 32], mixture base": lambda seed: dg.explicit.RealNVP(
        2, transforms=2, hidden=[32, 32], base=mixture_base(seed), generator=seed
    ),
    "RealNVP 6 x [64, 64]": lambda seed: dg.explicit.RealNVP(2, transforms=6, hidden=[64, 64], generator=seed),
    "NSF 4 x [64, 64]": lambda seed: dg.explicit.NSF(2, transforms=4, hidden=[64, 64], box=12.0, generator=seed),
}


def judge(target: Any, kernel: Any, trained: Any, seed: int) -> str:
    """One row: training, effective draws, cost, mass, and the break-even against MALA on its own."""
    found = measure(target, kernel, rows(trained.position), seed, warm=1)
    alone = measure(target, mala(target, STEPS[target.name]), rows(trained.position), seed + 2, warm=1)
    gain = BreakEven(trained.seconds, found.each * 1000 / found.ess, alone.each * 1000 / alone.ess)
    held = f", heaviest {heaviest(found.info):.1f}" if "held" in found.info else ""
    return (
        f"acceptance {float(found.info['acceptance'].mean()):.2f}, ESS {found.ess:.0f} of 1000 (MALA {alone.ess:.1f}), "
        f"{1e6 * found.each:.2f} us a draw, {mass(target, found)}{held}, training {trained.seconds:.1f} s, "
        f"ahead of MALA from {gain.draws:,.0f} on"
    )


def flows(seeds: range) -> None:
    for make in (targets.mog2, targets.mog6, targets.unequal_mixture):
        target = make()
        for name, build in MODELS.items():
            for seed in seeds:
                flow = build(seed)
                trained = learn_flow(target, flow, seed, rounds=12, updates=100)
                alone = independence(target, trained.model, ahead=16)
                ready = judge(target, with_local(target, alone), trained, seed)
                print(f"{target.name}, {name}, seed {seed}: {ready}", flush=True)
                if name == "RealNVP 6 x [64, 64]":
                    print(f"{target.name}, the same without MALA: {judge(target, alone, trained, seed)}", flush=True)
                    turned = metropolis(target, Involution(trained.model, angle=1.0))
                    print(f"{target.name}, its reflection by 1.0: {judge(target, turned, trained, seed)}", flush=True)


def adversarial(seeds: range, rounds: int) -> None:
    for make in (targets.mog2, targets.mog6):
        target = make()
        for seed in seeds:
            f = dg.samplers.velocity_couplings(2, dg.transforms.Shift, hidden=[200], generator=seed)
            objective = dg.objectives.AdversarialMixing(2, noise=3.0, generator=seed)

            def kernel(q: Any, target: Any = target) -> Any:
                return metropolis(target, Reversible(q))

            trained = learn(
                target, f, kernel, seed, objective=objective, rounds=rounds, steps=40, updates=100, batch_size=64
            )
            ready = kernel(trained.model)
            print(f"{target.name}, A-NICE, seed {seed}: {judge(target, ready, trained, seed)}", flush=True)


def ahead() -> None:
    target, flow = (
        targets.mog6(),
        dg.explicit.RealNVP(2, transforms=4, hidden=[64, 64], generator=0).requires_grad_(False),
    )
    for chains in (32, 256, 4096):
        for how_far in (1, 4, 16, 64, 256):
            if chains * how_far > 300_000:
                continue
            kernel = independence(target, flow, ahead=how_far)
            stream = dg.random.streams(0)
            state, times = kernel.init(torch.zeros(chains, 2)), []
            for _ in range(3):
                clock = time.process_time()
                for _ in range(256):
                    state, _info = kernel.step(state, generator=stream)
                times.append((time.process_time() - clock) / 256 / chains)
            print(f"{chains} chains, {how_far} ahead: {1e6 * min(times):.2f} us a draw", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40, help="of adversarial training")
    parser.add_argument("--ahead", action="store_true")
    parser.add_argument("--adversarial", action="store_true")
    given = parser.parse_args()
    if given.ahead:
        ahead()
    elif given.adversarial:
        adversarial(range(given.seeds), given.rounds)
    else:
        flows(range(given.seeds))
