"""Tokens, how often each came, and the numbers that kernels know them by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import unknown_token
from deepgen.errors import ArgumentError, check_count


class Vocabulary:
    """Distinct tokens, the most frequent first, and those of equal count in the order they came.

    Args:
        counts: tokens and how often they came, as a ``collections.Counter`` has them.
        min_count: tokens that came less often are left out.

    Attributes:
        tokens: their names.
        counts: ``[tokens]``, int64.

    Raises:
        ArgumentError: fewer than two tokens are left, which have nothing to tell about one another.

    >>> words = Vocabulary.of([["the", "cat", "the", "dog"], ["the", "cat"]])
    >>> words.tokens, words.counts.tolist(), words.encode(["cat", "cow", "the"]).tolist()
    (['the', 'cat', 'dog'], [3, 2, 1], [1, 0])
    """

    def __init__(self, counts: Counter[Hashable] | dict[Hashable, int], *, min_count: int = 1) -> None:
        check_count(min_count=min_count)
        ordered = sorted(((token, n) for token, n in counts.items() if n >= min_count), key=lambda pair: -pair[1])
        if len(ordered) < 2:
            raise ArgumentError(
                f"a vocabulary needs at least two tokens, got {len(ordered)} of {len(counts)} that came {min_count} "
                f"times or more: give a longer corpus{' or lower min_count' if min_count > 1 else ''}"
            )
        self.tokens = [token for token, _ in ordered]
        self.counts = np.array([n for _, n in ordered], np.int64)
        self._rows = {token: row for row, token in enumerate(self.tokens)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[Hashable] | str], *, min_count: int = 1) -> Vocabulary:
        """Count the tokens of sequences; a string is split at white space."""
        counted: Counter[Hashable] = Counter()
        for sentence in sentences:
            counted.update(tokens_of(sentence))
        return cls(counted, min_count=min_count)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, Hashable) and token in self._rows

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens that came {self.counts.sum()} times)"

    def index(self, token: Hashable) -> int:
        """The number of a token.

        Raises:
            UnknownName: there is no such token; the message names the nearest.
        """
        if token not in self._rows:
            raise unknown_token(token, self._rows)
        return self._rows[token]

    def encode(self, sentence: Sequence[Hashable] | str) -> npt.NDArray[np.int32]:
        """The numbers of the known tokens of a sequence; the others are passed over, so that their neighbours meet."""
        known = self._rows
        return np.array([known[token] for token in tokens_of(sentence) if token in known], np.int32)


def tokens_of(sentence: Iterable[Hashable] | str) -> Iterable[Hashable]:
    """A sequence of tokens; a string is a line of words.

    Raises:
        ArgumentError: no sequence.

    >>> tokens_of("to be"), tokens_of((3, "x"))
    (['to', 'be'], (3, 'x'))
    """
    if isinstance(sentence, str):
        return sentence.split()
    if not isinstance(sentence, Iterable) or isinstance(sentence, bytes):
        raise ArgumentError(f"a corpus is made of sequences of tokens, or lines of text, got {sentence!r} in it")
    return sentence


def noise_weights(counts: npt.NDArray[np.float64], power: float) -> npt.NDArray[np.float64]:
    """What noise tokens come in proportion to: count^power, and 0 for those that never came whatever the power.

    >>> noise_weights(np.array([16.0, 0.0]), 0.75).tolist(), noise_weights(np.array([16.0, 0.0]), 0).tolist()
    ([8.0, 0.0], [1.0, 0.0])
    """
    found: npt.NDArray[np.float64] = np.where(counts > 0, counts, 0.0) ** power * (counts > 0)
    return found
