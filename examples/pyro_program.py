"""Can a Pyro program with two far explanations be sampled exactly? A flow's proposals beside MALA, summed up by ArviZ.

A dose of theophylline is swallowed, taken up at rate a and removed at rate b from a volume V of the body: t hours later
the blood has

    c(t) = dose / V * a / (a - b) * (exp(-b t) - exp(-a t))

The data are the first subject of Upton's study (R's data set Theoph, from its second sample on). The curve stays the
same when a and b are exchanged and V becomes V b / a, so there are always two explanations: a fast uptake and a slow
removal, or the reverse. Only the prior weighs them, and here it knows little: rates of 0.3 an hour and a volume of 0.1
litres a kilogram, give or take a factor of 4.5. (Pharmacologists know more: no volume is below that of the blood.)

The program becomes a target over the real numbers, the logarithms of its sites. MALA alone stays in the explanation
where it starts, so its chains say how many started there. A spline flow, trained by `train_proposal` on these chains,
proposes jumps in every other step. How much of the posterior has a > b is known by a sum over a grid: given a and b the
curve is linear in 1/V, so sums of squares do for all volumes.

    python examples/pyro_program.py
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import pyro
import pyro.distributions as law
import torch
from torch import Tensor

import deepgen as dg
from deepgen.interop.pyro import program_target

HOURS = torch.tensor([0.25, 0.57, 1.12, 2.02, 3.82, 5.10, 7.03, 9.05, 12.12, 24.37])
LEVEL = torch.tensor([2.84, 6.57, 10.50, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28])  # mg/l
DOSE, ERROR = 4.02, 0.7  # mg/kg, and mg/l of the measurement
RATE, VOLUME, WIDTH = math.log(0.3), math.log(0.1), 1.5  # of the priors of logarithms


def model() -> None:
    uptake = pyro.sample("uptake", law.LogNormal(RATE, WIDTH))
    removal = pyro.sample("removal", law.LogNormal(RATE, WIDTH))
    volume = pyro.sample("volume", law.LogNormal(VOLUME, WIDTH))
    with pyro.plate("samples", len(HOURS)):
        pyro.sample("level", law.Normal(DOSE / volume * curve(uptake, removal, HOURS), ERROR), obs=LEVEL)


def curve(uptake: Tensor, removal: Tensor, hours: Tensor) -> Tensor:
    """The level for a dose and a volume of 1, in a form that does not cancel where the rates are close."""
    low, gap = torch.minimum(uptake, removal), (uptake - removal).abs().clamp_min(1e-6)
    return uptake * (-low * hours).exp() * -torch.expm1(-gap * hours) / gap


def marginal(z: Tensor) -> Tensor:
    """log f of (log uptake, log removal) ``[n, 2]``, with all volumes summed up: ``[n]``."""
    z = z.double()
    g = curve(z[:, :1].exp(), z[:, 1:].exp(), HOURS.double())
    y, v = LEVEL.double(), torch.linspace(-8, 2, 501, dtype=torch.float64)
    scale = DOSE / v.exp()
    misfit = y.square().sum() - 2 * scale * (g @ y[:, None]) + scale.square() * g.square().sum(1, keepdim=True)
    given = -misfit / (2 * ERROR**2) - ((v - VOLUME) / WIDTH).square() / 2
    return given.logsumexp(1) - ((z - RATE) / WIDTH).square().sum(1) / 2


def exact_share(points: int = 120) -> float:
    """P(uptake > removal | data), from a grid that is the same to ten digits with 100 to 400 points a side."""
    axis = torch.linspace(-6, 4, points, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    return float(marginal(z).softmax(0)[z[:, 0] > z[:, 1]].sum())


def main(
    rounds: int = 6, updates: int = 100, draws: int = 600, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    target, stream = program_target(model), dg.random.generator(seed)
    pilot = dg.samplers.sample_chain(
        dg.samplers.mala(target), target.begin(128, generator=stream), draws=1, warmup=600, generator=stream
    )
    local, start = dg.samplers.mala(target, step_size=0.003), pilot.state.position
    flow = dg.explicit.NSF(3, transforms=4, hidden=[32, 32], box=8.0, generator=stream)
    trained = dg.samplers.train_proposal(
        flow,
        lambda q: dg.samplers.independence(target, q, ahead=1),
        local,
        start,
        optimizer=torch.optim.Adam(flow.parameters(), lr=3e-3),
        rounds=rounds,
        steps=40,
        updates=updates,
        generator=stream,
    )
    print(trained)
    both = dg.samplers.cycle(local=local, flow=dg.samplers.independence(target, trained.model))

    numbers, chains = {"exact": exact_share()}, {}
    for name, kernel in {"MALA alone": local, "MALA and flow": both}.items():
        clock = time.process_time()
        trace = dg.samplers.sample_chain(kernel, start, draws, warmup=100, generator=stream)
        seconds = time.process_time() - clock
        sites = target.unflatten(trace.draws)
        fast = (sites["uptake"] > sites["removal"]).double()
        share, error = float(fast.mean()), float(dg.evaluate.mcse(fast))
        rhat = float(dg.evaluate.rhat(sites["uptake"]))
        print(f"{name:14}P(uptake > removal) = {share:.4f} +- {error:.4f}, R-hat {rhat:.3f}, {seconds:.1f} CPU s")
        numbers |= {name: share, f"{name}, error": error, f"{name}, R-hat": rhat}
        chains[name] = trace
    print(f"exact         P(uptake > removal) = {numbers['exact']:.4f}")
    info = chains["MALA and flow"].info
    rate, other = (float(info[f"{part}_accepted"].double().mean()) for part in ("flow", "local"))
    print(f"accepted: {100 * rate:.0f} % of the flow's proposals, {100 * other:.0f} % of MALA's")

    data = chains["MALA and flow"].to_arviz(target.unflatten)
    import arviz  # after to_arviz, which spares the reader what its import has to say

    print(arviz.summary(data).to_string())

    picture = out / "pyro_program.png"
    dg.plot.regions(
        marginal,
        {
            f"{name}: {100 * numbers[name]:.1f} % fast uptake": trace.draws[::6, :8, :2].flatten(0, 1)
            for name, trace in chains.items()
        },
        box=((-4, 1.5), (-4, 1.5)),
        names=("log of uptake, 1/h", "log of removal, 1/h"),
        title=f"8 of 128 chains over the exact regions of 50, 90 and 99 %; exact share: {100 * numbers['exact']:.1f} %",
        path=picture,
    )
    print(f"chains in {picture}")
    return numbers | {"flow, accepted": rate}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
