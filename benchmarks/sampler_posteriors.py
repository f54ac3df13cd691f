"""Part ``posteriors`` of `samplers.py`: ESS a CPU second on a Gaussian and two logistic regressions, beside peers.

ESS is the least, over dimensions, of ArviZ's bulk and tail ESS, for every side; a run passes the gate if its largest
rank-normalised split R-hat is at most 1.01, and a figure that does not is marked ``!``. Two figures: warm-up counted
(and a peer's compilation with it), and not. Every side's means are compared with those of a long run of ours from
another seed: the largest |z| over dimensions, which is to be below 4.

Ratios count warm-up on both sides, those in brackets on none; targets are of the first. Peers that are not installed
(``pip install 'deepgen[peers]'``) are left out and said.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import numpy as np
import torch
from floor import verdict
from sampler_peers import Problem, Run, gaussian, logistic, numpyro_nuts, nutpie_nuts, pyro_nuts
from torch import Tensor

import deepgen as dg

GATE = 1.01
CHAINS = 256
# how many times the quickest side of a peer; Pyro's as it comes, with a diagonal mass matrix
LEAST = {"Gaussian": {"Pyro": 2000, "NumPyro": 10}, "logistic": {"Pyro": 1000, "nutpie": 10}}


def run(seed: int) -> None:
    for problem, least in (
        (gaussian(), LEAST["Gaussian"]),
        (logistic(1000, 25), LEAST["logistic"]),
        (logistic(270, 14), LEAST["logistic"]),
    ):
        race(problem, least, seed)


def race(problem: Problem, least: dict[str, int], seed: int) -> None:
    """Time every side on ``problem`` and print a line each, and the ratios that matter."""
    print(f"\n{problem.name}")
    reference = ours(problem, 1024, 2000, 500, seed + 1, "mala").draws
    rates: dict[str, float] = {}
    alone: dict[str, float] = {}
    for name, side in sides(problem, seed).items():
        library = name.split()[0].lower()
        if library in ("pyro", "numpyro", "nutpie") and importlib.util.find_spec(library) is None:
            print(f"{name:>36}  not installed: left out")
            continue
        result = side()
        ess, worst = effective(result.draws)
        both = ess / (result.warm + result.sampling)
        rates[name], alone[name] = both, ess / result.sampling
        off = deviation(result.draws, reference)
        line = (
            f"{name:>36}  ESS {ess:9.0f}  R-hat {worst:.4f}{' ' if worst <= GATE else '!'}  warm-up "
            f"{result.warm:6.2f} s  sampling {result.sampling:6.2f} s  ESS/s {ess / result.sampling:9.0f}, "
            f"warm-up counted {both:9.0f}  |z| {off:.1f}"
        )
        if library == "deepgen":
            line += f"  R-hat{verdict(GATE - worst, 0, ' <= 1.01')}, |z|{verdict(4 - off, 0, ' < 4')}"
        print(line, flush=True)
    mala = next(iter(rates))
    for name, rate in rates.items():
        if not name.startswith("deepgen"):
            print(f"{mala + ' : ' + name:>60} = {rates[mala] / rate:8.1f} ({alone[mala] / alone[name]:.1f})")
    for library, times in least.items():
        peers = [name for name in rates if name.split()[0] == library and name != "Pyro NUTS, bare, dense"]
        if peers:
            best = max(peers, key=rates.__getitem__)
            print(f"{mala} : the quickest of {library}, {best} = {verdict(rates[mala] / rates[best], times)}")


def sides(problem: Problem, seed: int) -> dict[str, Callable[[], Run]]:
    """What is run on a problem, by the name that is printed; the first is held against the targets."""
    return {
        f"deepgen MALA, {CHAINS} chains": lambda: ours(problem, CHAINS, 1000, 200, seed, "mala"),
        f"deepgen HMC 4 leaps, {CHAINS} chains": lambda: ours(problem, CHAINS, 500, 200, seed, "hmc"),
        "Pyro NUTS, a program": lambda: pyro_nuts(problem, 1000, seed, dense=False, program=True),
        "Pyro NUTS, bare potential": lambda: pyro_nuts(problem, 1000, seed, dense=False),
        "Pyro NUTS, bare, dense": lambda: pyro_nuts(problem, 1000, seed, dense=True),
        "NumPyro NUTS, 1 chain": lambda: numpyro_nuts(problem, 4000, seed, 1, dense=False),
        f"NumPyro NUTS, {CHAINS} chains, dense": lambda: numpyro_nuts(problem, 500, seed, CHAINS, dense=True),
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
