"""Stochastic-gradient Langevin dynamics against exact answers: `python benchmarks/sgld.py`.

``modes``: Welling and Teh's posterior. theta1 ~ N(0, 10), theta2 ~ N(0, 1) (variances), 100 points x ~ N(theta1, 2) / 2
+ N(theta1 + theta2, 2) / 2 drawn at (0, 1), batches of one row, the step falling from 0.01 to 0.0001 as (b + t)^-0.55.
The exact law is summed on a grid. ``tv`` is the total variation between it and the draws over 30 x 30 cells, ``mass``
the probability of theta2 > 0, one of the modes, with the standard error over chains; positions count by step size.
``e V / 4`` is what gradient noise of variance V adds to a step's variance at the last step, in parts of its own noise.

``logistic``: logistic regression, 1,000 synthetic rows of 25 columns, prior N(0, 1), by batches of 100 rows against
whole-data MALA. ``z`` are the differences of the 25 means in units of the two standard errors over chains, ``shift`` in
posterior standard deviations; ``sd ratio`` is the mean over columns, beside what `stationary` predicts.

Chains run side by side, one thread, float32. Times are CPU seconds without set-up.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.samplers import Polynomial, Posterior, mala, sample_chain, sgld

LOW, HIGH = torch.tensor([-2.0, -3.5]), torch.tensor([3.0, 3.5])
CELLS, FINE = 30, 8  # cells a side, and grid points a side of a cell


def two_modes(stream: torch.Generator) -> Posterior:
    """Welling and Teh's posterior over 100 points."""
    second = torch.rand(100, generator=stream) < 0.5
    x = second.float() + 2**0.5 * torch.randn(100, generator=stream)

    def log_likelihood(theta: Tensor, x: Tensor) -> Tensor:
        means = torch.stack([theta[:, 0], theta.sum(1)], 1).unsqueeze(1)
        return (-(x.unsqueeze(-1) - means).square() / 4).logsumexp(-1)

    prior = Independent(Normal(torch.zeros(2), torch.tensor([10**0.5, 1.0])), 1)
    return Posterior(prior, log_likelihood, x)


def cell_masses(posterior: Posterior) -> Tensor:
    """The exact probabilities of the cells ``[CELLS, CELLS]``: the midpoint rule, FINE^2 points a cell."""
    share = (torch.arange(CELLS * FINE) + 0.5) / (CELLS * FINE)
    axes = [LOW[i] + (HIGH[i] - LOW[i]) * share for i in range(2)]
    points = torch.cartesian_prod(*axes)
    value = torch.cat([posterior.value(part) for part in points.split(10_000)]).double()
    mass = (value - value.max()).exp().reshape(CELLS, FINE, CELLS, FINE).sum((1, 3))
    return mass / mass.sum()


def compared(positions: Tensor, weights: Tensor, exact: Tensor) -> tuple[float, float, float]:
    """(total variation, mass of theta2 > 0, its standard error) of ``[draws, chains, 2]`` with ``[draws]`` weights."""
    place = (
        ((positions - LOW) / (HIGH - LOW) * CELLS).floor().long()
    )  # not towards 0, which would count what lies just below
    inside = ((place >= 0) & (place < CELLS)).all(-1)
    flat = (place[..., 0] * CELLS + place[..., 1])[inside]
    w = (weights / weights.sum() / positions.shape[1]).double().unsqueeze(1).expand(positions.shape[:2])
    found = torch.zeros(CELLS**2, dtype=torch.float64).index_add_(0, flat, w[inside])
    tv = float(((found - exact.flatten()).abs().sum() + 1 - w[inside].sum()) / 2)
    chains = ((positions[..., 1] > 0).double() * weights.double().unsqueeze(1)).sum(0) / weights.double().sum()
    return tv, float(chains.mean()), float(chains.std() / len(chains) ** 0.5)


