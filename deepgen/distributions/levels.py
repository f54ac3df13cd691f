"""Laws of whole numbers 0 .. L-1, the grey levels of images: a free table, and a discretised mixture of logistics.

    table:     P(v) = softmax(l)_v
    mixture:   P(v) = sum_k pi_k [ F((c_v + h - m_k) / s_k) - F((c_v - h - m_k) / s_k) ],     F = sigmoid

c_v = 2 v / (L-1) - 1 is level v on [-1, 1] and h = 1 / (L-1) half a level; the cells of the first and the last level
reach to -inf and +inf, so the probabilities sum to one. Differences of F are taken as F(b) F(-a) (1 - e^(a-b)), which
loses no digits in the tails. Source: Salimans et al. 2017, "PixelCNN++", section 2.1 (without its dependence of one
colour on another).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints

from deepgen.errors import ShapeError, check_count

_LEAST_LOG_SCALE = -7.0  # a logistic narrower than a ninth of a level out of 256 is a spike: as in PixelCNN++


class LevelCategorical(Categorical):
    """`torch.distributions.Categorical` over levels held as numbers, with the mean that torch leaves out.

    >>> p = LevelCategorical(logits=torch.zeros(5))
    >>> p.mean, p.log_prob(torch.tensor(3.0)).exp()
    (tensor(2.), tensor(0.2000))
    """

    @property
    def mean(self) -> Tensor:
        levels = torch.arange(self.logits.shape[-1], dtype=self.logits.dtype, device=self.logits.device)
        return self.probs @ levels

    @property
    def variance(self) -> Tensor:
        levels = torch.arange(self.logits.shape[-1], dtype=self.logits.dtype, device=self.logits.device)
        return self.probs @ levels.square() - self.mean.square()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)  # before a part of a level is cut off
        return super().log_prob(value.long())

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self.logits.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LevelCategorical:
        shape = torch.Size(batch_shape)
        return LevelCategorical(logits=self.logits.expand(*shape, self.logits.shape[-1]), validate_args=False)


class DiscretisedLogisticMixture(Distribution):
    """Levels 0 .. ``levels`` - 1 as cells of a mixture of K logistics; ``sample`` draws from torch's global stream.

    Args:
        logits: l, ``[*batch, K]``; pi = softmax(l).
        means: m on the scale where levels reach from -1 to 1, ``[*batch, K]``.
        log_scales: log s on that scale, ``[*batch, K]``; below -7 they count as -7.
        levels: L, at least 2.
        validate_args: refuse values that are no levels; None as torch's own laws do.

    >>> p = DiscretisedLogisticMixture(torch.zeros(2), torch.tensor([-0.5, 0.5]), torch.tensor([-1.0, -2.0]), levels=4)
    >>> p.log_prob(torch.arange(4.0)).exp().sum()
    tensor(1.0...)
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class declares it a property)

    def __init__(
        self,
        logits: Tensor,
        means: Tensor,
        log_scales: Tensor,
        *,
        levels: int = 256,
        validate_args: bool | None = None,
    ) -> None:
        check_count(2, levels=levels)
        if not logits.shape == means.shape == log_scales.shape or logits.ndim < 1:
            raise ShapeError(
                f"logits, means and log_scales must be [*batch, K] all three, got {list(logits.shape)}, "
                f"{list(means.shape)} and {list(log_scales.shape)}"
            )
        self.logits, self.means, self.levels = logits, means, int(levels)
        self.log_scales = log_scales.clamp_min(_LEAST_LOG_SCALE)
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self.levels - 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> DiscretisedLogisticMixture:
        shape = (*torch.Size(batch_shape), self.logits.shape[-1])
        parts = (part.expand(shape) for part in (self.logits, self.means, self.log_scales))
        return DiscretisedLogisticMixture(*parts, levels=self.levels, validate_args=False)

    @property
    def mean(self) -> Tensor:
        # sum_t P(v >= t), one level at a time: all of them at once would take L times the memory of an image
        half, inverse, total = 1 / (self.levels - 1), (-self.log_scales).exp(), torch.zeros_like(self.means)
        for level in range(1, self.levels):
            total = total + ((self.means - (2 * level - 1) * half + 1) * inverse).sigmoid()
        return (self.logits.softmax(-1) * total).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """In nats, of whole numbers: ``[*sample, *batch] -> [*sample, *batch]``, by broadcasting."""
        if self._validate_args:
            self._validate_sample(value)
        v = value.to(self.means.dtype).unsqueeze(-1)
        half, inverse = 1 / (self.levels - 1), (-self.log_scales).exp()
        offset = 2 * half * v - 1 - self.means
        below = torch.where(v <= 0, -math.inf, (offset - half) * inverse)
        above = torch.where(v >= self.levels - 1, math.inf, (offset + half) * inverse)
        cell = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
        return (cell + self.logits.log_softmax(-1)).logsumexp(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        part = Categorical(logits=self.logits, validate_args=False).sample(torch.Size(sample_shape)).unsqueeze(-1)
        k = self.logits.shape[-1]
        mean, log_scale = (t.expand(*shape, k).gather(-1, part).squeeze(-1) for t in (self.means, self.log_scales))
        uniform = torch.rand(shape, dtype=mean.dtype, device=mean.device).clamp_min(torch.finfo(mean.dtype).eps / 4)
        level = (mean + log_scale.exp() * uniform.logit() + 1) / 2 * (self.levels - 1)
        return level.round().clamp(0, self.levels - 1)
