"""What replaces a product, and what goes with it? item2vec on generated baskets tells the two apart.

A basket is for some dishes, with one brand of each ingredient. So two brands of one ingredient never meet in a dish but
have the same neighbours: their vectors point the same way (cosine). Ingredients of one dish meet: their in- and
out-vectors have large products, which is what training scores pairs by. The matrices show both for all pairs, items in
the order of dishes and ingredients.

    python examples/item_vectors.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepgen.plot import heat_map
from deepgen.plot.figures import new_figure, save
from deepgen.words import word2vec

DISHES = {
    "breakfast": ("bread", "butter", "jam"),
    "pasta": ("pasta", "sauce", "cheese"),
    "salad": ("leaves", "oil", "vinegar"),
    "cake": ("flour", "sugar", "eggs"),
    "tacos": ("shells", "beans", "salsa"),
}
BRANDS = "abc"
Item = tuple[str, str]


def baskets(count: int, stream: np.random.Generator) -> list[list[Item]]:
    """One to three dishes each, the items in any order; brands are chosen by chance."""
    found = []
    for _ in range(count):
        dishes = stream.choice(list(DISHES), stream.integers(1, 4), replace=False)
        items = [(kind, str(stream.choice(list(BRANDS)))) for dish in dishes for kind in DISHES[dish]]
        found.append([items[i] for i in stream.permutation(len(items))])
    return found


def main(count: int = 5000, epochs: int = 10, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    bought = baskets(count, np.random.default_rng(seed))
    emb = word2vec(bought, 32, window=9, epochs=epochs, sample=0, seed=seed, deterministic=True, progress=False)
    items = [(kind, brand) for kinds in DISHES.values() for kind in kinds for brand in BRANDS]
    kind = np.repeat(np.arange(len(items) // len(BRANDS)), len(BRANDS))
    dish = kind // 3
    rows = [emb.index(item) for item in items]
    x, y = emb.vectors[rows], emb.context[rows]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    scores = {"cosine: what replaces it": unit @ unit.T, "in · out: what goes with it": (x @ y.T + y @ x.T) / 2}
    replaces = (kind[:, None] == kind) & ~np.eye(len(items), dtype=bool)
    goes = (dish[:, None] == dish) & (kind[:, None] != kind)
    numbers = {}
    for (name, score), wanted in zip(scores.items(), (replaces, goes), strict=True):
        np.fill_diagonal(score, -np.inf)
        best = np.argsort(-score, axis=1)[:, : int(wanted[0].sum())]
        numbers[name.partition(":")[0]] = float(np.take_along_axis(wanted, best, 1).mean())
        np.fill_diagonal(score, np.nan)
        found, chance = numbers[name.partition(":")[0]], wanted.sum() / (len(items) * (len(items) - 1))
        print(f"{name:30} {found:.0%} of the {best.shape[1]} best ({chance:.0%} by chance)")
    print(f"{count} baskets of {len(items)} items, seed {seed}; nearest to butter a: "
          f"{', '.join(' '.join(item) for item, _ in emb.most_similar(('butter', 'a'), 4))}")  # fmt: skip

    figure = new_figure(1060, 520)
    figure.set_layout_engine("constrained")
    names = [name for kinds in DISHES.values() for name in kinds]
    breaks = range(3 * len(BRANDS), len(items), 3 * len(BRANDS))  # between dishes
    for ax, (title, score) in zip(figure.subplots(1, 2), scores.items(), strict=True):
        heat_map(score, names, breaks=breaks, title=title, ax=ax)
    print(f"picture in {save(figure, out / 'item_vectors.png', scale=2)}")
    return numbers


if __name__ == "__main__":
    main()
