"""Huffman's tree over the tokens of a vocabulary, for hierarchical softmax.

The tree's mean code length sum_w p(w) length(w) is the least of all binary trees, within one bit of the entropy.
Source: Huffman 1952, "A method for the construction of minimum-redundancy codes".
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepgen.errors import ArgumentError

PIECE = 4  # nodes that a kernel takes together


class Ways(NamedTuple):
    """The ways to all leaves, one behind the other, each padded to a multiple of four by the node that stands for none.

    Attributes:
        starts: where the way of each token begins, and the end of all: ``[tokens + 1]``.
        nodes: inner nodes from the root on, 0..tokens - 2; tokens - 1 is none.
        labels: 1 where the way goes left (code 0), 0 where it goes right.
        weights: 1, and 0 for padding.
    """

    starts: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.int32]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def huffman(counts: Sequence[float] | npt.NDArray[np.float64]) -> tuple[list[list[int]], list[list[int]]]:
    """The code (0 left, 1 right) of every token and the inner nodes on the way, from the root on.

    Nodes of equal weight are joined in the order of their making, so equal counts give equal trees.

    Raises:
        ArgumentError: fewer than two tokens.

    >>> codes, nodes = huffman([5, 1, 1, 2])
    >>> codes, nodes[1]
    ([[1], [0, 1, 0], [0, 1, 1], [0, 0]], [2, 1, 0])
    """
    n = len(counts)
    if n < 2:
        raise ArgumentError(f"a tree needs at least two tokens, got {n}: give a corpus with more, or lower min_count")
    heap = [(float(count), i) for i, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, side = [0] * (2 * n - 1), [0] * (2 * n - 1)
    for made in range(n, 2 * n - 1):
        (low, left), (high, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left] = parent[right] = made
        side[right] = 1
        heapq.heappush(heap, (low + high, made))
    codes, nodes = [], []
    for leaf in range(n):
        code, way, at = [], [], leaf
        while at != 2 * n - 2:
            code.append(side[at])
            at = parent[at]
            way.append(at - n)
        codes.append(code[::-1])
        nodes.append(way[::-1])
    return codes, nodes


def ways(counts: Sequence[float] | npt.NDArray[np.float64]) -> Ways:
    """The tree as the kernels take it.

    >>> ways([5, 1, 1]).starts
    array([ 0,  4,  8, 12])
    """
    codes, nodes = huffman(counts)
    none = len(counts) - 1
    lengths = np.array([-(-len(code) // PIECE) * PIECE for code in codes])
    starts = np.concatenate([[0], lengths.cumsum()])
    all_nodes = np.full(starts[-1], none, np.int32)
    labels, weights = np.zeros(starts[-1], np.float32), np.zeros(starts[-1], np.float32)
    for begin, code, way in zip(starts[:-1].tolist(), codes, nodes, strict=True):
        end = begin + len(code)
        all_nodes[begin:end], labels[begin:end], weights[begin:end] = way, 1 - np.array(code), 1
    return Ways(starts.astype(np.int64), all_nodes, labels, weights)
