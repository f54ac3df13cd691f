"""Kernels of `deepgen.samplers` on an accelerator, for `gpu.py`: the time of a step beside that of its gradients.

Logistic regression 1000 x 25 for MALA, HMC of 4 leaps, tempering over MALA with 8 rungs, and independence from a
RealNVP near the identity (16 candidates a pass, the regression in whitened coordinates); an energy model over 25
numbers (network 25-64-64-1 over a Gaussian) for MALA; an Ising model of 10 x 10 at coupling 0.1 for Gibbs with
gradients, DMALA and the checkerboard. 10^3 to 10^6 chains (tempering and independence, which hold 8 and 16 rows a
chain, to 10^5), float32, eager; a run that does not fit says so. The gradient is that of one row a chain (a replica, in
tempering), and the ratio is a step over the gradients it takes: 4 in HMC, 1 in all others; of the checkerboard, which
takes a local field for each colour, over 1 as well.

Checked before: uniforms of the streams are the CPU's to the last bit, and normals to rounding; no step waits for the
device (CUDA's own debug mode; on a CPU `check_never_waits`); mean log density of chains against that of the CPU's,
within six standard errors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from gpu_clock import Check, seconds
from sampler_peers import logistic
from torch import Tensor

from deepgen import samplers
from deepgen.distributions import MultivariateNormal
from deepgen.explicit import EnergyModel, Ising, RealNVP
from deepgen.layers import ScalarMLP
from deepgen.random import Streams
from deepgen.testing import CheckFailed, check_never_waits

SIZE, SIDE, RUNGS, LEAPS, STEPS = 25, 10, 8, 4, 16
GRID, STEP = (SIDE, SIDE), 0.003


class Case(NamedTuple):
    """build: the kernel on a device; event: the shape of a position; rows: a chain; gradients: a step."""

    build: Callable[[torch.device], Any]
    event: tuple[int, ...] = (SIZE,)
    rows: int = 1
    gradients: int = 1
    most: int = 10**6
    white: bool = False

    def start(self, chains: int, device: torch.device) -> Tensor:
        """Positions near the regression's mode (the origin in whitened coordinates), or spins at random."""
        x = Streams(1, device=device).normal((chains, *self.event))
        if self.event == GRID:
            return torch.where(x < 0, -1.0, 1.0)
        return x if self.white else laplace()[0].to(device) + 0.07 * x


def regression(device: torch.device) -> samplers.Target:
    problem = logistic(1000, SIZE, device=device)
    return samplers.Target(problem.log_density, problem.slope)


@functools.cache
def laplace() -> tuple[Tensor, Tensor]:
    """The regression's mode, by Newton's method, and a factor of the covariance there."""
    problem, w = logistic(1000, SIZE), torch.zeros(SIZE)
    curvature = torch.func.hessian(lambda w: problem.log_density(w[None])[0])
    for _ in range(10):
        w = w - torch.linalg.solve(curvature(w), problem.slope(w[None])[1][0])
    return w, torch.linalg.cholesky(torch.linalg.inv(-curvature(w)))


