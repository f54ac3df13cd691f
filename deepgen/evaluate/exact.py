"""Exact log Z of a Boltzmann machine with two layers, by summing over the states of its smaller discrete side.

With s a state of the enumerated side (bias b, weights W towards the other side, whose bias is c and cumulant A)

    log Z = log sum_s exp(b.s - u(s) + A(c + s.W)).

For a binary other side A is a sum of log(1 + e^f), which `deepgen.evaluate.softplus_sums` gives without an exponential
per state: the enumerated units are split into a high and a low half. All terms are positive, so nothing cancels;
accumulation is in float64. Two Gaussian layers have the closed form of a Gaussian integral.

Limits: 25 bits of states (each further bit doubles the time).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.softplus_sums import binary_form, digit_tables, softplus_sums, state_sums
from deepgen.explicit import Gaussian, Product, Units
from deepgen.progress import bar

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

MAX_BITS = 25
_SECONDS_PER_FACTOR = 1e-9  # measured, one thread: binary 0.4e-9; with margin


@torch.no_grad()
def exact_log_partition(
    model: RBM, *, sides: tuple[str, str] = ("visible", "hidden"), progress: bool = False
) -> Estimate:
    """Return log Z of a machine whose smaller discrete side has at most 2^25 states, or of two Gaussian layers.

    While it sums, torch uses one thread, in the whole process; the number is put back at the end, also after an error
    or Ctrl-C.

    Args:
        model: a machine with two layers of units.
        sides: what the units of its two layers are called in the method's words.
        progress: show a bar with the time left.

    Returns:
        An exact `Estimate` in nats; +inf for a Gaussian machine that is not normalisable.

    Raises:
        MissingCapability: neither side is discrete (a layer with a Gaussian part is not).
        ArgumentError: more than 25 bits of states; the message estimates the time.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.RBM(visible=784, hidden=3, generator=0)
    >>> with torch.no_grad():
    ...     _ = rbm.weight.zero_()
    >>> print(exact_log_partition(rbm))  # 787 log 2
    545.51 nats (exact; enumeration of 3 hidden units)
    """
    if closed_form(model):
        return Estimate(_gaussian(model), 0.0, "exact", "determinant of two Gaussian layers")
    states, side = smaller_side(model)
    if states is None:
        raise MissingCapability(
            "exact enumeration needs a layer of discrete units (Bernoulli, Spin, Softmax), and neither side is one; "
            'use method="ais" or method="bidirectional"'
        )
    if states > 2**MAX_BITS:
        raise ArgumentError(
            f"exact enumeration goes up to {MAX_BITS} bits, the smaller side has {math.log2(states):.0f}: it would "
            f'take about {_duration(seconds(model))}; use method="ais" or method="bidirectional"'
        )
    value, called = _enumerate(model, side, states, progress), sides[side == "hidden"]
    return Estimate(value, 0.0, "exact", f"enumeration of {getattr(model, side).width} {called} units")


def smaller_side(model: RBM) -> tuple[int | None, str]:
    """The number of states of the smaller discrete layer and its name; None when neither is discrete.

    >>> from deepgen.explicit import RBM
    >>> smaller_side(RBM(visible=784, hidden=20))
    (1048576, 'hidden')
    """
    sides = [(units.states, name) for units, name in ((model.hidden, "hidden"), (model.visible, "visible"))]
    discrete = [(states, name) for states, name in sides if states is not None]
    return min(discrete, key=lambda s: s[0]) if discrete else (None, "hidden")


def seconds(model: RBM) -> float:
    """A rough estimate of the seconds that enumeration takes; infinite when no side is discrete.

    >>> from deepgen.explicit import RBM
    >>> seconds(RBM(visible=784, hidden=20)) < 30 < seconds(RBM(visible=784, hidden=30))
    True
    """
    states, side = smaller_side(model)
    other = model.visible if side == "hidden" else model.hidden
    if states is None:
        return math.inf
    slower = 1 if binary_form(other) is not None else 20
    return math.exp(min(math.log(states) + math.log(other.width * slower * _SECONDS_PER_FACTOR), 500.0))


def closed_form(model: RBM) -> bool:
    """Whether both layers are Gaussian, so that log Z is a determinant.

    >>> from deepgen.explicit import RBM
    >>> closed_form(RBM(Gaussian(2), Gaussian(3))), closed_form(RBM(Gaussian(2), 3))
    (True, False)
    """
    return all(len(_real_units(units)[0]) == units.width for units in (model.visible, model.hidden))


def normalisable(model: RBM) -> bool:
    """Whether log Z is finite: the precision matrix of the Gaussian units of both layers is positive definite.

    >>> from deepgen.explicit import RBM, Gaussian
    >>> rbm = RBM(Gaussian(1), Gaussian(1), generator=0)
    >>> small = normalisable(rbm)
    >>> _ = rbm.weight.data.fill_(1.5)  # precisions 1 and 1
    >>> small, normalisable(rbm)
    (True, False)
    """
    return _joint_precision(model)[1]


@torch.no_grad()
def _enumerate(model: RBM, side: str, states: int, progress: bool) -> float:
    weight, bias, other_bias = model.weight.double(), model.hidden_bias.double(), model.visible_bias.double()
    if side == "hidden":
        units, other, weight = model.hidden, model.visible, weight.t()
    else:
        units, other, bias, other_bias = model.visible, model.hidden, other_bias, bias
    form, digits = binary_form(other), digit_tables(units)
    if form is not None and digits is not None:
        blocks = _binary_blocks(digits, weight.cpu(), bias.cpu(), other_bias.cpu(), form)
    else:
        blocks = _plain_blocks(units, other, weight, bias, other_bias, states)
    total = torch.tensor(-math.inf, dtype=torch.float64)
    threads = torch.get_num_threads()
    try:  # thousands of short products: threads that meet after each lose tenfold on a busy machine
        torch.set_num_threads(1)
        for block in bar(blocks, what="enumerating", unit="block", show=progress):
            total = torch.logaddexp(total, block().cpu())
    finally:
        torch.set_num_threads(threads)
    return float(total)


Block = Callable[[], Tensor]


def _plain_blocks(
    units: Units, other: Units, weight: Tensor, bias: Tensor, other_bias: Tensor, states: int
) -> list[Block]:
    """Blocks of states, each a function that returns its log sum: for any pair of layers."""
    rows = max(1, 2**21 // max(units.width, other.width))

    def block(start: int) -> Tensor:
        s = units.enumerate(start, min(start + rows, states)).to(weight)
        return (s @ bias - units.energy(s) + other.cumulant(torch.addmm(other_bias, s, weight))).logsumexp(0)

    return [lambda start=start: block(start) for start in range(0, states, rows)]  # type: ignore[misc]


def _binary_blocks(
    digits: Sequence[Tensor], weight: Tensor, bias: Tensor, other_bias: Tensor, form: tuple[Tensor, Tensor]
) -> list[Block]:
    """The same for a binary other side, by high and low halves of the enumerated units."""
    scale, linear = form
    cut = next((i for i in range(len(digits)) if math.prod(len(d) for d in digits[: i + 1]) > 1024), len(digits))
    low_fields, low_bias = (state_sums(digits[:cut], m) for m in (weight, bias.unsqueeze(1)))
    high_fields, high_bias = (state_sums(digits[cut:], m) for m in (weight, bias.unsqueeze(1)))
    high_fields = high_fields + other_bias
    low = low_bias.squeeze(1) + low_fields @ linear
    high = high_bias.squeeze(1) + high_fields @ linear
    sums = softplus_sums(low_fields * scale)
    top = (high_fields * scale).amax(0)  # the largest field decides where to take logarithms, for all blocks alike

    def block(start: int) -> Tensor:
        rows = slice(start, start + 64)
        inner = sums(high_fields[rows] * scale, top)
        return (inner + low + high[rows].unsqueeze(1)).logsumexp((0, 1))

    return [lambda start=start: block(start) for start in range(0, len(high_fields), 64)]  # type: ignore[misc]


def _real_units(units: Units) -> tuple[Tensor, Tensor]:
    """The columns of a layer that hold Gaussian units, and their precisions, float64: ``[k], [k]``."""
    columns, precisions, start = [torch.empty(0, dtype=torch.long)], [torch.empty(0, dtype=torch.float64)], 0
    for part in units.parts if isinstance(units, Product) else (units,):
        if isinstance(part, Gaussian):
            columns.append(torch.arange(start, start + part.width))
            precisions.append(part.log_precision.detach().double().cpu().exp())
        start += part.width
    return torch.cat(columns), torch.cat(precisions)


@torch.no_grad()
def _joint_precision(model: RBM) -> tuple[Tensor, bool]:
    """Cholesky factor of the precision matrix of all Gaussian units of both layers, and whether there is one."""
    (rows, visible), (columns, hidden) = _real_units(model.visible), _real_units(model.hidden)
    weight = model.weight.double().cpu()[rows][:, columns]
    matrix = torch.cat([torch.cat([visible.diag(), -weight], 1), torch.cat([-weight.t(), hidden.diag()], 1)])
    factor, failed = torch.linalg.cholesky_ex(matrix)
    return factor, int(failed) == 0


@torch.no_grad()
def _gaussian(model: RBM) -> float:
    """log of the integral of exp(c.x - x.M.x / 2): (n log 2 pi - log det M + c.M^-1.c) / 2, or +inf."""
    factor, positive = _joint_precision(model)
    if not positive:
        return math.inf
    field = torch.cat([model.visible_bias, model.hidden_bias]).double().cpu()
    half = torch.linalg.solve_triangular(factor, field.unsqueeze(1), upper=False)
    log_det = 2 * factor.diagonal().log().sum()
    return float(0.5 * (len(field) * math.log(2 * math.pi) - log_det + half.square().sum()))


def _duration(total: float) -> str:
    for size, unit in ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if total >= size:
            return f"{total / size:.2g} {unit}"
    return f"{total:.0f} seconds"
