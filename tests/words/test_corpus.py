"""Vocabularies, corpora and word2vec from what users hold."""

import gzip

import numpy as np
import pytest

import deepgen as dg
from deepgen.errors import ArgumentError, DataError, MissingCapability, UnknownName
from deepgen.words import Corpus, Vocabulary, Word2Vec, word2vec
from deepgen.words.corpus import LONGEST, TOKENS

LINES = ["to be or not to be", "that is the question", "", "to be"]
QUICK = {"dim": 4, "epochs": 1, "progress": False, "threads": 1}


def rows(corpus):
    return [[token for token in row if token >= 0] for batch in corpus.batches(0) for row in batch.tolist()]


def test_counts_and_order():
    words = Vocabulary.of(LINES, min_count=2)
    assert words.tokens == ["to", "be"]
    assert words.counts.tolist() == [3, 3]
    assert words.encode("be that to").tolist() == [1, 0]


def test_files_lists_and_iterators_are_the_same_corpus(tmp_path):
    path, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    path.write_text("\n".join(LINES))
    packed.write_bytes(gzip.compress("\n".join(LINES).encode()))
    sources = [path, str(packed), LINES, iter(LINES), [line.split() for line in LINES], (line for line in LINES)]
    made = [Corpus(source) for source in sources]
    assert all(corpus.vocabulary.tokens == made[0].vocabulary.tokens for corpus in made)
    assert all(rows(corpus) == rows(made[0]) for corpus in made)
    assert rows(made[3]) == rows(made[3])  # again, though the iterator is spent


def test_long_sentences_are_cut_and_batches_are_small(seed):
    sentence = np.random.default_rng(seed).integers(0, 50, 3 * TOKENS + 5).tolist()
    corpus = Corpus([sentence, [1, 2]])
    batches = list(corpus.batches(0))
    assert max(batch.shape[1] for batch in batches) == LONGEST
    assert max(batch.size for batch in batches) <= TOKENS
    back = [corpus.vocabulary.tokens[token] for row in rows(corpus) for token in row]
    assert back == [*sentence, 1, 2]


def test_tokens_may_be_anything_hashable():
    emb = word2vec([[("a", 1), 2, None], [2, ("a", 1), 2.5]], **QUICK)
    assert emb[("a", 1)].shape == (4,)
    assert None in emb
    assert 2.5 in emb


def test_fit_and_transform():
    model = Word2Vec(**QUICK)
    with pytest.raises(MissingCapability, match="fit"):
        model.transform(["to"])
    assert model.fit_transform(LINES).shape == (8, 4)
    assert (model.transform(["be", "to"])[1] == model.embeddings_["to"]).all()
    with pytest.raises(UnknownName, match="did you mean 'question'"):
        model.transform(["questions"])
    assert Word2Vec(**model.get_params()).set_params(dim=5).fit(LINES).embeddings_.dim == 5


def test_what_is_no_corpus_is_told(tmp_path):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"to be\n\xff\xfe\n")
    cut = tmp_path / "cut.txt.gz"
    packed = gzip.compress(b"to be or not\n" * 999)
    cut.write_bytes(packed[:-20])
    flipped = tmp_path / "flipped.txt.gz"
    flipped.write_bytes(packed[:12] + b"\xff" * 20 + packed[32:])  # an error of zlib, not of gzip
    for source, error, says in [
        ([], ArgumentError, "at least two tokens, got 0"), (["the the the"], ArgumentError, "got 1"),
        (5, ArgumentError, "iterable"), ([5, 6], ArgumentError, "sequences of tokens"),
        ("no/such.txt", DataError, "no such file"), (bad, DataError, "line 2"), (cut, DataError, "broken"),
        (flipped, DataError, "broken"),
    ]:  # fmt: skip
        with pytest.raises(error, match=says):
            word2vec(source, **QUICK)
    with pytest.raises(ArgumentError, match="did you mean 'negatives'"):
        word2vec(LINES, negative=3)


def test_names_at_the_top():
    assert dg.Embeddings.__module__ == "deepgen.embeddings"
    assert dg.words.word2vec is word2vec


def test_a_count_of_one_cannot_be_lowered():
    with pytest.raises(ArgumentError, match=r"give a longer corpus$"):
        Vocabulary.of(["one one"])
    with pytest.raises(ArgumentError, match=r"or lower min_count$"):
        Vocabulary.of(["one two"], min_count=2)
