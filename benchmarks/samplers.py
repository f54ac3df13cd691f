"""Effective samples a CPU second beside the peers: `python benchmarks/samplers.py [--only WORDS] [--chains 256]`.

One thread on one core (the process is pinned), CPU seconds. ESS is the least, over dimensions, of ArviZ's bulk and tail
ESS, for every side; a run passes the gate if its largest rank-normalised split R-hat is at most 1.01, and a figure that
does not is marked and counts for nothing. Two figures: warm-up counted (and a peer's compilation with it), and not.
Every side's means are compared with those of a long run of ours from another seed: the largest |z|.

Needs `pip install 'deepgen[peers]'` for the peers; those that are not installed are left out and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from sampler_peers import Problem, Run, gaussian, logistic, numpyro_nuts, nutpie_nuts, pyro_nuts
from torch import Tensor

import deepgen as dg

GATE = 1.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="problems whose name contains one of these")
    parser.add_argument("--chains", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for problem in (gaussian(), logistic(1000, 25), logistic(270, 14)):
        if arguments.only is None or any(word in problem.name for word in arguments.only):
            race(problem, arguments.chains, arguments.seed)


def race(problem: Problem, chains: int, seed: int) -> None:
    """Time every side on ``problem`` and print a line each, and the ratios that matter."""
    print(f"\n{problem.name}, one thread, seed {seed}")
    reference = ours(problem, 1024, 4000, 500, seed + 1, "mala").draws
    rates: dict[str, float] = {}
    for name, run in sides(problem, chains, seed).items():
        library = name.split()[0].lower()
        if library in ("pyro", "numpyro", "nutpie") and importlib.util.find_spec(library) is None:
            print(f"{name:>36}  not installed: left out")
            continue
        result = run()
        ess, worst = effective(result.draws)
        both = ess / (result.warm + result.sampling)
        passes = worst <= GATE
        rates[name] = both if passes else float("nan")
        print(
            f"{name:>36}  ESS {ess:9.0f}  R-hat {worst:.4f}{' ' if passes else '!'}  warm-up {result.warm:6.2f} s  "
            f"sampling {result.sampling:6.2f} s  ESS/s {ess / result.sampling:9.0f}, warm-up counted {both:9.0f}  "
            f"|z| {deviation(result.draws, reference):.1f}",
            flush=True,
        )
    best = max(rate for name, rate in rates.items() if name.startswith("deepgen"))
    for name, rate in rates.items():
        if not name.startswith("deepgen") and rate == rate:
            print(f"{'deepgen : ' + name:>47} = {best / rate:8.1f}, warm-up counted on both sides")


def sides(problem: Problem, chains: int, seed: int) -> dict[str, Callable[[], Run]]:
    """What is run on a problem, by the name that is printed."""
    return {
        f"deepgen MALA, {chains} chains": lambda: ours(problem, chains, 1000, 200, seed, "mala"),
        f"deepgen HMC 4 leaps, {chains} chains": lambda: ours(problem, chains, 500, 200, seed, "hmc"),
        "Pyro NUTS, a program": lambda: pyro_nuts(problem, 1000, seed, dense=False, program=True),
        "Pyro NUTS, bare potential": lambda: pyro_nuts(problem, 1000, seed, dense=False),
        "Pyro NUTS, bare, dense": lambda: pyro_nuts(problem, 1000, seed, dense=True),
        "NumPyro NUTS, 1 chain": lambda: numpyro_nuts(problem, 4000, seed, 1, dense=False),
        f"NumPyro NUTS, {chains} chains, dense": lambda: numpyro_nuts(problem, 500, seed, chains, dense=True),
        "nutpie NUTS, 4 chains": lambda: nutpie_nuts(problem, 2000, seed, 4),
    }


def ours(problem: Problem, chains: int, draws: int, warm: int, seed: int, kind: str) -> Run:
    """deepgen's kernel, tuned in its warm-up, from standard normal starts."""
    target = dg.samplers.Target(problem.log_density, problem.slope)
    kernel = dg.samplers.mala(target) if kind == "mala" else dg.samplers.hmc(target, leaps=4)
    start = dg.random.streams(seed + 100).normal((chains, problem.size))
    stream = dg.random.streams(seed)
    began = time.process_time()
    tuned, state = kernel.tune(start, warm, generator=stream)
    warmed = time.process_time()
    trace = dg.samplers.sample_chain(tuned, state, draws, generator=stream)
    return Run(trace.draws, warmed - began, time.process_time() - warmed)


def effective(draws: Tensor) -> tuple[float, float]:
    """(the least bulk or tail ESS over dimensions, the largest R-hat), by ArviZ."""
    import arviz

    if draws.shape[1] == 1:  # one chain is compared with itself, in halves
        half = len(draws) // 2
        draws = torch.cat([draws[:half], draws[half : 2 * half]], 1)
    found = [
        (min(float(arviz.ess(x, method="bulk")), float(arviz.ess(x, method="tail"))), float(arviz.rhat(x)))
        for x in draws.permute(2, 1, 0).double().numpy()
    ]
    return min(ess for ess, _ in found), max(worst for _, worst in found)


def deviation(draws: Tensor, reference: Tensor) -> float:
    """The largest |difference of means| over its standard error, over dimensions."""
    import arviz

    worst = 0.0
    for x, r in zip(draws.permute(2, 1, 0).double().numpy(), reference.permute(2, 1, 0).double().numpy(), strict=True):
        between = r.mean(1)  # chains are independent
        error = np.hypot(float(np.ravel(arviz.mcse(x, method="mean"))[0]), between.std(ddof=1) / len(between) ** 0.5)
        worst = max(worst, abs(x.mean() - r.mean()) / error)
    return float(worst)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    main()
