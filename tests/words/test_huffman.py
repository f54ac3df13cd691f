"""The tree is as short as any binary tree, and its codes tell tokens apart."""

import itertools

import numpy as np
import pytest

from deepgen.errors import ArgumentError
from deepgen.words.huffman import huffman, ways


def shortest(counts):
    """The least of sum count * length over all lengths that a binary code can have (Kraft's inequality)."""
    n = len(counts)
    lengths = itertools.product(range(1, n), repeat=n) if n > 2 else [(1, 1)]
    return min(float(np.dot(counts, each)) for each in lengths if sum(2.0**-k for k in each) <= 1)


def test_no_code_is_shorter(seed):
    generator = np.random.default_rng(seed)
    for n in (2, 3, 4, 5, 6):
        counts = generator.integers(0, 30, n)
        codes, _ = huffman(counts)
        assert np.dot(counts, [len(code) for code in codes]) == shortest(counts)


def test_codes_are_the_ways_from_the_root_and_end_at_one_leaf_each(seed):
    counts = np.random.default_rng(seed).integers(1, 1000, 300)
    codes, nodes = huffman(counts)
    assert sum(2.0 ** -len(code) for code in codes) == 1
    taken = {}
    for leaf, (code, way) in enumerate(zip(codes, nodes, strict=True)):
        assert way[0] == 298
        assert all(0 <= node < 299 for node in way)
        for step, node, after in zip(code, way, [*way[1:], ("leaf", leaf)], strict=True):
            assert taken.setdefault((node, step), after) == after
    assert len(taken) == 2 * 299


def test_ways_are_padded_by_a_node_that_is_none():
    made, (codes, nodes) = ways([5, 3, 2, 2, 1, 1]), huffman([5, 3, 2, 2, 1, 1])
    for leaf in range(6):
        part = slice(made.starts[leaf], made.starts[leaf + 1])
        real = made.weights[part] == 1
        assert made.nodes[part][real].tolist() == nodes[leaf]
        assert (1 - made.labels[part][real]).tolist() == codes[leaf]
        assert (made.nodes[part][~real] == 5).all()
        assert len(real) % 4 == 0


def test_one_token_has_no_tree():
    with pytest.raises(ArgumentError, match="at least two tokens, got 1"):
        huffman([4])
