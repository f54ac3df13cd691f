"""Rows of `quality.py embeddings`: labels of nodes, held-out links, communities and roles, and words.

Labels of nodes: macro- and micro-F1 of one logistic regression a label (one against the rest, L2, C = 1, liblinear) on
the vectors of half of the nodes, chosen at random, judged on the others over 10 splits. A node is given as many labels
as it has in truth, the most probable ones (the rule "counts", that of DeepWalk's scoring). The splits are the same for
all methods and seeds; a seed is that of walks and training.

p, q, window, epochs and the scale of spectral vectors are chosen with `--choose`: of each split's labelled half a third
is judged by what is learned from the others, and no test node is looked at.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from quality_rows import Results, Row, Task

import deepgen as dg
from deepgen.data.published import shakespeare_file
from deepgen.evaluate.links import OPERATORS
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
    if s["method"] == "gensim":
        vectors = _gensim_walks(graph, s, seed)
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


def run_links(row: Row, task: Task) -> Results:
    """Hold out half of the links and tell them from pairs without one by every operator, on two kinds of such pairs."""
    s, result = row.setting, {}
    graph = dg.graphs.load(s["graph"], root=task.root).graph
    links = np.stack([graph.sources(), graph.indices], 1)
    cost: Results = {}
    for kind in ("uniform", "matched"):  # the same seed holds out the same links for both
        split = dg.evaluate.hold_out_links(links, len(graph), share=s["share"], negatives=kind, seed=task.seed)
        if not cost:
            rest, started = _of_pairs(split.kept, len(graph)), time.process_time()
            emb = learned(rest, s, task.seed)
            degree = np.diff(rest.indptr)[:, None].astype(float)
            cost = {"train CPU s": round(time.process_time() - started)}
        some = np.random.default_rng(task.seed).permutation(len(split.positive))[: s["pairs"]]
        ends = split.positive[some], split.negative[some]
        for operator in OPERATORS:
            found = dg.evaluate.link_auc(emb.vectors, *ends, operator=operator, context=emb.context, seed=task.seed)
            result[f"AUC, {operator}, {kind}"] = round(found.value, 4)
            result[f"stderr, {operator}, {kind}"] = round(found.stderr, 4)
        found = dg.evaluate.link_auc(degree, *ends, operator="in_out", context=degree)
        result[f"AUC, product of degrees, {kind}"] = round(found.value, 4)
        result[f"stderr, product of degrees, {kind}"] = round(found.stderr, 4)
    about = f"{s['graph']}, {len(split.kept)} links kept, {len(split.positive)} held out, {len(some)} of each judged"
    return {"data": about, **result, **cost}


def _of_pairs(pairs: Vectors, nodes: int) -> Graph:
    from scipy.sparse import coo_array

    both = np.concatenate([pairs, pairs[:, ::-1]])
    return dg.graphs.graph(coo_array((np.ones(len(both)), tuple(both.T)), shape=(nodes, nodes)).tocsr())


def run_novel(row: Row, task: Task) -> Results:
    """Groups by k-means of the characters of Les Miserables: are they communities, or roles?

    Communities are those of greedy modularity on the weighted graph. Roles are thirds by the number of neighbours:
    those at the edge of the story, those within, and those whom all meet.
    """
    import networkx as nx
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score as agreement

    s, novel = row.setting, nx.les_miserables_graph()
    emb = learned(dg.graphs.graph(novel), s, task.seed)
    kind = KMeans(s["groups"], n_init=10, random_state=task.seed).fit_predict(emb.vectors)
    groups = [{node for node, g in zip(emb.nodes, kind, strict=True) if g == k} for k in range(s["groups"])]
    communities = nx.community.greedy_modularity_communities(novel, weight="weight")
    number = {node: k for k, members in enumerate(communities) for node in members}
    degree = np.array([novel.degree[node] for node in emb.nodes])
    roles = np.digitize(degree, np.quantile(degree, [1 / 3, 2 / 3]), right=True)
    return {
        "data": f"Les Miserables, {emb.counts.size if emb.counts is not None else 0} characters, weighted",
        "modularity": round(nx.community.modularity(novel, groups, weight="weight"), 4),
        "modularity of communities": round(nx.community.modularity(novel, communities, weight="weight"), 4),
        "AMI with communities": round(float(agreement([number[node] for node in emb.nodes], kind)), 4),
        "AMI with roles": round(float(agreement(roles, kind)), 4),
        "sizes": sorted(map(len, groups)),
    }


def run_words(row: Row, task: Task) -> Results:
    """Held-out loss of skip-gram on tiny Shakespeare, ours and, where it is installed, gensim's at equal settings."""
    s = row.setting
    path = shakespeare_file(task.root)
    lines = [re.findall(r"[a-z']+", line) for line in dg.data.read_text(path).lower().splitlines()]
    lines = [line for line in lines if line]
    cut = round(0.9 * len(lines))
    started = time.process_time()
    emb = dg.words.word2vec(
        lines[:cut], s["dim"], window=s["window"], min_count=s["min_count"], epochs=s["epochs"], sample=s["sample"],
        shared=s["shared"], seed=task.seed, threads=1, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - started
    found = dg.evaluate.skipgram_loss(emb, lines[cut:], window=s["window"])
    result = {
        "data": f"tiny Shakespeare, {cut} lines to train, the last {len(lines) - cut} held out, {len(emb)} words",
        "held-out loss, nats/pair": round(found.value, 4),
        "stderr over lines": round(found.stderr_data, 4),
        "expected pairs": round(found.settings["expected pairs"]),
        "train CPU s": round(seconds, 1),
    }
    if importlib.util.find_spec("gensim") is None:
        return {**result, "gensim": "not installed"}
    other, seconds = _gensim(lines[:cut], s, task.seed)
    theirs = dg.evaluate.skipgram_loss(other, lines[cut:], window=s["window"])
    return {
        **result,
        "held-out loss of gensim": round(theirs.value, 4),
        "ours over gensim's, held-out loss": round(found.value / theirs.value, 5),
        "gensim, train CPU s": round(seconds, 1),
    }


def _gensim_walks(graph: Graph, s: Mapping[str, Any], seed: int) -> Vectors:
    """gensim's vectors of our walks, those of the same seed."""
    walks = dg.graphs.walks(graph, s["p"], s["q"], length=s["walk_length"], per_node=s["walks_per_node"], seed=seed)
    lines = [list(map(str, row)) for batch in walks for row in batch.tolist()]
    emb, _ = _gensim(lines, {**s, "min_count": 1, "sample": 1e-3}, seed)
    rows: Vectors = emb[[str(node) for node in range(len(graph))]]
    return rows


def _gensim(lines: list[list[str]], s: Mapping[str, Any], seed: int) -> tuple[dg.Embeddings, float]:
    from gensim.models import Word2Vec

    started = time.process_time()
    model = Word2Vec(
        lines, sg=1, hs=0, negative=5, vector_size=s["dim"], window=s["window"], min_count=s["min_count"],
        epochs=s["epochs"], sample=s["sample"], workers=1, seed=seed + 1,
    )  # fmt: skip
    words = model.wv.index_to_key
    counts = [model.wv.get_vecattr(word, "count") for word in words]
    return dg.Embeddings(words, model.wv.vectors, model.syn1neg, counts), time.process_time() - started


def _labels(name: str, target: str = "", seeds: int = 5, **setting: Any) -> Row:
    return Row(name, run_labels, {"method": "node2vec", **setting}, target, seeds)


PAPER: dict[str, Any] = {"walks_per_node": 10, "walk_length": 80, "window": 10, "epochs": 1, "dim": 128}
LONG = {"walks_per_node": 80, "walk_length": 40}  # those of DeepWalk's own 0.2768, four times the tokens
SPECTRAL: dict[str, Any] = {"method": "spectral", "dim": 128}
NEAR, EVEN = {"p": 0.25, "q": 0.25}, {"p": 1.0, "q": 1.0}
BLOG, WIKI = {"graph": "blogcatalog"}, {"graph": "wikipedia"}
WORDS = {"dim": 128, "window": 5, "min_count": 5, "epochs": 5, "shared": 1}
NOVEL = {"walks_per_node": 10, "walk_length": 80, "window": 10, "epochs": 10, "dim": 16}
CHOSEN = {**PAPER, **NEAR, "epochs": 6, "window": 5}  # of the candidates
ROWS = [
    _labels("BlogCatalog, node2vec", "0.2581 (node2vec's table), then 0.2768 (DeepWalk's own)", **BLOG, **CHOSEN),
    _labels("BlogCatalog, DeepWalk", **{**BLOG, **CHOSEN, **EVEN}),
    _labels("BlogCatalog, other shares", seeds=1, **BLOG, **CHOSEN, labelled=[0.1, 0.3, 0.7, 0.9]),
    _labels("BlogCatalog, node2vec at its paper's settings", "0.2581 (node2vec's table)", 2, **BLOG, **PAPER, **NEAR),
    _labels("BlogCatalog, spectral", seeds=1, **BLOG, **SPECTRAL, scale=1.0),
    _labels("Wikipedia, DeepWalk", **WIKI, **PAPER, **EVEN),
    _labels("Wikipedia, node2vec", **WIKI, **PAPER, p=4.0, q=0.5),  # the paper's p and q for its own graph
    _labels("Wikipedia, spectral", seeds=1, **WIKI, **SPECTRAL, scale=1.0),
    Row("Links of BlogCatalog", run_links, {**BLOG, **PAPER, **NEAR, "share": 0.5, "pairs": 20_000}, "", 3),
    Row("Les Miserables, homophily", run_novel, {**NOVEL, "p": 1.0, "q": 0.5, "groups": 6}, "", 5),
    Row("Les Miserables, roles", run_novel, {**NOVEL, "p": 1.0, "q": 2.0, "groups": 3}, "", 5),
    Row("Words of tiny Shakespeare", run_words, {**WORDS, "sample": 1e-3}, "within 1 % of gensim", 5),
    Row("Words of tiny Shakespeare, no subsampling", run_words, {**WORDS, "sample": 0.0}, "within 1 % of gensim", 5),
    _labels("Wikipedia, gensim on the walks of DeepWalk", seeds=3, **{**WIKI, **PAPER, **EVEN, "method": "gensim"}),
]


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
    ]
    return [_labels(f"choose {graph}", seeds=1, graph=graph, **setting) for setting in settings]


def _scales(graph: str, *scales: float) -> list[Row]:
    return [_labels(f"choose {graph}, spectral", seeds=1, graph=graph, **SPECTRAL, scale=scale) for scale in scales]


CANDIDATES = [*_candidates("blogcatalog"), *_scales("blogcatalog", 0.03, 0.1, 0.3, 1.0),
              *_scales("wikipedia", 0.03, 0.1, 0.3, 1.0, 3.0)]  # fmt: skip
