"""node2vec: skip-gram on second-order walks, from a graph to one vector a node (Grover & Leskovec 2016, algorithm 1).

Walks are those of `deepgen.graphs.walks`, drawn anew in every epoch and never stored; the trainer is that of words
(`deepgen.words.train_embeddings`). p = q = 1 is DeepWalk with negative sampling. The paper's values are the defaults:
128 numbers, ten walks of 80 nodes from each node, a window of 10, one epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from deepgen.embeddings import Embeddings
from deepgen.graphs.graph import Graph
from deepgen.graphs.graph import graph as as_graph
from deepgen.graphs.walks import walks
from deepgen.progress import Shown
from deepgen.words.estimator import Estimator, check_options
from deepgen.words.train import train_embeddings


def node2vec(
    graph: Any,
    dim: int = 128,
    *,
    p: float = 1.0,
    q: float = 1.0,
    walks_per_node: int = 10,
    walk_length: int = 80,
    window: int = 10,
    epochs: int = 1,
    seed: int = 0,
    threads: int | None = None,
    **options: Any,
) -> Embeddings:
    """One vector for each node of a graph, by its own name: ``emb[node]``.

    Args:
        graph: a NetworkX graph, a scipy.sparse matrix, the path of an edge list, or a `Graph`: see
            `deepgen.graphs.graph`.
        dim: length of the vectors.
        p: return parameter: the larger, the less often a walk goes straight back.
        q: in-out parameter: above 1 a walk stays near where it came from, below 1 it moves away.
        walks_per_node, walk_length: walks from each node in an epoch, and nodes of each.
        window: how far neighbours on a walk are away, at most.
        epochs: each with new walks.
        seed: of walks and of training; the same seed gives the same walks whatever the number of threads.
        threads: of walks and training; if None walks take as many as torch uses, and training as many as there are
            cores.
        options: those of `deepgen.words.train_embeddings`: negatives, cbow, hierarchical, rate, deterministic, ...

    Returns:
        `Embeddings` in the order of the graph's nodes; ``emb.context`` has the vectors of the other side.

    Raises:
        ArgumentError, DataError, SupportError: see `deepgen.graphs.graph`, `walks` and `train_embeddings`.
        LearningStopped: Ctrl-C; its ``embeddings`` are those until then.

    >>> import networkx as nx
    >>> emb = node2vec(nx.karate_club_graph(), dim=16, epochs=2, deterministic=True, progress=False)
    >>> emb[33].shape, len(emb)
    ((16,), 34)
    """
    check_options(node2vec, options)
    network = as_graph(graph)

    def batches(epoch: int) -> Iterator[npt.NDArray[np.int32]]:
        return walks(
            network, p, q, length=walk_length, per_node=walks_per_node, seed=seed, epoch=epoch, threads=threads
        )

    # Noise and subsampling need all counts before the first step, so the walks of the first epoch are drawn twice: they
    # take a twentieth of the time of learning from them, and keeping them would take all the memory.
    first, show = batches(0), options.get("progress", True) is True
    with Shown(walks_per_node * len(network), show, what="counting visits", unit="walk", leave=False) as shown:
        counts = visits(network, _counted(first, shown))
    return train_embeddings(
        batches, counts, tokens=network.nodes, dim=dim, window=window, epochs=epochs, seed=seed,
        threads=threads, **options,
    )  # fmt: skip


def _counted(batches: Iterable[npt.NDArray[np.int32]], shown: Shown) -> Iterator[npt.NDArray[np.int32]]:
    for batch in batches:
        shown.advance(len(batch))
        yield batch


def visits(graph: Graph, batches: Iterable[npt.NDArray[np.int32]]) -> npt.NDArray[np.int64]:
    """How often walks come to each node ``[nodes]``: what noise and subsampling go by.

    >>> from deepgen.graphs import graph
    >>> visits(graph(np.array([[0.0, 1.0], [1.0, 0.0]])), [np.array([[0, 1, 0], [1, -1, -1]], dtype=np.int32)])
    array([2, 2])
    """
    found = np.zeros(len(graph), dtype=np.int64)
    for batch in batches:
        found += np.bincount(batch.ravel() + 1, minlength=len(graph) + 1)[1:]  # -1 comes after a walk's end
    return found


class Node2Vec(Estimator):
    """`node2vec` in scikit-learn's manner: settings first, then ``fit`` and ``transform``.

    >>> import networkx as nx
    >>> model = Node2Vec(dim=8, walk_length=10, progress=False).fit(nx.path_graph(5))
    >>> model.transform([0, 4]).shape
    (2, 8)
    """

    learn = staticmethod(node2vec)
