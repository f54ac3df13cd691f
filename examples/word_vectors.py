"""What do words of Shakespeare keep company with? word2vec on his plays, and the nearest words.

A speech is a sentence; words are lower-case letters. Beside the nearest words stand the cosines among groups of words
that belong together by meaning, which nobody told the model: kin, times, parts of the body, titles. Two words of one
group should be nearer than two of different ones.

    python examples/word_vectors.py --root FOLDER     # that holds tinyshakespeare/input.txt; or set DEEPGEN_DATA
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from deepgen.data.files import read_text
from deepgen.data.published import shakespeare_file
from deepgen.plot import heat_map
from deepgen.plot.figures import new_figure, save
from deepgen.words import word2vec

GROUPS = {
    "kin": "father mother brother sister son daughter uncle cousin husband wife",
    "time": "day night morning hour week month year",
    "body": "eyes tongue heart hand head face lips cheek",
    "titles": "king queen prince duke lord earl",
}
ASKED = ("king", "love", "night", "sword", "father")


def speeches(text: str) -> list[list[str]]:
    """Words of each speech, without the name of who speaks."""
    told = (part.partition(":\n")[2] or part for part in text.split("\n\n"))
    return [re.findall(r"[a-z]+(?:'[a-z]+)?", part.lower()) for part in told]


def main(
    root: Path | None = None, dim: int = 100, epochs: int = 20, min_count: int = 5,
    out: Path = Path("runs/examples"), seed: int = 0,
) -> dict[str, float]:  # fmt: skip
    spoken = speeches(read_text(shakespeare_file(root)))
    emb = word2vec(spoken, dim, epochs=epochs, min_count=min_count, window=5, seed=seed, deterministic=True)
    print(f"{len(emb)} words that came {min_count} times or more, {int(emb.counts.sum())} in all; seed {seed}")
    for word in ASKED:
        if word in emb:
            near = ", ".join(f"{other} {cosine:.2f}" for other, cosine in emb.most_similar(word, 6))
            print(f"{word:8} {near}")

    groups = {name: [word for word in words.split() if word in emb] for name, words in GROUPS.items()}
    words = [word for group in groups.values() for word in group]
    x = emb[words]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    group = np.repeat(np.arange(len(groups)), [len(found) for found in groups.values()])
    same, pair = group[:, None] == group, ~np.eye(len(words), dtype=bool)
    numbers = {"within": float(cosines[same & pair].mean()), "across": float(cosines[~same].mean())}
    np.fill_diagonal(cosines, -np.inf)
    numbers["nearest"] = float((group[cosines.argmax(1)] == group).mean())
    share = (same & pair).sum() / pair.sum()
    print(f"cosine within groups {numbers['within']:.3f}, across {numbers['across']:.3f}, means over pairs of words")
    print(f"nearest of the {len(words)} words in the same group: {numbers['nearest']:.0%} ({share:.0%} by chance)")

    figure = new_figure(760, 660)
    figure.set_layout_engine("constrained")
    np.fill_diagonal(cosines, np.nan)
    breaks = (np.flatnonzero(np.diff(group)) + 1).tolist()
    heat_map(cosines, words, breaks=breaks, low=0, title=f"cosines of words: {', '.join(groups)}", ax=figure.subplots())
    print(f"picture in {save(figure, out / 'word_vectors.png', scale=2)}")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds the text; $DEEPGEN_DATA by default")
    main(**vars(parser.parse_args()))
