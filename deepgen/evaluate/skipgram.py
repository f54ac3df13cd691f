"""The loss of skip-gram with negative sampling on sentences that were held out, in nats a pair.

    loss = sum_cn w_cn [ - log s(x_n . y_c) - k sum_{r not c} q(r) log s(- x_n . y_r) ] / sum_cn w_cn

over the centres c and their neighbours n of all sentences, x: vectors, y: context vectors, s(z) = 1 / (1 + e^-z). It is
the expectation of what `deepgen.words.negative_kernels` lowers, taken exactly: a neighbour at distance d is in reach
with probability w = 1 - (d - 1) / window, and the k noise tokens come by q ~ count^power and do not count where they
are the centre. Nothing is drawn. Sentences are taken whole, without subsampling.

The loss is no log-likelihood of the text; it compares vectors of one vocabulary, k, window and q. Vectors of length 0,
which is where training starts, have (1 + k) log 2, less what the centre takes of k.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.evaluate.estimate import Estimate

if TYPE_CHECKING:
    from deepgen.embeddings import Embeddings

ROWS, SENTENCES = 256, 1024  # tokens, and sentences, at a time

Numbers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def skipgram_loss(
    embeddings: Embeddings,
    sentences: Iterable[Sequence[Hashable] | str],
    *,
    window: int = 5,
    negatives: int = 5,
    power: float = 0.75,
) -> Estimate:
    """How well vectors foretell the neighbours in held-out sentences.

    Args:
        embeddings: with ``context`` and ``counts``, as negative sampling leaves them.
        sentences: sequences of tokens, or strings that are split at white space. Unknown tokens are passed over, so
            that their neighbours meet, as in training.
        window, negatives, power: as in training (see `deepgen.words.train_embeddings`).

    Returns:
        An Estimate in nats a pair, exact for these sentences; ``stderr_data`` is by the choice of the sentences, and
        ``settings`` says how many pairs, tokens and unknown tokens there were.

    Raises:
        MissingCapability: no context vectors or counts.
        ArgumentError: not two known tokens near one another; an argument outside its range.

    >>> import deepgen as dg
    >>> emb = dg.Embeddings(["to", "be"], [[0.0], [0.0]], context=[[0.0], [0.0]], counts=[1, 1])
    >>> print(skipgram_loss(emb, ["to be"], negatives=2))  # log 2 of what is seen, and of one noise token of two
    1.39 nats/pair (exact; negative sampling, window 5, 2 negatives)
    """
    check_count(window=window, negatives=negatives)
    check_real("power", power, 0)
    for name in ("context", "counts"):
        if getattr(embeddings, name) is None:
            raise MissingCapability(f"the loss needs {name}, which these embeddings do not have: negative sampling "
                                    "leaves them, and npz and safetensors keep them")  # fmt: skip
    pairs, found = _Pairs(embeddings, negatives, power), [np.zeros((2, 0))]
    known = unknown = 0
    for some in _few(sentences):
        numbers = [[embeddings.index(token) for token in line if token in embeddings] for line in some]
        known += sum(map(len, numbers))
        unknown += sum(map(len, some)) - sum(map(len, numbers))
        found.append(pairs.sums(numbers, window))
    losses, weights = np.concatenate(found, 1)
    losses, weights = losses[weights > 0], weights[weights > 0]
    if not len(weights):
        raise ArgumentError(f"need a sentence with two known tokens, got {known} known and {unknown} unknown tokens")
    value, count = float(losses.sum() / weights.sum()), len(weights)
    apart = losses - value * weights  # of a ratio of sums, to first order
    error = math.sqrt(count / (count - 1) * float((apart**2).sum())) / weights.sum() if count > 1 else math.nan
    about = {"window": window, "negatives": negatives, "power": power, "sentences": count, "tokens": known,
             "unknown tokens": unknown, "expected pairs": float(weights.sum())}  # fmt: skip
    return Estimate(value, 0.0, "exact", f"negative sampling, window {window}, {negatives} negatives",
                    unit="nats/pair", stderr_data=float(error), settings=about)  # fmt: skip


class _Pairs:
    """What a pair costs; the noise of an input is summed over the vocabulary once, when the input is first met."""

    def __init__(self, embeddings: Embeddings, negatives: int, power: float) -> None:
        from deepgen.words.vocabulary import noise_weights  # with a trainer that judging needs for nothing else

        assert embeddings.context is not None
        self.x, self.y = embeddings.vectors, embeddings.context.astype(np.float64)
        mass = noise_weights(np.asarray(embeddings.counts, np.float64), power)
        if not mass.sum() > 0:
            raise ArgumentError("the counts of the embeddings are all 0, and noise goes by them")
        self.q, self.k = mass / mass.sum(), negatives
        self.noise = np.full(len(self.x), np.nan)

    def sums(self, sentences: list[list[int]], window: int) -> Reals:
        """The weighted sum of the pairs' losses of each sentence, and the sum of their weights ``[2, sentences]``."""
        length = np.array([len(line) for line in sentences], np.int64)
        flat = np.array([token for line in sentences for token in line], np.int64)
        owner = np.repeat(np.arange(len(sentences)), length)
        self._prepare(flat)
        sums = np.zeros((2, len(sentences)))
        for distance in range(1, min(window, len(flat) - 1) + 1):
            first = np.flatnonzero(owner[distance:] == owner[:-distance])
            weight = 1 - (distance - 1) / window
            for c, n in ((first, first + distance), (first + distance, first)):
                sums[0] += weight * np.bincount(owner[c], self._loss(flat[c], flat[n]), len(sentences))
                sums[1] += weight * np.bincount(owner[c], minlength=len(sentences))
        return sums

    def _loss(self, centres: Numbers, neighbours: Numbers) -> Reals:
        score = np.einsum("nd,nd->n", self.x[neighbours], self.y[centres], dtype=np.float64)
        found: Reals = np.logaddexp(0, -score) + self.k * (
            self.noise[neighbours] - self.q[centres] * np.logaddexp(0, score)
        )
        return found

    def _prepare(self, tokens: Numbers) -> None:
        fresh = np.unique(tokens[np.isnan(self.noise[tokens])])
        for i in range(0, len(fresh), ROWS):
            rows = fresh[i : i + ROWS]
            self.noise[rows] = np.logaddexp(0, self.x[rows].astype(np.float64) @ self.y.T) @ self.q


def _few(sentences: Iterable[Sequence[Hashable] | str]) -> Iterator[list[list[Hashable]]]:
    """Lists of tokens, some sentences at a time."""
    from deepgen.words.vocabulary import tokens_of

    some: list[list[Hashable]] = []
    for sentence in sentences:
        some.append(list(tokens_of(sentence)))
        if len(some) == SENTENCES:
            yield some
            some = []
    if some:
        yield some
