"""What the numbers that a decoder puts out mean: the law p(x | z), named by an object.

    object                   numbers for each value of x      x
    Bernoulli()              1: logit                         0 or 1
    Gaussian(sigma)          1: mean                          real, in the data's own units
    Gaussian(.., "shared")   1: mean                          the same, one sigma learned for all values
    Gaussian(.., "decoder")  2: mean, log sigma               the same
    Gaussian(.., "optimal")  1: mean                          the same, sigma^2 follows the mean squared error
    Categorical(L)           L: logits                        whole numbers 0 .. L-1
    LogisticMixture(L, K)    3 K: logits, means, log scales   whole numbers 0 .. L-1

Each is a module: called with those numbers it returns a torch Distribution whose event is one example. The optimal
sigma is what maximises the likelihood given the means (Rybkin, Daniilidis & Levine 2021, "sigma-VAE", equation 7); here
it is followed over training steps and then fixed, so that no bound uses the rows that it is stated of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent, Normal

from deepgen.distributions.bits import IndependentBits
from deepgen.distributions.levels import DiscretisedLogisticMixture, LevelCategorical
from deepgen.errors import ArgumentError, check_count, check_real, unknown_name
from deepgen.explicit.units import check_levels, check_support
from deepgen.share_means import over_rows

KINDS = ("fixed", "shared", "decoder", "optimal")
FLOOR = 1e-4  # of sigma: a density has no upper limit, and data that lie on a plane would reach for it


class Bernoulli(nn.Module):
    """Zeros and ones, each with a logit. Grey values are refused: as probabilities they have no Bernoulli likelihood.

    >>> Bernoulli()([torch.zeros(5, 3)], 1).log_prob(torch.ones(5, 3))[0]  # 3 log 1/2
    tensor(-2.0794)
    """

    numbers = 1

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {}

    def forward(self, parameters: Sequence[Tensor], event_dims: int) -> Distribution:
        """The law of ``[*batch, *event]`` values from as many logits."""
        return IndependentBits(
            TorchBernoulli(logits=parameters[0], validate_args=False), event_dims, validate_args=False
        )

    def inputs(self, x: Tensor) -> Tensor:
        """What the encoder is handed: x itself."""
        return x

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is 0 or 1."""
        if x.numel() and x.dtype != torch.bool:
            low, high = torch.aminmax(torch.mul(x, x).sub_(x))  # x^2 - x; an eighth of the time of looking for both
            if float(low) == 0 == float(high):
                return
        advice = "0 or 1 under a Bernoulli likelihood (binarise the data, or name another likelihood)"
        check_support(x, (x == 0) | (x == 1), advice)


