"""Does `check_kernel` leave correct kernels alone? Many checks with fresh seeds at the default settings.

    python benchmarks/false_alarms.py [--tests 10000] [--seconds 3600] [--seed 0] [--out FILE]

Kernels that are right, each on a target with exact draws, in turn: no check may fail. At alpha = 1e-5 a check, 10,000
checks raise an alarm in at most one run of ten. What such a run can show is less: no alarm in n checks bounds the rate
only by 3 / n at 95 %, 3e-4 at n = 10,000. That it is 1e-5 is the theory of `sequential`, not this count.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from told import tell
from torch import Tensor

import deepgen as dg
from deepgen.samplers import Hamiltonian, Kernel, Langevin, RandomWalk, hmc, mala, metropolis, ula
from deepgen.testing import CheckFailed, Exact, check_kernel, ks

COVARIANCE = torch.tensor([[4.0, 1.2, 0.0], [1.2, 1.0, 0.3], [0.0, 0.3, 0.25]])
FACTOR = torch.linalg.cholesky(COVARIANCE)
PRECISION = torch.linalg.inv(COVARIANCE)


class Case(NamedTuple):
    """A kernel, exact draws of its law, and a test of positions against it (None: against fresh draws)."""

    name: str
    kernel: Kernel
    draw: Callable[..., Tensor]
    p_values: Callable[[Tensor], list[float]] | None
    reversible: bool


def banana(x: Tensor) -> Tensor:
    """x_1 and (x_2 - x_1^2 / 2) / 0.7 are standard normal."""
    return -(x[:, 0].square() + ((x[:, 1] - x[:, 0].square() / 2) / 0.7).square()) / 2


def draw_banana(n: int, *, generator: torch.Generator) -> Tensor:
    z = torch.randn(n, 2, generator=generator)
    return torch.stack([z[:, 0], 0.7 * z[:, 1] + z[:, 0].square() / 2], 1)


def banana_law(x: Tensor) -> list[float]:
    z = torch.stack([x[:, 0], (x[:, 1] - x[:, 0].square() / 2) / 0.7], 1).double()
    radius = ks(z.square().sum(1), lambda r: 1 - (-r / 2).exp())
    return [radius, *(ks(column, torch.special.ndtr) for column in z.T)]


def normal(x: Tensor) -> Tensor:
    return -((x @ PRECISION) * x).sum(-1) / 2


def draw_normal(n: int, *, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 3, generator=generator) @ FACTOR.mT


def cases() -> list[Case]:
    """One of each kind of kernel and of comparison."""
    rbm = dg.RBM(visible=4, hidden=3, generator=0)
    with torch.no_grad():
        for p in rbm.parameters():
            p.copy_(torch.sin(torch.arange(p.numel()) * 2.4 + 1).reshape(p.shape))
    exact, own = Exact(rbm), (4 / 3) ** 0.5

    def draw_rbm(n: int, *, generator: torch.Generator) -> Tensor:
        return exact.sample(n, generator=generator)[0]

    def draw_ula(n: int, *, generator: torch.Generator) -> Tensor:
        return own * torch.randn(n, 2, generator=generator)

    return [
        Case("MALA, banana", mala(banana, 0.9), draw_banana, banana_law, True),
        Case("HMC, banana", hmc(banana, 0.8, leaps=4, jitter=0.0), draw_banana, banana_law, True),
        Case("random walk, banana", metropolis(banana, RandomWalk(1.0)), draw_banana, banana_law, True),
        Case("MALA, normal", metropolis(normal, Langevin(2.0, FACTOR)), draw_normal, None, False),
        Case("HMC, normal", metropolis(normal, Hamiltonian(1.6, 4, FACTOR)), draw_normal, None, False),
        Case("random walk, normal", metropolis(normal, RandomWalk(1.1, FACTOR)), draw_normal, None, True),
        Case("ULA, its own law", ula(lambda x: -x.square().sum(-1) / 2, 1.0), draw_ula, None, True),
        Case("block Gibbs, RBM 4-3", rbm.gibbs(), draw_rbm, exact.visible_law().p_values, True),
        Case("block Gibbs, fresh draws", rbm.gibbs(), draw_rbm, None, False),
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=10_000, help="checks in all")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many seconds of CPU")
    parser.add_argument("--seed", type=int, default=None, help="of all seeds; fresh by default")
    parser.add_argument("--out", type=Path, help="write the printed lines to this file too")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    source, known = dg.random.generator(options.seed), cases()
    seed = source.initial_seed()
    done: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    first, lines, start = 0, list[str](), time.process_time()
    for index in range(options.tests):
        if time.process_time() - start > options.seconds:
            break
        name, kernel, draw, p_values, reversible = known[index % len(known)]
        extra: dict[str, Any] = {"acceptance": None}  # the settings are tested elsewhere: here only alarms count
        done[name] += 1
        try:
            evidence = check_kernel(
                kernel, draw, p_values=p_values, reversible=reversible, generator=dg.random.key(source), **extra
            )
            first += evidence.stages == 1
        except CheckFailed as failure:
            alarms[name] += 1
            lines.append(f"ALARM {name}: {failure}")
    spent, total = time.process_time() - start, sum(done.values())
    lines += [f"{name:28} {done[name]:6d} checks, {alarms[name]} alarms" for name in done]
    lines.append(
        f"{total} checks at alpha 1e-5: {sum(alarms.values())} false alarms, {first} decided at the first of 7 stages; "
        f"{1000 * spent / total:.0f} ms of CPU time each (one thread, torch {torch.__version__}); --seed {seed}"
    )
    tell(lines, options.out)
    return int(bool(alarms))


if __name__ == "__main__":
    raise SystemExit(main())
