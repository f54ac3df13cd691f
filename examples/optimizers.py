"""The optimizers of the classic lectures on the same three problems, each at the best of a grid of rates.

A quadratic of condition number 100 and Rosenbrock's valley are functions of two numbers; the third is a network that
tells digits apart, on minibatches. K-FAC meets the functions as a network of one layer whose outcomes are normal: there
its Fisher matrix is the curvature, and it draws outcomes to see it. Momentum is 0.9 everywhere.

    python examples/optimizers.py
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical, Normal
from torch.optim import SGD, Adagrad, Adam, Optimizer

import deepgen as dg
from deepgen.optim import KFAC, RMSpropNesterov
from deepgen.plot.figures import PALETTE, new_figure, quiet, save, series

Curves = dict[tuple[str, str], list[float]]  # by problem and method
Make = Callable[[nn.Module, float], Optimizer]
METHODS: dict[str, Make] = {
    "SGD": lambda net, lr: SGD(net.parameters(), lr),
    "momentum": lambda net, lr: SGD(net.parameters(), lr, momentum=0.9),
    "Nesterov": lambda net, lr: SGD(net.parameters(), lr, momentum=0.9, nesterov=True),
    "AdaGrad": lambda net, lr: Adagrad(net.parameters(), lr, eps=1e-7),
    "RMSProp": lambda net, lr: RMSpropNesterov(net.parameters(), lr, momentum=0.0, alpha=0.9),
    "RMSProp, Nesterov": lambda net, lr: RMSpropNesterov(net.parameters(), lr, momentum=0.9, alpha=0.9),
    "Adam": lambda net, lr: Adam(net.parameters(), lr),
    "K-FAC": lambda net, lr: KFAC(
        net, lr, momentum=0.0, damping=1e-2, decay=0.9, every=2, max_kl=0.3, fisher="sampled"
    ),
}
RATES = [10 ** (half / 2) for half in range(-6, 1)]  # from 0.001 to 1
DRAWN = ("SGD", "Nesterov", "Adam", "K-FAC")  # whose paths are shown: dots are steps, from the circle to the star


class Function:
    """|r(theta)|^2 / 2, as minus the log-likelihood of outcomes that are N(r, 1) and were all seen to be 0."""

    def __init__(self, residuals: Callable[[Tensor], Tensor], start: list[float], generator: torch.Generator) -> None:
        self.residuals, self.generator = residuals, generator
        self.net = nn.utils.skip_init(nn.Linear, 1, len(start), bias=False)
        self.net.weight.data[:, 0] = torch.tensor(start)
        self.path: list[list[float]] = []

    def loss(self) -> Tensor:
        self.path.append(self.net.weight[:, 0].tolist())
        return self.watched()

    def drawn(self) -> Tensor:
        r = self.residuals(self.net(torch.ones(100, 1)))
        return (r - dg.random.draw(Normal(r.detach(), 1.0), (), generator=self.generator)).square().sum(1).mean() / 2

    def watched(self) -> Tensor:
        return self.residuals(self.net(torch.ones(1, 1))).square().sum() / 2


class Digits:
    """A network of one hidden layer: -log p(label | image) on minibatches, in nats a row."""

    def __init__(self, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
        self.x, self.y, self.generator = x, y, generator
        self.net = dg.implicit.Dense(64, [32], 10, generator=generator)

    def loss(self) -> Tensor:
        self.rows = torch.randint(len(self.x), (100,), generator=self.generator)
        return F.cross_entropy(self.net(self.x[self.rows]), self.y[self.rows])

    def drawn(self) -> Tensor:
        logits = self.net(self.x[torch.randint(len(self.x), (100,), generator=self.generator)])
        label = dg.random.draw(Categorical(logits=logits.detach()), (), generator=self.generator)
        return F.cross_entropy(logits, label)

    def watched(self) -> Tensor:
        return F.cross_entropy(self.net(self.x), self.y)


def step(problem: Function | Digits, optimizer: Optimizer) -> None:
    if isinstance(optimizer, KFAC):
        with optimizer.sampling():
            problem.drawn().backward()
    optimizer.zero_grad()
    problem.loss().backward()
    optimizer.step()


def descend(problem: Function | Digits, optimizer: Optimizer, steps: int, every: int) -> list[float]:
    """The loss after 0, every, 2 every, ... steps."""
    curve = [problem.watched().item()]
    for t in range(1, steps + 1):
        try:
            step(problem, optimizer)
        except dg.errors.DivergenceError:
            return [*curve, math.inf]
        if t % every == 0:
            curve.append(problem.watched().item())
            if not curve[-1] < 1e6:
                return [*curve, math.inf]
    return curve


def step_costs(fresh: Callable[[torch.Generator], Digits], rounds: int, steps: int) -> dict[str, Tensor]:
    """CPU milliseconds of a step by method: of each round in which all methods take so many ``steps`` in turn.

    What else the machine does then falls on all alike.
    """
    made = {name: fresh(dg.random.generator(0)) for name in METHODS}
    optimizers = {name: METHODS[name](problem.net, 1e-3) for name, problem in made.items()}
    spent: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(rounds + 1):
        for name, problem in made.items():
            begun = time.process_time()
            for _ in range(steps):
                step(problem, optimizers[name])
            spent[name].append(1000 * (time.process_time() - begun) / steps)
    return {name: torch.tensor(each[1:]) for name, each in spent.items()}  # the first round warms up


def main(
    steps: int = 200,
    seeds: int = 3,
    rates: Sequence[float] = RATES,
    rounds: int = 25,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    digits = dg.data.load("digits", binarise="none")
    x, y = digits.train, digits.labels.train
    turn, scales = torch.tensor([[0.8, -0.6], [0.6, 0.8]]), torch.tensor([1.0, 10.0])  # the roots of 1 and 100

    def valley(theta: Tensor) -> Tensor:
        return torch.stack([2**0.5 * (1 - theta[:, 0]), 200**0.5 * (theta[:, 1] - theta[:, 0] ** 2)], 1)

    costs = step_costs(lambda g: Digits(x, y, g), rounds, 20)
    problems: dict[str, Callable[[torch.Generator], Function | Digits]] = {
        "quadratic": lambda g: Function(lambda theta: theta @ turn * scales, [1.0, 1.0], g),
        "Rosenbrock": lambda g: Function(valley, [-1.2, 1.0], g),
        "digits": lambda g: Digits(x, y, g),
    }
    numbers: dict[str, float] = {}
    curves: Curves = {}
    paths: dict[str, list[list[float]]] = {}
    print(
        f"loss after {steps} steps, in brackets the rate, the best of {len(rates)} from {rates[0]:g} to {rates[-1]:.2g}"
    )
    print(
        f"digits: nats a training row, mean of {seeds} seeds other than the one that chose the rate, ± standard error"
    )
    print(f"ms: CPU time of a step on digits, median of {rounds} rounds in which all take turns, and the middle half\n")
    print(f"{'':18} {'quadratic':>19} {'Rosenbrock':>19} {'digits':>25}   {'ms a step':>21}")
    for name, make in METHODS.items():
        cells = []
        for problem, fresh in problems.items():
            every = 10 if problem == "digits" else 1

            def run(lr: float, number: int, fresh=fresh, every=every, make=make):  # type: ignore[no-untyped-def]
                made = fresh(dg.random.generator(number))
                return descend(made, make(made.net, lr), steps, every), made

            best = min(rates, key=lambda lr: run(lr, seed)[0][-1])
            repeats = seeds if problem == "digits" else 1
            runs = [run(best, seed + number) for number in ((0,) if problem != "digits" else range(1, repeats + 1))]
            curves[problem, name] = torch.tensor([curve for curve, _ in runs]).mean(0).tolist()
            last = torch.tensor([curve[-1] for curve, _ in runs]).double()
            numbers[f"{name}, {problem}"] = float(last.mean())
            if problem != "digits":
                cells.append(f"{float(last):10.1e} ({best:6.2g})")
            else:
                error = float(last.std()) / repeats**0.5
                cells.append(f"{float(last.mean()):8.4f} ± {error:.4f} ({best:6.2g})")
            if problem == "Rosenbrock":
                paths[name] = runs[0][1].path
        low, middle, high = costs[name].quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        numbers[f"{name}, ms"] = middle
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        print(f"{name:18} {cells[0]:>19} {cells[1]:>19} {cells[2]:>25}   {cells[3]:>21}")

    picture = draw(curves, paths, steps, seeds, out / "optimizers.png")
    print(f"\nlosses and paths in {picture}")
    return numbers


def draw(curves: Curves, paths: dict[str, list[list[float]]], steps: int, seeds: int, path: Path) -> Path:
    figure = new_figure(1080, 800)
    figure.set_layout_engine("constrained")
    quarters = figure.add_gridspec(2, 2)
    losses = [figure.add_subplot(quarters[place]) for place in range(3)]
    planes = quarters[3].subgridspec(2, 2).subplots(sharex=True, sharey=True).flat
    titles = {
        "quadratic": "quadratic of condition number 100: loss",
        "Rosenbrock": "Rosenbrock's function: loss",
        "digits": f"digits, network 64-32-10: nats a training row, mean of {seeds} seeds",
    }
    style = {name: {"color": series(place), "linewidth": 1.4} for place, name in enumerate(METHODS)}
    style["K-FAC"] = {"color": PALETTE["ink"], "linewidth": 1.4}
    for ax, (problem, title) in zip(losses, titles.items(), strict=True):
        quiet(ax)
        for name in METHODS:
            curve = curves[problem, name]
            ax.plot(torch.linspace(0, steps, len(curve)), curve, label=name, **style[name])
        ax.set_yscale("log")
        ax.set_ylim(bottom=None if problem == "digits" else 1e-12, top=None if problem == "digits" else 1e3)
        ax.set_title(title, fontsize=9, color=PALETTE["ink"], loc="left")
        ax.set_xlabel("steps", fontsize=8, color=PALETTE["muted"])
    losses[0].legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"], ncols=2, loc="upper right")
    across, up = torch.meshgrid(torch.linspace(-1.8, 1.6, 200), torch.linspace(-0.6, 2.2, 200), indexing="xy")
    height = ((1 - across) ** 2 + 100 * (up - across**2) ** 2).clamp_min(1e-3).log10()
    for plane, name in zip(planes, DRAWN, strict=True):  # one each: four paths along one valley hide one another
        quiet(plane)
        plane.contour(across, up, height, levels=10, colors=PALETTE["rule"], linewidths=0.6)
        plane.plot(*zip(*paths[name], strict=True), marker=".", markersize=3.5, **{**style[name], "linewidth": 0.8})
        plane.plot(-1.2, 1, "o", color=PALETTE["ink"], markersize=4)
        plane.plot(1, 1, "*", color=PALETTE["ink"], markersize=8)
        plane.set(xlim=(-1.8, 1.6), ylim=(-0.6, 2.2))
        plane.set_title(f"Rosenbrock's valley: {name}", fontsize=9, color=PALETTE["ink"], loc="left")
    return save(figure, path)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
