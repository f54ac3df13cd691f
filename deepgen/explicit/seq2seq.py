"""Sequence to sequence with attention: a law of rows of tokens y given rows of tokens x.

    k_j = [forwards, backwards] cell over x at j                         annotations, `DeepRecurrent`
    s_0 = tanh(W k_1 backwards),   c_i = attention of s_{i-1} over k     `AdditiveAttention`
    s_i = gru([E y_{i-1}, c_i], s_{i-1})
    log p(y_i | y_<i, x) = log_softmax(R maxout([s_{i-1}, E y_{i-1}, c_i]) + b)

One token more than y has stands for the end, and log p(y | x) is the sum up to and with it, in nats: a law over rows of
all lengths, whose probabilities sum to 1. Training by it shows the model the true y_<i (teacher forcing); drawing shows
it its own. Padding is -1, in what goes in and in what comes out, and padded places change no number (`token_rows`).

Limits: every place of y looks at all of x, so time and memory go as T S; and a state is carried from place to place, so
that training walks through y where a Transformer sees all of it at once.

Source: Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to align and translate", section 3
and appendix A.2, with torch's GRU, whose reset gate is applied after the product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count, check_real
from deepgen.explicit.rows_given import RowsGiven
from deepgen.explicit.token_rows import PADDING, PAIRS, rows_for, token_rows
from deepgen.layers.additive_attention import AdditiveAttention
from deepgen.layers.deep_recurrent import DeepRecurrent
from deepgen.layers.linear import linear
from deepgen.layers.maxout import Maxout
from deepgen.layers.recurrent import recurrent, run
from deepgen.random import categorical, resolve


class _Memory(NamedTuple):
    keys: Tensor
    projected: Tensor
    mask: Tensor


class Seq2Seq(nn.Module):
    """p(y | x) of rows of tokens; `LogProb`, `Samples` and `Conditional` with rows x as its context.

    ``log_prob(y, x)``, ``sample(n, x)``, and ``model(x)`` for the law with x filled in. Train it on pairs (y, x) by
    ``dg.fit(model, TensorDataset(y, x), dg.objectives.MaximumLikelihood(), ...)``.

    Args:
        source, target: numbers of tokens; they are 0 .. source - 1 in x and 0 .. target - 1 in y, and -1 is padding.
        hidden: width of the states; annotations have twice that.
        embedding: width of a token inside.
        layers, cell: of the encoder, as for `DeepRecurrent`.
        longest: places of a draw, unless said otherwise; ``log_prob`` takes rows of any length.
        generator: source of the initial weights.

    Raises:
        ArgumentError: a setting outside its range; in any method, a missing x or one with an empty row.
        ShapeError, SupportError: in any method, rows that are no tokens or do not fit together.

    >>> model = Seq2Seq(5, 4, hidden=8, embedding=3, longest=6, generator=0)
    >>> x, y = torch.tensor([[0, 4, 2], [3, -1, -1]]), torch.tensor([[1, 0], [2, -1]])
    >>> model.log_prob(y, x).shape, model.sample(2, x, generator=0).shape
    (torch.Size([2]), torch.Size([2, 6]))
    >>> import deepgen as dg
    >>> print(dg.evaluate.log_likelihood(model, (y, x)))
    -4.0... nats/example (exact; mean log_prob)
    """

    def __init__(
        self,
        source: int,
        target: int,
        hidden: int = 128,
        *,
        embedding: int = 64,
        layers: int = 1,
        cell: str = "gru",
        longest: int = 64,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(source=source, target=target, hidden=hidden, embedding=embedding, longest=longest)
        self.source, self.target, self.hidden, stream = int(source), int(target), int(hidden), resolve(generator)
        self.longest = int(longest)
        self.context = self.source  # as of a model of labels: rows of data come with theirs
        self._arguments = {"source": self.source, "target": self.target, "hidden": self.hidden,
                           "embedding": int(embedding), "layers": layers, "cell": cell,
                           "longest": self.longest}  # fmt: skip
        self.sources = nn.Parameter(torch.empty(source, embedding).normal_(generator=stream))
        self.targets = nn.Parameter(torch.empty(target + 1, embedding).normal_(generator=stream))  # the last: the start
        self.encoder = DeepRecurrent(embedding, hidden, layers, cell, bidirectional=True, generator=stream)
        self.attend = AdditiveAttention(hidden, 2 * hidden, hidden, generator=stream)
        self.first = linear(hidden, hidden, generator=stream)
        self.decoder = recurrent(embedding + 2 * hidden, hidden, "gru", generator=stream)
        self.maxout = Maxout(3 * hidden + embedding, hidden, 2, generator=stream)
        self.last = linear(hidden, target + 1, scale=0.1, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    @property
    def device(self) -> torch.device:
        """Where its weights are, and draws are made."""
        return self.sources.device

    def check(self, pair: Any) -> None:
        """Raise a typed error unless ``pair`` is (y, x), as many rows of tokens of each."""
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ArgumentError(PAIRS)
        self._pair(*pair)

    @torch.no_grad()
    def initialise(self, y: Tensor) -> Seq2Seq:
        """Set the readout's biases to the rates of the tokens in ``y`` and of the end, smoothed by one token."""
        codes, lengths = token_rows("y", y, self.target)
        counts = torch.bincount(codes[codes >= 0], minlength=self.target + 1) + 1 / (self.target + 1)
        counts[self.target] += len(lengths)
        self.last.bias.copy_((counts / counts.mean()).log())
        return self

    def forward(self, x: Tensor) -> RowsGiven:
        """p(y | x) with x filled in: one row ``[S]``, or a batch of them ``[*batch, S]``."""
        return RowsGiven(self, x)

    def log_prob(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        """log p(y | x) of each row in nats, the end included: ``[batch, T], [batch, S] -> [batch]``."""
        return self.token_log_prob(y, x).sum(1)

    def token_log_prob(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        """Its terms ``[batch, T + 1]``: of each token given those before it, then of the end, then 0."""
        logits, _, y, lengths = self._taught(y, x)
        wanted = F.pad(y, (0, 1), value=0).scatter(1, lengths.unsqueeze(1), self.target)
        found = logits.log_softmax(2).gather(2, wanted.clamp_min(0).unsqueeze(2)).squeeze(2)
        return torch.where(torch.arange(found.shape[1], device=y.device) <= lengths.unsqueeze(1), found, 0.0)

    def alignment(self, y: Tensor, x: Tensor) -> Tensor:
        """Where each token of y, and the end, looked in x: weights ``[batch, T + 1, S]`` that sum to 1."""
        return self._taught(y, x)[1]

    @torch.no_grad()
    def greedy(self, x: Tensor, *, longest: int | None = None) -> Tensor:
        """The likeliest token at every place, ``[batch, S] -> [batch, longest]``, -1 from the end on.

        The likeliest row may be another; a row that has not ended by ``longest`` is cut there.
        """
        return self._decoded(x, None, longest, lambda logits: logits.argmax(1))

    @torch.no_grad()
    def sample(
        self,
        n: int,
        x: Tensor | None = None,
        *,
        longest: int | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` independent draws ``[n, longest]``, -1 from the end on, one for each row of x or all for one.

        At temperature 1 they follow `log_prob` but for being cut at ``longest``: a row without -1 stands for all that
        begin so. Below 1 likelier tokens gain.
        """
        check_count(n=n)
        check_real("temperature", temperature, 0)
        if temperature == 0:
            raise ArgumentError("temperature must be above 0: at 0 call greedy")
        stream = resolve(generator, self.device)
        return self._decoded(
            rows_for(x, n), n, longest, lambda logits: categorical(logits / temperature, generator=stream)
        )

    def _pair(self, y: Any, x: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """y and x as integers, each with its lengths, if they are rows of tokens that go together."""
        y, y_lengths = token_rows("y", y, self.target)
        x, x_lengths = token_rows("x", x, self.source, least=1)
        if len(y) != len(x):
            raise ShapeError(f"y and x must have as many rows, got {len(y)} and {len(x)}")
        return y, y_lengths, x, x_lengths

    def _encode(self, x: Tensor, lengths: Tensor) -> tuple[_Memory, Tensor]:
        keys, _ = self.encoder(F.embedding(x.clamp_min(0), self.sources), lengths=lengths)
        mask = torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)
        return _Memory(keys, self.attend.key(keys), mask), self.first(keys[:, 0, self.hidden :]).tanh()

    def _step(self, s: Tensor, before: Tensor, memory: _Memory) -> tuple[Tensor, Tensor, Tensor]:
        """The next state, what the readout reads, and where the model looked."""
        c, weights = self.attend(s, memory.keys, memory.mask, memory.projected)
        out, _ = run(self.decoder, torch.cat([before, c], 1).unsqueeze(1), s.unsqueeze(0))
        return out.squeeze(1), torch.cat([s, before, c], 1), weights

    def _taught(self, y: Any, x: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits ``[batch, T + 1, target + 1]`` under the true y, weights, y and its lengths."""
        y, lengths, x, x_lengths = self._pair(y, x)
        memory, s = self._encode(x, x_lengths)
        read, looked = [], []
        for before in F.embedding(F.pad(y, (1, 0), value=self.target).clamp_min(0), self.targets).unbind(1):
            s, features, weights = self._step(s, before, memory)
            read.append(features)
            looked.append(weights)
        return self.last(self.maxout(torch.stack(read, 1))), torch.stack(looked, 1), y, lengths

    def _decoded(self, x: Any, n: int | None, longest: int | None, choose: Callable[[Tensor], Tensor]) -> Tensor:
        longest = self.longest if longest is None else longest
        check_count(longest=longest)
        x, lengths = token_rows("x", x, self.source, least=1)
        memory, s = self._encode(x, lengths)
        n = len(x) if n is None else n
        if len(x) != n:  # one for all, which is read once
            memory, s = _Memory(*(part.expand(n, *part.shape[1:]) for part in memory)), s.expand(n, -1).contiguous()
        token = torch.full((n,), self.target, device=x.device)
        ended = torch.zeros(n, dtype=torch.bool, device=x.device)
        out = torch.full((n, longest), PADDING, device=x.device)
        for place in range(longest):
            s, features, _ = self._step(s, self.targets[token], memory)
            token = choose(self.last(self.maxout(features)))
            ended |= token == self.target
            if bool(ended.all()):
                break
            out[:, place] = torch.where(ended, PADDING, token)
        return out
