"""Can a network carry a chain between modes, the draws exact? MALA against a flow's proposals on six Gaussians.

The target (A-NICE-MC's mog6) has six equal masses, a circle of radius 5 that no local step crosses. 128 chains of MALA,
started widely, show where masses are, but not how large: each stays where it fell. A spline flow learns from them by
maximum likelihood and proposes; its acceptance corrects the masses, the chains' new positions correct the flow.
Frozen, it is an exact kernel.

    python examples/neural_proposals.py
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

import deepgen as dg
from deepgen.testing.targets import mog6


def masses(draws: torch.Tensor) -> torch.Tensor:
    """Share of each sixth of the plane, one Gaussian in each: ``[draws, chains, 2] -> [6]``."""
    sixth = (torch.atan2(draws[..., 1], draws[..., 0]) / (math.pi / 3)).round().long() % 6
    return torch.bincount(sixth.flatten(), minlength=6) / sixth.numel()


def main(
    rounds: int = 8, updates: int = 100, draws: int = 1000, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    target = mog6()
    local = dg.samplers.mala(target, step_size=0.25)
    start = 5 * torch.randn(128, 2, generator=dg.random.generator(seed)) + torch.tensor([2.0, 0.0])

    flow = dg.explicit.NSF(2, transforms=4, hidden=[64, 64], box=8.0, generator=seed)
    trained = dg.samplers.train_proposal(
        flow,
        lambda q: dg.samplers.independence(target, q, ahead=1),
        local,
        start,
        optimizer=torch.optim.Adam(flow.parameters(), lr=3e-3),
        rounds=rounds,
        steps=40,
        updates=updates,
        generator=seed,
    )
    print(trained)

    numbers, costs, panels = {"training": trained.seconds}, {}, {}
    kernels = {"MALA": (local, start), "flow": (dg.samplers.independence(target, trained.model), trained.position)}
    print("        ESS of 1,000 steps   largest error of a mass (each is 1/6)   one chain visits")
    for name, (kernel, position) in kernels.items():
        clock = time.process_time()
        trace = dg.samplers.sample_chain(kernel, position, draws=draws, warmup=100, generator=seed)
        effective = float(target.effective(trace.draws).min())
        costs[name] = (time.process_time() - clock) / effective / len(position)
        error = float((masses(trace.draws) - 1 / 6).abs().max())
        visited = int((masses(trace.draws[:, :1]) > 0).sum())
        print(f"{name:8}{effective * 1000 / draws:18.1f}{error:30.4f}{visited:26}")
        numbers |= {f"{name}, ESS": effective * 1000 / draws, f"{name}, error": error, f"{name}, visited": visited}
        where = "stays in the mode where it began" if visited == 1 else f"visits {visited} of 6 modes"
        panels[f"{name}: {where}"] = trace.draws[:, 0]
    gain = dg.samplers.BreakEven(trained.seconds, costs["flow"], costs["MALA"])
    print(gain)

    picture = out / "neural_proposals.png"
    dg.plot.regions(
        target.log_density,
        panels,
        box=((-10.5, 10.5), (-7.5, 7.5)),
        names=("x1", "x2"),
        title="50, 90 and 99 % of six equal masses; dots: 800 steps of one chain",
        path=picture,
    )
    print(f"chains in {picture}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
