"""Rows of `quality.py embeddings`: labels of nodes, held-out links, communities and roles, and words.

Labels of nodes: macro- and micro-F1 of one logistic regression a label (one against the rest, L2, C = 1, liblinear) on
the vectors of half of the nodes, chosen at random, judged on the others over 10 splits. A node is given as many labels
as it has in truth, the most probable ones (the rule "counts", that of DeepWalk's scoring). The splits are the same for
all methods and seeds; a seed is that of walks and training.

p, q, window, epochs and the scale of spectral vectors are chosen with `--choose`: of each split's labelled half a third
is judged by what is learned from the others, and no test node is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from quality_rows import Results, Row, Task

import deepgen as dg
from deepgen.graphs import Graph

Vectors = npt.NDArray[Any]
SPLITS, INNER = 10, 1 / 3
WALKS = ("p", "q", "walks_per_node", "walk_length", "window", "epochs", "hierarchical", "shared", "dim")


def run_labels(row: Row, task: Task) -> Results:
    """Embed a graph and judge its vectors by the labels of nodes."""
    s = row.setting
    data = dg.graphs.load(s["graph"], root=task.root)
    vectors, cost = vectors_of(data.graph, s, task.seed)
    result: Results = {"data": f"{s['graph']}, {data.graph}, {data.labels.shape[1]} labels, {data.labels.sum()} given"}
    started = time.process_time()
    for labelled in s.get("labelled", [0.5]):
        inner = {} if task.judge == "test" else {"held_out": INNER}
        found = dg.evaluate.classify_nodes(vectors, data.labels, labelled=labelled, splits=SPLITS, **inner)
        for name, estimate in (("macro", found.macro), ("micro", found.micro)):
            words = f"{name}-F1, {100 * labelled:g} %"
            assert estimate.each is not None
            result[words] = round(estimate.value, 4)
            result[f"{words}: splits"] = [round(float(value), 4) for value in estimate.each]
        result["judged by"] = found.macro.method
    return {**result, **cost, "evaluate CPU s": round(time.process_time() - started)}


def vectors_of(graph: Graph, s: Mapping[str, Any], seed: int) -> tuple[Vectors, Results]:
    """The vectors of the setting's method, and what they cost."""
    started = time.process_time()
    if s["method"] == "spectral":
        vectors = spectral(graph, s["dim"], seed) * s["scale"]
        return vectors, {"train CPU s": round(time.process_time() - started)}
    emb = learned(graph, s, seed)
    return emb.vectors, {
        "train CPU s": round(time.process_time() - started),
        "tokens, million": round(float(np.sum(emb.counts)) * s.get("epochs", 1) / 1e6, 2),  # type: ignore[arg-type]
    }


def learned(graph: Graph, s: Mapping[str, Any], seed: int) -> dg.Embeddings:
    """node2vec on one thread, so that a seed gives the same figures anywhere."""
    return dg.graphs.node2vec(
        graph, seed=seed, threads=1, progress=False, **{name: s[name] for name in WALKS if name in s}
    )


def spectral(graph: Graph, dim: int, seed: int) -> Vectors:
    """Eigenvectors ``[nodes, dim]`` of D^-1/2 A D^-1/2 for its largest eigenvalues, each of mean square 1.

    They are those of the smallest of the normalised Laplacian (Tang & Liu 2011, "Leveraging social media networks for
    classification"), in a unit in which C = 1 is no strong prior; a row of a node without an edge is 0.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import eigsh

    matrix = graph.to_scipy().astype(np.float64)
    degree = np.asarray(matrix.sum(1)).ravel()
    half = diags_array(np.where(degree > 0, np.maximum(degree, 1e-300) ** -0.5, 0.0))
    start = np.random.default_rng(seed).normal(size=len(graph))
    values, vectors = eigsh(half @ matrix @ half, k=dim, which="LA", v0=start)
    found: Vectors = vectors[:, values.argsort()[::-1]] * len(graph) ** 0.5
    return found


def _labels(name: str, target: str = "", seeds: int = 5, **setting: Any) -> Row:
    return Row(name, run_labels, {"method": "node2vec", **setting}, target, seeds)


PAPER: dict[str, Any] = {"walks_per_node": 10, "walk_length": 80, "window": 10, "epochs": 1, "dim": 128}
LONG = {"walks_per_node": 80, "walk_length": 40}  # those of DeepWalk's own 0.2768, four times the tokens
SPECTRAL: dict[str, Any] = {"method": "spectral", "dim": 128}
NEAR, EVEN = {"p": 0.25, "q": 0.25}, {"p": 1.0, "q": 1.0}
ROWS: list[Row] = []


def _candidates(graph: str) -> list[Row]:
    settings: list[dict[str, Any]] = [
        {**PAPER, **NEAR},
        {**PAPER, **EVEN},
        {**PAPER, **NEAR, "epochs": 3},
        {**PAPER, **NEAR, "epochs": 3, "window": 5},
        {**PAPER, **NEAR, "epochs": 6, "window": 5},
        {**PAPER, **NEAR, "epochs": 6, "window": 3},
        {**PAPER, **EVEN, "epochs": 6, "window": 5},
        {**PAPER, "p": 0.25, "q": 1.0, "epochs": 6, "window": 5},
        {**PAPER, "p": 1.0, "q": 0.25, "epochs": 6, "window": 5},
        {**PAPER, **EVEN, **LONG},
        {**PAPER, **EVEN, "hierarchical": True},
        {**PAPER, **EVEN, **LONG, "hierarchical": True},
        *({**SPECTRAL, "scale": scale} for scale in (0.03, 0.1, 0.3, 1.0)),
    ]
    return [_labels(f"choose {graph}", seeds=1, graph=graph, **setting) for setting in settings]


CANDIDATES = _candidates("blogcatalog")
