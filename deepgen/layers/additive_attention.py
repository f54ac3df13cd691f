"""Additive attention: a query asks every place of a row how much it matters, and gets their weighted mean.

    e_j = v . tanh(W q + U k_j),      a = softmax(e),      c = sum_j a_j k_j

q the query, k_j the annotation of place j; places that are masked have a_j = 0. The product form, a softmax of q . k_j,
is torch's ``scaled_dot_product_attention``, and `CausalSelfAttention` is made of it.

Source: Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and translate", equations
5 and 6 and appendix A.1.2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.random import resolve


class AdditiveAttention(nn.Module):
    """``[batch, query]`` over annotations ``[batch, S, key]``: their mean c ``[batch, key]`` and a ``[batch, S]``.

    Args:
        query, key: widths.
        hidden: width of the sum inside.
        generator: source of the initial weights; v starts small, so that at first all places count alike.

    Raises:
        ShapeError: in ``forward``, widths or a mask that do not fit.

    >>> attend = AdditiveAttention(3, 4, 8, generator=0)
    >>> keys, mask = torch.randn(2, 5, 4), torch.tensor([[True] * 5, [True, True, False, False, False]])
    >>> mean, weights = attend(torch.randn(2, 3), keys, mask)
    >>> mean.shape, weights[1, 2:].tolist()
    (torch.Size([2, 4]), [0.0, 0.0, 0.0])
    """

    def __init__(self, query: int, key: int, hidden: int, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(query=query, key=key, hidden=hidden)
        stream, self._arguments = resolve(generator), {"query": int(query), "key": int(key), "hidden": int(hidden)}
        self.query = linear(query, hidden, bias=False, generator=stream)
        self.key = linear(key, hidden, generator=stream)
        self.score = linear(hidden, 1, bias=False, scale=0.1, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(
        self, query: Tensor, keys: Tensor, mask: Tensor | None = None, projected: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """c and a; a row without a place has 0 for both.

        ``mask`` [batch, S] is True where a place is there; ``projected`` is ``self.key(keys)``, if known already.
        """
        wanted, width = self._arguments["query"], self._arguments["key"]
        if keys.ndim != 3 or keys.shape[2] != width or query.shape != (len(keys), wanted):
            raise ShapeError(
                f"need a query [batch, {wanted}] and keys [batch, S, {width}], got {list(query.shape)} "
                f"and {list(keys.shape)}"
            )
        if mask is not None and mask.shape != keys.shape[:2]:
            raise ShapeError(f"mask must be {list(keys.shape[:2])}, got {list(mask.shape)}")
        inside = self.query(query).unsqueeze(1) + (self.key(keys) if projected is None else projected)
        scores = self.score(inside.tanh()).squeeze(2)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)  # -inf, if alone in a row, gives NaN
        weights = scores.softmax(1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)
        return torch.bmm(weights.unsqueeze(1), keys).squeeze(1), weights
