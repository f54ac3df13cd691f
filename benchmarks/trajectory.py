"""What equilibrium costs: `python benchmarks/trajectory.py [--root FOLDER] [--steps 2000] [--rate 0.05]`.

Two machines 784-500 on binarised MNIST (without it, on the 8x8 digits, columns repeated to 784) take steps in turn, one
by `PersistentCD`, one by `TrajectoryTempering`, both with 100 chains, batches of 100, float32, one thread, CPU time. A
ratio is of all CPU seconds, meetings and new rungs included, in every tenth of the run and in all of it. The likelihood
that the second knows as it trains is printed with its error, beside what annealing says at the end if `--ais` is given;
`--look 500` asks for one of 2,000 test rows every 500 steps, and prints the ratio with that time in it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import floor
import torch
from rbm import load, rows

import deepgen as dg


class Side:
    """One machine in training, and the CPU nanoseconds of each of its steps."""

    def __init__(self, objective: Any, x: torch.Tensor, hidden: int, rate: float, steps: int) -> None:
        self.rbm = dg.RBM(784, hidden, generator=0).initialise(x)
        self.optimizer = torch.optim.SGD(self.rbm.parameters(), lr=rate)
        self.stream, self.x, self.total, self.rate = dg.random.generator(0), x, steps, rate
        before = time.process_time_ns()
        self.state = objective.start(self.rbm, x, generator=self.stream)
        self.update = objective.update(self.rbm, self.optimizer)
        self.started, self.spent = time.process_time_ns() - before, [0] * steps
        self.metrics: dict[str, torch.Tensor] = {}

    def step(self, number: int) -> None:
        self.optimizer.param_groups[0]["lr"] = self.rate * (1 - number / self.total)
        batch = rows(self.x, number)
        before = time.process_time_ns()
        self.state, self.metrics = self.update(self.state, batch, generator=self.stream)
        self.spent[number] = time.process_time_ns() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root")
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--every", type=int, default=40)
    parser.add_argument("--look", type=int, help="steps between likelihoods of 2,000 test rows, in ours alone")
    parser.add_argument("--ais", action="store_true", help="anneal at the end, which takes about a minute")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    floor.keep_memory()
    x, test, name = load(arguments.root)
    objective = dg.objectives.TrajectoryTempering(chains=100, every=arguments.every)
    sides = [Side(o, x, arguments.hidden, arguments.rate, arguments.steps)
             for o in (dg.objectives.PersistentCD(chains=100), objective)]  # fmt: skip
    plain, ours = sides
    print(f"{name}, 784-{arguments.hidden}, {arguments.steps} steps, rate {arguments.rate} falling to 0")
    print(f"before the first step: {plain.started / 1e6:.0f} and {ours.started / 1e6:.0f} CPU ms")
    tenth, looked = max(1, arguments.steps // 10), 0
    for number in range(arguments.steps):
        for side in sides:
            side.step(number)
        if arguments.look and (number + 1) % arguments.look == 0:
            before = time.process_time_ns()
            objective.log_likelihood(ours.rbm, test[:2000])
            looked += time.process_time_ns() - before
        if (number + 1) % tenth == 0:
            window = slice(number + 1 - tenth, number + 1)
            one, other = (sum(side.spent[window]) for side in sides)
            told = {key: round(float(ours.metrics[key]), 3) for key in ours.metrics}
            print(f"step {number + 1:6d}: ratio {other / one:.3f}, {told}", flush=True)
    one, other = (sum(side.spent) for side in sides)
    middle = [floor.quartiles(side.spent)[1] for side in sides]
    print(f"steps of {one / arguments.steps / 1e3:.0f} and {other / arguments.steps / 1e3:.0f} CPU us")
    print(f"ratio of all steps {other / one:.3f} (target <= 1.3), of median steps {middle[1] / middle[0]:.3f}")
    if arguments.look:
        print(f"with a likelihood of 2,000 test rows every {arguments.look} steps {(other + looked) / one:.3f}")
    before = time.process_time()
    print(f"test, online:    {objective.log_likelihood(ours.rbm, test)}; {time.process_time() - before:.1f} CPU s")
    if arguments.ais:
        print(f"test, annealing: {dg.evaluate.log_likelihood(ours.rbm, test, base=x, generator=0)}")


if __name__ == "__main__":
    main()
