"""The held-out loss of skip-gram: against loops that follow the formula, its error against a bootstrap, bad input."""

import math

import numpy as np
import pytest

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.evaluate import skipgram_loss


def random_embeddings(generator, tokens=9, dim=4):
    x, y = generator.normal(size=(2, tokens, dim))
    return dg.Embeddings(range(tokens), x, context=y, counts=generator.integers(1, 50, tokens))


def by_hand(emb, sentences, window, negatives, power):
    """Sum of losses and of weights for each sentence."""
    x, y = emb.vectors.astype(float), emb.context.astype(float)
    q = emb.counts**power / (emb.counts**power).sum()
    sums = []
    for line in sentences:
        line = [t for t in line if t in emb]
        loss = weight = 0.0
        for i, c in enumerate(line):
            for j, n in enumerate(line):
                if i == j or abs(i - j) > window:
                    continue
                reach = np.mean([abs(i - j) <= r for r in range(1, window + 1)])
                noise = sum(q[r] * math.log1p(math.exp(x[n] @ y[r])) for r in range(len(q)) if r != c)
                loss += reach * (math.log1p(math.exp(-x[n] @ y[c])) + negatives * noise)
                weight += reach
        sums.append((loss, weight))
    return np.array(sums)


@pytest.mark.parametrize(("window", "negatives", "power"), [(1, 1, 1.0), (3, 5, 0.75), (20, 2, 0.0)])
def test_it_is_the_expectation_over_windows_and_noise(window, negatives, power, seed):
    generator = np.random.default_rng(seed)
    emb = random_embeddings(generator)
    lines = [generator.integers(0, 12, n).tolist() for n in (7, 1, 0, 15, 2)]  # 9, 10 and 11 have no vector
    found = skipgram_loss(emb, lines, window=window, negatives=negatives, power=power)
    loss, weight = by_hand(emb, lines, window, negatives, power).sum(0)
    assert found.value == pytest.approx(loss / weight, rel=1e-9)
    assert found.settings["expected pairs"] == pytest.approx(weight)
    assert found.settings["tokens"] + found.settings["unknown tokens"] == 25
    assert found.side == "exact"


def test_its_error_is_that_of_drawing_other_sentences(seed):
    generator = np.random.default_rng(seed)
    emb = random_embeddings(generator)
    lines = [generator.integers(0, 9, n).tolist() for n in generator.integers(2, 12, 400)]
    found = skipgram_loss(emb, lines, window=2)
    loss, weight = by_hand(emb, lines, 2, 5, 0.75).T
    drawn = generator.integers(0, 400, (2000, 400))
    spread = (loss[drawn].sum(1) / weight[drawn].sum(1)).std()
    assert found.stderr_data == pytest.approx(spread, rel=5 / math.sqrt(2 * 2000) + 0.03)


def test_learning_lowers_it_on_sentences_that_were_held_out(seed):
    """Tokens of one half meet only one another: a vector of length 0 foretells nothing, a learned one the half."""
    generator = np.random.default_rng(seed)
    half = generator.integers(0, 2, (600, 1))
    lines = (generator.integers(0, 10, (600, 12)) + 10 * half).tolist()
    emb = dg.words.word2vec(lines[:400], 8, window=2, sample=0, epochs=20, seed=seed % 1000, threads=1, progress=False)
    zero = dg.Embeddings(emb.tokens, 0 * emb.vectors, context=emb.context, counts=emb.counts)
    before, after = (skipgram_loss(one, lines[400:], window=2) for one in (zero, emb))
    assert before.value == pytest.approx(math.log(2) * (1 + 5 * 0.95), abs=0.02)  # a centre takes 1/20 of the noise
    assert after.value < before.value - 0.3


def test_what_it_refuses():
    emb = dg.Embeddings("ab", [[0.0], [0.0]], context=[[0.0], [0.0]], counts=[1, 1])
    with pytest.raises(MissingCapability, match="context"):
        skipgram_loss(dg.Embeddings("ab", [[0.0], [0.0]], counts=[1, 1]), ["a b"])
    with pytest.raises(MissingCapability, match="counts"):
        skipgram_loss(dg.Embeddings("ab", [[0.0], [0.0]], context=[[0.0], [0.0]]), ["a b"])
    with pytest.raises(ArgumentError, match="1 known and 2 unknown"):
        skipgram_loss(emb, ["a x y"])
    with pytest.raises(ArgumentError, match="window"):
        skipgram_loss(emb, ["a b"], window=0)
    with pytest.raises(ArgumentError, match="all 0"):
        skipgram_loss(dg.Embeddings("ab", [[0.0], [0.0]], context=[[0.0], [0.0]], counts=[0, 0]), ["a b"])
