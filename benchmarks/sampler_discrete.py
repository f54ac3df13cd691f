"""Part ``discrete`` of `samplers.py`: Gibbs, Gibbs with gradients (GWG) and discrete Langevin (DMALA).

Ising models on a torus, log f = J sum_<ij> x_i x_j + h sum_i x_i, and two machines 784-500: one hardly trained, which
mixes, and one after a few epochs of PCD, which does not.

``masses``: 20,000 chains from all spins up, the last state of each, so all are independent: total variation from the
65,536 enumerated probabilities, beside what as many exact draws give (mean +- standard deviation).

``ESS``: the least bulk ESS over log f, the sum over sites, and single sites (of the machines: 30 fixed random
projections), all chains together; R-hat is the worst of these. A step is a sweep of Gibbs, one gradient of the others.
DMALA's step size is tuned in the warm-up to an acceptance of 0.57; GWG flips as many sites as is said, with so many
steps between kept draws. Where R-hat is above 1.01 (marked ``!``) chains have not mixed, and the ESS is no more than
their number says. What is judged is computed from the kept states afterwards, outside of the time.

The machines learn binarised MNIST if DEEPGEN_DATA names its folder, else scikit-learn's digits enlarged to 28 x 28; 100
chains start from 500 sweeps of Gibbs after rows of the data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from floor import verdict
from torch import Tensor

import deepgen as dg
from deepgen.explicit import RBM, Ising
from deepgen.explicit.units import digits
from deepgen.samplers import advance, dmala, gibbs_with_gradients, sample_chain

GATE = 1.01
Statistic = Callable[[Tensor], Tensor]


def run(seed: int) -> None:
    small = Ising((4, 4), coupling=0.3, field=0.1).requires_grad_(False)
    masses(small, seed)
    for model in (small, Ising((10, 10), coupling=0.2).requires_grad_(False)):
        sites = model.shape[0] * model.shape[1]
        statistic = lambda x, m=model: seen(m.log_density(x), x.flatten(-2))  # noqa: E731
        print(f"Ising {model.shape[0]} x {model.shape[1]}, coupling {float(model.coupling[0, 0, 0]):.1f}, 100 chains")
        thins = {"Gibbs": 1, "GWG, 1 flip": max(5, sites // 5), "GWG, 5 flips": 5, "DMALA": 4}
        race(model, model.sample(100, generator=seed), statistic, thins, 2000, seed)
    projections = torch.randn(784, 30, generator=dg.random.generator(seed))
    for epochs, rate, slow in ((1, 0.003, 3), (5, 0.1, 1)):
        machine, start = trained(epochs, rate, seed)
        statistic = lambda x, m=machine: seen(m.log_density(x), x, x @ projections)  # noqa: E731
        race(machine, start, statistic, {"Gibbs": 1, "GWG, 1 flip": 1, "GWG, 5 flips": 1, "DMALA": slow}, 1000, seed)


def seen(log_density: Tensor, sites: Tensor, projections: Tensor | None = None) -> Tensor:
    """What is judged: ``[chains, statistics]``."""
    each = sites if projections is None else projections
    return torch.cat([log_density.unsqueeze(-1), sites.sum(-1, keepdim=True), each], -1)


def masses(model: Ising, seed: int, chains: int = 20_000) -> None:
    states = digits(0, 2**16, 2, 16).float() * 2 - 1
    exact = model.log_density(states.view(-1, 4, 4)).double().softmax(0)
    powers = 2 ** torch.arange(16)

    def variation(x: Tensor) -> float:
        counts = torch.bincount(((x.flatten(1) > 0).long() * powers).sum(1), minlength=2**16)
        return float((counts / len(x) - exact).abs().sum() / 2)

    stream = dg.random.generator(seed)
    noise = torch.tensor([variation(model.sample(chains, generator=stream)) for _ in range(20)])
    level, spread = float(noise.mean()), float(noise.std())
    print(f"Ising 4 x 4, masses: {chains:,} exact draws are {level:.4f} +- {spread:.4f} off in total variation")
    tuned, _ = dmala(model).tune(model.sample(200, generator=stream), 200, generator=dg.random.streams(seed))
    for name, kernel, steps in (
        ("Gibbs", model.gibbs(), 100),
        ("GWG, 1 flip", gibbs_with_gradients(model), 300),
        ("DMALA", tuned, 100),
    ):
        up = torch.ones(chains, 4, 4)
        off = variation(advance(kernel, kernel.init(up), steps, generator=dg.random.streams(seed)).position)
        z = (off - level) / spread
        print(f"{name:>14}  {steps} steps: {off:.4f}, {z:+.1f} sd{verdict(3 - z, 0, ', target below +3')}", flush=True)


def race(model: Any, start: Tensor, statistic: Statistic, thins: dict[str, int], draws: int, seed: int) -> None:
    """ESS a CPU second of every kernel on one model; ``thins``: steps between kept draws."""
    kernels = {
        "Gibbs": model.gibbs(),
        "GWG, 1 flip": gibbs_with_gradients(model),
        "GWG, 5 flips": gibbs_with_gradients(model, flips=5),
        "DMALA": dmala(model),
    }
    for label, thin in thins.items():
        kernel, state, stream, words = kernels[label], start, dg.random.streams(seed), ""
        if label == "DMALA":
            clock = time.process_time()
            kernel, state = kernel.tune(start, 300, generator=stream)
            words = f", step size {float(kernel.proposal.step_size):.3g}, tuned in {time.process_time() - clock:.1f} s"
        clock = time.process_time()
        trace = sample_chain(kernel, state, draws=draws, thin=thin, generator=stream)
        spent = time.process_time() - clock
        judged = torch.stack([statistic(x) for x in trace.draws])  # not timed: kernels keep draws at different steps
        ess, worst = float(dg.evaluate.ess(judged).min()), float(dg.evaluate.rhat(judged).max())
        if "acceptance" in trace.info:
            words = f", acceptance {float(trace.info['acceptance'].mean()):.2f}" + words
        print(
            f"{label:>14}  {draws * thin} steps, {1e6 * spent / draws / thin / len(start):.2f} us a step and chain; "
            f"ESS {ess:.0f}, R-hat {worst:.3f}{' ' if worst <= GATE else '!'} ESS/s {ess / spent:.4g}{words}",
            flush=True,
        )


def trained(epochs: int, rate: float, seed: int) -> tuple[RBM, Tensor]:
    """A machine, and 100 chains of it."""
    if os.environ.get("DEEPGEN_DATA"):
        name, data = "binarised MNIST", dg.data.load("binarized_mnist").train
    else:
        small = dg.data.load("digits").train.view(-1, 1, 8, 8)
        name, data = "digits 8 x 8, enlarged", (torch.nn.functional.interpolate(small, 28) > 0.5).float().flatten(1)
        epochs *= 10  # of fewer rows
    machine = RBM(visible=784, hidden=500, generator=seed).initialise(data)
    clock = time.process_time()
    dg.fit(
        machine, data, dg.objectives.PersistentCD(k=1, chains=100), epochs=epochs, batch_size=100,
        optimizer=torch.optim.SGD(machine.parameters(), lr=rate), seed=seed, progress=False,
    )  # fmt: skip
    machine.requires_grad_(False)
    rows = data[torch.randperm(len(data), generator=dg.random.generator(seed))[:100]]
    kernel = machine.gibbs()
    start = advance(kernel, kernel.init(rows), 500, generator=dg.random.streams(seed)).position
    spent = time.process_time() - clock
    print(f"RBM 784-500 on {name}: PCD-1, batch 100, 100 chains, rate {rate}, {epochs} epochs; {spent:.0f} CPU s")
    return machine, start
