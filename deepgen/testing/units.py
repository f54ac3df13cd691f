"""The promises of a layer of units, each against brute force over its own energy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import DeepgenError, SupportError
from deepgen.explicit.units import Units
from deepgen.random import resolve
from deepgen.testing.failure import demand
from deepgen.testing.law import Law, integrate, layout
from deepgen.testing.randomness import check_random
from deepgen.testing.sequential import sequential

STATES = 2**14  # layers with more states are checked in part
RELATIVE = 1e-9  # of float64 results that come by two ways


def check_units(
    units: Units, *, n: int = 4096, alpha: float = 1e-5, generator: torch.Generator | int | None = None
) -> None:
    """Check every promise of `deepgen.explicit.Units` on ``units``, a layer of at most 2^14 joint states.

    With p(x | f) = exp(f.x - u(x) - A(f)): the enumeration is complete, distinct, supported, and the same in pieces;
    A is the log of the sum and integral of exp(f.x - u(x)); the mean is the gradient of A; the sampler follows
    p(x | f); ``base_field`` undoes the mean, and stays finite where data are constant; values outside the support are
    refused; large fields give finite numbers; draws carry no gradient; shapes and dtypes are kept; and the sampler
    keeps to `check_random`.

    Args:
        units: the layer.
        n: draws in the first stage of the test of the sampler.
        alpha: the greatest chance that a correct layer fails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> from deepgen.explicit import Bernoulli, Gaussian, Product
    >>> check_units(Product(Bernoulli(2), Gaussian(1)), generator=0)
    """
    stream = resolve(generator)
    if units.states is not None:
        _check_enumeration(units)
    _check_cumulant(units, stream)
    _check_sampler(units, n, alpha, stream)
    _check_base_field(units, stream)
    _check_support(units, stream)
    _check_numerics(units, stream)


def field_law(units: Units, field: Tensor) -> Law:
    """p(x | ``field``) ``[width]`` of a layer by brute force over its energy; ``log_z`` is A(field).

    >>> from deepgen.explicit import Bernoulli
    >>> field_law(Bernoulli(1), torch.zeros(1)).log_z
    tensor(0.6931, dtype=torch.float64)
    """
    field = field.double()
    rows, real = layout(units)
    return integrate(lambda x: units.energy(x) - x @ field, rows, real)


def _check_enumeration(units: Units) -> None:
    count, name = units.states or 0, type(units).__name__
    demand(count <= STATES, f"{name} has {count} states: check a smaller layer, of at most {STATES}")
    states = units.enumerate(0, count)
    demand(states.dtype == torch.float64, f"{name}.enumerate must give float64, got {states.dtype}")
    demand(states.shape == (count, units.width), f"{name}.enumerate gave {[*states.shape]}, not {[count, units.width]}")
    found = len(torch.unique(states, dim=0))
    demand(found == count, f"{name} promises {count} states and enumerates {found} different ones")
    units.check(states)
    step = max(1, count // 3)
    pieces = [units.enumerate(first, min(first + step, count)) for first in range(0, count, step)]
    demand(torch.equal(torch.cat(pieces), states), f"{name}.enumerate in pieces differs from the whole")


def _check_cumulant(units: Units, stream: torch.Generator) -> None:
    name = type(units).__name__
    for scale in (0.0, 1.0, 5.0, 30.0):
        field = scale * torch.randn(units.width, generator=stream, dtype=torch.float64)
        field.requires_grad_()
        cumulant, law = units.cumulant(field), field_law(units, field.detach())
        _demand_near(cumulant, law.log_z, f"{name}.cumulant is not log sum exp(f.x - u(x)) at fields of size {scale:g}")
        (slope,) = torch.autograd.grad(cumulant, field)
        mean = units.mean(field.detach())
        # torch's softplus is linear above 20, where its slope leaves out e^-20 = 2e-9 for each count of a unit
        message = f"{name}.mean is not the gradient of the cumulant at fields of size {scale:g}"
        _demand_near(mean, slope, message, relative=1e-7)
        expected = law.probabilities @ law.rows
        if law.real:
            expected[law.real] = law.probabilities @ law.mean
        _demand_near(mean, expected, f"{name}.mean is not E[x] at fields of size {scale:g}")


def _check_sampler(units: Units, n: int, alpha: float, stream: torch.Generator) -> None:
    name = type(units).__name__
    for scale in (0.5, 2.0):
        field = scale * torch.randn(units.width, generator=stream)
        law = field_law(units, field)

        def p_values(count: int, g: torch.Generator, field: Tensor = field, law: Law = law) -> list[float]:
            return law.p_values(units.sample(field.repeat(count, 1), generator=g))

        what = f"{name}.sample does not follow exp(f.x - u(x) - A(f))"
        sequential(p_values, what=what, n=n, alpha=alpha / 2, generator=stream)
    tracked = units.sample(torch.zeros(2, units.width, requires_grad=True), generator=stream)
    demand(not tracked.requires_grad, f"{name}.sample carries a gradient")
    if units.states == 1:
        return  # nothing to draw
    wide = torch.zeros(40, units.width)
    check_random(lambda generator: units.sample(wide, generator=generator), seeds=False, generator=stream)


def _check_base_field(units: Units, stream: torch.Generator) -> None:
    name = type(units).__name__
    field = torch.randn(units.width, generator=stream, dtype=torch.float64)
    mean = units.mean(field)
    again = units.mean(units.base_field(mean, 10**12))
    demand(torch.allclose(again, mean, atol=1e-9), f"{name}.base_field does not undo the mean")
    row = units.sample(torch.zeros(1, units.width), generator=stream)
    constant = units.base_field(row[0], 1)
    demand(bool(constant.isfinite().all()), f"{name}.base_field of one row of data is not finite")


def _check_support(units: Units, stream: torch.Generator) -> None:
    name = type(units).__name__
    good = units.sample(torch.zeros(3, units.width), generator=stream)
    demand(_accepts(units, good), f"{name}.check refuses what {name}.sample drew")
    wrong = [torch.nan, torch.inf, -torch.inf]
    _, real = layout(units)
    for column in range(units.width):
        for value in wrong if column in real else [*wrong, 0.3, 7.0]:
            bad = good.clone()
            bad[1, column] = value
            demand(not _accepts(units, bad), f"{name}.check accepts {value} in column {column}")


def _accepts(units: Units, x: Tensor) -> bool:
    try:
        units.check(x)
    except SupportError as error:
        demand(isinstance(error, DeepgenError) and str(error), "the error says nothing")
        return False
    return True


def _check_numerics(units: Units, stream: torch.Generator) -> None:
    name = type(units).__name__
    for dtype in (torch.float32, torch.float64):
        field = torch.randn(2, 3, units.width, generator=stream, dtype=dtype)
        for size in (1.0, 1e4):
            got: dict[str, Any] = {
                "cumulant": (units.cumulant(size * field), field.shape[:-1]),
                "mean": (units.mean(size * field), field.shape),
                "sample": (units.sample(size * field, generator=stream), field.shape),
            }
            got["energy"] = (units.energy(got["sample"][0]), field.shape[:-1])
            for method, (value, shape) in got.items():
                like = value.shape == shape and value.dtype == dtype
                demand(like, f"{name}.{method} gave {value.dtype} {[*value.shape]}, not {dtype} {[*shape]}")
                demand(bool(value.isfinite().all()), f"{name}.{method} is not finite at fields of size {size:g}")


def _demand_near(got: Tensor, expected: Tensor, message: str, relative: float = RELATIVE) -> None:
    got, expected = got.detach(), expected.detach()
    error = (got - expected).abs().max()
    demand(error <= relative * (1 + expected.abs().max()), f"{message}: off by {float(error):.2e}")
