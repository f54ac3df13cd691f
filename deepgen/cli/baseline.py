"""The plainest model of the same data, held against every likelihood: what a larger model has to beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributions import constraints

from deepgen.cli.rundir import rows_of
from deepgen.evaluate import Estimate, log_likelihood
from deepgen.explicit import BernoulliMixture

if TYPE_CHECKING:
    from deepgen.data import Data


def baseline(model: nn.Module, data: Data, x: Any) -> tuple[str, Estimate] | None:
    """Its name and its log-likelihood of ``x``, fitted to the training rows of ``data``.

    Independent columns for bits, one Gaussian with full covariance for real values; None where there is no such thing
    (too few rows for a covariance, other supports), or where the model is itself the baseline.
    """
    train, rows = rows_of(data.train), rows_of(x)
    if data.support is constraints.boolean:
        if isinstance(model, BernoulliMixture) and model.components == 1:
            return None
        found = log_likelihood(BernoulliMixture(train.shape[1]).initialise(train), rows)
        assert isinstance(found, Estimate)
        return "independent columns", found
    if data.support is not constraints.real or len(train) <= train.shape[1] + 1:
        return None
    centre, covariance = train.double().mean(0), train.double().t().cov(correction=0)
    factor, failed = torch.linalg.cholesky_ex(covariance.reshape(len(centre), len(centre)))
    if int(failed):
        return None
    each = torch.distributions.MultivariateNormal(centre, scale_tril=factor).log_prob(rows.double())
    error = float(each.std()) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    settings = {"fitted to": f"{len(train)} training rows"}
    return "one Gaussian, full covariance", Estimate(
        float(each.mean()), 0.0, "exact", "mean log_prob", unit="nats/example", stderr_data=error, settings=settings
    )
