"""Part ``words`` of `embeddings.py`: speed of word2vec beside gensim's.

Case: dim 128, window 10, 5 negatives, subsampling at 1e-3, float32, one thread, one epoch over the same sentences:
uniform walks of 80 nodes on BlogCatalog. Thousand tokens a CPU second, before subsampling, without compiling,
vocabulary and copying; the sides take turns, so that both see the same machine. The median of the rounds' ratios is
stated with its range.

The floor of a pair is 3 (1 + negatives) dim multiplications with additions, two vectors' products and two steps:
``floor`` says which part of a matrix product's speed on this machine, one thread, the kernel reaches.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from embedding_walks import blogcatalog

from deepgen.graphs import walks as biased
from deepgen.words.learner import Learner

DIM, WINDOW, NEGATIVES, SAMPLE, RATES, ROUNDS = 128, 10, 5, 1e-3, (0.025, 1e-4), 5
MODES: dict[str, dict[str, Any]] = {
    "skip-gram, noise of its own": {"shared": 1},
    "skip-gram": {"shared": 2},
    "skip-gram, noise of a centre": {"shared": 2 * WINDOW},
    "skip-gram, hierarchical": {"hierarchical": True},
    "CBOW": {"cbow": True},
    "CBOW, hierarchical": {"cbow": True, "hierarchical": True},
}


def sentences(count: int = 3000) -> npt.NDArray[np.int32]:
    """``[count, 80]`` uniform walks on BlogCatalog, each from a node of its own."""
    return next(biased(blogcatalog(), length=80, per_node=1, seed=0, batch=count))


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


def run() -> None:
    """A line for each way of learning."""
    walks = sentences()
    peer = importlib.util.find_spec("gensim") is not None
    texts = [[str(token) for token in row] for row in walks.tolist()] if peer else []
    print(f"uniform walks on BlogCatalog: {walks.size:,} tokens, d = {DIM}, window {WINDOW}, {NEGATIVES} negatives")
    print(
        f"{'thousand tokens a CPU second':32}{'deepgen':>9}{'gensim':>9}{'ratio':>8}   range of ratios   of the floor"
    )
    for title, mode in MODES.items():
        own, other, part = [], [], []
        for _ in range(ROUNDS):
            seconds, pairs = ours(walks, mode)
            own.append(walks.size / seconds / 1e3)
            part.append(pairs * 3 * (1 + NEGATIVES) * DIM / seconds / multiplications())  # of the same round
            if peer:
                other.append(walks.size / gensim(texts, mode) / 1e3)
        line = f"{title:32}{statistics.median(own):9.0f}"
        if peer:
            ratios = [a / b for a, b in zip(own, other, strict=True)]
            line += f"{statistics.median(other):9.0f}{statistics.median(ratios):8.1f}"
            line += f"   {min(ratios):6.1f} to {max(ratios):4.1f}"
        if not mode.get("hierarchical") and not mode.get("cbow"):
            line += f"   {statistics.median(part):10.0%}"
        print(line, flush=True)
