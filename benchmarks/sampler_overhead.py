"""Part ``overhead`` of `samplers.py`: what a kernel's step costs beyond its gradients.

256 chains on the posterior of a logistic regression 1000 x 25, float32.
A step and the gradients it takes (one of each chain; 4 in HMC of 4 leaps; of every replica in tempering; for the random
walk, which takes none, the log density) are timed in turn, in blocks of some ten milliseconds of CPU time; printed are
the medians of the blocks, the median of their ratios, and half the distance of their quartiles.

The gradient's temporaries are 1 MB each here, and glibc by default gives such memory back to the system and faults it
in again at every call, which can take longer than the arithmetic. `samplers.py` has it kept: both sides are faster, and
the ratio is harder. By itself (`python benchmarks/sampler_overhead.py`) this file leaves the allocator as it comes.
"""

from __future__ import annotations

import os
from typing import Any

import floor
import torch
from floor import setting, verdict
from sampler_peers import logistic

from deepgen import samplers
from deepgen.random import Streams

CHAINS, SIZE, RUNGS, LEAPS, STEP = 256, 25, 4, 4, 0.003
PAIRS, BLOCK = 40, 20
MOST = 1.5  # times the gradients; the random walk takes none


def kernels(target: samplers.Target) -> dict[str, tuple[Any, int]]:
    """Kernels, and how many gradients of how many rows a chain they take."""
    factor = torch.eye(SIZE) * 0.07
    dense = samplers.metropolis(target, samplers.Langevin(0.6, factor))
    betas = torch.logspace(-1, 0, RUNGS).clamp_max(1.0)
    return {
        "random walk": (samplers.metropolis(target, samplers.RandomWalk(0.03)), 1),
        "MALA": (samplers.mala(target, STEP), 1),
        "MALA, dense": (dense, 1),
        f"HMC, {LEAPS} leaps": (samplers.hmc(target, STEP**0.5, leaps=LEAPS), LEAPS),
        f"HMC, dense, {LEAPS} leaps": (
            samplers.metropolis(target, samplers.Hamiltonian(0.5, LEAPS, factor, 0.2)),
            LEAPS,
        ),
        f"tempering, {RUNGS} rungs": (
            samplers.tempering(samplers.mala(target, STEP), betas, step_sizes=STEP / betas),
            RUNGS,
        ),
    }


def compare(
    name: str, kernel: Any, gradients: int, target: samplers.Target, seed: int
) -> tuple[float, float, float, float]:
    """Microseconds of a step and of its gradients, their ratio, and half the distance of its quartiles."""
    stream = Streams(seed)
    state = kernel.init(Streams(seed + 1).normal((CHAINS, SIZE)) * 0.3)
    for _ in range(100):
        state, _ = kernel.step(state, generator=stream)
    held = [state]

    def step() -> None:
        held[0], _ = kernel.step(held[0], generator=stream)

    rows = RUNGS if name.startswith("tempering") else 1
    x = held[0].position.repeat_interleave(rows, 0)
    evaluate = target.value if name == "random walk" else target.slope

    def alone() -> None:
        for _ in range(gradients // rows):
            evaluate(x)

    times = floor.alternate({"step": step, "gradients": alone}, PAIRS, inner=max(1, BLOCK // gradients))
    low, middle, high = floor.quartiles(floor.ratios(times, "step", "gradients"))
    return floor.median(times, "step"), floor.median(times, "gradients"), middle, (high - low) / 2


def run(seed: int) -> None:
    """A line for each kernel, with the gradient as most users have it and as quick as we can write it."""
    problem = logistic(1000, SIZE)
    for words, target in (
        ("gradient by autograd", samplers.Target(problem.log_density)),
        ("gradient written by hand", samplers.Target(problem.quick, problem.slope)),
    ):
        print(f"{problem.name}, {CHAINS} chains, {words}")
        for name, (kernel, gradients) in kernels(target).items():
            step, alone, ratio, spread = compare(name, kernel, gradients, target, seed)
            aim = verdict(-ratio, -MOST, f", target at most {MOST}") if name != "random walk" else ""
            print(
                f"{name:>20}  step {step:7.0f} us  gradients {alone:7.0f} us  "
                f"ratio {ratio:.3f} +- {spread:.3f}{aim}  beyond {step - alone:6.0f} us",
                flush=True,
            )


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    print(", ".join(f"{name} {value}" for name, value in setting().items()))
    run(0)
