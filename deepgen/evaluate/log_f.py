"""log f(v), the log-likelihood of rows up to log Z: exactly, or from below where levels are hidden on both sides.

Of two layers it is minus the free energy. Of more (`DBM`, `DBN`; see `deepgen.evaluate.layered` for q, w and g)

    exactly      all hidden levels are listed (`deepgen.evaluate.hidden_sums`)
    mean field   max over products q of E_q [-E(v, h)] + H(q), of a DBM; nothing is drawn
    k draws      log 1/k sum_i w_i g_i,  h_i ~ q(. | v): below log f(v) in expectation, the closer the larger k

As g has one side of the levels summed out, the draws of a DBM lie between its mean-field bound and the truth, at any k.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.evaluate.error_bars import standard_error
from deepgen.evaluate.estimate import Estimate, Side
from deepgen.evaluate.hidden_sums import log_f_exactly, seconds
from deepgen.evaluate.importance import row_ess, row_log_mean_exp
from deepgen.evaluate.layered import log_density, propose, undirected
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.rbm import RBM
from deepgen.progress import bar
from deepgen.random import resolve

DRAWS = 50  # of a row of a DBN, which has no bound without any
_PAIRS, _ROWS = 2**13, 1000  # rows times draws, and rows, that go through a model together


class LogF(NamedTuple):
    """values: log f of rows ``[rows]``, float64; variances: of the Monte-Carlo error ``[rows]``; exact: whether the
    values are log f itself, or lie below; method: in words; draws: of a row; settings: what repeats it."""

    values: Tensor
    variances: Tensor
    exact: bool
    method: str
    draws: int
    settings: dict[str, Any]

    def over(self, log_z: Estimate) -> Estimate:
        """Mean log f - log Z: on the side of minus log Z where f is exact; if not below, unless log Z may be too low.

        A bound less a log Z from below may lie on either side. The errors of both are independent.
        """
        turned = replace(
            -log_z + float(self.values.mean()),
            unit="nats/example",
            stderr_data=standard_error(self.values),
            each=self.values.double() - log_z.value,
        )
        known = self.settings
        if not self.exact:
            known = {"log f": self.method, **known}
            side: Side = "below" if turned.side in ("exact", "below") else "undetermined"
            drawn = math.sqrt(float(self.variances.sum())) / len(self.values)
            turned = replace(
                turned,
                side=side,
                stderr=math.hypot(turned.stderr, drawn),
                method=f"{self.method}; log Z: {log_z.method}",
                n=turned.n or self.draws * len(self.values),
            )
        return replace(turned, settings={**turned.settings, **known})


@torch.no_grad()
def log_f(
    model: Any,
    x: Tensor,
    draws: int | None = None,
    *,
    patience: float,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> LogF:
    """log f of rows by the best way there is.

    Args:
        model: an `RBM`, `EnergyModel`, `DBM` or `DBN`.
        x: rows ``[rows, *event]``.
        draws: k, of each row; None for the exact sum where it takes ``patience`` seconds or less, otherwise for the
            mean field of a DBM, and 50 draws of a DBN.
        patience: see draws.
        generator: source of the draws.
        progress: show a bar with the time left.

    >>> log_f(DBM(6, [4, 3], generator=0), torch.ones(2, 6), patience=0.0, generator=torch.Generator()).method
    'mean-field bound'
    """
    if not isinstance(model, (DBM, DBN)):
        return _exact(log_density(model, x))
    two_layers = len(model.levels if isinstance(model, DBM) else model.rbms) == (2 if isinstance(model, DBM) else 1)
    if two_layers:
        return _exact(log_density(undirected(model), x))
    if draws is None:
        cost = seconds(model, len(x))
        if cost <= patience and cost < math.inf:
            return _exact(log_f_exactly(model, x))
        if isinstance(model, DBM):
            return _mean_field(model, x, progress)
        draws = DRAWS
    return _drawn(model, x, draws, resolve(generator, next(model.parameters()).device), progress)


def _exact(values: Tensor) -> LogF:
    return LogF(values, torch.zeros_like(values), True, "", 0, {})


@torch.no_grad()
def _mean_field(model: DBM, x: Tensor, progress: bool) -> LogF:
    """The turns in the model's own precision, then one more and the bound in float64."""
    exact, found, turns = copy.deepcopy(model).double(), [], 0
    with bar(what="mean field", unit="row", show=progress, total=len(x)) as moved:
        for rows in x.split(_ROWS):
            settled = model.mean_field(rows)
            means = [mean.double() for mean in settled.means]
            found.append(exact.mean_field(rows, start=means, turns=1).bound)
            turns = max(turns, settled.turns)
            moved.update(len(rows))
    values = torch.cat(found)
    return LogF(values, torch.zeros_like(values), False, "mean-field bound", 0, {"mean-field turns": turns})


@torch.no_grad()
def _drawn(model: DBM | DBN, x: Tensor, draws: int, generator: torch.Generator, progress: bool) -> LogF:
    part, values, variances, effective = undirected(model), [], [], 0.0
    with bar(what="draws", unit="row", show=progress, total=len(x)) as moved:
        for rows in x.split(max(1, _PAIRS // draws)):
            weights = log_weights(model, part, rows, draws, generator=generator).log_f
            if draws > 1:
                value, variance = row_log_mean_exp(weights)
                variances.append(variance)
                effective += float(row_ess(weights).sum())
            values.append(value if draws > 1 else weights[:, 0])
            moved.update(len(rows))
    found = torch.cat(values)
    # the error of one draw a row cannot be told from the spread over rows, which is no less
    spread = torch.cat(variances) if variances else found.var().expand_as(found)
    name = f"importance-weighted bound, k = {draws}" if draws > 1 else "variational bound, one draw a row"
    settings: dict[str, Any] = {"draws per row": draws}
    if draws > 1:
        settings["effective draws per row"] = round(effective / len(found), 2)
    return LogF(found, spread, False, name, draws, settings)


class Weighted(NamedTuple):
    """position: the part's x ``[rows * draws, width]``; log_f: log w g ``[rows, draws]``, float64."""

    position: Tensor
    log_f: Tensor


def log_weights(model: Any, part: RBM, x: Tensor, draws: int, *, generator: torch.Generator) -> Weighted:
    """Draws of hidden levels of each row, and log w g, the mean of whose exponentials is f(v).

    >>> dbn = DBN(6, [4, 3], generator=0)
    >>> log_weights(dbn, dbn.top, torch.ones(2, 6), 5, generator=torch.Generator()).log_f.shape
    torch.Size([2, 5])
    """
    proposed = propose(model, x, draws, generator=generator)
    density = log_density(part, proposed.position).view(len(x), draws)
    return Weighted(proposed.position, density + proposed.log_weight)
