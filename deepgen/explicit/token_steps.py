"""Along token sequences one token after the other: the carried state, and the draw of a token from its logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, check_real


class Network(Protocol):
    """What a walk needs of a `deepgen.explicit.tokens.TokenModel`."""

    vocabulary: int
    longest: int | None

    @property
    def device(self) -> torch.device: ...

    def features(
        self, codes: Tensor, state: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]: ...

    def logits(self, features: Tensor) -> Tensor: ...

    def start(self, batch: int, capacity: int) -> Any: ...


class TokenSteps:
    """One walk along ``batch`` sequences of up to ``capacity`` tokens, without gradients.

    Tokens that are put are looked at together when the next logits are asked for, so a prompt is one pass. It is also a
    `deepgen.explicit.completion.Steps`.
    """

    def __init__(self, model: Network, batch: int, capacity: int) -> None:
        self.model, self.state = model, model.start(batch, capacity)
        self.waiting = [torch.full((batch, 1), model.vocabulary, device=model.device)]
        self.last = torch.empty(0)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Of the next token: ``[batch, vocabulary]``."""
        if self.waiting:
            features, self.state = self.model.features(torch.cat(self.waiting, 1), self.state)
            self.last, self.waiting = self.model.logits(features[:, -1]), []
        return self.last

    def parameters(self, d: int) -> Tensor:
        """The same relative to token 0: ``[vocabulary - 1, batch]``."""
        logits = self.logits().t()
        return logits[1:] - logits[:1]

    def put(self, d: int, row: Tensor) -> None:
        """The token at place ``d`` is ``row`` ``[batch]``; or several from there on, ``[batch, t]``."""
        self.waiting.append(row.long().view(len(row), -1))


def go_on(model: Network, codes: Tensor, uniform: Tensor, temperature: float, top_k: int | None) -> Iterator[int]:
    """The tokens after ``codes`` ``[P]``, one for each of ``uniform`` ``[n]``; a full network starts anew with half."""
    total = len(codes) + len(uniform)
    longest, seen = model.longest or total, codes.tolist()
    room = min(longest, total)
    steps = TokenSteps(model, 1, room)
    steps.put(0, codes[None, :longest])
    for u in uniform:
        if len(seen) >= longest:
            seen = seen[len(seen) - longest // 2 :]
            steps = TokenSteps(model, 1, room)
            steps.put(0, torch.tensor([seen], dtype=torch.int64, device=model.device))
        token = pick(steps.logits(), u, temperature, top_k)
        steps.put(len(seen), token)
        seen.append(int(token))
        yield seen[-1]


def pick(logits: Tensor, uniform: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """The tokens whose distribution functions reach ``uniform``: ``[*shape, vocabulary], [*shape] -> [*shape]``.

    >>> pick(torch.zeros(4, 3), torch.tensor([0.1, 0.4, 0.7, 0.9]), 1.0, None)
    tensor([0, 1, 2, 2])
    """
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    reached = (logits.to(uniform.dtype) / temperature).softmax(-1).cumsum(-1)  # in 16 bits rare tokens would be none
    return (reached[..., :-1] <= uniform.unsqueeze(-1) * reached[..., -1:]).sum(-1)


def check_law(temperature: float, top_k: int | None) -> None:
    """Raise `ArgumentError` unless the temperature is positive and ``top_k`` a count."""
    check_real("temperature", temperature, 0)
    if temperature == 0:
        raise ArgumentError("temperature must be above 0, got 0: top_k=1 takes the largest")
    if top_k is not None:
        check_count(top_k=top_k)
