"""Steps of the kernels are minus the gradients of the losses they name: tiny steps in float64 against autograd.

Noise is one token, so that what a kernel draws is known but for the reach of each centre, which is drawn again here.
"""

import numpy as np
import pytest
import torch

from deepgen.words import draws, huffman, negative_kernels, softmax_kernels
from deepgen.words.learner import Learner, table
from deepgen.words.skipgram_tensors import TensorLearner

RATE = float(np.float32(1e-8))
TOKENS, DIM, NEGATIVES = 7, 20, 3
SENTENCES = np.array([[0, 1, 2, 3, 1, 4, -1], [5, 5, 0, 3, -1, -1, -1]], np.int32)
NOISE = 3  # is a centre, too, and then does not count
MASK = 2**64 - 1


def mixed(state):
    z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def pairs(key, window, draws_after):
    """(centre, its neighbours) as the kernels draw them, ``draws_after(k)`` numbers after each reach."""
    step = 0x9E3779B97F4A7C15
    for number, row in enumerate(SENTENCES.tolist()):
        tokens = [token for token in row if token >= 0]
        state = mixed(key + mixed((number * step + step) & MASK) & MASK)
        for c, centre in enumerate(tokens):
            state = state + step & MASK
            reach = 1 + ((mixed(state) >> 32) * window >> 32)
            near = [tokens[j] for j in range(max(0, c - reach), min(len(tokens), c + reach + 1)) if j != c]
            state = state + step * draws_after(len(near)) & MASK
            yield centre, near


@pytest.fixture
def tables(seed):
    generator = np.random.default_rng(seed)
    x, y = table(TOKENS, DIM, np.float64), table(TOKENS, DIM, np.float64)
    x[:, :DIM], y[:, :DIM] = generator.normal(size=(2, TOKENS, DIM)) / 2
    return x, y


def compare(tables, loss, learn):
    x, y = (torch.tensor(each, requires_grad=True) for each in tables)
    loss(x, y).backward()
    before = [each.copy() for each in tables]
    learn(*tables)
    for now, then, exact in zip(tables, before, (x.grad, y.grad), strict=True):
        assert exact.abs().max() > 0.1
        np.testing.assert_allclose(
            (then - now) / RATE, exact.numpy(), rtol=2e-5, atol=2e-5
        )  # s is good to 2e-7, in a hundred terms


def noise_tables():
    return draws.alias_tables(np.eye(TOKENS)[NOISE])


def head(key):
    return SENTENCES, 0, 0, np.uint64(key), np.ones(TOKENS)


SCHEDULE = (RATE, RATE, 1.0)


def negative_loss(h, y, centre):
    far = 0 if centre == NOISE else NEGATIVES * torch.nn.functional.logsigmoid(-h @ y[NOISE])
    return -torch.nn.functional.logsigmoid(h @ y[centre]) - far


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("shared", [1, 2, 3, 8])
def test_skipgram_with_negatives(tables, seed, window, shared):
    def loss(x, y):
        drawn = pairs(seed, window, lambda k: -(-k // shared) * NEGATIVES)
        return sum(negative_loss(x[n], y, centre) for centre, near in drawn for n in near)

    args = (*head(seed), noise_tables(), window, shared, SCHEDULE)
    compare(tables, loss, lambda x, y: negative_kernels.skipgram(*args, x, y, (0,) * (NEGATIVES + 1)))


def test_bag_with_negatives(tables, seed):
    def loss(x, y):
        drawn = pairs(seed, 3, lambda k: NEGATIVES if k else 0)
        return sum(negative_loss(x[near].mean(0), y, centre) for centre, near in drawn if near)

    args = (*head(seed), noise_tables(), 3, 1, SCHEDULE)
    compare(tables, loss, lambda x, y: negative_kernels.bag(*args, x, y, (0,) * (NEGATIVES + 1)))


COUNTS = np.array([9, 7, 5, 3, 2, 1, 1])


def log_leaf(h, y, leaf):
    codes, nodes = huffman.huffman(COUNTS)
    signs = 1 - 2 * torch.tensor(codes[leaf], dtype=torch.float64)
    return torch.nn.functional.logsigmoid(signs * (y[nodes[leaf]] @ h)).sum()


def test_skipgram_with_the_tree(tables, seed):
    def loss(x, y):
        return -sum(log_leaf(x[n], y, centre) for centre, near in pairs(seed, 3, lambda k: 0) for n in near)

    args = (*head(seed), tuple(huffman.ways(COUNTS)), 3, SCHEDULE)
    compare(tables, loss, lambda x, y: softmax_kernels.skipgram(*args, x, y))


def test_bag_with_the_tree(tables, seed):
    def loss(x, y):
        return -sum(log_leaf(x[near].mean(0), y, centre) for centre, near in pairs(seed, 3, lambda k: 0) if near)

    args = (*head(seed), tuple(huffman.ways(COUNTS)), 3, SCHEDULE)
    compare(tables, loss, lambda x, y: softmax_kernels.bag(*args, x, y))


def test_the_tree_is_a_law_over_tokens(tables):
    x, y = map(torch.tensor, tables)
    total = torch.stack([log_leaf(x[0], y, leaf) for leaf in range(TOKENS)]).exp().sum()
    assert abs(total.item() - 1) < 1e-12


def test_tensors(seed, tables):
    learner = Learner(COUNTS.astype(float), DIM, 3, NEGATIVES, False, False, 1, 0.0, 0.75, seed, SCHEDULE)
    on = TensorLearner(learner, "cpu")
    on.x, on.y = (torch.tensor(each[:, :DIM]) for each in tables)
    tokens, near, noise = on.drawn(torch.from_numpy(SENTENCES).long())

    def loss(x, y):
        value = torch.zeros((), dtype=torch.float64)
        share, log_s = NEGATIVES / noise.shape[1], torch.nn.functional.logsigmoid
        for row, n, c in near.nonzero().tolist():
            token, centre = tokens[row, n], tokens[row, c]
            value = value - log_s(x[token] @ y[centre])
            value = value - share * (log_s(-y[noise[row]] @ x[token]) * (noise[row] != centre)).sum()
        return value

    x, y = on.x.clone().requires_grad_(), on.y.clone().requires_grad_()
    loss(x, y).backward()
    before = on.x.clone(), on.y.clone()
    on.update(tokens, near, noise, 1e-6)
    torch.testing.assert_close((before[0] - on.x) / 1e-6, x.grad, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((before[1] - on.y) / 1e-6, y.grad, rtol=1e-6, atol=1e-6)
