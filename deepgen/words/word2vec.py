"""word2vec: vectors of words, or of any items that come in sequences, from who stands beside whom.

    skip-gram with negative sampling:      loss = - log s(x_n . y_c) - sum_r log s(- x_n . y_r)

for a centre c, a neighbour n of it and noise tokens r. At the optimum of vectors that are long enough

    x_n . y_c = log [p(n, c) / (p(n) q(c))] - log k,      k = negatives, q the law of the noise

the pointwise mutual information less log k; as a noise token that is the centre does not count, p(n) stands for
p(n) - p(n, c) there. Sources: Mikolov, Sutskever, Chen, Corrado & Dean 2013; Levy & Goldberg
2014, "Neural word embedding as implicit matrix factorization". Items in baskets: Barkan & Koenigstein 2016, "Item2vec".
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import Embeddings
from deepgen.errors import ArgumentError, MissingCapability, did_you_mean
from deepgen.words.corpus import Corpus, Sentences
from deepgen.words.train import train_embeddings


def word2vec(
    corpus: str | os.PathLike[str] | Sentences | Corpus,
    dim: int = 128,
    *,
    window: int = 5,
    min_count: int = 1,
    epochs: int = 5,
    **options: Any,
) -> Embeddings:
    """Learn a vector for each word of a text, or each item of sequences.

    Args:
        corpus: a text file with a sentence a line, sequences of tokens (anything hashable), or a `Corpus`.
        dim: length of the vectors.
        window: how far neighbours are away, at most.
        min_count: tokens that came less often are left out (of a `Corpus`, its own counts).
        epochs: passes over the corpus.
        options: those of `deepgen.words.train_embeddings`: negatives, cbow, hierarchical, sample, seed, threads,
            deterministic, ...

    Raises:
        ArgumentError, DataError, DivergenceError: see `Corpus` and `train_embeddings`.
        LearningStopped: Ctrl-C; its ``embeddings`` are those until then.

    >>> baskets = [["tea", "milk", "sugar"], ["nail", "hammer", "saw"]] * 50
    >>> emb = word2vec(baskets, 16, epochs=40, sample=0, deterministic=True, progress=False)
    >>> sorted(name for name, _ in emb.most_similar("tea", 2))
    ['milk', 'sugar']
    """
    _known(options)
    if not isinstance(corpus, Corpus):
        corpus = Corpus(corpus, min_count=min_count)
    vocabulary = corpus.vocabulary
    return train_embeddings(
        corpus.batches, vocabulary.counts, tokens=vocabulary.tokens, dim=dim, window=window, epochs=epochs, **options
    )


class Word2Vec:
    """`word2vec` in scikit-learn's manner: settings first, then ``fit`` and ``transform``.

    Args:
        dim, window, min_count, epochs, options: those of `word2vec`.

    Attributes:
        embeddings_: the `Embeddings`, after ``fit``.

    >>> model = Word2Vec(dim=8, epochs=1, progress=False).fit(["to be or not to be"])
    >>> model.transform(["to", "be"]).shape
    (2, 8)
    """

    def __init__(self, dim: int = 128, *, window: int = 5, min_count: int = 1, epochs: int = 5, **options: Any) -> None:
        _known(options)
        self._settings = {"dim": dim, "window": window, "min_count": min_count, "epochs": epochs, **options}

    def __repr__(self) -> str:
        return f"Word2Vec({', '.join(f'{name}={value!r}' for name, value in self._settings.items())})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings."""
        return dict(self._settings)

    def set_params(self, **settings: Any) -> Word2Vec:
        """Change settings."""
        _known({name: value for name, value in settings.items() if name not in self._settings})
        self._settings.update(settings)
        return self

    def fit(self, corpus: str | os.PathLike[str] | Sentences | Corpus, y: None = None) -> Word2Vec:
        """Learn from a corpus."""
        self.embeddings_ = word2vec(corpus, **self._settings)
        return self

    def transform(self, tokens: Iterable[Hashable]) -> npt.NDArray[np.float32]:
        """The vectors of tokens ``[n, dim]``.

        Raises:
            MissingCapability: before ``fit``.
            UnknownName: a token that was not in the corpus.
        """
        if not hasattr(self, "embeddings_"):
            raise MissingCapability("Word2Vec has no vectors yet: call fit(corpus) first")
        return self.embeddings_[list(tokens)]

    def fit_transform(self, corpus: Sentences, y: None = None) -> npt.NDArray[np.float32]:
        """Learn from a corpus, and the vectors of its tokens, the most frequent first."""
        return self.fit(corpus).embeddings_.vectors


def _known(options: dict[str, Any]) -> None:
    names = [*inspect.signature(train_embeddings).parameters]
    for name in options:
        if name in ("batches", "counts", "tokens", "tokens_per_epoch") or name not in names:
            raise ArgumentError(f"word2vec has no option {name!r}: {did_you_mean(name, names)}see train_embeddings")
