"""Base distributions of flows: modules that give a torch Distribution over rows, moved and trained with their model.

A base is any module whose ``forward(context)`` returns a `torch.distributions.Distribution` with event ``[features]``.
These take no context; a plain torch Distribution cannot stand here, as its tensors would stay behind when the model
moves to another device or dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Chi2, Distribution, Independent, MixtureSameFamily, Normal
from torch.distributions import StudentT as TorchStudentT

from deepgen.distributions.logistic import Logistic
from deepgen.errors import ArgumentError, check_count
from deepgen.random import resolve


class _Standard(nn.Module):
    """``law`` with location 0 and scale 1 in each of ``features`` variables."""

    law: Callable[..., Distribution]
    zeros: Tensor
    ones: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        check_count(features=features)
        self.features = int(features)
        self.register_buffer("zeros", torch.zeros(features), persistent=False)
        self.register_buffer("ones", torch.ones(features), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features}

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Independent(self.law(self.zeros, self.ones, validate_args=False), 1, validate_args=False)


class StandardNormal(_Standard):
    """N(0, 1) in each of ``features`` variables.

    >>> StandardNormal(3)().log_prob(torch.zeros(3))  # -3/2 log 2 pi
    tensor(-2.7568)
    """

    law = Normal


class StandardLogistic(_Standard):
    """The logistic density e^{-z} / (1 + e^{-z})^2 in each of ``features`` variables, the base of NICE on MNIST.

    >>> StandardLogistic(3)().log_prob(torch.zeros(3))  # -6 log 2
    tensor(-4.1589)
    """

    law = Logistic


class _StudentT(TorchStudentT):
    """torch's own, with its Chi2 made when it is drawn from: making it checks numbers, and waits for the device."""

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = df, loc, scale
        Distribution.__init__(self, df.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> _StudentT:
        shape = torch.Size(batch_shape)
        return _StudentT(self.df.expand(shape), self.loc.expand(shape), self.scale.expand(shape))

    @cached_property
    def _chi2(self) -> Chi2:  # type: ignore[override]
        return Chi2(self.df, validate_args=False)


class StudentT(nn.Module):
    """Student's t in each of ``features`` variables: tails heavier than a Gaussian's, which a flow cannot make of one.

    Args:
        features: number of variables.
        df: degrees of freedom, fixed.

    >>> StudentT(1, df=1.0)().log_prob(torch.zeros(1))  # Cauchy: -log pi
    tensor(-1.1447)
    """

    zeros: Tensor
    df: Tensor

    def __init__(self, features: int, df: float = 5.0) -> None:
        super().__init__()
        check_count(features=features)
        if not 0 < df < math.inf:
            raise ArgumentError(f"df must be a positive number, got {df}")
        self.features, self._df = int(features), float(df)
        self.register_buffer("zeros", torch.zeros(features), persistent=False)
        self.register_buffer("df", torch.full((features,), float(df)), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "df": self._df}

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Independent(_StudentT(self.df, self.zeros, torch.ones_like(self.zeros)), 1, validate_args=False)


class NormalMixture(nn.Module):
    """Trained mixture of diagonal Gaussians, for data in several lumps: a flow from one Gaussian has to leave bridges.

        p(z) = sum_k pi_k prod_j N(z_j; m_kj, e^{2 s_kj}),      pi = softmax(``weight_logits``)

    It has no ``rsample``, as the choice of a component has no gradient.

    Args:
        features: number of variables.
        components: how many Gaussians.
        generator: source of the initial means N(0, 1); all scales start at 1 and weights equal.

    >>> NormalMixture(2, components=3, generator=0)().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, features: int, components: int = 5, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(features=features, components=components)
        self.features, self.components = int(features), int(components)
        self.weight_logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.empty(components, features).normal_(generator=resolve(generator)))
        self.log_scales = nn.Parameter(torch.zeros(components, features))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "components": self.components}

    def forward(self, context: Tensor | None = None) -> Distribution:
        parts = Independent(Normal(self.means, self.log_scales.exp(), validate_args=False), 1, validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.weight_logits, validate_args=False), parts, validate_args=False
        )
