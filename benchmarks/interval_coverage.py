"""Do the error bars cover? Every likelihood estimator against enumeration, on 200 seeds per machine.

    python benchmarks/interval_coverage.py [--seeds 200] [--out docs/results/coverage.md]

Per machine the truth is exact; each seed runs every estimator anew and asks whether its 95 % interval holds the truth.
Two-sided rows should come out between 90 % and 99 %; a row marked "bound" asks only whether the lower end of its
interval lies below the truth, and should come out at 95 % or more. Temperatures are few on purpose, so that the weights
spread.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import deepgen as dg
from deepgen.evaluate import Bracket, Estimate
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin


class Machine(NamedTuple):
    """A machine with its name and the number of temperatures for its annealing."""

    name: str
    model: RBM
    temperatures: int


class Row(NamedTuple):
    """Coverage of one estimator on one machine; sd is the seeds' own spread of the value, stderr what was claimed."""

    machine: str
    estimator: str
    kind: str
    covered: float
    bias: float
    sd: float
    stderr: float
    ess: float


def machines() -> list[Machine]:
    """Small machines of every kind of unit; the strong ones have fields of many nats, as trained machines do."""
    return [
        Machine("Bernoulli 12 x Bernoulli 8, weights N(0, 0.7)", _random(12, 8, 0.7), 6),
        Machine("Bernoulli 16 x Bernoulli 10, weights N(0, 3)", _random(16, 10, 3.0), 60),
        Machine("Spin 10 x Bernoulli 8, weights N(0, 0.5)", _random(Spin(10), 8, 0.5), 6),
        Machine("Softmax 4 of 3 x Spin 6, weights N(0, 0.7)", _random(Softmax(4, 3), Spin(6), 0.7), 10),
        Machine("Gaussian 6 x Bernoulli 8, weights N(0, 0.7)", _random(Gaussian(6), 8, 0.7), 10),
        Machine("Bernoulli 8 x Gaussian 4, weights N(0, 0.5)", _random(8, Gaussian(4), 0.5), 10),
        Machine(
            "Product(Bernoulli 4, Gaussian 2, Softmax 1 of 3) x Bernoulli 6, weights N(0, 0.7)",
            _random(Product(Bernoulli(4), Gaussian(2), Softmax(1, 3)), 6, 0.7),
            6,
        ),
    ]


def study(machine: Machine, seeds: int, *, chains: int = 100, rows: int = 50) -> list[Row]:
    """Run every estimator that applies to the machine on ``seeds`` seeds."""
    model, temperatures = machine.model, machine.temperatures
    data = exact_samples(model, rows, generator=dg.random.generator(11))
    log_z = _value(dg.evaluate.log_partition(model, "exact"))
    log_p = _value(dg.evaluate.log_likelihood(model, data, "exact"))

    def partition(method: str, samples: Tensor | None, seed: int) -> Estimate | Bracket:
        return dg.evaluate.log_partition(
            model, method, base=data, samples=samples, exact_samples=samples is not None, chains=chains,
            temperatures=temperatures, generator=seed,
        )  # fmt: skip

    def reverse(seed: int) -> Estimate | Bracket:
        return partition("reverse", exact_samples(model, chains, generator=dg.random.generator(seed + 10**6)), seed)

    def bound(seed: int) -> Estimate | Bracket:
        return dg.evaluate.log_likelihood(model, data, "raise", base=data, temperatures=temperatures, generator=seed)

    rows_ = [
        _cover(machine.name, "AIS", "two-sided", log_z, lambda seed: partition("ais", None, seed), seeds),
        _cover(machine.name, "reverse AIS, exact samples", "two-sided", log_z, reverse, seeds),
        _cover(machine.name, "bidirectional, own chain", "two-sided", log_z,
               lambda seed: partition("bidirectional", None, seed), seeds),
        _cover(machine.name, "RAISE", "bound", log_p, bound, seeds),
    ]  # fmt: skip
    if model.visible.states is not None:
        full = dg.evaluate.pseudo_likelihood(model, data).value
        rows_.append(
            _cover(machine.name, "pseudo-likelihood, 3 units", "two-sided", full,
                   lambda seed: dg.evaluate.pseudo_likelihood(model, data, units=3, generator=seed), seeds)
        )  # fmt: skip
    return rows_


