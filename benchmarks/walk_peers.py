"""The walks of other libraries that `embedding_walks.py` times and tests beside ours, where they are installed.

Each function takes a `Graph` and gives a sampler, ``sampler(p, q, length, per_node, seed) -> walks`` by node number, or
raises ImportError. Graphs are handed over as each library documents it; walks are turned back into our numbers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepgen.graphs import Graph, walks

Sampler = Callable[[float, float, int, int, int], Any]


def deepgen(graph: Graph, threads: int = 1) -> Sampler:
    """Ours."""

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        return list(walks(graph, p, q, length=length, per_node=per_node, seed=seed, threads=threads))

    return sampler


def tensors(graph: Graph) -> Sampler:
    """Ours by tensor operations, as on a GPU."""

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        return list(walks(graph, p, q, length=length, per_node=per_node, seed=seed, device="cpu"))

    return sampler


def fastnode2vec(graph: Graph) -> Sampler:
    """It has no number for a walk's seed: its walks come from numba's own stream."""
    import fastnode2vec as peer

    theirs = peer.Graph(_edges(graph), graph.directed, graph.weights is not None, verbose=False)
    count = len(theirs.node_names)  # starts are numbers of its own, and walks come back by name

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        starts = [start for _ in range(per_node) for start in range(count)]
        return [theirs.generate_random_walk(length, p, q, start) for start in starts]

    return sampler


def pecanpy(graph: Graph) -> Sampler:
    """SparseOTF. Every call compiles anew, so it is not timed."""
    from pecanpy.pecanpy import SparseOTF

    path = Path(tempfile.mkdtemp()) / "edges.tsv"
    path.write_text("".join("\t".join(map(str, edge)) + "\n" for edge in _edges(graph)))

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        theirs = SparseOTF(p=p, q=q, workers=1, random_state=seed % 2**31)
        theirs.read_edg(str(path), graph.weights is not None, graph.directed)
        return [[int(node) for node in walk] for walk in theirs.simulate_walks(per_node, length - 1)]

    return sampler


def csrgraph(graph: Graph) -> Sampler:
    """Its documented reading: return_weight = 1/p, neighbor_weight = 1/q."""
    import csrgraph as peer
    from scipy.sparse import csr_matrix

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        theirs = peer.csrgraph(csr_matrix(graph.to_scipy()), copy=True, threads=1)
        return theirs.random_walks(length, per_node, return_weight=1 / p, neighbor_weight=1 / q).astype(np.int64)

    return sampler


def torch_cluster(graph: Graph) -> Sampler:
    """Its walks take no weights."""
    import torch
    from torch_cluster import random_walk

    row, column = torch.from_numpy(graph.sources().astype("i8")), torch.from_numpy(graph.indices.astype("i8"))

    def sampler(p: float, q: float, length: int, per_node: int, seed: int) -> Any:
        torch.random.manual_seed(seed)  # torch_cluster draws from the global stream
        start = torch.arange(len(graph)).repeat(per_node)
        return random_walk(row, column, start, length - 1, p, q, num_nodes=len(graph))

    return sampler


PEERS = {each.__name__: each for each in (deepgen, tensors, fastnode2vec, pecanpy, csrgraph, torch_cluster)}


def _edges(graph: Graph) -> list[tuple[Any, ...]]:
    """Edges by number, an undirected one once."""
    once = np.ones(len(graph.indices), bool) if graph.directed else graph.sources() <= graph.indices
    columns = [graph.sources()[once].tolist(), graph.indices[once].tolist()]
    if graph.weights is not None:
        columns.append(graph.weights[once].tolist())
    return list(zip(*columns, strict=True))
