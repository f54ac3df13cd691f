"""Exact log Z of a Boltzmann machine with two layers, by summing over the states of its smaller discrete side.

With s a state of the enumerated side (bias b, weights W towards the other side, whose bias is c and cumulant A)

    log Z = log sum_s exp(b.s - u(s) + A(c + s.W)).

For a binary other side A is a sum of log(1 + e^f). The enumerated units are split into a high and a low half, so that
f = f_high + f_low and 1 + e^f = 1 + e^f_high e^f_low needs no exponential per state. Three such factors multiplied out
are an inner product of 8 numbers from each half: a small matrix product gives them for all pairs of halves at once,
and one logarithm is taken per run of factors, as long as their product stays below the largest float64. All terms
are positive, so nothing cancels; accumulation is in float64. Units whose field could exceed 200 take the plain way.
Two Gaussian layers have the closed form of a Gaussian integral.

Limits: 25 bits of states (each further bit doubles the time).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate.estimate import Estimate
from deepgen.explicit import Bernoulli, Gaussian, Product, Softmax, Spin, Units

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

MAX_BITS = 25
_SECONDS_PER_FACTOR = 1e-9  # measured, one thread: binary 0.4e-9; with margin
_LARGEST_FIELD = 200.0  # three factors of e^200 stay below e^709
_LOG_LARGEST = 700.0


@torch.no_grad()
def exact_log_partition(model: RBM, *, progress: bool = False) -> Estimate:
    """Return log Z of a machine whose smaller discrete side has at most 2^25 states, or of two Gaussian layers.

    Args:
        model: a machine with two layers of units.
        progress: show a bar with the time left.

    Returns:
        An exact `Estimate` in nats; +inf for a Gaussian machine that is not normalisable.

    Raises:
        MissingCapability: neither side is discrete.
        ArgumentError: more than 25 bits of states; the message estimates the time.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.RBM(visible=784, hidden=3, generator=0)
    >>> with torch.no_grad():
    ...     _ = rbm.weight.zero_()
    >>> print(exact_log_partition(rbm))  # 787 log 2
    545.51 nats (exact; enumeration of 3 hidden units)
    """
    visible, hidden = _precision(model.visible), _precision(model.hidden)
    if visible is not None and hidden is not None:
        return Estimate(_gaussian(model, visible, hidden), 0.0, "exact", "determinant of two Gaussian layers")
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
    value = _enumerate(model, side, states, progress)
    return Estimate(value, 0.0, "exact", f"enumeration of {getattr(model, side).width} {side} units")


def smaller_side(model: RBM) -> tuple[int | None, str]:
    """The number of states of the smaller discrete layer and its name; None when neither is discrete."""
    sides = [(units.states, name) for units, name in ((model.hidden, "hidden"), (model.visible, "visible"))]
    discrete = [(states, name) for states, name in sides if states is not None]
    return min(discrete, key=lambda s: s[0]) if discrete else (None, "hidden")


def seconds(model: RBM) -> float:
    """A rough estimate of the seconds that enumeration takes; infinite when no side is discrete."""
    states, side = smaller_side(model)
    other = model.visible if side == "hidden" else model.hidden
    if states is None:
        return math.inf
    slower = 1 if binary_form(other) is not None else 20
    return math.exp(min(math.log(states) + math.log(other.width * slower * _SECONDS_PER_FACTOR), 500.0))


def closed_form(model: RBM) -> bool:
    """Whether both layers are Gaussian, so that log Z is a determinant."""
    return _precision(model.visible) is not None and _precision(model.hidden) is not None


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
    torch.set_num_threads(1)  # thousands of short products: threads that meet after each lose tenfold on a busy machine
    try:
        for block in _with_time_left(blocks, progress):
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
    low_fields, low_bias = (_sums(digits[:cut], m) for m in (weight, bias.unsqueeze(1)))
    high_fields, high_bias = (_sums(digits[cut:], m) for m in (weight, bias.unsqueeze(1)))
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


def softplus_sums(low: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function of ``high`` that gives ``sum_j log(1 + exp(high[r, j] + low[c, j]))``: ``[rows, c]``.

    ``low`` is ``[c, units]``, ``high`` ``[rows, units]``, both float64. The second argument is an upper bound of
    ``high`` per unit. Accurate to a few units in the last place of the sum, for fields of any size.

    >>> low, high = torch.zeros(1, 4, dtype=torch.float64), torch.full((1, 4), 800.0, dtype=torch.float64)
    >>> softplus_sums(low)(high, high.amax(0))
    tensor([[3200.]], dtype=torch.float64)
    """
    low_top = low.amax(0)

    def sums(high: Tensor, high_top: Tensor) -> Tensor:
        largest = high_top + low_top
        tame = (largest <= _LARGEST_FIELD).nonzero().squeeze(1)
        shift = (low_top - high_top)[tame] / 2  # both halves then reach the same size, and neither overflows alone
        ours, theirs = _triples(high[:, tame] + shift), features(tame, shift)
        bound = torch.nn.functional.softplus(largest[tame])
        bounds = torch.cat([bound, bound.new_zeros(-len(bound) % 3)]).view(-1, 3).sum(1).tolist()
        total = high.new_zeros(len(high), len(low))
        product, factor, log_bound = torch.ones_like(total), torch.empty_like(total), 0.0
        for group, reach in enumerate(bounds):
            if log_bound + reach > _LOG_LARGEST:
                total += product.log_()
                product.fill_(1.0)
                log_bound = 0.0
            torch.mm(ours[group], theirs[group].t(), out=factor)
            product.mul_(factor)
            log_bound += reach
        total += product.log_()
        for j in (largest > _LARGEST_FIELD).nonzero().squeeze(1).tolist():
            total += torch.logaddexp(high[:, j, None] + low[:, j], total.new_zeros(()))
        return total

    kept: dict[str, Any] = {}

    def features(tame: Tensor, shift: Tensor) -> Tensor:
        if not kept or not torch.equal(kept["shift"], shift) or not torch.equal(kept["tame"], tame):
            kept.update(tame=tame, shift=shift, value=_triples(low[:, tame] - shift))
        return kept["value"]

    return sums


