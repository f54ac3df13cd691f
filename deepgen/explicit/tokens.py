"""What models of token sequences share: the law of a sequence, drawing it token by token, prompts and streams.

    log p(x_1, ..., x_T) = sum_t log p(x_t | x_1, ..., x_{t-1}),        x_t in 0 .. vocabulary - 1

The first token's law is learned too: what stands before it is a code of its own, number ``vocabulary``. The length T is
given and not drawn, so the probabilities of all sequences of one length sum to 1.

A draw is the inverse distribution function at a uniform number. The uniforms come first, so every method of sampling
gives the same sequences for the same generator:

- ``incremental``: one token after the other through the model's carried state, so that each is looked at once;
- ``jacobi``: whole passes x <- draw(conditionals(x), u) until nothing changes (`deepgen.transforms.fixed_point`);
- ``sequential``: a whole pass for every token, the textbook way, for comparison;
- ``auto``: incremental.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ArgumentError, ShapeError, check_count, unknown_name
from deepgen.explicit.completion import complete, walk
from deepgen.explicit.rows import mask_of
from deepgen.explicit.token_steps import TokenSteps, check_law, go_on, pick
from deepgen.explicit.units import check_levels, require_tensor
from deepgen.random import resolve
from deepgen.transforms.base import METHODS
from deepgen.transforms.fixed_point import fixed_point


class TokenModel(nn.Module, ABC):
    """Base of `CharRNN` and `Transformer`, which add their `features`, `logits` and `start`.

    Args:
        vocabulary: number of tokens.
        length: of a sample unless said otherwise.
        dropout: a rate, already checked.
        longest: how many tokens the network takes; None where any number goes.
    """

    context = 0  # width of a context row: it takes none

    def __init__(self, vocabulary: int, length: int, dropout: float, longest: int | None = None) -> None:
        super().__init__()
        check_count(2, vocabulary=vocabulary)
        check_count(length=length)
        self.vocabulary, self.length, self.longest, self.dropout = int(vocabulary), int(length), longest, dropout
        self.event_shape = torch.Size([self.length])
        self.bias = nn.Parameter(torch.zeros(self.vocabulary))
        self._arguments: dict[str, Any] = {}

    @abstractmethod
    def features(
        self, codes: Tensor, state: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """The network up to its readout: ``[batch, t] -> [batch, t, width]``, and the state that the next call takes.

        Args:
            codes: tokens, or ``vocabulary`` for what stands before the first.
            state: of `start` or of the call before; None for whole sequences.
            generator: for dropout; None leaves it out.
        """

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """The readout: ``[..., width] -> [..., vocabulary]``, with ``bias`` added at the end."""

    @abstractmethod
    def start(self, batch: int, capacity: int) -> Any:
        """The state before the first of up to ``capacity`` codes."""

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return self._arguments

    @property
    def device(self) -> torch.device:
        return self.bias.device

    @property
    def support(self) -> Any:
        """Where the mass lives: sequences of integers from 0 to vocabulary - 1."""
        return constraints.independent(constraints.integer_interval(0, self.vocabulary - 1), 1)

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are sequences ``[rows, T]`` of tokens, as integers or whole floats."""
        self._check_shape(x, "data")
        self._check_tokens(x)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> TokenModel:
        """Set the readout's biases to the rates of the tokens in ``x`` ``[rows, T]``, smoothed by one token."""
        self.check(x)
        counts = torch.bincount(x.flatten().long(), minlength=self.vocabulary) + 1 / self.vocabulary
        self.bias.copy_((counts / counts.mean()).log())
        return self

    def conditionals(self, x: Tensor) -> Tensor:
        """Logits of every token given those before it: ``[batch, T] -> [batch, T, vocabulary]``."""
        return self._conditionals(self._codes(x))

    def token_log_prob(self, x: Tensor) -> Tensor:
        """log p(x_t | x_<t) in nats for every place: ``[batch, T] -> [batch, T]``."""
        return self._token_log_prob(self._codes(x))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, of the whole network without dropout: ``[batch, T] -> [batch]``."""
        return self.token_log_prob(x).sum(1)

    def dropout_log_prob(self, x: Tensor, *, generator: torch.Generator | int | None = None) -> Tensor:
        """log p(x) under a network thinned by dropout, drawn anew: ``[batch, T] -> [batch]``, in nats; for training.

        It is the log-likelihood of no one model; what the trained network gives is ``log_prob``.
        """
        return self._token_log_prob(self._codes(x), resolve(generator, self.device)).sum(1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        length: int | None = None,
        prompt: Tensor | Sequence[int] | None = None,
        *,
        method: str = "auto",
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` independent exact draws, or continuations of ``prompt``: ``[n, prompt + length]``, integers.

        Args:
            n: number of sequences.
            length: tokens to draw, the prompt not counted; what the prompt leaves of the model's length if None.
            prompt: tokens ``[P]``, or ``[n, P]`` for each sequence its own, that the sequences begin with.
            method: ``auto``, ``incremental``, ``jacobi`` or ``sequential``, see the module.
            temperature, top_k: draw from softmax(logits / temperature) of the ``top_k`` largest logits. With anything
                but 1 and None the draws do not follow ``log_prob``: they are not from this model, only made with it.
            generator: a generator, a seed, or None for fresh entropy.

        Raises:
            ArgumentError: more tokens than the network takes; `stream` goes on from the latest of them.
            ShapeError, SupportError: the prompt is not one.
        """
        check_count(n=n)
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        check_law(temperature, top_k)
        codes = self._prompt(prompt, n)
        known = codes.shape[1]
        length = self.length - known if length is None else length
        check_count(length=length)
        if self.longest is not None and known + length > self.longest:
            raise ArgumentError(
                f"this network takes at most {self.longest} tokens, got a prompt of {known} and {length} to draw: "
                "draw fewer, or take stream, which forgets the oldest"
            )
        uniform = self._uniform(n, length, generator)
        if method in ("auto", "incremental"):
            steps, drawn = TokenSteps(self, n, known + length), []
            steps.put(0, codes)
            for t in range(length):
                drawn.append(pick(steps.logits(), uniform[:, t], temperature, top_k))
                steps.put(known + t, drawn[-1])
            return torch.cat([codes, torch.stack(drawn, 1)], 1)

        def again(x: Tensor) -> Tensor:
            return torch.cat([codes, pick(self._conditionals(x)[:, known:], uniform, temperature, top_k)], 1)

        x = torch.cat([codes, codes.new_zeros(n, length)], 1)
        return fixed_point(again, x, length, 0.0 if method == "jacobi" else None)[0]

    def stream(
        self,
        prompt: Tensor | Sequence[int] | None = None,
        length: int | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Iterator[int]:
        """Tokens that go on from ``prompt``, each as soon as it is drawn; the same as ``sample(1, length, prompt)``.

        Where that is more than the network takes, it starts again with the latest half of what it takes: a token is
        then drawn given between half and all of that. Such a stream is no draw of the model, which knows no longer
        sequences, but the usual way to go on.

        Args:
            prompt: tokens ``[P]``.
            length: number of tokens, the model's own if None.
            temperature, top_k: as in `sample`.
            generator: a generator, a seed, or None for fresh entropy.
        """
        check_law(temperature, top_k)
        codes = self._prompt(prompt, 1)
        length = self.length if length is None else length
        check_count(length=length)
        return go_on(self, codes[0], self._uniform(1, length, generator)[0], temperature, top_k)

    @torch.no_grad()
    def conditional_sample(
        self,
        known: Tensor,
        mask: Tensor,
        *,
        particles: int | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Complete sequences: tokens of ``known`` under ``mask`` stay, the others are drawn given them: ``[rows, T]``.

        Exact where the known tokens come first; any other mask needs ``particles``, see `deepgen.explicit.completion`.

        Args:
            known: ``[rows, T]``; tokens not under ``mask`` are ignored.
            mask: boolean ``[T]`` or ``[rows, T]``, True where the token is known.
            particles: sequences drawn for each row, of which one is taken, where known tokens come after unknown ones.
            generator: a generator, a seed, or None for fresh entropy.

        Raises:
            ShapeError, SupportError: ``known`` or ``mask`` has another shape, or a known token is none.
            ArgumentError: ``particles`` are needed and not given.

        Warns:
            DegenerateWeights: in half of the rows fewer than 2 particles count.
        """
        self._check_shape(known, "known")
        if particles is not None:
            check_count(particles=particles)
        mask = mask_of(mask, known).to(self.device)
        rows = torch.where(mask, known.to(self.device, self._exact), 0)
        self._check_tokens(rows)

        def walks(order: Sequence[int], _: Any, uniform: Tensor, *clamped: Any) -> tuple[Tensor, Tensor]:
            return walk(order, TokenSteps(self, uniform.shape[1], len(order)), uniform, *clamped)

        order, stream = range(known.shape[1]), resolve(generator, self.device)
        return complete(walks, rows, mask, None, [order], particles, stream).long()

    def _conditionals(self, codes: Tensor, generator: torch.Generator | None = None) -> Tensor:
        before = torch.cat([codes.new_full((len(codes), 1), self.vocabulary), codes[:, :-1]], 1)
        return self.logits(self.features(before, None, generator)[0])

    def _token_log_prob(self, codes: Tensor, generator: torch.Generator | None = None) -> Tensor:
        logits = self._conditionals(codes, generator).flatten(0, 1)
        return -F.cross_entropy(logits, codes.flatten(), reduction="none").view(codes.shape)

    def _uniform(self, n: int, length: int, generator: torch.Generator | int | None) -> Tensor:
        return self.bias.new_empty(n, length, dtype=self._exact).uniform_(generator=resolve(generator, self.device))

    @property
    def _exact(self) -> torch.dtype:
        """The type of tokens and of the numbers they are drawn by: 16 bits hold few whole numbers and chances."""
        return torch.promote_types(self.bias.dtype, torch.float32)

    def _prompt(self, prompt: Tensor | Sequence[int] | None, n: int) -> Tensor:
        """The prompt of each of ``n`` sequences: ``[n, P]``."""
        if prompt is None:
            return torch.empty(n, 0, dtype=torch.int64, device=self.device)
        codes = torch.as_tensor(prompt, device=self.device)
        if codes.ndim not in (1, 2) or (codes.ndim == 2 and len(codes) != n):
            raise ShapeError(f"a prompt must be tokens [P] or [{n}, P], got {list(codes.shape)}")
        self._check_tokens(codes)
        return codes.long().expand(n, codes.shape[-1])

    def _codes(self, x: Tensor) -> Tensor:
        """Sequences as integers. Their values are looked at only where that does not make the host wait."""
        self._check_shape(x, "x")
        if x.device.type == "cpu":
            self._check_tokens(x)
        return x.long()

    def _check_shape(self, x: Any, name: str) -> None:
        require_tensor(x, name)
        longest = x.shape[-1] if self.longest is None else self.longest
        if x.ndim != 2 or 0 in x.shape or x.shape[1] > longest:
            limit = "" if self.longest is None else f" of at most {longest} tokens"
            raise ShapeError(f"{name} must be [rows, T], at least one row and one token{limit}, got {list(x.shape)}")

    def _check_tokens(self, x: Tensor) -> None:
        check_levels(x, self.vocabulary)
