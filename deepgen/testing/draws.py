"""Do a model's draws follow its own density?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from deepgen.random import draw
from deepgen.testing.failure import demand
from deepgen.testing.goodness import chi_square, same_law, same_mean
from deepgen.testing.mass import POINTS, STATES, Mass, discrete_mass, grid_mass, states, values_of
from deepgen.testing.sequential import sequential
from deepgen.testing.transforms import SCALES, scaled
from deepgen.testing.view import View, wide

SUM, INTEGRAL = 1e-6, 1e-3


def check_draws(view: View, x: Tensor, *, n: int, alpha: float, generator: torch.Generator) -> list[str]:
    """The part of `check_density` about probabilities, at one context; ``x`` are rows where the density lives.

    Its mass, and draws against that in cells; rows completed by ``conditional_sample`` against it too; draws, encoded,
    against the base; and the bridge identity

        E_p[q / (p + q)] + E_q[q / (p + q)] = integral of q = 1,        q: the model with its parameters moved a little,

    whose terms lie between 0 and 1, so that their means are normal in any dimension. It holds only where both
    densities are normalised and both samplers follow them. ``alpha`` is for all tests together.
    """
    name, mass = view.name, _mass(view, x) if view.can_score else None
    done = [] if mass is None else ["mass"]
    tests: dict[str, Callable[[int, torch.Generator], list[float]]] = {}
    if mass is not None and view.can_draw:
        tests["cells"] = lambda k, g: [mass.p_value(view.sample(k, generator=g))]
    values = values_of(view.model.support)
    if mass is not None and values is not None and view.can_draw and hasattr(view.model, "conditional_sample"):
        tests["completion"] = _completion(view, mass, values, x)
    if view.can_draw and view.can_score and hasattr(view.model, "encode") and hasattr(view.model, "base"):
        tests["code"] = partial(_code, view)
    if view.can_draw and view.can_score and any(True for _ in view.model.parameters()):
        tests["tilt"] = partial(_bridges, view, list(_neighbours(view, generator)))
    failures = {
        "cells": f"draws of {name} fall into cells otherwise than its log_prob says",
        "completion": f"rows completed by {name} do not follow log_prob given what is known",
        "code": f"draws of {name}, encoded, do not follow its base",
        "tilt": f"draws of {name} and of its neighbours do not balance as log_prob says",
    }
    for test, p_values in tests.items():
        sequential(p_values, what=failures[test], n=n, alpha=alpha / len(tests), generator=generator)
    return [*done, *tests]


def _mass(view: View, x: Tensor) -> Mass | None:
    values, exact = values_of(view.model.support), copy.deepcopy(view).double()
    if values is None:
        if x[0].numel() not in POINTS:
            return None
        mass = grid_mass(exact.log_prob, view.model.support, view.examples(1000, generator=0))
        demand(abs(mass.total - 1) <= INTEGRAL, f"{view.name}: p(x) integrates to {mass.total:.6f}")
        return mass
    if len(values) ** x[0].numel() > STATES:
        return None
    rows = states(values, x.shape[1:]).to(wide(x))
    for scale in (*SCALES, 1.0):
        mass = discrete_mass(scaled(exact, scale).log_prob, rows, values)
        where = "" if scale == 1 else f" with parameters times {scale:g}"
        demand(abs(mass.total - 1) <= SUM, f"{view.name}{where}: P of all {len(rows)} states sums to {mass.total:.8f}")
    return mass


def _completion(view: View, mass: Mass, values: Tensor, x: Tensor) -> Callable[[int, torch.Generator], list[float]]:
    """Rows that agree with ``x[0]`` in what comes first in every order of the model, half of the variables at most."""
    width, rows = x[0].numel(), states(values, x.shape[1:]).to(x)
    orders = torch.as_tensor(getattr(view.model, "orders", range(width))).reshape(-1, width).tolist()
    first = [k for k in range(width // 2 + 1) if len({frozenset(order[:k]) for order in orders}) == 1]
    mask = torch.zeros(width, dtype=torch.bool)
    mask[orders[0][: first[-1]]] = True
    mask = mask.reshape(x.shape[1:])
    matching = (rows == x[0])[:, mask].all(1)

    def p_values(n: int, g: torch.Generator) -> list[float]:
        known = x[:1].expand(n, *x.shape[1:]).where(mask, torch.zeros_like(x[:1]))
        drawn = view.model.conditional_sample(known, mask, *view.given(n), generator=g)
        kept = torch.equal(drawn[:, mask], known[:, mask])
        demand(kept, f"{view.name}.conditional_sample changed what was known")
        counts = torch.bincount(mass.cell(drawn).clamp_min(0), minlength=len(rows))
        return [chi_square(counts, mass.cells.where(matching, 0.0))]

    return p_values


def _code(view: View, n: int, g: torch.Generator) -> list[float]:
    x = view.sample(n, generator=g)
    with torch.no_grad():
        z = view.model.encode(x, *view.given(n))[0]
        base = view.model.base(*(view.given(n) or (None,)))
    own = draw(base, () if base.batch_shape else (n,), generator=g)
    return same_law(z, own, generator=g)


@torch.no_grad()
def _neighbours(view: View, stream: torch.Generator) -> Iterator[View]:
    """The model with all parameters a little larger, and moved a little at random: log q/p has a deviation below 1."""
    x = view.sample(500, generator=stream)
    for scale in (1.0, 0.0):
        noise = [torch.randn(p.shape, generator=stream).to(p) for p in view.model.parameters()]
        size = 0.5
        while True:
            other = copy.deepcopy(view)
            for p, e in zip(other.model.parameters(), noise, strict=True):
                p.add_(size * (p if scale else e * p.square().mean().sqrt().clamp_min(0.1)))
            ratio = other.log_prob(x) - view.log_prob(x)
            if float(ratio.std()) <= 1 or size < 1e-6:
                break
            size /= 2
        yield other


@torch.no_grad()
def _bridges(view: View, others: list[View], n: int, g: torch.Generator) -> list[float]:
    x, found = view.sample(n, generator=g), []
    for other in others:
        y = other.sample(n, generator=g)
        at_x, at_y = (torch.sigmoid(other.log_prob(v) - view.log_prob(v)) for v in (x, y))
        found.append(same_mean(at_x, 1 - at_y))
    return found
