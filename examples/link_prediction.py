"""Which products will be bought together next? Links held out of a generated co-purchase graph, and who finds them.

Products stand in categories and these in departments; a link joins two of one category most often, of one department
less, of any now and then, and popular products have more of them. A third of the links is held out, node2vec learns
from the others, and the area under the ROC curve tells how often a held-out link scores above a pair without one, by
each operator on the vectors, by the in-vector times the out-vector without a classifier, and by counting alone.

Pairs drawn from all products reward whoever knows which are popular, and nothing else: the product of the degrees does
well. Where both ends are as popular as those of links ("matched") only who knows what goes together is left.

    python examples/link_prediction.py
"""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np

from deepgen.evaluate import hold_out_links, link_auc
from deepgen.evaluate.links import OPERATORS, auc
from deepgen.graphs import node2vec
from deepgen.plot.figures import PALETTE, new_figure, quiet, save, series

KINDS = ("uniform", "matched")


def shop(products: int, links: int, stream: np.random.Generator) -> np.ndarray:
    """Different pairs of products ``[about links, 2]``, the first of each pair below the second."""
    category = stream.integers(60, size=products)
    popular = stream.lognormal(0, 1, products)

    def drawn(among: np.ndarray) -> int:
        return int(stream.choice(among, p=popular[among] / popular[among].sum()))

    every = np.arange(products)
    alike = {c: every[category == c] for c in range(60)}
    near = {d: every[category // 6 == d] for d in range(10)}
    pairs = []
    for first in stream.choice(every, links, p=popular / popular.sum()):
        kind = stream.random()
        among = alike[category[first]] if kind < 0.7 else near[category[first] // 6] if kind < 0.9 else every
        pairs.append(sorted((int(first), drawn(among))))
    pairs = np.unique(pairs, axis=0)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def counted(kept: nx.Graph, pairs: np.ndarray, way: str) -> np.ndarray:
    """Scores by counting: the product of the degrees, or the neighbours in common."""
    if way == "product of degrees":
        return np.array([kept.degree(u) * kept.degree(v) for u, v in pairs], float)
    return np.array([len(set(kept[u]) & set(kept[v])) for u, v in pairs], float)


def main(
    products: int = 2000, links: int = 14_000, epochs: int = 3, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    pairs = shop(products, links, np.random.default_rng(seed))
    numbers: dict[str, float] = {}
    for kind in KINDS:  # the links held out are the same
        split = hold_out_links(pairs, products, share=1 / 3, negatives=kind, seed=seed)
        kept = nx.Graph()
        kept.add_nodes_from(range(products))
        kept.add_edges_from(split.kept.tolist())
        if kind == KINDS[0]:
            emb = node2vec(kept, 64, epochs=epochs, seed=seed, deterministic=True, progress=False)
            print(f"{products} products, {len(pairs)} links, {len(split.positive)} of them held out; seed {seed}")
        for way in ("product of degrees", "neighbours in common"):
            scores = [counted(kept, part, way) for part in (split.positive, split.negative)]
            numbers[f"{way}, {kind}"], numbers[f"{way}, {kind}, error"] = auc(*scores)
        for operator in OPERATORS:
            found = link_auc(emb.vectors, split.positive, split.negative, operator=operator, context=emb.context)
            numbers[f"{operator}, {kind}"], numbers[f"{operator}, {kind}, error"] = found.value, found.stderr
    ways = ["product of degrees", "neighbours in common", *OPERATORS]
    print(f"{'AUC (± by choice of pairs)':28}{'uniform pairs':18}matched pairs")
    for way in ways:
        told = [f"{numbers[f'{way}, {kind}']:.3f} ± {numbers[f'{way}, {kind}, error']:.3f}" for kind in KINDS]
        print(f"{way:28}{told[0]:18}{told[1]}")

    figure = new_figure(760, 340)
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    quiet(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(axis="x", color=PALETTE["rule"], linewidth=0.6)
    for index, kind in enumerate(KINDS):
        row = np.arange(len(ways))[::-1] + 0.12 - 0.24 * index
        values, errors = ([numbers[f"{way}, {kind}{end}"] for way in ways] for end in ("", ", error"))
        ax.errorbar(values, row, xerr=2 * np.array(errors), fmt="os"[index], color=series(index), markersize=6,
                    label=f"{kind} pairs")  # fmt: skip
    ax.axvline(0.5, color=PALETTE["muted"], linewidth=0.8)
    ax.set_yticks(np.arange(len(ways))[::-1], [way.replace("in_out", "in · out, no classifier") for way in ways])
    ax.set_xlabel("AUC (0.5: by chance; bars: two standard errors)", fontsize=8, color=PALETTE["muted"])
    ax.legend(frameon=False, fontsize=8, loc="lower center")
    ax.set_title("held-out links told from pairs without one", fontsize=9, loc="left")
    print(f"picture in {save(figure, out / 'link_prediction.png', scale=2)}")
    return numbers


if __name__ == "__main__":
    main()