def whitened(device: torch.device) -> samplers.Target:
    """The regression in coordinates in which it is nearly N(0, 1), as a new flow is."""
    problem, (centre, factor) = logistic(1000, SIZE, device=device), (part.to(device) for part in laplace())

    def slope(z: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = problem.slope(centre + z @ factor.mT)
        return value, gradient @ factor

    return samplers.Target(lambda z: problem.log_density(centre + z @ factor.mT), slope)


def tempered(device: torch.device) -> samplers.Tempering:
    betas = torch.logspace(-1, 0, RUNGS).clamp_max(1.0)
    kernel = samplers.mala(regression(device), STEP)
    return samplers.tempering(kernel, betas, step_sizes=STEP / betas)  # type: ignore[return-value]


def energy(device: torch.device) -> EnergyModel:
    net = ScalarMLP(SIZE, hidden=[64, 64], generator=0)
    return EnergyModel(net, base=MultivariateNormal(SIZE)).to(device)


def ising(device: torch.device) -> Ising:
    return Ising((SIDE, SIDE), 0.1).to(device)


CASES = {
    "MALA": Case(lambda d: samplers.mala(regression(d), STEP)),
    "HMC": Case(lambda d: samplers.hmc(regression(d), STEP**0.5, leaps=LEAPS), gradients=LEAPS),
    "tempering over MALA": Case(tempered, rows=RUNGS, most=10**5),
    "independence, RealNVP": Case(
        lambda d: samplers.independence(whitened(d), RealNVP(SIZE, hidden=[64], generator=0).to(d)),
        most=10**5,
        white=True,
    ),
    "MALA, energy model": Case(lambda d: energy(d).kernel("mala", step_size=0.3)),
    "Gibbs with gradients": Case(lambda d: samplers.gibbs_with_gradients(ising(d)), GRID),
    "DMALA": Case(lambda d: samplers.dmala(ising(d), 2.0), GRID),
    "checkerboard": Case(lambda d: ising(d).gibbs(), GRID),
}


def steps(kernel: Any, state: Any, stream: Streams) -> tuple[Any, Any]:
    """``STEPS`` steps: the state, and what the last one reports."""
    for _ in range(STEPS):
        state, info = kernel.step(state, generator=stream)
    return state, info


def gradients(of: Callable[[Tensor], Any], x: Tensor) -> None:
    for _ in range(STEPS):
        of(x)


def slope(kernel: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """log f and its gradient at positions."""
    inner = kernel.kernel if isinstance(kernel, samplers.Tempering) else kernel
    return inner.target.slope if hasattr(inner, "target") else torch.no_grad()(inner.model.value_and_gradient)


def checks(device: torch.device, small: bool) -> Iterator[Check]:
    here, there = (Streams(5, calls=2**32 - 2, device=d) for d in ("cpu", device))
    for dtype in (torch.float32, torch.float64):
        for shape in ((300, 7), (300, 1), (300, 40)):
            apart = int((here.uniform(shape, dtype) != there.uniform(shape, dtype).cpu()).sum())
            yield Check(f"streams, {dtype} {list(shape)}: uniforms that differ from the CPU's", apart, 0)
            error = float((here.normal(shape, dtype) - there.normal(shape, dtype).cpu()).abs().max())
            yield Check(f"streams, {dtype} {list(shape)}: normals, largest difference from the CPU's", error, 2e-5)
    for name, case in CASES.items():
        yield Check(f"{name}: steps wait for the device", float(waits(case, device)), 0)
        a, b = (mean(case, 500 if small else 2000, d, seed) for d, seed in ((device, 2), (torch.device("cpu"), 3)))
        apart = abs(a[0] - b[0]) / math.hypot(a[1], b[1])
        yield Check(f"{name}: log density against the CPU's, standard errors", apart, 6)


def waits(case: Case, device: torch.device) -> bool:
    """Whether a step makes the host wait for the device, the first one aside, which may copy tables there."""
    if device.type != "cuda":
        try:
            check_never_waits(case.build, case.start(10, torch.device("cpu")), steps=STEPS)
        except CheckFailed:
            return True
        return False
    kernel, stream = case.build(device), Streams(4, device=device)
    state, _ = kernel.step(kernel.init(case.start(1000, device)), generator=stream)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps(kernel, state, stream)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return False


def mean(case: Case, chains: int, device: torch.device, seed: int) -> tuple[float, float]:
    """Mean log density of chains after ``STEPS`` steps from the same starts, and its standard error."""
    kernel = case.build(device)
    state = kernel.init(case.start(chains, torch.device("cpu")).to(device))
    state, _ = steps(kernel, state, Streams(seed, device=device))
    value = slope(kernel)(state.position)[0].double()
    return float(value.mean()), float(value.std()) / math.sqrt(chains)


def cases(device: torch.device, small: bool) -> Iterator[dict[str, Any]]:
    counts = (10, 100) if small else (10**3, 10**4, 10**5, 10**6)
    for chains in counts:
        yield numbers(device, chains, 3 if small else 20)
    for name, case in CASES.items():
        for chains in counts:
            if chains <= case.most:
                try:
                    yield {"kernel": name} | timed(case, device, chains, 2 if small or chains == 10**6 else 5)
                except torch.OutOfMemoryError:
                    yield {"kernel": name, "chains": chains, "out of memory": "yes"}


def numbers(device: torch.device, chains: int, repeats: int) -> dict[str, Any]:
    """Uniforms of the streams beside torch's own, which belong to no chain."""
    stream, common = Streams(0, device=device), torch.Generator(device=device)
    ours = seconds(lambda: [stream.uniform((chains, SIZE)) for _ in range(STEPS)], device, repeats)
    theirs = seconds(
        lambda: [torch.rand(chains, SIZE, generator=common, device=device) for _ in range(STEPS)], device, repeats
    )
    per = chains * SIZE * STEPS
    return {"uniforms, chains": chains, "streams, numbers/s": per / ours, "torch.rand, numbers/s": per / theirs,
            "ratio": ours / theirs}  # fmt: skip


def timed(case: Case, device: torch.device, chains: int, repeats: int) -> dict[str, Any]:
    kernel, stream = case.build(device), Streams(6, device=device)
    state, gradient = kernel.init(case.start(chains, device)), slope(kernel)
    step = seconds(lambda: steps(kernel, state, stream), device, repeats) / STEPS
    at = state.position.repeat_interleave(case.rows, 0)
    alone = seconds(lambda: gradients(gradient, at), device, repeats) / STEPS
    info = steps(kernel, state, stream)[1]
    return {
        "chains": chains,
        "acceptance": float(info.acceptance.mean()) if hasattr(info, "acceptance") else 1.0,
        "step, ms": 1e3 * step,
        "chain-steps/s": chains / step,
        "gradient, ms": 1e3 * alone,
        "ratio": step / (case.gradients * alone),
    }
