"""Decoder-only Transformer: every token given those before it, through causal self-attention.

    h_0[t] = E[x_{t-1}] + P[t],    h' = h + attention(norm h),    h'' = h' + W_2 gelu(W_1 norm h'),
    log p(x_t | x_<t) = log_softmax(R norm h_L[t] + b)

with the norms inside the branches (pre-norm), learned places P, and E[x_{-1}] a learned vector for the start, so that
the first token has a law too. A model has seen no more than ``length`` tokens and refuses longer sequences.

Sources: Vaswani et al. 2017, "Attention is all you need"; Radford et al. 2019, "Language models are unsupervised
multitask learners", section 2.3 (norms in the branches, smaller weights at the end of each of 2 L branches).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.explicit.tokens import TokenModel
from deepgen.layers.attention import CausalSelfAttention, KeyValueCache
from deepgen.layers.dropout import check_rate, dropout
from deepgen.layers.linear import linear
from deepgen.random import resolve


class Block(nn.Module):
    """Attention and a two-layer network, each added to its input: ``[batch, T, width]`` in and out."""

    def __init__(self, width: int, heads: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, scale=scale, generator=generator)
        self.up = linear(width, 4 * width, generator=generator)
        self.down = linear(4 * width, width, scale=scale, generator=generator)

    def forward(self, h: Tensor, cache: KeyValueCache | None, rate: float, generator: torch.Generator | None) -> Tensor:
        h = h + dropout(self.attention(self.norm_1(h), cache), rate, generator)
        return h + dropout(self.down(F.gelu(self.up(self.norm_2(h)))), rate, generator)


class Transformer(TokenModel):
    """Decoder-only Transformer over sequences of tokens; `LogProb` and `Samples`.

    Args:
        vocabulary: number of tokens; they are 0 .. vocabulary - 1.
        length: the longest sequence, and that of a sample unless said otherwise.
        width: of a token inside.
        heads: of each attention; they divide the width.
        layers: number of blocks.
        tied: whether the readout R is the embedding E (Press & Wolf 2017).
        dropout: rate in the embedding and at the end of every branch; used by `dropout_log_prob` alone.
        generator: source of the initial weights.

    >>> model = Transformer(5, length=8, width=16, heads=2, layers=2, generator=0)
    >>> x = model.sample(3, generator=1)
    >>> x.shape, model.log_prob(x).shape
    (torch.Size([3, 8]), torch.Size([3]))
    """

    def __init__(
        self,
        vocabulary: int,
        length: int = 256,
        width: int = 384,
        heads: int = 6,
        layers: int = 6,
        *,
        tied: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        check_count(width=width, layers=layers)
        super().__init__(vocabulary, length, check_rate(dropout), longest=length)
        stream, scale = resolve(generator), 1 / math.sqrt(2 * layers)
        self.embedding = nn.Parameter(torch.empty(vocabulary + 1, width).normal_(0, 0.02, generator=stream))
        self.places = nn.Parameter(torch.empty(length, width).normal_(0, 0.02, generator=stream))
        self.heads = heads
        self.blocks = nn.ModuleList(Block(width, heads, scale, stream) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.readout = None if tied else linear(width, vocabulary, bias=False, scale=0.1, generator=stream)
        self._arguments = {"vocabulary": vocabulary, "length": length, "width": width, "heads": heads,
                           "layers": layers, "tied": tied, "dropout": self.dropout}  # fmt: skip

    def start(self, batch: int, capacity: int) -> list[KeyValueCache]:
        """An empty cache for each block."""
        d = self.places.shape[1] // self.heads
        return [KeyValueCache(batch, self.heads, capacity, d, like=self.places) for _ in self.blocks]

    def features(
        self, codes: Tensor, state: list[KeyValueCache] | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, list[KeyValueCache] | None]:
        """``[batch, t] -> [batch, t, width]``, and the state that the tokens after these go on from."""
        first = state[0].filled if state else 0
        h = F.embedding(codes, self.embedding) + self.places[first : first + codes.shape[1]]
        h = dropout(h, self.dropout, generator)
        for i, block in enumerate(self.blocks):
            h = block(h, state[i] if state else None, self.dropout, generator)
        return self.norm(h), state

    def logits(self, features: Tensor) -> Tensor:
        """``[..., width] -> [..., vocabulary]``."""
        weight = self.embedding[: self.vocabulary] if self.readout is None else self.readout.weight
        return F.linear(features, weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"log_prob: 1 network pass; sample: {self.length} passes over one token each, with cached keys and values"
        )
