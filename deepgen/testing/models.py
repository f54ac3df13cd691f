"""Everything that a model's protocols promise, in one call."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.explicit.units import Units
from deepgen.random import resolve
from deepgen.testing.cells import cells
from deepgen.testing.checkpoints import check_checkpoint
from deepgen.testing.exact import Exact
from deepgen.testing.failure import demand
from deepgen.testing.goodness import chi_square
from deepgen.testing.kernels import check_kernel
from deepgen.testing.randomness import check_random
from deepgen.testing.sequential import sequential
from deepgen.testing.units import STATES
from deepgen.typing import Blocked, LogDensity, LogProb, Rebuilt, Samples


def check_model(
    model: nn.Module,
    x: Tensor,
    *,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> list[str]:
    """Run every check that the protocols of ``model`` call for and return their names.

    ==================  ===============================================================================================
    `LogProb`           rows stay apart, gradients flow; with `Samples` of repeating values, draws follow ``log_prob``
    `LogDensity`        rows stay apart, gradients flow; against `Exact` when it has two small layers of units
    `Samples`           shapes, and `check_random`
    `Blocked`           `check_kernel` at beta 1 and 1/2, when it has two small layers of units
    `Rebuilt`           `check_checkpoint`
    ==================  ===============================================================================================

    Args:
        model: the model.
        x: at least two different rows it can be asked about, ``[batch, *event]``.
        alpha: the greatest chance that a correct model fails one of the statistical checks.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> import deepgen as dg
    >>> check_model(dg.RBM(visible=3, hidden=2, generator=0), torch.eye(3), generator=0)
    ['LogDensity', 'exact', 'Blocked', 'Rebuilt']
    """
    stream, done, small = resolve(generator), [], _is_small_machine(model)
    if isinstance(model, LogProb):
        _check_rows(model, "log_prob", x)
        done.append("LogProb")
    if isinstance(model, LogDensity):
        _check_rows(model, "log_density", x)
        done.append("LogDensity")
        if small:
            _check_density(model, x)
            done.append("exact")
    if isinstance(model, Samples) and not isinstance(model, Blocked):
        drawn = model.sample(3, generator=stream)
        demand(drawn.shape == (3, *x.shape[1:]), f"sample(3) gave {[*drawn.shape]}, not {[3, *x.shape[1:]]}")
        check_random(lambda generator: model.sample(16, generator=generator), generator=stream)
        done.append("Samples")
        if isinstance(model, LogProb) and _check_draws(model, alpha, stream):
            done.append("draws")
    if isinstance(model, Blocked) and small:
        for beta in (1.0, 0.5):
            _check_gibbs(model, beta, alpha, stream)
        done.append("Blocked")
    if isinstance(model, Rebuilt):
        check_checkpoint(model)
        done.append("Rebuilt")
    return done


def _is_small_machine(model: Any) -> bool:
    layers = [getattr(model, name, None) for name in ("visible", "hidden")]
    if not callable(getattr(model, "energy", None)) or not all(isinstance(layer, Units) for layer in layers):
        return False
    return math.prod(_discrete_states(layer) for layer in layers) <= STATES


def _discrete_states(units: Any) -> int:
    if units.states is not None:
        return int(units.states)
    return math.prod(_discrete_states(part) for part in getattr(units, "parts", ()))


def _check_rows(model: Any, method: str, x: Tensor) -> None:
    name, value = f"{type(model).__name__}.{method}", getattr(model, method)
    model.zero_grad()
    whole = value(x)
    demand(whole.shape == x.shape[:1], f"{name} of {[*x.shape]} gave {[*whole.shape]}, not {[len(x)]}")
    demand(bool(whole.isfinite().all()), f"{name} is not finite on the rows given")
    alone = torch.cat([value(row.unsqueeze(0)) for row in x])
    tolerance = 1e-4 if whole.dtype == torch.float32 else 1e-9
    demand(torch.allclose(whole, alone, rtol=tolerance, atol=tolerance), f"{name} of a row depends on the other rows")
    if any(parameter.requires_grad for parameter in model.parameters()):
        demand(whole.requires_grad, f"{name} passes no gradient to the parameters")
        whole.sum().backward()
        reached = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
        demand(reached, f"{name} passes only zero gradients")
        model.zero_grad()


def _check_density(model: Any, x: Tensor) -> None:
    got, expected = model.log_density(x).detach().double(), Exact(model).log_density(x).detach()
    error = float((got - expected).abs().max())
    limit = (1e-4 if model.log_density(x).dtype == torch.float32 else 1e-9) * float(1 + expected.abs().max())
    demand(error <= limit, f"{type(model).__name__}.log_density is off by {error:.2e} nats from the sum over h")


def _check_draws(model: Any, alpha: float, stream: torch.Generator) -> bool:
    """Chi-square of draws against log_prob, on the rows seen in a first batch plus one cell for the rest."""
    first = model.sample(4096, generator=stream)
    rows = torch.unique(first, dim=0)
    if len(rows) * 16 > len(first):
        return False
    with torch.no_grad():
        known = model.log_prob(rows).double().exp()
    demand(float(known.sum()) < 1 + 1e-4, f"log_prob sums to {float(known.sum()):.6f} over some of the values")
    probabilities = torch.cat([known, (1 - known.sum()).clamp_min(1e-12).reshape(1)])

    def p_values(n: int, g: torch.Generator) -> list[float]:
        fresh = model.sample(n, generator=g)
        cell = cells(torch.cat([rows, fresh]))
        place = torch.full((int(cell.max()) + 1,), len(rows))
        place[cell[: len(rows)]] = torch.arange(len(rows))
        return [chi_square(torch.bincount(place[cell[len(rows) :]], minlength=len(rows) + 1), probabilities)]

    what = f"draws of {type(model).__name__} do not follow its log_prob"
    sequential(p_values, what=what, alpha=alpha, generator=stream)
    return True


def _check_gibbs(model: Any, beta: float, alpha: float, stream: torch.Generator) -> None:
    exact = Exact(model, beta)
    kernel = model.gibbs(beta)

    def draw(n: int, *, generator: torch.Generator) -> Tensor:
        return exact.sample(n, generator=generator)[0]

    law = exact.visible_law().p_values if model.visible.states is not None else None
    check_kernel(kernel, draw, p_values=law, reversible=True, alpha=alpha / 2, generator=stream)
