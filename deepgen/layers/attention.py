"""Causal self-attention, over whole sequences or one token after the other with the keys and values kept.

    y_t = O sum_{s <= t} softmax_s(q_t . k_s / sqrt d) v_s,        (q, k, v)_t = W x_t + b

for each of several heads of width d side by side. A `KeyValueCache` is allocated once for the longest sequence and
filled in place, so that a further token costs its own products with W and O and one pass over the keys and values
before it. After T tokens those are 2 T width numbers, which have to be read, beside the 12 width^2 weights of a block
of `Transformer`: less than a tenth up to T = 0.6 width, and as much at T = 6 width.

Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.linear import linear
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class KeyValueCache:
    """Keys and values of ``batch`` sequences of up to ``capacity`` tokens: ``[batch, heads, capacity, d]`` each.

    Args:
        batch, heads, capacity, d: sizes.
        like: a tensor of the dtype and device wanted.

    >>> cache = KeyValueCache(1, 2, 10, 4, like=torch.zeros(()))
    >>> keys, values = cache.put(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4))
    >>> keys.shape, cache.filled
    (torch.Size([1, 2, 3, 4]), 3)
    """

    def __init__(self, batch: int, heads: int, capacity: int, d: int, *, like: Tensor) -> None:
        shape = (batch, heads, capacity, d)
        self.keys, self.values = like.new_empty(shape), like.new_empty(shape)
        self.filled = 0

    @torch.no_grad()
    def put(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of the next tokens, ``[batch, heads, t, d]``, and return all there are, as views.

        Raises:
            ArgumentError: there is no room for them.
        """
        start, end = self.filled, self.filled + keys.shape[2]
        if end > self.keys.shape[2]:
            raise ArgumentError(f"the cache holds {self.keys.shape[2]} tokens and is asked to hold {end}")
        self.keys[:, :, start:end] = keys
        self.values[:, :, start:end] = values
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]


class CausalSelfAttention(nn.Module):
    """``[batch, T, width] -> [batch, T, width]``: place t sees places up to t.

    Args:
        width: of a token, in and out.
        heads: how many; they divide the width.
        scale: of the initial weights of the last product.
        generator: source of the initial weights.

    Raises:
        ArgumentError: a number outside its range.
        ShapeError: in ``forward``, tokens of another width.

    >>> attend = CausalSelfAttention(8, 2, generator=torch.Generator().manual_seed(0))
    >>> x = torch.randn(3, 5, 8)
    >>> cache = KeyValueCache(3, 2, 5, 4, like=x)
    >>> steps = [attend(x[:, t : t + 1], cache) for t in range(5)]
    >>> torch.allclose(torch.cat(steps, 1), attend(x), atol=1e-6)
    True
    """

    def __init__(
        self, width: int, heads: int, *, scale: float = 1.0, generator: torch.Generator | int | None = None
    ) -> None:
        super().__init__()
        check_count(width=width, heads=heads)
        if width % heads:
            raise ArgumentError(f"heads must divide the width, got {heads} heads for width {width}")
        self.width, self.heads, self.scale, stream = int(width), int(heads), float(scale), resolve(generator)
        self.into = linear(width, 3 * width, generator=stream)
        self.out = linear(width, width, scale=scale, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"width": self.width, "heads": self.heads, "scale": self.scale}

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Whole sequences, or with a ``cache`` the tokens that follow those in it (without gradients)."""
        check_shape("x", x, "batch", "T", self.width)
        batch, t, width = x.shape
        q, k, v = self.into(x).view(batch, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        before = 0
        if cache is not None:
            before = cache.filled
            k, v = cache.put(k, v)
        mask = None
        if before and t > 1:  # several tokens after others: the last of them sees all
            mask = torch.ones(t, before + t, dtype=torch.bool, device=x.device).tril(before)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, is_causal=not before and t > 1)
        return self.out(mixed.transpose(1, 2).reshape(batch, t, width))