def _triples(fields: Tensor) -> Tensor:
    """Per three units the 8 products of subsets of e^field: ``[rows, units] -> [units / 3, rows, 8]``."""
    rows, width = fields.shape
    padded = torch.cat([fields, fields.new_full((rows, -width % 3), -math.inf)], 1).exp_()  # e^-inf: a factor of one
    x, y, z = padded.view(rows, -1, 3).permute(2, 1, 0).unbind(0)
    one = torch.ones_like(x)
    return torch.stack([one, x, y, z, x * y, x * z, y * z, x * y * z], -1)


def binary_form(units: Units) -> tuple[Tensor, Tensor] | None:
    """(scale, linear) with A(f) = sum linear f + log(1 + e^(scale f)), for layers of binary units; else None."""
    if isinstance(units, Bernoulli):
        return torch.ones(units.width, dtype=torch.float64), torch.zeros(units.width, dtype=torch.float64)
    if isinstance(units, Spin):  # log 2 cosh f = -f + log(1 + e^2f)
        return torch.full((units.width,), 2.0).double(), torch.full((units.width,), -1.0).double()
    if isinstance(units, Product):
        forms = [binary_form(part) for part in units.parts]
        known = [form for form in forms if form is not None]
        return (
            (torch.cat([f[0] for f in known]), torch.cat([f[1] for f in known])) if len(known) == len(forms) else None
        )
    return None


def digit_tables(units: Units) -> list[Tensor] | None:
    """One ``[values, width]`` table per discrete unit (or softmax group) whose rows add up to the layer's states.

    The first unit turns fastest, as in ``units.enumerate``. None for layers that are not made of such units.
    """
    if isinstance(units, Bernoulli | Spin):
        values = torch.tensor([0.0, 1.0] if isinstance(units, Bernoulli) else [-1.0, 1.0], dtype=torch.float64)
        return list(torch.eye(units.width, dtype=torch.float64).unsqueeze(1) * values.view(1, 2, 1))
    if isinstance(units, Softmax):
        rows = torch.eye(units.width, dtype=torch.float64)
        return list(rows.view(units.groups, units.categories, units.width))
    if isinstance(units, Product):
        tables, start = [], 0
        for part in units.parts:
            inner = digit_tables(part)
            if inner is None:
                return None
            pad = (start, units.width - start - part.width)
            tables += [torch.nn.functional.pad(table, pad) for table in inner]
            start += part.width
        return tables
    return None


def _sums(digits: Sequence[Tensor], matrix: Tensor) -> Tensor:
    """states @ matrix for all states of these units, by adding one unit at a time: ``[states, columns]``."""
    out = matrix.new_zeros(1, matrix.shape[1])
    for table in digits:
        out = ((table @ matrix).unsqueeze(1) + out).flatten(0, 1)
    return out


def _precision(units: Units) -> Tensor | None:
    if isinstance(units, Gaussian):
        return units.log_precision.detach().double().exp()
    if isinstance(units, Product):
        parts = [_precision(part) for part in units.parts]
        known = [p for p in parts if p is not None]
        return torch.cat(known) if len(known) == len(parts) else None
    return None


@torch.no_grad()
def _gaussian(model: RBM, visible: Tensor, hidden: Tensor) -> float:
    """log of the integral of exp(c.x - x.M.x / 2): (n log 2 pi - log det M + c.M^-1.c) / 2, or +inf."""
    weight = model.weight.double()
    matrix = torch.cat([torch.cat([visible.diag(), -weight], 1), torch.cat([-weight.t(), hidden.diag()], 1)])
    field = torch.cat([model.visible_bias, model.hidden_bias]).double()
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed) != 0:
        return math.inf
    half = torch.linalg.solve_triangular(factor, field.unsqueeze(1), upper=False)
    log_det = 2 * factor.diagonal().log().sum()
    return float(0.5 * (len(field) * math.log(2 * math.pi) - log_det + half.square().sum()))


def _with_time_left(blocks: list[Block], progress: bool) -> Any:
    if not progress:
        return blocks
    from tqdm import tqdm

    return tqdm(blocks, desc="enumerating", unit="block")


def _duration(total: float) -> str:
    for size, unit in ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if total >= size:
            return f"{total / size:.2g} {unit}"
    return f"{total:.0f} seconds"
