"""How quickly the samplers sample, beside our targets: `python benchmarks/samplers.py`, about 15 minutes of one core.

    posteriors   a correlated Gaussian and logistic regressions: ESS a CPU second beside Pyro, NumPyro and nutpie
    modes        ring, mog2, mog6, ring5: tempering and trained proposals, ESS of 1,000 steps, CPU seconds of 10^6 draws
    l2hmc        ill-conditioned and correlated Gaussians, the rough well: ESS a step beside L2HMC's
    unequal      two modes of variance 3 and 0.05 at distance 10: masses
    discrete     Ising 4 x 4 and 10 x 10, an RBM 784-500: Gibbs, Gibbs with gradients, discrete Langevin
    overhead     a step of MALA, HMC and tempering beside its own gradients

One thread on one core (the process is pinned), CPU seconds; the allocator keeps what is freed, for all sides alike
(`floor.keep_memory`). What each line holds stands at the head of its part, `sampler_posteriors.py` and so on. A figure
that we aim at has its target beside it, and whether it is met.

    python benchmarks/samplers.py --only modes unequal
"""

from __future__ import annotations

import argparse
import os
import time

import sampler_discrete
import sampler_l2hmc
import sampler_modes
import sampler_overhead
import sampler_posteriors
import torch
from floor import keep_memory, setting

PARTS = {
    "posteriors": sampler_posteriors.run,
    "modes": sampler_modes.run,
    "l2hmc": sampler_l2hmc.run,
    "unequal": sampler_modes.unequal,
    "discrete": sampler_discrete.run,
    "overhead": sampler_overhead.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help="some of " + ", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    keep_memory()
    versions = setting("pyro-ppl", "numpyro", "jax", "nutpie", "arviz")
    print(", ".join(f"{name} {value}" for name, value in versions.items()) + f", seed {given.seed}")
    for name in given.only or PARTS:
        print(f"\n{name}", flush=True)
        clock = time.process_time()
        PARTS[name](given.seed)
        print(f"{name} took {time.process_time() - clock:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
