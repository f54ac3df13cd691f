"""Sums of log(1 + e^f) over units, for all pairs of two halves of a layer's states, with no exponential per pair.

With f = f_high + f_low the factor 1 + e^f is 1 + e^f_high e^f_low. Three such factors multiplied out are an inner
product of 8 numbers from each half: a small matrix product gives them for all pairs of halves at once, and one
logarithm is taken per run of factors, as long as their product stays below the largest float64. Units whose field could
exceed 200 take the plain way.

The other functions say which layers have this form, and list the states of a layer unit by unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from deepgen.explicit import Bernoulli, Product, Softmax, Spin, Units

_LARGEST_FIELD = 200.0  # three factors of e^200 stay below e^709
_LOG_LARGEST = 700.0


def softplus_sums(low: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function of ``high`` that gives ``sum_j log(1 + exp(high[r, j] + low[c, j]))``: ``[rows, c]``.

    ``low`` is ``[c, units]``, ``high`` ``[rows, units]``, both float64. The second argument is an upper bound of
    ``high`` per unit. Accurate to about 1e-16 per unit absolutely, and to a few units in the last place where the sum
    is larger, for fields of any size; terms below e^-36 are lost.

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
    """(scale, linear) with A(f) = sum linear f + log(1 + e^(scale f)), for layers of binary units; else None.

    >>> binary_form(Spin(2))[0]  # log 2 cosh f = -f + log(1 + e^2f)
    tensor([2., 2.], dtype=torch.float64)
    """
    if isinstance(units, Bernoulli):
        return torch.ones(units.width, dtype=torch.float64), torch.zeros(units.width, dtype=torch.float64)
    if isinstance(units, Spin):
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

    >>> [table.tolist() for table in digit_tables(Bernoulli(2))]
    [[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]
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


def state_sums(digits: Sequence[Tensor], matrix: Tensor) -> Tensor:
    """``states @ matrix`` for all states of units with these `digit_tables`, one unit at a time: ``[states, columns]``.

    >>> state_sums(digit_tables(Bernoulli(2)), torch.tensor([[1.0], [10.0]], dtype=torch.float64)).flatten().tolist()
    [0.0, 1.0, 10.0, 11.0]
    """
    out = matrix.new_zeros(1, matrix.shape[1])
    for table in digits:
        out = ((table @ matrix).unsqueeze(1) + out).flatten(0, 1)
    return out
