"""Second-order biased walks, exact for any p and q.

After the step from t to v a walk goes on to x in out(v) with probability proportional to

    w(v, x) * b,      b = 1/p if x is t,      1 if x is not t and t -> x is an edge,      1/q otherwise.

Its first step goes by the weights alone, and it ends where no edge leads on. b is the paper's alpha of d_tx, the
distance from t to x, so that in a directed graph the edge which counts runs from t to x. (The authors' Python program
asks for x -> t, which is the same in undirected graphs only.) A self-loop of v makes x = v a
neighbour like any other, with d_tx = 1.

Neither tables for pairs of edges nor passes through rows are needed. With m = max(1, 1/q), the height h(x) = b / m and
the excess e = w(v, t) max(0, 1/p - m) of the way back, where there is one,

    with probability e / (e + m W(v)) go back to t; else draw x by weight, and keep it if u < h(x); else start again.

This is the law exactly: a proposal of t is kept with probability min(1, 1/(p m)), and e makes up for the rest. Most
often u < min(1, 1/q) / m says that x is kept whatever it is; else a binary search tells whether t -> x is an edge. The
number of tries does not grow as p falls. Where it exceeds 32 and an eighth of the row, the row is summed instead:
memory is that of the edges, and time at most that of some passes through a row.

Numbers are those of Philox4x32-10: try b of a walk takes block b, counter (b, walk, node, epoch), key ``seed``. So a
walk depends on these alone, whatever threads, batches and devices it is drawn on.

Sources: Grover & Leskovec 2016, "node2vec: scalable feature learning for networks", section 3.2; Yang, Zhang, Chen, Ma
& Jiang 2019, "KnightKing: a fast distributed graph random walk engine", for rejection, its lower bound and the folded
way back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepgen.errors import ArgumentError, check_count, check_real
from deepgen.graphs.alias import tables
from deepgen.graphs.graph import Graph, graph

Array = NDArray[Any]
MASK = 2**32 - 1


def walks(
    source: Any,
    p: float = 1.0,
    q: float = 1.0,
    *,
    length: int = 80,
    per_node: int = 10,
    seed: int = 0,
    epoch: int = 0,
    batch: int | None = None,
    threads: int | None = None,
    device: Any = None,
) -> Iterator[Any]:
    """Walks from every node, in batches: int32 ``[n, length]`` of node numbers, -1 after a walk's end.

    ``per_node`` times all nodes come in an order of their own, drawn from ``seed`` and ``epoch``; a node without an
    edge gives walks of one node. Only the batch at hand is stored.

    Args:
        source: a `Graph`, or what `graph` takes.
        p: return parameter: the larger, the less often a walk goes straight back.
        q: in-out parameter: above 1 a walk stays near where it came from, below 1 it moves away.
        length: nodes of a walk, the first with them.
        per_node: walks from each node.
        seed: 0 to 2**64 - 1.
        epoch: the number of this pass; another one has other walks.
        batch: walks in a batch; None for 8192, and 2**20 on accelerators, where each operation is a launch.
        threads: None for as many as torch uses. The walks are the same for any number.
        device: None for numpy arrays, made by compiled loops. A torch device for tensors there, made by
            `deepgen.graphs.walk_tensors`: the same walks.

    Raises:
        ArgumentError: p or q that is not a positive number, or a count that is not one.

    >>> path = graph(["a b", "b c"], directed=True)
    >>> for batch in walks(path, length=4, per_node=1, seed=1):
    ...     print(batch[batch[:, 0].argsort()])
    [[ 0  1  2 -1]
     [ 1  2 -1 -1]
     [ 2 -1 -1 -1]]
    """
    found = graph(source)
    for name, value in (("p", p), ("q", q)):
        check_real(name, value)
        if not value > 0 or math.isinf(1 / value):
            raise ArgumentError(f"{name} must be a positive number, got {value!r}: 1/{name} multiplies weights")
    if batch is None:
        batch = 8192 if device is None or str(device).startswith("cpu") else 2**20
    check_count(length=length, per_node=per_node, batch=batch)
    check_count(0, 2**64 - 1, seed=seed)
    check_count(0, MASK, epoch=epoch, per_node=per_node)
    if threads is None:
        import torch

        threads = torch.get_num_threads()
    check_count(threads=threads)
    order = _starts(len(found), per_node, seed, epoch, batch)
    if device is not None:
        from deepgen.graphs.walk_tensors import Rows, walk

        rows = Rows(found, device)
        return (walk(rows, starts, numbers, p, q, length, seed, epoch) for starts, numbers in order)
    return _compiled(found, order, float(p), float(q), length, seed, epoch, threads)


def _starts(nodes: int, per_node: int, seed: int, epoch: int, batch: int) -> Iterator[tuple[Array, Array]]:
    """Batches of starts, int32, and which of its node's walks each is, uint32."""
    rounds = max(1, batch // nodes)  # whose orders are held at a time
    for first in range(0, per_node, rounds):
        numbers = range(first, min(first + rounds, per_node))
        orders = [np.random.default_rng([seed, epoch, number]).permutation(nodes) for number in numbers]
        starts = np.concatenate(orders).astype(np.int32)
        which = np.repeat(np.array(numbers, np.uint32), nodes)
        for i in range(0, len(starts), batch):
            yield starts[i : i + batch], which[i : i + batch]


def _compiled(
    found: Graph,
    order: Iterator[tuple[Array, Array]],
    p: float,
    q: float,
    length: int,
    seed: int,
    epoch: int,
    threads: int,
) -> Iterator[Array]:
    from deepgen.graphs.walk_kernels import walk

    fixed = found.indptr, found.indices, *tables(found), found.directed
    key = seed & MASK, seed >> 32

    def fill(starts: Array, numbers: Array, out: Array) -> None:
        walk(*fixed, starts, numbers, out, p, q, epoch, *key)

    if threads == 1:
        for starts, numbers in order:
            out = np.empty((len(starts), length), np.int32)
            fill(starts, numbers, out)
            yield out
        return
    with ThreadPoolExecutor(threads) as pool:
        for starts, numbers in order:
            out = np.empty((len(starts), length), np.int32)
            share = -(-len(starts) // threads)
            parts = [slice(first, first + share) for first in range(0, len(starts), share)]
            for done in [pool.submit(fill, starts[part], numbers[part], out[part]) for part in parts]:
                done.result()
            yield out
