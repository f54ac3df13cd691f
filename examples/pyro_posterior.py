"""How far from a curved posterior does a Pyro guide end, and how much of the gap does a flow close?

Bacteria in a bottle of river water use up oxygen: after t days y = a (1 - e^{-k t}) mg/l, measured with an error of
2.5 mg/l. From the first three days (Marske 1967, in Bates & Watts 1988, table A1.4) the final demand a and the rate k
can hardly be told apart, as early on only their product matters, so the posterior of (log a, log k) is long and curved.
With two parameters the evidence p(y) is a sum over a fine grid, and the divergence of a guide q is exact but for the
noise of its ELBO:

    KL(q || p(. | y)) = log p(y) - ELBO

Pyro's normal guides stand beside a neural spline flow as the guide, each trained by the same SVI. Importance weights of
a guide's draws estimate log p(y) too. A guide trained by an ELBO hardly visits the far tail of the posterior, so that
this estimate is short of the exact value by the tail's mass, which its error bar cannot know.

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
from pyro.infer.autoguide import AutoMultivariateNormal, AutoNormal, init_to_median
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


def main(steps: int = 600, draws: int = 20_000, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    warnings.simplefilter("ignore", DegenerateWeights)  # the effective sample size is printed
    exact = log_evidence()
    print(f"log p(y) by quadrature {exact:.4f} nats; a guide's ELBO is that minus its divergence\n")
    print(f"{'guide':20} {'ELBO':>18} {'KL to posterior':>18} {'log p(y), importance':>22} {'ESS':>7}")
    guides = {
        "independent normals": (AutoNormal(model, init_loc_fn=init_to_median), 0.03),
        "one normal": (AutoMultivariateNormal(model, init_loc_fn=init_to_median), 0.03),
        "spline flow": (flow_guide(seed), 0.01),
    }
    numbers, shown, stream = {"exact": exact}, {}, dg.random.generator(seed)
    for name, (guide, rate) in guides.items():
        pyro.clear_param_store()
        with dg.random.lend(stream):  # Pyro draws from torch's global stream
            train(guide, steps, rate)
            with pyro.plate("rows", 800, dim=-2), torch.no_grad():
                drawn = pyro.poutine.trace(guide).get_trace().nodes
        elbo, weighted = evidence(model, guide, draws=draws, generator=stream)
        gap = exact - elbo.value
        print(
            f"{name:20} {plus_minus(elbo.value, elbo.stderr):>18} {plus_minus(gap, elbo.stderr):>18} "
            f"{plus_minus(weighted.value, weighted.stderr):>22} {weighted.ess / draws:7.1%}"
        )
        numbers |= {f"{name}, KL": gap, f"{name}, error": elbo.stderr}
        numbers |= {f"{name}, weighted": weighted.value, f"{name}, weighted error": weighted.stderr}
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