def _cover(
    machine: str, estimator: str, kind: str, truth: float, run: Callable[[int], Estimate | Bracket], seeds: int
) -> Row:
    estimates = [run(seed) for seed in range(seeds)]
    if kind == "bound":
        covered = sum(e.interval(0.95)[0] <= truth for e in estimates) / seeds
    else:
        covered = sum(low <= truth <= high for low, high in (e.interval(0.95) for e in estimates)) / seeds
    first = [e.below if isinstance(e, Bracket) else e for e in estimates]
    values = torch.tensor([e.value for e in first], dtype=torch.float64)
    return Row(
        machine, estimator, kind, covered, float(values.mean()) - truth, float(values.std()),
        math.sqrt(sum(e.stderr**2 for e in first) / seeds), sum(e.ess for e in first) / seeds,
    )  # fmt: skip


@torch.no_grad()
def exact_samples(model: RBM, n: int, *, generator: torch.Generator) -> Tensor:
    """``n`` independent exact draws of a machine with one enumerable side."""
    hidden = model.hidden.states is not None
    side, other = (model.hidden, model.visible) if hidden else (model.visible, model.hidden)
    states = side.states
    assert states is not None
    s = side.enumerate(0, states).to(model.weight)
    field = model.visible_field(s) if hidden else model.hidden_field(s)
    bias = model.hidden_bias if hidden else model.visible_bias
    weights = (s @ bias + other.cumulant(field)).double().softmax(0)
    index = torch.multinomial(weights, n, replacement=True, generator=generator)
    return other.sample(field[index], generator=generator) if hidden else s[index]


@torch.no_grad()
def _random(visible: object, hidden: object, scale: float) -> RBM:
    generator = dg.random.generator(7)
    model = RBM(visible, hidden, generator=generator)  # type: ignore[arg-type]
    model.weight.normal_(0.0, scale, generator=generator)
    model.visible_bias.normal_(0.0, 0.5, generator=generator)
    model.hidden_bias.normal_(0.0, 0.5, generator=generator)
    return model


def _value(result: Estimate | Bracket) -> float:
    assert isinstance(result, Estimate)
    return result.value


def table(rows: list[Row], seeds: int, seconds: float) -> str:
    """The rows as Markdown."""
    lines = [
        "# Coverage of the likelihood estimators",
        "",
        f"`python benchmarks/interval_coverage.py --seeds {seeds}`: {seeds} seeds a row, {seconds:.0f} s, one thread.",
        "100 chains, few temperatures so that the weights spread (see ESS), 50 rows of data drawn exactly from",
        "the machine, RAISE with 5 chains per row. *Covered* is the share of seeds whose 95 % interval held the",
        "value found by enumeration; 95 % itself has a standard error of",
        f"{100 * math.sqrt(0.95 * 0.05 / seeds):.1f} points. *Bound* rows count the lower end of the interval alone:",
        "they may be anything from 95 % up, and what they lose is in *bias*. For bidirectional rows bias, sd, stderr",
        "and ESS are those of the lower estimate. The truth of the pseudo-likelihood rows is the full",
        "pseudo-likelihood of the same data, that of RAISE the mean log-likelihood, that of all others log Z.",
        "",
        "| machine | estimator | kind | covered | bias, nats | sd over seeds | mean stderr | mean ESS |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        ess = "" if math.isnan(r.ess) else f"{r.ess:.0f}"
        lines.append(
            f"| {r.machine} | {r.estimator} | {r.kind} | {100 * r.covered:.1f} % | {r.bias:+.4f} | {r.sd:.4f} "
            f"| {r.stderr:.4f} | {ess} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--out", type=Path, help="write the table there as well")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started, rows = time.perf_counter(), []
    for machine in machines():
        for row in study(machine, arguments.seeds):
            print(f"{row.machine:85s} {row.estimator:28s} {row.kind:10s} {100 * row.covered:5.1f} %", flush=True)
            rows.append(row)
    text = table(rows, arguments.seeds, time.perf_counter() - started)
    print("\n" + text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
