"""Recurrent network over tokens: every token given those before it, through a state of fixed size.

    h_t = cell(E[x_{t-1}], h_{t-1}),    log p(x_t | x_<t) = log_softmax(R h_t + b)

with one or several layers of a `deepgen.layers.recurrent` cell, a state of zeros at first, and E[x_{-1}] a learned
vector for the start, so that the first token has a law too. Any length has a probability and a further token costs the
same wherever it stands; what is far back is remembered only as far as the state does.

Source: Graves 2013, "Generating sequences with recurrent neural networks".
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.explicit.tokens import TokenModel
from deepgen.layers.dropout import check_rate
from deepgen.layers.linear import linear
from deepgen.layers.recurrent import recurrent, through
from deepgen.random import resolve


class CharRNN(TokenModel):
    """Character RNN, LSTM, GRU or multiplicative LSTM; `LogProb` and `Samples`.

    Args:
        vocabulary: number of tokens; they are 0 .. vocabulary - 1.
        hidden: width of each recurrent layer.
        layers: how many.
        cell: ``rnn``, ``lstm``, ``gru`` or ``mlstm``.
        embedding: width of a token inside.
        length: of a sample unless said otherwise.
        dropout: rate at the output of every layer; used by `dropout_log_prob` alone.
        generator: source of the initial weights.

    >>> model = CharRNN(5, hidden=16, length=8, generator=0)
    >>> x = model.sample(3, generator=1)
    >>> x.shape, model.log_prob(x).shape, model.log_prob(x.repeat(1, 10)).shape
    (torch.Size([3, 8]), torch.Size([3]), torch.Size([3]))
    """

    def __init__(
        self,
        vocabulary: int,
        hidden: int = 512,
        layers: int = 1,
        cell: str = "lstm",
        *,
        embedding: int = 64,
        length: int = 64,
        dropout: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        check_count(hidden=hidden, layers=layers, embedding=embedding)
        super().__init__(vocabulary, length, check_rate(dropout))
        stream = resolve(generator)
        self.embedding = nn.Parameter(torch.empty(vocabulary + 1, embedding).normal_(generator=stream))
        widths = [embedding, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(recurrent(width, hidden, cell, generator=stream) for width in widths)
        self.readout = linear(hidden, vocabulary, bias=False, scale=0.1, generator=stream)
        self._arguments = {"vocabulary": vocabulary, "hidden": hidden, "layers": layers, "cell": cell,
                           "embedding": embedding, "length": length, "dropout": self.dropout}  # fmt: skip

    def start(self, batch: int, capacity: int) -> list[Any]:
        """A state of zeros for each layer."""
        return [None] * len(self.layers)

    def features(
        self, codes: Tensor, state: list[Any] | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, list[Any]]:
        """``[batch, t] -> [batch, t, hidden]``, and the state that the tokens after these go on from."""
        h = F.embedding(codes, self.embedding)
        return through(self.layers, h, state, rate=self.dropout, generator=generator)

    def logits(self, features: Tensor) -> Tensor:
        """``[..., hidden] -> [..., vocabulary]``."""
        return F.linear(features, self.readout.weight, self.bias)

    def extra_repr(self) -> str:
        return f"log_prob: 1 network pass; sample: {self.length} passes over one token each, the state carried on"
