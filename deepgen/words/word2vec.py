"""word2vec: vectors of words, or of any items that come in sequences, from who stands beside whom.

    skip-gram with negative sampling:      loss = - log s(x_n . y_c) - sum_r log s(- x_n . y_r)

for a centre c, a neighbour n of it and noise tokens r. At the optimum of vectors that are long enough

    x_n . y_c = log [p(n, c) / (p(n) q(c))] - log k,      k = negatives, q the law of the noise

the pointwise mutual information less log k; as a noise token that is the centre does not count, p(n) stands for
p(n) - p(n, c) there. Sources: Mikolov, Sutskever, Chen, Corrado & Dean 2013; Levy & Goldberg
2014, "Neural word embedding as implicit matrix factorization". Items in baskets: Barkan & Koenigstein 2016, "Item2vec".
"""

from __future__ import annotations

import os
from typing import Any

from deepgen.embeddings import Embeddings
from deepgen.words.corpus import Corpus, Sentences
from deepgen.words.estimator import Estimator, check_options
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
    check_options(word2vec, options)
    if not isinstance(corpus, Corpus):
        corpus = Corpus(corpus, min_count=min_count)
    vocabulary = corpus.vocabulary
    return train_embeddings(
        corpus.batches, vocabulary.counts, tokens=vocabulary.tokens, dim=dim, window=window, epochs=epochs, **options
    )


class Word2Vec(Estimator):
    """`word2vec` in scikit-learn's manner: settings first, then ``fit`` and ``transform``.

    >>> model = Word2Vec(dim=8, epochs=1, progress=False).fit(["to be or not to be"])
    >>> model.transform(["to", "be"]).shape
    (2, 8)
    """

    learn = staticmethod(word2vec)
