"""Part ``l2hmc`` of `samplers.py`: the targets of Levy, Hoffman & Sohl-Dickstein 2018, by HMC with pooled warm-up.

ESS per Metropolis step by that paper's estimator, the mean over coordinates weighted by their variance,

    1 / (1 + 2 sum_s rho_s),     rho_s = E[(y_t - m).(y_(t+s) - m)] / trace(covariance),     rho_s at most 0.05 dropped

with the known mean and covariance, 200 chains from exact draws, 1,000 steps after 500 of warm-up; 1 is the most. The
least over coordinates of A-NICE-MC's estimator (`KnownTarget.effective`) stands beside it, and ESS per gradient.

Ten leapfrog steps, as in the paper's notebook of the correlated Gaussian; five for the rough well, as in that one's.
What is learnt in the warm-up is a step size and one covariance from all chains: no network. The acceptance aimed at
(0.6, 0.75 or 0.9) was chosen with seed 1. MALA is HMC of one leapfrog step. The published figures are of a trained
sampler whose training, and the second pass of its network in each step, are not counted.
"""

from __future__ import annotations

from typing import Any

import torch
from floor import verdict
from torch import Tensor

from deepgen.samplers import Adaptive, hmc, mala, sample_chain
from deepgen.testing import targets
from deepgen.testing.targets import KnownTarget

# leapfrog steps, the acceptance aimed at, and L2HMC's published ESS a step beside that of its authors' HMC
CASES = (
    (targets.ill_conditioned, 10, 0.9, 7.30e-2, 1.65e-2),
    (targets.correlated, 10, 0.9, 2.32e-1, 4.69e-3),
    (targets.rough_well, 5, 0.6, 6.25e-1, 1.16e-1),
)


def ess_per_step(target: KnownTarget, draws: Tensor) -> float:
    """The paper's estimator, of draws ``[steps, chains, D]``."""
    y = draws.double() - target.mean
    steps = len(y)
    power = torch.fft.rfft(y, n=2 * steps, dim=0).abs().square()
    products = torch.fft.irfft(power, n=2 * steps, dim=0)[:steps].mean(1).sum(-1)
    lags = torch.arange(steps, dtype=torch.float64)
    rho = products / (steps - lags) / target.variance.sum()
    return float(1 / (1 + 2 * rho[1:-1][rho[1:-1] > 0.05].sum()))


def run(seed: int) -> None:
    for make, leaps, aim, published, theirs in CASES:
        target = make()
        print(f"{target.name}: published, L2HMC {published:.3g}, the authors' HMC {theirs:.3g}")
        kernels: dict[str, tuple[Any, int]] = {
            f"HMC, {leaps} leaps, acceptance {aim}": (Adaptive(hmc(target, leaps=leaps).kernel, acceptance=aim), leaps),
            f"HMC, {leaps} leaps, as it comes": (hmc(target, leaps=leaps), leaps),
            "MALA": (mala(target), 1),
        }
        for name, (kernel, gradients) in kernels.items():
            start = target.sample(200, generator=seed)
            trace = sample_chain(kernel, start, draws=1000, warmup=500, generator=seed)
            ess, least = ess_per_step(target, trace.draws), float(target.effective(trace.draws).min()) / 1000
            shown = verdict(ess, published) if name.endswith(str(aim)) else f"{ess:.4g}"
            print(
                f"{name:>32}  ESS per step {shown}, per gradient {ess / gradients:.3g}; least coordinate {least:.3g}; "
                f"acceptance {float(trace.info['acceptance'].mean()):.2f}",
                flush=True,
            )
