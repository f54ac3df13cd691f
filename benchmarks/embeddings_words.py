"""Speed of word2vec beside gensim's: `python benchmarks/embeddings_words.py`.

Case: dim 128, window 10, 5 negatives, subsampling at 1e-3, float32, one thread, one epoch over the same sentences:
uniform walks of 80 nodes on BlogCatalog (``--root FOLDER`` or DEEPGEN_DATA), or tokens of Zipf's law. Thousand tokens
a CPU second, before subsampling, without compiling, vocabulary and copying; the sides take turns, so that both see the
same machine. The median of ``--rounds`` ratios is stated with its range.

The floor of a pair is 3 (1 + negatives) dim multiplications with additions, two vectors' products and two steps:
``floor`` says which part of a matrix product's speed on this machine, one thread, the kernel reaches.

Options: ``--rounds``, ``--walks``, ``--json FILE``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepgen.words.learner import Learner

DIM, WINDOW, NEGATIVES, SAMPLE, RATES = 128, 10, 5, 1e-3, (0.025, 1e-4)
MODES: dict[str, dict[str, Any]] = {
    "skip-gram, noise of its own": {"shared": 1},
    "skip-gram": {"shared": 2},
    "skip-gram, noise of a centre": {"shared": 2 * WINDOW},
    "skip-gram, hierarchical": {"hierarchical": True},
    "CBOW": {"cbow": True},
    "CBOW, hierarchical": {"cbow": True, "hierarchical": True},
}


def sentences(root: str | None, count: int, seed: int = 0) -> tuple[npt.NDArray[np.int32], str]:
    """``[count, 80]`` walks or draws, and what they are."""
    generator = np.random.default_rng(seed)
    file = Path(root) / "graph_blogcatalog" / "blogcatalog.mat" if root else None
    if file is None or not file.is_file():
        law = 1 / np.arange(1, 10_001)
        return generator.choice(10_000, (count, 80), p=law / law.sum()).astype(np.int32), "Zipf's law, 10,000 tokens"
    from scipy.io import loadmat

    graph = loadmat(file)["network"].tocsr()
    walk = np.empty((count, 80), np.int32)
    walk[:, 0] = generator.permutation(np.arange(count) % graph.shape[0])
    degrees = np.diff(graph.indptr)
    for t in range(1, 80):
        at = walk[:, t - 1]
        walk[:, t] = graph.indices[graph.indptr[at] + (generator.random(count) * degrees[at]).astype(np.int64)]
    return walk, "BlogCatalog, uniform walks of 80 nodes"


def ours(walks: npt.NDArray[np.int32], mode: dict[str, Any]) -> tuple[float, int]:
    """CPU seconds, and pairs."""
    counts = np.bincount(walks.ravel()).astype(np.float64)
    settings = {"cbow": False, "hierarchical": False, "shared": 2, **mode}
    learner = Learner(counts, DIM, WINDOW, NEGATIVES, sample=SAMPLE, power=0.75, key=1,
                      schedule=(*RATES, float(walks.size)), **settings)  # fmt: skip
    learner.learn(walks[:1], 0, 0)  # compiles
    start = time.process_time()
    pairs = learner.learn(walks, 0, 0)
    return time.process_time() - start, pairs


def gensim(walks: list[list[str]], mode: dict[str, Any]) -> float:
    """CPU seconds."""
    from gensim.models import Word2Vec

    tree = mode.get("hierarchical", False)
    model = Word2Vec(vector_size=DIM, window=WINDOW, negative=0 if tree else NEGATIVES, hs=int(tree), sample=SAMPLE,
                     sg=int(not mode.get("cbow", False)), min_count=1, workers=1, seed=1)  # fmt: skip
    model.build_vocab(walks)
    start = time.process_time()
    model.train(walks, total_examples=len(walks), epochs=1)
    return time.process_time() - start


def multiplications() -> float:
    """Multiplications with additions a CPU second in a square float32 product of torch."""
    torch.set_num_threads(1)
    a = torch.randn(512, 512, generator=torch.Generator().manual_seed(0))
    best = 1e9
    for _ in range(20):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 512**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.environ.get("DEEPGEN_DATA"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--walks", type=int, default=3000)
    parser.add_argument("--json")
    options = parser.parse_args()
    walks, name = sentences(options.root, options.walks)
    peer = importlib.util.find_spec("gensim") is not None
    texts = [[str(token) for token in row] for row in walks.tolist()] if peer else []
    speed = multiplications()
    print(f"{name}: {walks.size:,} tokens, dim {DIM}, window {WINDOW}, {NEGATIVES} negatives, one thread")
    print(
        f"{'thousand tokens a CPU second':32}{'deepgen':>9}{'gensim':>9}{'ratio':>8}   range of ratios   of the floor"
    )
    rows = []
    for title, mode in MODES.items():
        own, other, part = [], [], []
        for _ in range(options.rounds):
            seconds, pairs = ours(walks, mode)
            own.append(walks.size / seconds / 1e3)
            part.append(pairs * 3 * (1 + NEGATIVES) * DIM / seconds / speed)
            if peer:
                other.append(walks.size / gensim(texts, mode) / 1e3)
        ratios = [a / b for a, b in zip(own, other, strict=False)]
        row = {"mode": title, "deepgen": statistics.median(own), "rounds": options.rounds, "data": name}
        line = f"{title:32}{row['deepgen']:9.0f}"
        if peer:
            row |= {"gensim": statistics.median(other), "ratio": statistics.median(ratios), "ratios": sorted(ratios)}
            line += f"{row['gensim']:9.0f}{row['ratio']:8.1f}   {min(ratios):6.1f} to {max(ratios):4.1f}"
        if not mode.get("hierarchical") and not mode.get("cbow"):
            row["of_floor"] = statistics.median(part)
            line += f"   {row['of_floor']:10.0%}"
        print(line, flush=True)
        rows.append(row)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
