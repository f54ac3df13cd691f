"""Communities or roles? The characters of Les Misérables by node2vec, as in the figure of its paper.

77 characters, an edge for two that meet, its weight how often. Walks with q = 0.5 leave and with q = 2 stay near; the
paper colours six groups of the first and calls them communities, three of the second and calls them roles. Here both
are measured, over training seeds: modularity of six groups beside what Louvain's method finds, and how far three
groups agree with roles, which are three groups of degree, betweenness, clustering and degree of the neighbours
(adjusted mutual information: 0 by chance, 1 for the same groups). Either setting finds communities, and neither finds
roles: what is near on walks gets near vectors, whatever q is. The roles are drawn on the right.

    python examples/les_miserables.py
"""

from __future__ import annotations

import math
from pathlib import Path

import networkx as nx
import numpy as np
from sklearn.cluster import KMeans

import deepgen as dg
from deepgen.graphs import node2vec
from deepgen.plot.figures import PALETTE, new_figure, save, series

SETTINGS = {"q = 0.5": (0.5, 6), "q = 2": (2.0, 3)}  # p = 1; and how many groups the paper colours

# Of some characters with many edges, where the name begins or ends in points from the node: clear of other nodes.
LABELS = {
    "Valjean": (12, 10, "left"),
    "Gavroche": (40, 14, "left"),
    "Marius": (-60, 7, "right"),
    "Javert": (32, -8, "left"),
    "Thenardier": (-50, 9, "right"),
    "MmeThenardier": (3, 23, "right"),
    "Fantine": (-2, 14, "right"),
    "Enjolras": (52, 28, "left"),
    "Feuilly": (14, -30, "left"),
    "Myriel": (4, 12, "right"),
}


def roles(graph: nx.Graph) -> np.ndarray:
    """Three groups by what a node is like, wherever it stands."""
    degree, between = dict(graph.degree()), nx.betweenness_centrality(graph)
    clustering, around = nx.clustering(graph), nx.average_neighbor_degree(graph)
    like = np.array([[np.log(degree[v]), between[v] ** 0.5, clustering[v], np.log(around[v])] for v in graph])
    return grouped((like - like.mean(0)) / like.std(0), 3)


def grouped(vectors: np.ndarray, groups: int) -> np.ndarray:
    """k-means, the groups in order of their size."""
    found = KMeans(groups, n_init=20, random_state=0).fit_predict(vectors)
    return (-np.bincount(found)).argsort().argsort()[found]


def modularity(graph: nx.Graph, group: np.ndarray) -> float:
    names = np.array(graph)
    return nx.community.modularity(graph, [set(names[group == k]) for k in np.unique(group)])


def draw(graph: nx.Graph, place: dict[str, np.ndarray], group: np.ndarray, title: str, ax: object) -> None:
    degree = dict(graph.degree())
    width = [0.4 * w**0.5 for _, _, w in graph.edges(data="weight")]
    nx.draw_networkx_edges(graph, place, width=width, edge_color=PALETTE["rule"], ax=ax)
    size, colour = [18 + 9 * degree[v] for v in graph], [series(k) for k in group]
    nx.draw_networkx_nodes(graph, place, node_size=size, node_color=colour, edgecolors="white", linewidths=0.6, ax=ax)
    line = {"arrowstyle": "-", "color": PALETTE["muted"], "linewidth": 0.5}
    for name, (dx, dy, side) in LABELS.items():
        ax.annotate(name, place[name], (dx, dy), textcoords="offset points", fontsize=8, ha=side, va="center",
                    color=PALETTE["ink"], arrowprops=line if math.hypot(dx, dy) > 20 else None,
                    bbox={"boxstyle": "square,pad=0.1", "color": "white", "alpha": 0.7, "linewidth": 0})  # fmt: skip
    ax.set_title(title, fontsize=9, loc="left")
    ax.axis("off")


def main(seeds: int = 5, epochs: int = 5, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    graph = nx.les_miserables_graph()
    role = roles(graph)
    louvain = nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=seed))
    numbers = {"Louvain": louvain}
    figure = new_figure(1400, 500)
    figure.set_layout_engine("constrained")
    *axes, last = figure.subplots(1, 3)
    place = nx.kamada_kawai_layout(graph, weight=None)
    for ax, (name, (q, groups)) in zip(axes, SETTINGS.items(), strict=True):
        runs = [node2vec(graph, 16, p=1.0, q=q, epochs=epochs, seed=seed + i, deterministic=True, progress=False)
                for i in range(seeds)]  # fmt: skip
        found = {
            "modularity": [modularity(graph, grouped(emb.vectors, 6)) for emb in runs],
            "roles": [dg.evaluate.cluster_agreement(emb.vectors, role).value for emb in runs],
        }
        for what, values in found.items():
            numbers[f"{name}, {what}"] = float(np.mean(values))
            numbers[f"{name}, {what}, error"] = float(np.std(values, ddof=1) / seeds**0.5)
        told = [f"{numbers[f'{name}, {what}']:.3f} ± {numbers[f'{name}, {what}, error']:.3f}" for what in found]
        print(f"p = 1, {name:8} modularity of 6 groups {told[0]}; agreement with roles {told[1]}")
        draw(graph, place, grouped(runs[0].vectors, groups), f"p = 1, {name}: {groups} groups of the vectors", ax)
    draw(graph, place, role, "roles: 3 groups by degree, betweenness, clustering, neighbours' degree", last)
    print(f"± one standard error over {seeds} training seeds, {epochs} epochs; modularity of Louvain's "
          f"groups {louvain:.3f}, of roles {modularity(graph, role):.3f}")  # fmt: skip
    print(f"picture in {save(figure, out / 'les_miserables.png', scale=2)}")
    return numbers


if __name__ == "__main__":
    main()