def modes(steps: int, chains: int, seed: int) -> None:
    posterior = two_modes(dg.random.generator(seed))
    exact = cell_masses(posterior)
    half = exact[:, CELLS // 2 :].sum()
    start = torch.zeros(chains, 2)
    falling = Polynomial.between(1e-2, 1e-4, steps)
    rows: list[tuple[str, Any, int, float]] = [("MALA, all rows (exact)", mala(posterior), steps // 20, 0.0)]
    for name, size, step, count in (
        ("SGLD, 100 rows, constant 1e-2", 100, 1e-2, steps // 20),
        ("SGLD, 10 rows, constant 1e-3", 10, 1e-3, steps // 5),
        ("SGLD, 1 row, constant 1e-3", 1, 1e-3, steps // 5),
        ("SGLD, 10 rows, 1e-2 to 1e-4", 10, falling, steps),
        ("SGLD, 1 row, 1e-2 to 1e-4", 1, falling, steps),
    ):
        batches = posterior.minibatches(size)
        last = step(steps) if isinstance(step, Polynomial) else step
        noise = float(batches.gradient_noise(torch.tensor([0.0, 1.0])).diagonal().mean())
        rows.append((name, sgld(batches, step), count, float(last) * noise / 4))
    print(f"two modes: {chains} chains from 0, seed {seed}; exact mass of theta2 > 0: {half:.4f}\n")
    print(f"{'kernel':<32}{'steps':>8}{'e V / 4':>9}{'tv':>8}{'mass':>9}{'stderr':>8}{'CPU s':>8}")
    kept = {20 * chains}
    for name, kernel, count, noise in rows:
        begin = time.process_time()
        trace = sample_chain(kernel, start, draws=count // 20, thin=20, warmup=500 if noise == 0 else 0, generator=seed)
        seconds = time.process_time() - begin
        weights = trace.info["step_size"][:, 0] if noise else torch.ones(len(trace.draws))
        skip = len(weights) // 10 if not isinstance(getattr(kernel, "step_size", None), Polynomial) else 0
        kept.add(len(weights[skip:]) * chains)
        tv, mass, error = compared(trace.draws[skip:], weights[skip:], exact)
        print(f"{name:<32}{count:>8}{noise:>9.3f}{tv:>8.4f}{mass:>9.4f}{error:>8.4f}{seconds:>8.1f}", flush=True)
    stream = dg.random.generator(seed + 1)
    print()
    for n in sorted(kept):
        drawn = torch.multinomial(exact.flatten().float(), n, replacement=True, generator=stream)
        floor = float((torch.bincount(drawn, minlength=CELLS**2) / n - exact.flatten()).abs().sum() / 2)
        print(f"{n} independent exact draws have tv {floor:.4f}")
    print()


def logistic_rows(stream: torch.Generator) -> Posterior:
    x = torch.randn(1000, 25, generator=stream)
    x = x + 0.7 * torch.randn(1000, 1, generator=stream)  # columns that are correlated
    truth = torch.randn(25, generator=stream) / 2
    y = (torch.rand(1000, generator=stream) < torch.sigmoid(x @ truth)).float()

    def log_likelihood(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        logit = (x @ w.unsqueeze(-1)).squeeze(-1)
        return y * logit - torch.nn.functional.softplus(logit)

    return Posterior(Independent(Normal(torch.zeros(25), 1.0), 1), log_likelihood, (x, y))


def laplace(posterior: Posterior) -> tuple[Tensor, Tensor]:
    """The mode ``[25]`` and minus the Hessian there, by Newton's steps."""
    mode = torch.zeros(25)
    for _ in range(20):
        precision = -torch.func.hessian(lambda w: posterior.log_density(w[None])[0])(mode)
        mode = mode + torch.linalg.solve(precision, posterior.slope(mode[None])[1][0])
    return mode, precision


def logistic(draws: int, chains: int, seed: int) -> None:
    posterior = logistic_rows(dg.random.generator(seed))
    mode, precision = laplace(posterior)
    covariance = torch.linalg.inv(precision)
    begin = time.process_time()
    reference = sample_chain(mala(posterior), mode.expand(chains, 25), draws=draws, warmup=300, generator=seed)
    seconds = time.process_time() - begin
    means, sd = reference.draws.mean(0), reference.draws.flatten(0, 1).std(0)
    error = means.std(0) / chains**0.5
    print(
        f"logistic regression: {chains} chains from the mode, seed {seed}, preconditioned by the inverse Hessian there"
    )
    print(f"MALA: {draws} draws, {seconds:.1f} CPU s, stderr of a mean {float((error / sd).mean()):.5f} sd\n")
    print(f"{'kernel':<32}{'steps':>8}{'max |z|':>9}{'max shift':>11}{'sd ratio':>10}{'predicted':>11}{'CPU s':>8}")
    for name, batches, step in (
        ("SGLD, e 0.2", posterior.minibatches(100), 0.2),
        ("SGLD, e 0.02", posterior.minibatches(100), 0.02),
        ("SGLD, centred, e 0.2", posterior.minibatches(100, centre=mode), 0.2),
        ("SGLD, centred, e 0.02", posterior.minibatches(100, centre=mode), 0.02),
    ):
        kernel = sgld(batches, step, covariance=covariance)
        steps = round(draws * max(1.0, 0.2 / step))
        begin = time.process_time()
        trace = sample_chain(
            kernel,
            mode.expand(chains, 25),
            draws=draws,
            thin=steps // draws,
            warmup=round(20 / step),
            generator=seed + 1,
        )
        seconds = time.process_time() - begin
        own = trace.draws.mean(0)
        gap = own.mean(0) - means.mean(0)
        z = gap / (error.square() + own.var(0) / chains).sqrt()
        # V at a typical position, which is where the control variate has any
        there = reference.draws[-1, :20]
        noise = torch.stack([batches.gradient_noise(w) for w in there]).mean(0)
        predicted = kernel.stationary(precision, noise).diagonal().sqrt() / covariance.diagonal().sqrt()
        ratio = trace.draws.flatten(0, 1).std(0) / sd
        print(
            f"{name:<32}{steps:>8}{float(z.abs().max()):>9.2f}{float((gap / sd).abs().max()):>11.4f}"
            f"{float(ratio.mean()):>10.4f}{float(predicted.mean()):>11.4f}{seconds:>8.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["modes", "logistic", "all"], default="all")
    parser.add_argument("--steps", type=int, default=100_000, help="of SGLD on the two modes")
    parser.add_argument("--draws", type=int, default=2_000, help="of the logistic regression")
    parser.add_argument("--chains", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what != "logistic":
        modes(given.steps, given.chains, given.seed)
    if given.what != "modes":
        logistic(given.draws, given.chains, given.seed)


if __name__ == "__main__":
    main()
