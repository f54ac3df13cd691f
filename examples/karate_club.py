"""Which side does each member of the karate club take? Two groups of node2vec's vectors beside the club's real split.

Zachary's club of 34 broke in two after a quarrel of its instructor (0) and its officer (33). From who meets whom, and
nothing else, vectors are learned, and k-means makes two groups of them: how many members are in the group of the half
that they went with, over training seeds.

    python examples/karate_club.py
"""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from deepgen.graphs import node2vec
from deepgen.plot.figures import PALETTE, new_figure, save, series


def main(seeds: int = 10, epochs: int = 10, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    club = nx.karate_club_graph()
    side = np.array([club.nodes[v]["club"] != "Mr. Hi" for v in club]).astype(int)
    learned = [
        node2vec(club, 16, epochs=epochs, seed=seed + i, deterministic=True, progress=False) for i in range(seeds)
    ]
    groups = [KMeans(2, n_init=10, random_state=0).fit_predict(emb.vectors) for emb in learned]
    groups = [group if (group == side).mean() > 0.5 else 1 - group for group in groups]  # which is which is no matter
    right = [int((group == side).sum()) for group in groups]
    error = float(np.std(right, ddof=1) / seeds**0.5)
    wrong = [v for v in club if np.mean([group[v] != side[v] for group in groups]) > 0.5]
    print(f"{np.mean(right):.1f} ± {error:.1f} of 34 members on the side that they took, over {seeds} training seeds")
    print(f"on the other side in most of them: {', '.join(map(str, wrong)) or 'nobody'}")

    figure = new_figure(1000, 430)
    figure.set_layout_engine("constrained")
    left, middle = figure.subplots(1, 2)
    flat = PCA(2).fit_transform(learned[0].vectors)
    places = {"who meets whom": nx.kamada_kawai_layout(club, weight=None), "vectors, two principal axes": flat}
    for ax, (title, place) in zip((left, middle), places.items(), strict=True):
        nx.draw_networkx_edges(club, place, edge_color=PALETTE["rule"], width=0.8, ax=ax)
        for half, shape in enumerate("os"):
            members = [v for v in club if side[v] == half]
            colour = [series(groups[0][v]) for v in members]
            nx.draw_networkx_nodes(club, place, members, node_size=150, node_shape=shape, node_color=colour, ax=ax)
        nx.draw_networkx_labels(club, place, font_size=7, font_color="white", ax=ax)
        ax.set_title(title, fontsize=9, loc="left")
        ax.axis("off")
    told = "colour: group of the vectors; circles went with the instructor, squares with the officer"
    figure.supxlabel(told, fontsize=8, color=PALETTE["muted"])
    print(f"picture in {save(figure, out / 'karate_club.png', scale=2)}")
    return {"right": float(np.mean(right)), "error": error, "members": float(len(club))}


if __name__ == "__main__":
    main()
