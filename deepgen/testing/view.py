"""A model together with its context, and only the methods that it does not refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.random import generator as seeded


class View(nn.Module):
    """``log_prob(x)`` and ``sample(n)`` of ``model`` in its context; either is absent where the model refuses it.

    Args:
        model: with ``log_prob``, ``sample``, or both, which may raise `MissingCapability`.
        context: ``[1, ...]``, the same for any number of rows, or one for each row; None for none.

    >>> from deepgen.explicit import PlanarFlow
    >>> view = View(PlanarFlow(2, fast="log_prob", generator=0))
    >>> view.can_score, view.can_draw
    (True, False)
    """

    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[..., Tensor]
    context: Tensor | None
    model: Any

    def __init__(self, model: Any, context: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.name = model, type(model).__name__
        self.register_buffer("context", context, persistent=False)
        if hasattr(model, "sample") and not _refused(lambda: self._sample(self.rows, generator=0)):
            self.sample = self._sample
        if hasattr(model, "log_prob") and not _refused(lambda: self._log_prob(self.examples(self.rows, generator=0))):
            self.log_prob = self._log_prob

    @property
    def rows(self) -> int:
        return 1 if self.context is None else len(self.context)

    @property
    def can_score(self) -> bool:
        return hasattr(self, "log_prob")

    @property
    def can_draw(self) -> bool:
        return hasattr(self, "sample")

    def at(self, row: int) -> View:
        """The model in the context of one row."""
        return self if self.context is None else type(self)(self.model, self.context[row : row + 1])

    def given(self, n: int) -> tuple[Tensor, ...]:
        """The context of ``n`` rows, as further positional arguments."""
        if self.context is None:
            return ()
        return (self.context if self.rows == n else self.context.expand(n, *self.context.shape[1:]),)

    def examples(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """Rows where the density lives: draws, or Gaussian ones of a model that has none."""
        if self.can_draw:
            return self.sample(n, generator=generator).detach()
        stream = seeded(generator) if isinstance(generator, int) else generator
        return torch.randn(n, *self.model.event_shape, generator=stream)

    @torch.no_grad()
    def answers(self, x: Tensor) -> list[Tensor]:
        """What the model says on ``x``, and what it draws from seed 0."""
        scores = [self.log_prob(x)] if self.can_score else []
        return scores + ([self.sample(len(x), generator=0)] if self.can_draw else [])

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.model.log_prob(x, *self.given(len(x)))

    def _sample(self, n: int, *, generator: torch.Generator | int | None = None, **options: Any) -> Tensor:
        return self.model.sample(n, *self.given(n), generator=generator, **options)


def wide(x: Tensor) -> Tensor:
    """``x`` in float64 where it is real."""
    return x.double() if x.is_floating_point() else x


def _refused(call: Callable[[], Tensor]) -> bool:
    try:
        call()
    except MissingCapability:
        return True
    return False
