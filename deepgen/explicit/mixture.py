"""Mixture of independent Bernoullis, the plainest density on binary data; with one component, the base-rate model.

    p(x) = sum_k pi_k prod_j r_kj^x_j (1 - r_kj)^(1 - x_j),    pi = softmax(``weight_logits``),  r = sigmoid(``logits``)

pi: [components], r: [components, features]. In logits l the log joint is linear in x, so one matrix product does it:

    log p(x, k) = log pi_k + x . l_k - sum_j log(1 + exp(l_kj)),

which stays finite for any finite l. Every other model of binary data should beat it; if one does not, look for the bug.
Source: Bishop 2006, section 9.3.3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ShapeError, check_count
from deepgen.explicit.units import Bernoulli, check_values, require_tensor
from deepgen.random import resolve


class BernoulliMixture(nn.Module):
    """Mixture of ``components`` products of ``features`` independent binary variables; `LogProb` and `Samples`.

    Starts as fair coins that are all alike, a saddle point when there are several: `initialise` it from data (or train
    with many random restarts). Train it by `deepgen.objectives.ExpectationMaximisation` or ``MaximumLikelihood``.

    Args:
        features: number of binary variables.
        components: number of mixture components; 1 is the independent-Bernoulli baseline.
        generator: what `initialise` sets the components apart with, unless it is given its own.

    >>> model = BernoulliMixture(4, components=3, generator=0)
    >>> model.log_prob(torch.ones(2, 4))  # -4 log 2
    tensor([-2.7726, -2.7726], grad_fn=...)
    >>> model.sample(5, generator=0).shape
    torch.Size([5, 4])
    """

    def __init__(self, features: int, components: int = 1, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(features=features, components=components)
        self.features, self.components, self._source = int(features), int(components), generator
        if not isinstance(generator, torch.Generator):
            resolve(generator)  # refuse what is not a seed here rather than in `initialise`
        self.event_shape = torch.Size([features])
        self.logits = nn.Parameter(torch.zeros(components, features))
        self.weight_logits = nn.Parameter(torch.zeros(components))

    @property
    def support(self) -> Any:
        """Zeros and ones."""
        return constraints.independent(constraints.boolean, 1)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "components": self.components}

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, features]`` of zeros and ones."""
        check_values(Bernoulli(self.features), x, "data")

    @torch.no_grad()
    def initialise(self, x: Tensor, *, generator: torch.Generator | int | None = None) -> BernoulliMixture:
        """Set every component to the base rates of ``x`` ``[rows, features]``, three parts in four.

        The fourth part sets the components apart: half of it is a row of the data, half uniform noise (rows may be
        alike), both from ``generator``, by default the constructor's. A single component gets the base rates
        themselves, smoothed by half a row of each value, so that a constant column stays finite; but for that, they
        are its maximum likelihood.
        """
        self.check(x)
        rows = x.to(self.logits)
        rate = (rows.sum(0) + 0.5) / (len(rows) + 1)
        if self.components > 1:
            stream = resolve(self._source if generator is None else generator, rows.device)
            order = torch.randperm(len(rows), generator=stream, device=rows.device)
            own = rows[order[torch.arange(self.components, device=rows.device) % len(rows)]]
            noise = torch.empty_like(own).uniform_(generator=stream)
            rate = 0.75 * rate + 0.125 * own + 0.125 * noise.clamp(0.01, 0.99)
        self.logits.copy_(rate.logit().expand_as(self.logits))
        self.weight_logits.zero_()
        return self

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, component): ``[batch, features] -> [batch, components]``."""
        require_tensor(x, "x")
        if x.ndim < 1 or x.shape[-1] != self.features:
            raise ShapeError(f"x must be [batch, {self.features}], got {list(x.shape)}")
        normaliser = Bernoulli(self.features).cumulant(self.logits)
        return x.to(self.logits.dtype) @ self.logits.t() - normaliser + self.weight_logits.log_softmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: ``[batch, features] -> [batch]``."""
        return self.log_joint(x).logsumexp(-1)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """Return ``n`` independent exact draws: ``[n, features]``."""
        check_count(n=n)
        stream = resolve(generator, self.logits.device)
        uniform = torch.rand(n, 1 + self.features, generator=stream, device=self.logits.device, dtype=self.logits.dtype)
        steps = self.weight_logits.softmax(-1).cumsum(-1)
        component = torch.searchsorted(steps, uniform[:, 0].contiguous()).clamp_max(self.components - 1)
        return (uniform[:, 1:] < self.logits.sigmoid()[component]).to(uniform.dtype)

    def extra_repr(self) -> str:
        return f"{self.features} features, {self.components} components"
