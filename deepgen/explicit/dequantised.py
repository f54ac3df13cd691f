"""A flow made a model of whole numbers: noise fills the unit cell of each value, and what is left is a bound.

    P(x) = integral over u in [0, 1)^D of p((x + u) / L) / L^D
    log P(x) >= E_q [ log p((x + u) / L) - D log L - log q(u | x) ]

x in {0, ..., L-1}^D, p the flow's density on [0, 1]^D. Uniform noise has log q = 0 (Theis et al. 2016); a
flow q(u | x) trained with the model makes the bound tighter (variational dequantisation, Ho et al. 2019). k draws of u
give the importance-weighted bound, which rises to log P(x) with k (Burda et al. 2016; Hoogeboom et al. 2020).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.explicit.flow import Flow
from deepgen.explicit.units import levels_in
from deepgen.random import resolve
from deepgen.rest import answered_at_rest


class Dequantised(nn.Module):
    """A model of rows of whole numbers 0 .. levels - 1 from a flow over [0, 1]^D.

    Args:
        flow: a density over ``[features]`` values in [0, 1], usually with `deepgen.transforms.Logit` as its first part.
        levels: how many values a variable has, L.
        noise: a flow over [0, 1]^D with ``context=features``, which is handed x / L; None for uniform noise.

    It has a bound and no ``log_prob``; `deepgen.evaluate.log_likelihood` states it as lying below.

    >>> import deepgen as dg
    >>> from deepgen.transforms import Chain, Inverse, Logit
    >>> flow = dg.explicit.Flow(Logit(alpha=0.0), base=3)
    >>> model = Dequantised(flow, levels=4)
    >>> model.bound(torch.tensor([[0.0, 1.0, 3.0]]), samples=10, generator=0).shape
    torch.Size([1])
    """

    def __init__(self, flow: Flow, levels: int = 256, *, noise: Flow | None = None) -> None:
        super().__init__()
        check_count(2, levels=levels)
        (self.features,) = flow.event_shape if len(flow.event_shape) == 1 else (0,)
        if self.features == 0:
            raise ArgumentError(f"the flow must be over rows [features], got event shape {list(flow.event_shape)}")
        if noise is not None and (noise.event_shape != flow.event_shape or noise.context != self.features):
            raise ArgumentError(
                f"noise must be a flow over {self.features} variables with context={self.features}, "
                f"got {list(noise.event_shape)} and context={noise.context}"
            )
        self.flow, self.levels, self.noise = flow, int(levels), noise

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"flow": self.flow, "levels": self.levels, "noise": self.noise}

    def check(self, x: Tensor) -> None:
        """Raise a typed error unless ``x`` is ``[rows, features]`` of whole numbers from 0 to levels - 1."""
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != self.features or len(x) == 0:
            got = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"x must be [rows, {self.features}] with at least one row, got {got}")
        wrong = ~levels_in(x, self.levels)
        if bool(wrong.any()):
            row, column = wrong.nonzero()[0].tolist()
            raise SupportError(
                f"x must hold whole numbers from 0 to {self.levels - 1}, got {x[row, column].item():g} in row {row}, "
                f"column {column}: multiply grey values in [0, 1] by {self.levels - 1} and round them"
            )

    def bound(self, x: Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None) -> Tensor:
        """The bound on log P(x) in nats from ``samples`` draws of noise a row: ``[batch, features] -> [batch]``."""
        check_count(samples=samples)
        stream = resolve(generator, self.flow.device)
        rows = x.to(self.flow._like()).repeat_interleave(samples, 0)  # whole numbers often come as integers
        if self.noise is None:
            u, log_q = torch.empty_like(rows).uniform_(generator=stream), rows.new_zeros(len(rows))
        else:
            u, log_q, _ = self.noise.draw(len(rows), rows / self.levels, generator=stream)
        log_w = self.flow.log_prob(self._filled(rows, u)) - self.features * math.log(self.levels) - log_q
        return log_w.view(-1, samples).logsumexp(1) - math.log(samples)

    def _filled(self, rows: Tensor, u: Tensor) -> Tensor:
        """(x + u) / L, inside (0, 1): rounded, the topmost cell reaches 1, and noise that saturates either end."""
        limits = torch.finfo(rows.dtype)
        return ((rows + u) / self.levels).clamp(limits.tiny, 1 - limits.eps / 2)

    @answered_at_rest
    def sample(self, n: int, *, method: str = "auto", generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws: ``[n, features]`` whole numbers."""
        x = self.flow.sample(n, method=method, generator=generator)
        return (x * self.levels).floor().clamp(0, self.levels - 1)