class Gaussian(nn.Module):
    """Real values, each with a mean, and a standard deviation sigma in the units of the data.

    Args:
        sigma: fixed, or where it starts; at least 1e-4, below which no learned one goes.
        kind: ``fixed``; ``shared``, one parameter for all values; ``decoder``, which puts out for each value what is
            added to log ``sigma``; ``optimal``, the root mean square error of means over past training steps.
        momentum: the share of the newest step in the optimal sigma^2.

    >>> Gaussian(sigma=2.0)([torch.zeros(1, 3)], 1).stddev
    tensor([[2., 2., 2.]])
    """

    log_sigma: Tensor
    seen: Tensor

    def __init__(
        self,
        sigma: float = 1.0,
        kind: Literal["fixed", "shared", "decoder", "optimal"] = "fixed",
        *,
        momentum: float = 0.05,
    ) -> None:
        super().__init__()
        check_real("sigma", sigma, FLOOR)
        check_real("momentum", momentum, 0, 1)
        if momentum == 0:
            raise ArgumentError("momentum must be above 0, or sigma would never learn from a step, got 0")
        if kind not in KINDS:
            raise unknown_name("kind of sigma", kind, KINDS)
        self.sigma, self.kind, self.momentum, self.numbers = float(sigma), kind, float(momentum), 1
        start = torch.tensor(math.log(sigma))
        if kind == "shared":
            self.log_sigma = nn.Parameter(start)
        else:
            self.register_buffer("log_sigma", start)
        if kind == "optimal":
            self.register_buffer("seen", torch.tensor(False))
        if kind == "decoder":
            self.numbers = 2

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"sigma": self.sigma, "kind": self.kind, "momentum": self.momentum}

    def forward(self, parameters: Sequence[Tensor], event_dims: int) -> Distribution:
        """The law of ``[*batch, *event]`` values from as many means (and log sigmas)."""
        mean = parameters[0]
        if self.kind == "fixed":  # as it was given: its logarithm in float32 would not be that of a float64 model
            return _joined(Normal(mean, torch.full_like(mean, self.sigma), validate_args=False), event_dims)
        log_sigma = self.log_sigma.to(mean.dtype) + (parameters[1] if self.kind == "decoder" else 0.0)
        sigma = log_sigma.clamp_min(math.log(FLOOR)).exp()
        return _joined(Normal(mean, sigma.expand_as(mean), validate_args=False), event_dims)

    @torch.no_grad()
    def follow(self, law: Distribution, x: Tensor) -> None:
        """Move the optimal sigma towards the error of a training batch that has been scored; others stay."""
        if self.kind != "optimal":
            return
        square = over_rows((law.mean - x).square().mean()).clamp_min(FLOOR**2).to(self.log_sigma)
        past = torch.where(self.seen, (2 * self.log_sigma).exp(), square)
        self.log_sigma.copy_(past.lerp(square, self.momentum).log() / 2)
        self.seen.fill_(True)

    def inputs(self, x: Tensor) -> Tensor:
        """What the encoder is handed: x itself."""
        return x

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is finite."""
        check_support(x, x.isfinite(), "finite")

    def extra_repr(self) -> str:
        return f"sigma={self.sigma:g}, kind={self.kind!r}"


class _Levels(nn.Module):
    levels: int

    def inputs(self, x: Tensor) -> Tensor:
        """What the encoder is handed: levels on the scale from -1 to 1."""
        return x * (2 / (self.levels - 1)) - 1

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every value is a whole number from 0 to levels - 1."""
        check_levels(x, self.levels)


class Categorical(_Levels):
    """Whole numbers 0 .. ``levels`` - 1 with a logit for each.

    >>> Categorical(4)([torch.zeros(1, 3)] * 4, 1).log_prob(torch.ones(1, 3))  # 3 log 1/4
    tensor([-4.1589])
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        check_count(2, levels=levels)
        self.levels = self.numbers = int(levels)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"levels": self.levels}

    def forward(self, parameters: Sequence[Tensor], event_dims: int) -> Distribution:
        """The law of ``[*batch, *event]`` values from ``levels`` tensors of logits."""
        return _joined(LevelCategorical(logits=torch.stack([*parameters], -1), validate_args=False), event_dims)


class LogisticMixture(_Levels):
    """Whole numbers 0 .. ``levels`` - 1 as cells of a mixture of ``components`` logistics.

    >>> law = LogisticMixture(256, 2)([torch.zeros(1, 3)] * 6, 1)
    >>> law.log_prob(torch.full((1, 3), 255.0))  # 3 log F(-254/255)
    tensor([-3.93...])
    """

    def __init__(self, levels: int = 256, components: int = 5) -> None:
        super().__init__()
        check_count(2, levels=levels)
        check_count(components=components)
        self.levels, self.components, self.numbers = int(levels), int(components), 3 * int(components)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"levels": self.levels, "components": self.components}

    def forward(self, parameters: Sequence[Tensor], event_dims: int) -> Distribution:
        """The law of ``[*batch, *event]`` values from K tensors of logits, K of means, K of log scales."""
        logits, means, log_scales = torch.stack([*parameters], -1).chunk(3, -1)
        return _joined(
            DiscretisedLogisticMixture(logits, means, log_scales, levels=self.levels, validate_args=False), event_dims
        )


def _joined(law: Distribution, event_dims: int) -> Distribution:
    return Independent(law, event_dims, validate_args=False)
