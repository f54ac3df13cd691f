"""Part ``posteriors`` of `samplers.py`: ESS a CPU second on a Gaussian and two logistic regressions, beside peers.

ESS is the least, over dimensions, of ArviZ's bulk and tail ESS, for every side; a run passes the gate if its largest
rank-normalised split R-hat is at most 1.01, and a figure that does not is marked ``!``. Two figures: warm-up counted
(and a peer's compilation with it), and not. Every side's means are compared with those of a long run of ours from
another seed: the largest |z| over dimensions, which is to be below 4.

``fitted Gaussian`` is independence Metropolis (`fitted`): its warm-up is MALA's, the pilot chains and the fit.

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
PILOT, WIDER = 100, 1.05  # steps of the pilot, and how much wider its Gaussian is taken: chosen with seeds 1 and 2
# how many times a peer's sides, as they come: of MALA on the Gaussian, of our quickest on the others
LEAST = {
    "Gaussian": {"Pyro NUTS, a program": 2000, "Pyro NUTS, bare potential": 2000, "NumPyro": 10},
    "logistic": {"Pyro NUTS, a program": 1000, "Pyro NUTS, bare potential": 1000, "nutpie": 10},
}


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
        passes = worst <= GATE or library != "deepgen"  # ours count for nothing without it
        rates[name], alone[name] = both * passes, ess / result.sampling
        off = deviation(result.draws, reference)
        line = (
            f"{name:>36}  ESS {ess:9.0f}  R-hat {worst:.4f}{' ' if worst <= GATE else '!'}  warm-up "
            f"{result.warm:6.2f} s  sampling {result.sampling:6.2f} s  ESS/s {ess / result.sampling:9.0f}, "
            f"warm-up counted {both:9.0f}  |z| {off:.1f}"
        )
        if library == "deepgen":
            line += f"  R-hat{verdict(GATE - worst, 0, ' <= 1.01')}, |z|{verdict(4 - off, 0, ' < 4')}"
        print(line, flush=True)
    own = [name for name in rates if name.startswith("deepgen") and rates[name] > 0]
    if not own:
        print("none of ours has passed the gate: no ratios")
        return
    best = own[0] if "NumPyro" in least else max(own, key=rates.__getitem__)
    peers = [name for name in rates if not name.startswith("deepgen")]
    for name in peers:
        print(f"{best + ' : ' + name:>66} = {rates[best] / rates[name]:8.1f} ({alone[best] / alone[name]:.1f})")
    for peer, times in least.items():
        those = [name for name in peers if name.startswith(peer)]
        if those:
            quickest = max(those, key=rates.__getitem__)
            print(f"{best} : {quickest} = {verdict(rates[best] / rates[quickest], times)}")


def sides(problem: Problem, seed: int) -> dict[str, Callable[[], Run]]:
    """What is run on a problem, by the name that is printed."""
    vectorised = CHAINS if problem.size == 10 else 64  # of 25 dimensions 256 take minutes
    return {
        f"deepgen MALA, {CHAINS} chains": lambda: ours(problem, CHAINS, 1000, 200, seed, "mala"),
        f"deepgen HMC 2 leaps, {CHAINS} chains": lambda: ours(problem, CHAINS, 1000, 200, seed, "hmc"),
        f"deepgen fitted Gaussian, {CHAINS} chains": lambda: fitted(problem, CHAINS, 1000, 200, seed),
        "Pyro NUTS, a program": lambda: pyro_nuts(problem, 1000, seed, dense=False, program=True),
        "Pyro NUTS, bare potential": lambda: pyro_nuts(problem, 1000, seed, dense=False),
        "Pyro NUTS, bare, dense": lambda: pyro_nuts(problem, 1000, seed, dense=True),
        "NumPyro NUTS, 1 chain": lambda: numpyro_nuts(problem, 4000, seed, 1, dense=False),
        f"NumPyro NUTS, {vectorised} chains, dense": lambda: numpyro_nuts(problem, 500, seed, vectorised, dense=True),
        "nutpie NUTS, 4 chains": lambda: nutpie_nuts(problem, 2000, seed, 4),
    }


def ours(problem: Problem, chains: int, draws: int, warm: int, seed: int, kind: str) -> Run:
    """deepgen's kernel, tuned in its warm-up, from standard normal starts."""
    target, start, stream = begin(problem, chains, seed)
    kernel = dg.samplers.mala(target)
    if kind == "hmc":
        kernel = dg.samplers.Adaptive(dg.samplers.hmc(target, leaps=2).kernel, acceptance=0.8)
    began = time.process_time()
    tuned, state = kernel.tune(start, warm, generator=stream)
    warmed = time.process_time()
    trace = dg.samplers.sample_chain(tuned, state, draws, generator=stream)
    return Run(trace.draws, warmed - began, time.process_time() - warmed)


def begin(problem: Problem, chains: int, seed: int) -> tuple[dg.samplers.Target, Tensor, torch.Generator]:
    """The target, standard normal starts, and the streams of the chains."""
    start = dg.random.streams(seed + 100).normal((chains, problem.size))
    return dg.samplers.Target(problem.quick, problem.slope), start, dg.random.streams(seed)


def fitted(problem: Problem, chains: int, draws: int, warm: int, seed: int) -> Run:
    """Independence Metropolis from the Gaussian of MALA's pilot chains, a little wider; one step in 16 is MALA's."""
    target, start, stream = begin(problem, chains, seed)
    began = time.process_time()
    local, state = dg.samplers.mala(target).tune(start, warm, generator=stream)
    pilot = dg.samplers.sample_chain(local, state, PILOT, generator=stream)
    rows = pilot.draws.flatten(0, 1)
    law = torch.distributions.MultivariateNormal(rows.mean(0), WIDER * rows.mT.cov())
    neural = dg.samplers.independence(target, law, ahead=15)
    kernel = dg.samplers.mixture(neural=neural, local=local, weights={"neural": 15, "local": 1})
    warmed = time.process_time()
    trace = dg.samplers.sample_chain(kernel, pilot.draws[-1], draws, generator=stream)
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
