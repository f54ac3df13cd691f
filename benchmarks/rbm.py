"""Speed of the RBM against the arithmetic it cannot avoid, and against its peers: `python benchmarks/rbm.py`.

Case: PCD-1, 784 visible and 500 hidden units, batch 100, 100 chains, float32, one thread, CPU time, on a machine
trained for a while (its chains are as sparse as the data). The floor of a step is three matrix products (hidden to
visible, batch and chains up, outer product with the update inside), one uniform number, sigmoid and comparison per
unit, each alone; see `floor.step_pieces`. The sides of every ratio take turns, so that both see the same machine.

Options: ``--root FOLDER`` with binarized MNIST (or DEEPGEN_DATA; otherwise the 8x8 digits, whose columns are repeated
to 784), ``--quick``, ``--json FILE``, ``--budget`` CPU seconds of training for each peer.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import floor
import torch
from torch import Tensor

import deepgen as dg
from deepgen.samplers import anneal

BATCH, CHAINS, HIDDEN = 100, 100, 500


def load(root: str | None) -> tuple[Tensor, Tensor, str]:
    """Training and test rows ``[rows, 784]`` and their name; digits are tiled to the width of MNIST."""
    if root or os.environ.get("DEEPGEN_DATA"):
        data = dg.data.load("binarized_mnist", root=root)
        return data.train.float(), data.test.float(), "binarized MNIST (fixed)"
    data = dg.data.load("digits")
    train, test = (x.float().repeat(1, 13)[:, :784].contiguous() for x in (data.train, data.test))
    return train, test, "8x8 digits, columns repeated to 784"


def trained(x: Tensor, steps: int) -> tuple[dg.RBM, Tensor]:
    """A machine and its chains after ``steps`` updates."""
    rbm, stream = dg.RBM(784, HIDDEN, generator=0).initialise(x), dg.random.generator(0)
    objective = dg.objectives.PersistentCD(chains=CHAINS)
    step, state = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.1)), None
    state = objective.start(rbm, x, generator=stream)
    for i in range(steps):
        state, _ = step(state, rows(x, i), generator=stream)
    return rbm, state.chains


def rows(x: Tensor, i: int) -> Tensor:
    start = i * BATCH % (len(x) - BATCH + 1)
    return x[start : start + BATCH]


def stepper(rbm: dg.RBM, chains: Tensor, x: Tensor, binary: bool) -> Callable[[], object]:
    """A function that takes the next PCD-1 step of its own copy of ``rbm``."""
    copy, stream = dg.RBM(784, HIDDEN, generator=0), dg.random.generator(1)
    copy.load_state_dict(rbm.state_dict())
    objective = dg.objectives.PersistentCD(chains=CHAINS, binary=binary)
    update = objective.update(copy, torch.optim.SGD(copy.parameters(), lr=0.01))
    state, done = objective.start(copy, x, generator=stream)._replace(chains=chains), 0

    def step() -> None:
        nonlocal state, done
        state, _ = update(state, rows(x, done), generator=stream)
        done += 1

    return step


def steps(x: Tensor, rounds: int) -> tuple[dict[str, float], dg.RBM]:
    """The floor, its pieces, and both ways of taking a step."""
    rbm, chains = trained(x, 300)
    stream = dg.random.generator(2)
    visible = torch.cat((x[:BATCH], rbm.visible.sample(rbm.visible_field(chains).detach(), generator=stream)))
    hidden = torch.cat((chains, chains))
    pieces = floor.step_pieces(rbm.weight.detach(), visible, hidden, BATCH, stream)
    sides: dict[str, Callable[[], object]] = dict(pieces)
    sides["dense step"] = stepper(rbm, chains, x, binary=False)
    sides["binary step"] = stepper(rbm, chains, x, binary=True)
    times = floor.alternate(sides, rounds, inner=4)
    result = {f"{name}, us": floor.median(times, name) for name in pieces}
    result["floor, us"] = floor.median(times, *pieces)
    result["share of ones, data and chains"] = float(visible.mean())
    for name in ("dense step", "binary step"):
        result[f"{name}, us"] = floor.median(times, name)
        result[f"{name} / floor"] = floor.ratio(times, name, *pieces)
    return result, rbm


class Turns:
    """Called by `deepgen.fit` after each of its steps: takes a bare step of another machine, and times both."""

    def __init__(self, bare: Callable[[], object]) -> None:
        self.bare, self.of_fit, self.of_bare, self.mark = bare, [0], [0], time.process_time_ns()

    def advance(self) -> None:
        before = time.process_time_ns()
        self.bare()
        after = time.process_time_ns()
        self.of_fit[-1] += before - self.mark
        self.of_bare[-1] += after - before
        self.mark = after

    def __call__(self, record: object, model: object) -> None:
        self.of_fit.append(0)
        self.of_bare.append(0)


def fit_overhead(x: Tensor, epochs: int) -> dict[str, float]:
    """`deepgen.fit` over bare steps on batches cut beforehand: step by step in turns, per epoch of all the rows."""
    objective = dg.objectives.PersistentCD(chains=CHAINS)
    twins = [dg.RBM(784, HIDDEN, generator=0).initialise(x) for _ in range(2)]
    optimizers = [torch.optim.SGD(rbm.parameters(), lr=0.05) for rbm in twins]
    update, stream = objective.update(twins[1], optimizers[1]), dg.random.generator(0)
    state, batches = objective.start(twins[1], x, generator=stream), itertools.cycle(x.split(BATCH))

    def bare() -> None:
        nonlocal state
        state, _ = update(state, next(batches), generator=stream)

    turns = Turns(bare)
    dg.fit(
        twins[0],
        x,
        objective,
        epochs=epochs,
        batch_size=BATCH,
        optimizer=optimizers[0],
        callbacks=[turns],
        progress=False,
    )
    ratios = [a / b for a, b in zip(turns.of_fit[1:-1], turns.of_bare[1:-1], strict=True)]  # set-up left out
    low, middle, high = floor.quartiles(ratios)
    return {
        "fit / bare steps": middle,
        "fit / bare steps, quarter of epochs below": low,
        "fit / bare steps, quarter of epochs above": high,
    }


def annealing(rbm: dg.RBM, x: Tensor, rounds: int) -> dict[str, float]:
    """One temperature of AIS over its two products, 100 chains: 20 of 1,000 temperatures, at three places on the way.

    ``coarse`` is the same for a ladder of 20 temperatures in all, whose steps are large.
    """
    count, stream = 20, dg.random.generator(3)
    weight, v = rbm.weight.detach(), x[:CHAINS].contiguous()
    h = (torch.rand(CHAINS, HIDDEN, generator=stream) < 0.5).float()
    up, down = torch.empty(CHAINS, HIDDEN), torch.empty(CHAINS, 784)

    def products() -> None:
        for _ in range(count):
            torch.mm(v, weight, out=up)
            torch.mm(h, weight.t(), out=down)

    def ladder(betas: Tensor, before: Tensor) -> Callable[[], object]:
        state, _ = anneal(path, path.init(path.start(CHAINS, generator=stream)), before, generator=stream)
        start = state.position.clone()
        return lambda: anneal(path, path.init(start), betas, generator=stream)

    path = dg.samplers.rbm_path(rbm, x[:1000].mean(0).clamp(0.01, 0.99).logit())
    betas = torch.linspace(0, 1, 1000, dtype=torch.float64)
    parts = {f"at {betas[i]:.2f}": ladder(betas[i : i + count + 1], betas[: i + 1]) for i in (0, 490, 979)}
    coarse = {"coarse": ladder(torch.linspace(0, 1, count + 1), betas[:1])}
    times = floor.alternate({"products": products, **parts, **coarse}, rounds, warmup=1)
    times["whole"] = [statistics.fmean(part) for part in zip(*(times[name] for name in parts), strict=True)]
    return {"AIS temperature / two products": floor.ratio(times, "whole", "products")} | {
        f"AIS temperature / two products, {name}": floor.ratio(times, name, "products") for name in (*parts, *coarse)
    }


def ours(x: Tensor, budget: float) -> tuple[dg.RBM, float]:
    rbm, stream = dg.RBM(784, HIDDEN, generator=0).initialise(x), dg.random.generator(0)
    objective = dg.objectives.PersistentCD(chains=CHAINS)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.1)
    step, state = objective.update(rbm, optimizer), objective.start(rbm, x, generator=stream)
    start, i = time.process_time(), 0
    while (spent := time.process_time() - start) < budget:
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - spent / budget)
        state, _ = step(state, rows(x, i), generator=stream)
        i += 1
    return rbm, i


def scikit(x: Tensor, budget: float) -> tuple[dg.RBM, float]:
    from sklearn.neural_network import BernoulliRBM
    from threadpoolctl import threadpool_limits

    peer = BernoulliRBM(n_components=HIDDEN, learning_rate=0.05, batch_size=BATCH, random_state=0)
    array, start, i = x.numpy(), time.process_time(), 0
    with threadpool_limits(1):
        while (spent := time.process_time() - start) < budget:
            peer.learning_rate = 0.05 * (1 - spent / budget)
            peer.partial_fit(array[i * BATCH % (len(array) - BATCH) :][:BATCH])
            i += 1
    rbm = dg.RBM(784, HIDDEN, generator=0)
    with torch.no_grad():
        rbm.weight.copy_(torch.as_tensor(peer.components_).t())
        rbm.visible_bias.copy_(torch.as_tensor(peer.intercept_visible_))
        rbm.hidden_bias.copy_(torch.as_tensor(peer.intercept_hidden_))
    return rbm, i


def peers(x: Tensor, test: Tensor, budget: float) -> dict[str, Any]:
    """Test log-likelihood reached in the same CPU time, between AIS and reverse AIS, and the time of one step."""
    sides = {"deepgen": ours, "scikit-learn": scikit}
    if importlib.util.find_spec("rbms") is not None:
        sides["rbms"] = rbms
    result: dict[str, Any] = {}
    for name, side in sides.items():
        rbm, count = side(x, budget)
        # All test rows: those of the published file are sorted by class, and the first 2,000 are easy.
        estimate = dg.evaluate.log_likelihood(rbm, test, method="bidirectional", base=x, temperatures=3000, generator=0)
        result[f"{name}: steps per CPU second"] = count / budget
        result[f"{name}: test log-likelihood after {budget:g} CPU s"] = str(estimate)
    return result


def rbms(x: Tensor, budget: float) -> tuple[dg.RBM, float]:
    """The training step of the package `rbms` (centred PCD), without its file writing."""
    from rbms.bernoulli_bernoulli.classes import BBRBM

    torch.manual_seed(0)  # the package draws from the global stream
    data = argparse.Namespace(data=x)
    peer = BBRBM.init_parameters(num_hiddens=HIDDEN, dataset=data, device=x.device, dtype=x.dtype)
    parameters = list(peer.parameters())
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.SGD(parameters, lr=0.1, maximize=True)
    chains, weights = peer.init_chains(CHAINS), torch.ones(BATCH, 1)
    start, i = time.process_time(), 0
    while (spent := time.process_time() - start) < budget:
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - spent / budget)
        # Its fit_batch_pcd without the division of the gradient by its norm, so that the rate means the same.
        batch = peer.init_chains(num_samples=BATCH, weights=weights, start_v=rows(x, i))
        chains = peer.sample_state(chains=chains, n_steps=1, beta=1.0)
        peer.compute_gradient(data=batch, chains=chains, centered=True)
        optimizer.step()
        i += 1
    rbm = dg.RBM(784, HIDDEN, generator=0)
    with torch.no_grad():
        rbm.weight.copy_(peer.weight_matrix)
        rbm.visible_bias.copy_(peer.vbias)
        rbm.hidden_bias.copy_(peer.hbias)
    return rbm, i


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder with binarized MNIST; DEEPGEN_DATA by default, otherwise digits")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter training")
    parser.add_argument("--json", metavar="FILE", help="also write the table there")
    parser.add_argument("--budget", type=float, help="CPU seconds of training for each peer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x, test, name = load(arguments.root)
    table: dict[str, Any] = {"data": name, "machine": platform.machine(), "torch": torch.__version__}
    measured, rbm = steps(x, 15 if arguments.quick else 60)
    table |= measured
    table |= fit_overhead(x, 5 if arguments.quick else 12)
    table |= annealing(rbm, x, 5 if arguments.quick else 15)
    table |= peers(x, test, arguments.budget or (3.0 if arguments.quick else 30.0))
    for key, value in table.items():
        print(f"{key:55s} {value:.4g}" if isinstance(value, float) else f"{key:55s} {value}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
