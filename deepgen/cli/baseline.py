"""What every likelihood is held against: the plainest model of the same data, and the law that drew them if known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.cli.asking import rows_of
from deepgen.cli.values import in_whole_numbers
from deepgen.data.catalogue import law_of
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.evaluate.error_bars import standard_error
from deepgen.explicit import BernoulliMixture

if TYPE_CHECKING:
    from deepgen.data import Data


def baseline(model: nn.Module, data: Data, x: Any) -> tuple[str, Estimate] | None:
    """Its name and its log-likelihood of ``x``, fitted to the training rows of ``data``.

    Independent columns for bits and whole grey levels, independent characters for texts, one Gaussian with full
    covariance for real values; None where there is no such thing (too few rows for a covariance, other supports), or
    where the model is itself the baseline.
    """
    train, rows = rows_of(data.train), rows_of(x)
    if data.support is constraints.boolean:
        if isinstance(model, BernoulliMixture) and model.components == 1:
            return None
        found = log_likelihood(BernoulliMixture(train.shape[1]).initialise(train), rows)
        assert isinstance(found, Estimate)
        return "independent columns", found
    if in_whole_numbers(data):
        text, values = "alphabet" in data.provenance, int(data.support.upper_bound) + 1  # type: ignore[attr-defined]
        each = _independent(train.long(), rows.long(), values, together=text)
        return "independent characters" if text else "independent columns", _exact(each, len(train))
    real = data.support is constraints.real or (data.support is constraints.unit_interval and data.levels is None)
    if not real or len(train) <= train.shape[1] + 1:
        return None
    centre, covariance = train.double().mean(0), train.double().t().cov(correction=0)
    factor, failed = torch.linalg.cholesky_ex(covariance.reshape(len(centre), len(centre)))
    if int(failed):
        return None
    gaussian = torch.distributions.MultivariateNormal(centre, scale_tril=factor)
    return "one Gaussian, full covariance", _exact(gaussian.log_prob(rows.double()), len(train))


def law(data: Data, x: Any) -> tuple[str, Estimate] | None:
    """The name of the law that drew a planar set, and its own mean log p of ``x``; None of other data.

    It is the ceiling: the expected log-likelihood of any model is lower, by its divergence from the law. On the same
    rows a model passes it by chance only, and on those it was fitted to also by learning them by heart.
    """
    known = law_of(data.provenance) if data.support is constraints.real else None  # of bits made of it there is none
    if known is None:
        return None
    found = log_likelihood(known, rows_of(x))
    assert isinstance(found, Estimate)
    return f"the law of {data.provenance['name']}", found


def worse(answer: Estimate | Bracket, plainest: Estimate) -> bool:
    """Whether all of ``answer`` and its error is below ``plainest``: a lower bound cannot tell.

    Both are means over the same rows, so their choice moves both: the larger of the two errors stands for that of the
    difference.
    """
    if isinstance(answer, Bracket):
        if answer.of_bound:
            return False
        answer = answer.above
    elif answer.side == "below":
        return False
    error = math.hypot(answer.stderr, max(answer.stderr_data, plainest.stderr_data))
    return answer.value + error < plainest.value


def _independent(train: Tensor, rows: Tensor, values: int, *, together: bool) -> Tensor:
    """log p of ``rows`` by the rates of each value in each column of ``train``, or in all ``together``: ``[rows]``.

    Each table of rates is smoothed by one value spread evenly, as `deepgen.explicit.MADE.initialise` does.
    """
    columns = [train.flatten()] if together else list(train.t())
    counts = torch.stack([torch.bincount(column, minlength=values) for column in columns]).double() + 1 / values
    log_rate = (counts / counts.sum(1, keepdim=True)).log().expand(train.shape[1], -1)
    return log_rate.gather(1, rows.t()).sum(0)


def _exact(each: Tensor, rows: int) -> Estimate:
    """The mean of ``each`` log-probability, of a model fitted to so many ``rows``."""
    settings = {"fitted to": f"{rows} training rows"}
    return Estimate(
        float(each.mean()),
        0.0,
        "exact",
        "mean log_prob",
        unit="nats/example",
        stderr_data=standard_error(each),
        settings=settings,
    )
