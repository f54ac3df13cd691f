"""The plainest laws of data, by their moments: what an energy model is normalised and annealed by.

    MultivariateNormal     p(x) = N(x; m, L L')                   m, L L': mean and covariance of the rows
    IndependentBernoulli   p(x) = prod r_j^x_j (1 - r_j)^(1-x_j)   r: their base rates

Like the bases of flows they are modules whose ``forward(context)`` is a torch Distribution. They are not trained:
mean, factor and logits are buffers, which `initialise` sets.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent
from torch.distributions import MultivariateNormal as TorchMultivariateNormal

from deepgen.errors import ShapeError, check_count, check_real
from deepgen.explicit.units import check_support, require_tensor


class MultivariateNormal(nn.Module):
    """N(m, L L') over ``features`` variables, standard until `initialise` gives it the moments of data.

    Args:
        features: number of variables.

    >>> base = MultivariateNormal(2).initialise(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]))
    >>> base().mean, base().variance  # 4/3 and 16/3, and 1e-3 of the mean variance
    (tensor([1., 2.]), tensor([1.3367, 5.3367]))
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        check_count(features=features)
        self.features = int(features)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("factor", torch.eye(features))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features}

    @torch.no_grad()
    def initialise(self, x: Tensor, *, ridge: float = 1e-3) -> MultivariateNormal:
        """Take mean and covariance of finite rows ``[rows, *event]`` and return self.

        ``ridge`` times the mean variance is added to every variance, so that columns that never vary (the margins of an
        image) get a width and the factor exists.
        """
        rows = _rows(x, self.features).to(self.mean)
        check_real("ridge", ridge, 0)
        centred = (rows - rows.mean(0)).double()
        covariance = centred.mT @ centred / max(len(rows) - 1, 1)
        width = (ridge * covariance.diagonal().mean()).clamp_min(1e-12)
        self.mean.copy_(rows.mean(0))
        self.factor.copy_(torch.linalg.cholesky(covariance + width * torch.eye(self.features).to(covariance)))
        return self

    def forward(self, context: Tensor | None = None) -> Distribution:
        return _Whitened(self.mean, scale_tril=self.factor, validate_args=False)


class _Whitened(TorchMultivariateNormal):
    """torch's law with its factor inverted once, so that a density and its gradient are a matrix product each."""

    def log_prob(self, value: Tensor) -> Tensor:
        if self.batch_shape:  # of `expand`, which keeps the class: a factor for each
            return super().log_prob(value)
        if not hasattr(self, "_inverse"):
            width = self.event_shape[0]
            eye = torch.eye(width, dtype=self.loc.dtype, device=self.loc.device)
            self._inverse = torch.linalg.solve_triangular(self.scale_tril, eye, upper=False)
            self._log_constant = self.scale_tril.diagonal().log().sum() + width * math.log(2 * math.pi) / 2
        return -0.5 * ((value - self.loc) @ self._inverse.mT).square().sum(-1) - self._log_constant


class IndependentBernoulli(nn.Module):
    """``features`` independent binary variables, fair until `initialise` gives them the rates of data.

    Args:
        features: number of variables.

    >>> base = IndependentBernoulli(2).initialise(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    >>> base().mean  # smoothed by half a row of each value
    tensor([0.6250, 0.1250])
    """

    logits: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        check_count(features=features)
        self.features = int(features)
        self.register_buffer("logits", torch.zeros(features))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features}

    @torch.no_grad()
    def initialise(self, x: Tensor) -> IndependentBernoulli:
        """Take the rates of rows ``[rows, *event]`` of zeros and ones, smoothed so that all are possible."""
        rows = _rows(x, self.features).to(self.logits)
        check_support(rows, (rows == 0) | (rows == 1), "0 or 1")
        self.logits.copy_(((rows.sum(0) + 0.5) / (len(rows) + 1)).logit())
        return self

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Independent(Bernoulli(logits=self.logits, validate_args=False), 1, validate_args=False)


def _rows(x: Tensor, features: int) -> Tensor:
    require_tensor(x, "x")
    if x.ndim < 2 or len(x) == 0 or x[0].numel() != features:
        raise ShapeError(f"x must be [rows, *event] with {features} values a row, got {list(x.shape)}")
    check_support(x, x.isfinite(), "finite")
    return x.flatten(1)
