"""The law of rows of tokens y with the rows x that they are given filled in: what ``Seq2Seq`` returns when called.

model(x).log_prob(y) = log p(y | x),        one x for all y, or a batch of them that y broadcasts with
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ShapeError, check_count
from deepgen.explicit.token_rows import flat_batch, token_rows

if TYPE_CHECKING:
    from deepgen.explicit.seq2seq import Seq2Seq


class RowsGiven:
    """A `Seq2Seq` with its x filled in, ``model(x)``: the law of y, a batch ``[*batch]`` of them for x ``[*batch, S]``.

    >>> import deepgen as dg
    >>> model = dg.explicit.Seq2Seq(5, 4, hidden=8, embedding=3, longest=6, generator=0)
    >>> law = model(torch.tensor([0, 4, 2]))  # one row: how likely is each of these, what else may it be
    >>> law.log_prob(torch.tensor([[1, 0], [2, -1]])).shape, law.sample(7, generator=0).shape
    (torch.Size([2]), torch.Size([7, 6]))
    >>> model(torch.tensor([[0, 4], [3, -1]])).sample(7, generator=0).shape
    torch.Size([7, 2, 6])
    """

    def __init__(self, model: Seq2Seq, x: Tensor) -> None:
        rows = flat_batch(x) if isinstance(x, Tensor) and x.ndim else x
        token_rows("x", rows, model.source, least=1)  # a wrong one is refused here
        self.model, self.x, self.batch_shape = model, x, x.shape[:-1]

    def check(self, y: Tensor) -> None:
        """Raise a typed error unless ``y`` are rows of tokens ``[rows, T]`` that broadcast with the batch of x."""
        token_rows("y", y, self.model.target)
        self._shape(y)

    def log_prob(self, y: Tensor) -> Tensor:
        """In nats, the end included: ``[*sample, *batch, T] -> [*sample, *batch]``, by broadcasting."""
        shape = self._shape(y)
        rows, given = (flat_batch(part.expand(*shape, part.shape[-1])) for part in (y, self.x))
        return self.model.log_prob(rows, given).reshape(shape)

    def sample(
        self,
        n: int,
        *,
        longest: int | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` draws for each x: ``[n, *batch, longest]``; ``model.sample(n, x)`` draws one for each of n."""
        check_count(n=n)
        given = self.x.expand(n, *self.x.shape) if self.batch_shape else self.x
        drawn = self.model.sample(
            n * self.batch_shape.numel(), flat_batch(given), longest=longest, temperature=temperature,
            generator=generator,
        )  # fmt: skip
        return drawn.view(n, *self.batch_shape, -1)

    def greedy(self, *, longest: int | None = None) -> Tensor:
        """The likeliest token at every place: ``[*batch, longest]``."""
        found = self.model.greedy(flat_batch(self.x), longest=longest)
        return found.view(*self.batch_shape, -1)

    def unfilled(self) -> tuple[Seq2Seq, Tensor]:
        """The model and x, with which `deepgen.rest.at_rest` fills it in anew."""
        return self.model, self.x

    def _shape(self, y: Any) -> torch.Size:
        if not isinstance(y, Tensor) or y.ndim == 0:
            raise ShapeError(f"y must be rows of tokens, [..., T], got {list(y.shape) if isinstance(y, Tensor) else y}")
        try:
            return torch.broadcast_shapes(y.shape[:-1], self.batch_shape)
        except RuntimeError:
            wanted = ", ".join(map(str, (*self.batch_shape, "T")))
            raise ShapeError(f"y must broadcast to [..., {wanted}], got {list(y.shape)}") from None
