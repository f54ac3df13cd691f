"""What do splines buy a flow? Eight densities on the plane, each learned with splines and with affine maps.

Both flows are autoregressive, of three layers with the same networks and the same training; only the map of each
variable differs: a rational-quadratic spline of 16 pieces (NSF), or shift and scale (MAF). The targets have an exact
log-density, so the mean log-likelihood of test draws stands beside the best there can be, and what is missing is, but
for the sampling error, the Kullback-Leibler divergence from target to flow:

    KL(p, q) = E_p[log p(x) - log q(x)]

    python examples/densities_2d.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import deepgen as dg

TARGETS: dict[str, dict[str, Any]] = {
    "gaussian_ring": {"radius": 3.0, "std": 0.25},
    "gaussian_grid": {"std": 0.2},
    "rings": {},
    "moons": {},
    "spirals": {},
    "swiss_roll": {},
    "pinwheel": {},
    "checkerboard": {},
}
FLOWS = {
    "splines": lambda seed: dg.explicit.NSF(2, 3, [64, 64], autoregressive=True, bins=16, generator=seed),
    "affine maps": lambda seed: dg.explicit.MAF(2, 3, [64, 64], generator=seed),
}


def main(
    rows: int = 50_000,
    epochs: int = 7,
    targets: tuple[str, ...] = tuple(TARGETS),
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    numbers, panels = {}, {"test draws": [], "target": [], **{flow: [] for flow in FLOWS}}
    captions = {row: [] for row in panels}
    print("test log-likelihood in nats, and KL from target to flow")
    print(f"{'':14}{'target':>9}{'splines':>9}  KL             {'affine':>8}  KL")
    for name in targets:
        options = TARGETS[name]
        law, data = getattr(dg.data, name)(**options), dg.data.load(name, rows=rows, seed=seed, **options)
        best = law.log_prob(data.test)
        line = f"{name:14}{best.mean():9.3f}"
        panels["test draws"].append(data.test)
        panels["target"].append(law.log_prob)
        captions["test draws"].append("")
        captions["target"].append(f"{best.mean():.2f} nats".replace("-", "\N{MINUS SIGN}"))
        for flow, make in FLOWS.items():
            model = make(seed)
            dg.fit(
                model,
                data.train,
                dg.objectives.MaximumLikelihood(),
                epochs=epochs,
                batch_size=500,
                optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
                schedule=lambda done: 1 - done,
                seed=seed,
                progress=False,
            )
            with torch.no_grad():
                gap = (best - model.log_prob(data.test)).double()
            kl, error = float(gap.mean()), float(gap.std() / len(gap) ** 0.5)
            line += f"{best.mean() - kl:9.3f}  {dg.evaluate.plus_minus(kl, error):15}"
            panels[flow].append(model.log_prob)
            captions[flow].append(f"KL {kl:.3f}")
            numbers[f"{name}, {flow}"] = (kl, error)
        print(line)

    picture = out / "densities_2d.png"
    dg.plot.planes(
        list(panels.values()),
        columns=[name.replace("_", " ") for name in targets],
        rows=list(panels),
        captions=list(captions.values()),
        path=picture,
    )
    print(f"densities in {picture}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
