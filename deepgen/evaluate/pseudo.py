"""Pseudo-likelihood: the sum over units of log p(x_i | all others), which needs no log Z.

    PL(x) = sum_i log p(x_i | x_-i),        log p(x_i | x_-i) = log f(x) - log sum_{x_i'} f(x_i', x_-i)

It is not a bound of log p(x) and may lie on either side: a cheap monitor, exact in what it is. Softmax groups count as
one unit. The stochastic version looks at a few random units per row and scales up; unbiased for the full one.
Source: Besag 1975, "Statistical analysis of non-lattice data"; for the stochastic version Marlin et al. 2010.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability, check_count
from deepgen.evaluate.arguments import check_rows, require_layers
from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.softplus_sums import binary_form, digit_tables, softplus_sums
from deepgen.random import on_host

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM

_BLOCK = 2**22  # float64 numbers per temporary


@torch.no_grad()
def pseudo_likelihood(
    model: RBM, x: Tensor, *, units: int | None = None, generator: torch.Generator | int | None = None
) -> Estimate:
    """Mean pseudo-likelihood of rows ``[rows, visible]``, for discrete visible units.

    Args:
        model: an `RBM` whose visible units are Bernoulli, Spin, Softmax or a Product of these.
        x: the rows.
        units: None for all units, or how many random ones to look at per row (with 1, the error bar cannot tell the
            choice of units from the spread between rows, and is too wide).
        generator: source of the random units; not used when all are looked at.

    Returns:
        An `Estimate` in nats/example. Its side is ``undetermined``: with respect to log p(x) no inequality is known.
        ``stderr`` is zero for all units, otherwise the error from choosing some.

    Raises:
        ArgumentError: ``units`` is no integer from 1 to the number of units.
        MissingCapability: no `RBM`, or one whose visible units are real.
        ShapeError, SupportError: ``x`` is no tensor of rows that the machine can take.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> with torch.no_grad():
    ...     _ = rbm.weight.zero_()
    >>> print(pseudo_likelihood(rbm, torch.zeros(3, 6)))  # -6 log 2
    -4.16 ± 0 nats/example (undetermined; pseudo-likelihood)
    """
    model = require_layers(model)
    check_rows(model, x)
    tables = digit_tables(model.visible)
    if tables is None:
        raise MissingCapability(
            f"the pseudo-likelihood is written for discrete visible units, not for {type(model.visible).__name__}; "
            'use method="bidirectional"'
        )
    if units is not None:
        check_count(units=units)
        if units > len(tables):
            raise ArgumentError(f"units must be at most {len(tables)}, got {units}")
    if units is None or units == len(tables):
        rows = _conditionals(model, x, tables).sum(1)
        error, draws, effective, method = 0.0, 0, math.nan, "pseudo-likelihood"
    else:
        chosen, count = _some_conditionals(model, x, tables, units, generator), len(tables)
        rows = chosen.mean(1) * count
        error, effective = _choice_error(chosen, rows, count)
        draws, method = len(x) * units, f"pseudo-likelihood, {units} random of {count} units per row"
    spread = standard_error(rows)
    return Estimate(
        float(rows.mean()), error, "undetermined", method, draws, effective, "nats/example", spread, {"rows": len(x)}
    )


def _choice_error(chosen: Tensor, rows: Tensor, count: int) -> tuple[float, float]:
    """Standard error from looking at some of ``count`` units per row, and the effective number of draws behind it.

    The latter (Welch & Satterthwaite) is small when a few rows hold most of the variance, which widens the interval.
    """
    n, units = chosen.shape
    if units == 1:
        return (float(rows.std()) / math.sqrt(n) if n > 1 else math.inf), math.nan
    variance = chosen.var(1) / units * (1 - units / count) * count**2  # drawn without replacement
    total = float(variance.sum())
    freedom = total**2 * (units - 1) / float(variance.square().sum()) if total > 0 else n * (units - 1)
    return math.sqrt(total) / n, freedom + 1


@torch.no_grad()
def _conditionals(model: RBM, x: Tensor, tables: list[Tensor]) -> Tensor:
    """log p(x_i | x_-i) of every unit: ``[rows, units]``, float64."""
    if binary_form(model.visible) is not None and binary_form(model.hidden) is not None:
        return torch.cat([_flips(model, rows) for rows in x.split(64)])
    everything = torch.arange(len(tables)).expand(len(x), -1)
    return _some(model, x, tables, everything)


@torch.no_grad()
def _some_conditionals(
    model: RBM, x: Tensor, tables: list[Tensor], units: int, generator: torch.Generator | int | None
) -> Tensor:
    keys = torch.rand(len(x), len(tables), generator=on_host(generator))
    return _some(model, x, tables, keys.topk(units, 1).indices)


def _some(model: RBM, x: Tensor, tables: list[Tensor], chosen: Tensor) -> Tensor:
    """log p(x_i | x_-i) for the units ``chosen`` ``[rows, k]``, any discrete layers: ``[rows, k]``."""
    weight, a, b = (p.detach().double().cpu() for p in (model.weight, model.visible_bias, model.hidden_bias))
    x = x.double().cpu()
    states = max(len(table) for table in tables)
    padded = torch.stack(
        [torch.cat([t, t[:1].expand(states - len(t), -1)]) for t in tables]
    )  # [units, states, visible]
    real = torch.tensor([[i < len(t) for i in range(states)] for t in tables])
    mine = (padded != 0).any(1)  # [units, visible]: the columns of each unit
    to_hidden, to_bias = padded @ weight, padded @ a
    out = []
    step = max(1, _BLOCK // (chosen.shape[1] * states * max(weight.shape)))
    for rows, picks in zip(x.split(step), chosen.split(step), strict=True):
        part = rows.unsqueeze(1) * mine[picks]  # [rows, k, visible]
        rest_hidden = (rows @ weight + b).unsqueeze(1) - part @ weight
        rest_bias = (rows @ a).unsqueeze(1) - part @ a
        log_f = _cumulant(model, rest_hidden.unsqueeze(2) + to_hidden[picks]) + rest_bias.unsqueeze(2) + to_bias[picks]
        log_f = log_f.masked_fill(~real[picks], -math.inf)
        now = ((part.unsqueeze(2) - padded[picks]).abs().sum(-1) + (~real[picks]).double()).argmin(-1, keepdim=True)
        out.append(log_f.gather(2, now).squeeze(2) - log_f.logsumexp(2))
    return torch.cat(out)


def _flips(model: RBM, x: Tensor) -> Tensor:
    """The same for binary layers, all units: flipping unit i moves every hidden field by a row of the weights.

    sum_j log(1 + exp(field_j + delta_ij)) for all rows and units is the sum that exact enumeration takes over halves.
    """
    form, visible = binary_form(model.hidden), binary_form(model.visible)
    assert form is not None
    assert visible is not None
    scale, linear = form
    weight, a, b = (p.detach().double().cpu() for p in (model.weight, model.visible_bias, model.hidden_bias))
    x = x.double().cpu()
    field = x @ weight + b
    reach = visible[0]  # the distance between a unit's two values: 1 for {0, 1}, 2 for {-1, 1}
    here = torch.nn.functional.softplus(field * scale, threshold=40.0).sum(1, keepdim=True)
    out = torch.empty_like(x)
    for sign in (1.0, -1.0):
        change = sign * reach.unsqueeze(1) * weight
        scaled = field * scale
        there = softplus_sums(change * scale)(scaled, scaled.amax(0))
        log_ratio = there - here + change @ linear + sign * reach * a  # log f(flipped) - log f(x)
        out = torch.where((x > 0) == (sign < 0), -torch.nn.functional.softplus(log_ratio, threshold=40.0), out)
    return out


def _cumulant(model: RBM, field: Tensor) -> Tensor:
    return model.hidden.cumulant(field.to(model.weight.device)).cpu()
