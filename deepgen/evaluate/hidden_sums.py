"""Sums over all hidden levels given rows, where one can list them: log f(v) of a `DBM` or a `DBN` without a bound.

Of a DBM, with o its odd levels and e its even hidden ones (biases b and c, weights W from v and U from e),

    f(v) = e^-u(v) sum_o exp(v.(a + W o) + k(o)),      k(o) = b.o - u(o) + A_e(c + U o)       one side is listed,
    f(v) = e^(v.a - u(v)) sum_e exp(c.e - u(e) + A_o(b + v.W + e.U))                           or the other.

Of a DBN the levels between v and the top are listed one after the other, from the top down:

    g_l(s) = e^-u(s) sum_t exp(s.F(t) - A(F(t))) g_(l+1)(t),       F(t) the field that t sends down;       f = g_0.

All terms are positive, so nothing cancels; everything is in float64. Limit: 25 bits listed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from deepgen.evaluate.layered import log_density
from deepgen.evaluate.softplus_sums import binary_form, softplus_sums
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.product import Product
from deepgen.explicit.units import Units

MAX_STATES = 2**25
_BLOCK = 2**22  # float64 numbers per temporary
_PRODUCT, _TERM, _FACTOR = 1e-10, 2e-8, 1e-9  # seconds, one thread, measured: of a product, an exponential, a softplus
_ROWS = 256

Density = Callable[[Tensor], Tensor]


def seconds(model: DBM | DBN, rows: int) -> float:
    """About how long `log_f_exactly` takes; infinite where more than 2^25 states would have to be listed.

    >>> seconds(DBM(784, [10, 1000]), 100) < 10, seconds(DBM(784, [500, 1000]), 100)
    (True, inf)
    """
    if isinstance(model, DBM):
        return min(_sides(model, rows))
    counts = [float(rows), *(_count(rbm.hidden) for rbm in model.rbms[:-1])]
    pairs = zip(counts, counts[1:], model.rbms, strict=False)
    return sum(_listing(a, b, rbm.visible.width, rbm.visible.width) for a, b, rbm in pairs)


@torch.no_grad()
def log_f_exactly(model: DBM | DBN, x: Tensor) -> Tensor:
    """log f(v) of rows ``[rows, visible]``, all hidden levels summed out: ``[rows]``, float64.

    >>> dbm = DBM(6, [4, 3], generator=0)
    >>> bool(log_f_exactly(dbm, torch.ones(1, 6)) > dbm.mean_field(torch.ones(1, 6)).bound - 1e-5)
    True
    """
    model = copy.deepcopy(model).double()
    f = _below(model) if isinstance(model, DBN) else _dbm(model, len(x))
    return f(x.to(next(model.parameters())))


def _listing(rows: float, states: float, width: int, beside: int) -> float:
    """Of so many rows and states, joined by products of ``width``, with ``beside`` cumulants for each state."""
    return states * (rows * (_PRODUCT * width + _TERM) + beside * _TERM)


def _hidden_sides(dbm: DBM) -> tuple[Units, Units | None]:
    """The odd levels and the even hidden ones, each as one layer; None where there are none."""
    odd, even = ([*dbm.levels[first::2]] for first in (1, 2))
    return Product(*odd), Product(*even) if even else None


def _count(units: Units) -> float:
    """How many states to list; infinite where they are too many, or not to be listed."""
    return float(units.states) if units.states is not None and units.states <= MAX_STATES else math.inf


def _sides(dbm: DBM, rows: float) -> tuple[float, float]:
    """Seconds to list the odd levels, and the even hidden ones."""
    odd, even = _hidden_sides(dbm)
    listed = [_count(odd), 1.0 if even is None else _count(even)]
    slower = 1 if binary_form(odd) is not None else 20
    beside = 0 if even is None else even.width
    return _listing(rows, listed[0], dbm.visible.width, beside), rows * listed[1] * odd.width * slower * _FACTOR


def _dbm(dbm: DBM, rows: int) -> Density:
    rbm, (odd, even), width = dbm.as_rbm(), _hidden_sides(dbm), dbm.visible.width
    a, c, b = rbm.visible_bias[:width], rbm.visible_bias[width:], rbm.hidden_bias
    w, u = rbm.weight[:width], rbm.weight[width:]
    by_odd, by_even = _sides(dbm, rows)
    if by_odd <= by_even:

        def constant(o: Tensor) -> Tensor:
            k = o @ b - odd.energy(o)
            return k if even is None else k + even.cumulant(c + o @ u.t())

        return _listed(dbm.visible, odd, lambda o: a + o @ w.t(), constant)
    count, size = 1 if even is None else int(even.states or 0), max(1, _BLOCK // (4 * odd.width))

    def f(v: Tensor) -> Tensor:
        total, fields = v.new_full((len(v),), -math.inf), v @ w + b
        for start in range(0, count, size):
            e = v.new_zeros(1, 0) if even is None else even.enumerate(start, min(start + size, count)).to(v)
            constants = e @ c - (0.0 if even is None else even.energy(e))
            cumulants = _cumulants(odd, e @ u)
            for rows, sums in zip(fields.split(_ROWS), total.split(_ROWS), strict=True):
                torch.logaddexp(sums, (cumulants(rows) + constants).logsumexp(1), out=sums)
        return total + v @ a - dbm.visible.energy(v)

    return f


def _cumulants(units: Units, sent: Tensor) -> Density:
    """Of fields ``[rows, width]``: A(field + sent) for each row of ``sent`` ``[states, width]``: ``[rows, states]``."""
    form = binary_form(units)
    if form is None:
        few = max(1, _BLOCK // sent.numel())
        return lambda f: torch.cat([units.cumulant(part.unsqueeze(1) + sent) for part in f.split(few)])
    scale, linear = (part.to(sent) for part in form)
    sums = softplus_sums(sent * scale)
    return lambda f: sums(f * scale, (f * scale).amax(0)) + (f @ linear).unsqueeze(1) + sent @ linear


def _below(dbn: DBN) -> Density:
    """f of the lowest level, from the top down."""
    f: Density = lambda x: log_density(dbn.top, x)  # noqa: E731
    for rbm in reversed(dbn.rbms[:-1]):
        f = _directed(rbm, f)
    return f


def _directed(rbm: Any, above: Density) -> Density:
    def constant(t: Tensor) -> Tensor:
        return above(t) - rbm.visible.cumulant(rbm.visible_field(t))

    return _listed(rbm.visible, rbm.hidden, rbm.visible_field, constant)


def _listed(units: Units, hidden: Units, field: Density, constant: Density) -> Density:
    """x -> log sum over the states s of ``hidden`` of exp(x.field(s) - u(x) + constant(s)); the last are kept."""
    assert hidden.states is not None
    count, size = int(hidden.states), max(1, _BLOCK // max(hidden.width, units.width, _ROWS))
    kept: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        total = x.new_full((len(x),), -math.inf)
        for number, start in enumerate(range(0, count, size)):
            s = hidden.enumerate(start, min(start + size, count)).to(x)
            if number == len(kept):
                kept.append(constant(s))
            for rows, sums in zip(x.split(_ROWS), total.split(_ROWS), strict=True):
                torch.logaddexp(sums, (rows @ field(s).t() + kept[number]).logsumexp(1), out=sums)
        return total - units.energy(x)

    return f
