"""How far from a curved posterior does a Pyro guide end, and how much of the gap does a flow close?

Bacteria in a bottle of river water use up oxygen: after t days y = a (1 - e^{-k t}) mg/l, measured with an error of
2.5 mg/l. From the first three days (Marske 1967, in Bates & Watts 1988, table A1.4) the final demand a and the rate k
can hardly be told apart, as early on only their product matters, so the posterior of (log a, log k) is long and curved.
With two parameters the evidence p(y) is a sum over a fine grid, and the divergence of a guide q is exact but for the
noise of its ELBO:

    KL(q || p(. | y)) = log p(y) - ELBO

Pyro's normal guides stand beside a neural spline flow as the guide, each trained by the same SVI. The case was chosen
to be hard for a normal: of the six days of the data three were kept after a look at the divergences.

Importance weights estimate log p(y) too, but a guide's own draws do not suffice. Measured by quadrature for the flow
(seed 0): 1.25 % of the posterior lies where it is over 100 times as dense as the guide, around (4.8, -2.8), and there
the guide puts 0.0014 % of its draws. So log p(y) from 20,000 draws came out 0.006 to 0.016 low in 9 of 10 seeds, and
within two of its standard errors of the exact value in 2 of 10. A Student-t base (5 degrees of freedom) did not mend
it (4 of 10), nor a tenth of the draws from the prior (6 of 10), as little of the prior lies there. With half of them
from the prior it was 10 of 10, and again 10 of 10 with the 400,000 draws used here. The exact value is the same to
1e-6 from boxes of 5, 6 and 8 prior widths.

    python examples/pyro_posterior.py
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pyro
import pyro.distributions as law
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoMultivariateNormal, init_to_median
from torch import Tensor

import deepgen as dg
from deepgen.errors import DegenerateWeights
from deepgen.evaluate import plus_minus
from deepgen.interop.pyro import as_pyro, evidence

DAYS, DEMAND, ERROR = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([8.3, 10.3, 19.0]), 2.5
CENTRE, WIDTH = torch.tensor([3.0, -1.0]), torch.tensor([1.5, 1.0])  # prior of (log a, log k): about 20 mg/l, 0.4 a day


def model() -> None:
    theta = pyro.sample("theta", law.Normal(CENTRE, WIDTH).to_event(1))
    final, rate = theta.exp().unbind(-1)
    with pyro.plate("bottles", len(DAYS)):
        pyro.sample("demand", law.Normal(final * (1 - (-rate * DAYS).exp()), ERROR), obs=DEMAND)


@torch.no_grad()
def log_joint(theta: Tensor) -> Tensor:
    """log p(theta, y) of rows ``[n, 2]``: the model itself, at given parameters."""
    with pyro.plate("rows", len(theta), dim=-2):
        trace = pyro.poutine.trace(pyro.condition(model, {"theta": theta.unsqueeze(1)})).get_trace()
    trace.compute_log_prob()
    return sum(
        site["log_prob"].double().sum(-1)
        for site in trace.nodes.values()
        if site["type"] == "sample" and "log_prob" in site
    )


def log_evidence(side: int = 1200) -> float:
    """log p(y) by the midpoint rule, five prior widths to each side."""
    step = 10 / side
    rows = torch.cartesian_prod(*[(torch.arange(side) + 0.5) * step - 5] * 2)
    each = torch.cat([log_joint(CENTRE + WIDTH * part) for part in rows.split(2**18)])
    return float(each.logsumexp(0)) + math.log(step**2 * float(WIDTH.prod()))


def flow_guide(seed: int) -> Callable[[], None]:
    """A spline flow that starts as the prior, three times narrower."""
    start = dg.transforms.Affine(2)
    with torch.no_grad():
        start.shift.copy_(CENTRE)
        start.log_scale.copy_((WIDTH / 3).log())
    splines = dg.explicit.NSF(2, transforms=2, hidden=[32, 32], linear=True, generator=seed).transform
    flow = dg.explicit.Flow(dg.transforms.Chain([start, splines]), base=2)

    def guide() -> None:
        pyro.module("flow", flow)
        pyro.sample("theta", as_pyro(flow()))

    return guide


def train(guide: Callable[[], object], steps: int, rate: float) -> None:
    adam = pyro.optim.ClippedAdam({"lr": rate, "lrd": 0.02 ** (1 / steps)})  # down to a fiftieth
    svi = SVI(model, guide, adam, Trace_ELBO(num_particles=32, vectorize_particles=True, max_plate_nesting=1))
    for _ in range(steps):
        svi.step()


def main(steps: int = 600, draws: int = 400_000, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    warnings.simplefilter("ignore", DegenerateWeights)  # that of the guides alone is the point
    exact = log_evidence()
    print(f"log p(y) by quadrature {exact:.4f} nats; estimates of it by importance weights of {draws} draws:\n")
    print(f"{'guide':20} {'KL to posterior':>18} {'its draws alone':>18} {'half of the prior':>18} {'ESS':>7}")
    normal, full = (auto(model, init_loc_fn=init_to_median) for auto in (AutoDiagonalNormal, AutoMultivariateNormal))
    spline = flow_guide(seed)
    guides = {
        "independent normals": (normal, lambda: pyro.sample("theta", normal.get_posterior()), 0.03),
        "one normal": (full, lambda: pyro.sample("theta", full.get_posterior()), 0.03),
        "spline flow": (spline, spline, 0.01),
    }
    numbers, shown, stream = {"exact": exact}, {}, dg.random.generator(seed)
    for name, (guide, trained, rate) in guides.items():
        pyro.clear_param_store()
        with dg.random.lend(stream):  # Pyro draws from torch's global stream
            train(guide, steps, rate)
            with pyro.plate("rows", 800, dim=-2), torch.no_grad():
                drawn = pyro.poutine.trace(trained).get_trace().nodes
        elbo, alone = evidence(model, trained, draws=draws, generator=stream)
        _, both = evidence(model, trained, draws=draws, defensive=0.5, generator=stream)
        gap = exact - elbo.value
        columns = ((gap, elbo.stderr), (alone.value, alone.stderr), (both.value, both.stderr))
        print(f"{name:20}", *(f"{plus_minus(*each):>18}" for each in columns), f"{both.ess / draws:7.1%}")
        for label, (value, error) in zip(("KL", "alone", "weighted"), columns, strict=True):
            numbers |= {f"{name}, {label}": value, f"{name}, {label} error": error}
        shown[f"{name}: KL {gap:.3f} nats"] = drawn["theta"]["value"].squeeze(1)
    picture = out / "pyro_posterior.png"
    dg.plot.regions(
        log_joint,
        shown,
        box=((2.0, 6.0), (-4.2, 1.3)),
        names=("log final demand, mg/l", "log rate, 1/day"),
        title="800 draws of each guide over the exact posterior: regions of 50, 90 and 99 %",
        path=picture,
    )
    print(f"\ndraws over the exact posterior in {picture}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
