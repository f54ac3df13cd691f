"""Walks and skip-gram of graphs on an accelerator, for `gpu.py`; needs numba and scipy besides.

Case walks: steps per second of 10 walks of 80 from each node, on a drawn graph of BlogCatalog's size (10,000 nodes,
some 300,000 edges between nodes taken by rank^-0.6) at p = q = 0.25 and at p = 4, q = 1. Case skip-gram: tokens per
second of those walks (window 10, 5 negatives, 128 numbers), and the time over that of the matrix products of as many
sentences. Beside both what the compiled loops reach on the CPU, on all its cores.

Before that the walks on the device are held against their law (`deepgen.testing.check_walks`), and vectors learned on
the device against those of the compiled loops: the loss on walks of another seed, as a ratio.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import torch
from gpu_clock import Check, seconds
from torch import Tensor

MISSING = [name for name in ("numba", "scipy") if importlib.util.find_spec(name) is None]
LENGTH, WINDOW, NEGATIVES, DIM = 80, 10, 5, 128


def drawn(nodes: int, edges: int) -> Any:
    """A graph with hubs, from seed 0."""
    from scipy import sparse

    import deepgen as dg

    random = np.random.default_rng(0)
    share = np.arange(1, nodes + 1) ** -0.6
    a, b = random.choice(nodes, (2, edges), p=share / share.sum())
    ring = np.arange(nodes)
    a, b = np.concatenate([a, ring]), np.concatenate([b, np.roll(ring, 1)])
    matrix = sparse.coo_matrix((np.ones(len(a)), (a, b)), (nodes, nodes)).tocsr()
    matrix = ((matrix + matrix.T) > 0).astype(np.float32)
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    return dg.graphs.graph(matrix, directed=False)


def learned(graph: Any, device: torch.device | None, epochs: int) -> Any:
    import deepgen as dg

    def batches(epoch: int) -> Any:
        return dg.graphs.walks(graph, length=LENGTH, per_node=10, seed=1, epoch=epoch)

    counts = np.bincount(np.concatenate(list(batches(0))).ravel(), minlength=len(graph))
    return dg.words.train_embeddings(
        batches, counts, dim=32, window=5, sample=0, epochs=epochs, seed=2, device=device, progress=False
    )


def checks(device: torch.device, small: bool) -> list[Check]:
    """Minus the logarithm of the walks' p-value, and how far losses are apart."""
    if MISSING:
        return []
    import deepgen as dg
    from deepgen.testing import CheckFailed, check_walks

    g = dg.graphs.graph(["0 1", "1 2", "0 2", "1 3", "1 4", "4 5"])

    def sampler(per_node: int, seed: int) -> Any:
        walked = dg.graphs.walks(g, 0.25, 4.0, length=6, per_node=per_node, seed=seed, device=device)
        return [each.cpu().numpy() for each in walked]

    try:
        surprise = abs(math.log10(max(check_walks(sampler, g, 0.25, 4.0, generator=0).p, 1e-300)))
    except CheckFailed:
        surprise = math.inf
    graph = drawn(200, 1_500)
    held_out = [row.tolist() for each in dg.graphs.walks(graph, length=LENGTH, per_node=2, seed=3) for row in each]
    losses = [
        dg.evaluate.skipgram_loss(learned(graph, on, 5), held_out, window=5, negatives=5).value for on in (device, None)
    ]
    return [
        Check("walks: -log10 of the p-value of their law", surprise, 5.0),
        Check("skip-gram: held-out loss over that of compiled loops, less 1", abs(losses[0] / losses[1] - 1), 0.02),
    ]


def cases(device: torch.device, small: bool) -> list[dict[str, Any]]:
    if MISSING:
        return [{"embeddings": f"not run: {' and '.join(MISSING)} not installed"}]
    graph = drawn(1_000, 20_000) if small else drawn(10_000, 330_000)
    return [*(walked(graph, device, p, q, 1 if small else 5) for p, q in ((0.25, 0.25), (4.0, 1.0))),
            trained(graph, device, 1 if small else 5)]  # fmt: skip


def walked(graph: Any, device: torch.device, p: float, q: float, repeats: int) -> dict[str, Any]:
    import deepgen as dg

    def walk(on: torch.device | None) -> None:
        for _ in dg.graphs.walks(graph, p, q, length=LENGTH, per_node=10, device=on):
            pass

    steps, other = len(graph) * 10 * (LENGTH - 1), torch.device("cpu")
    here, there = seconds(lambda: walk(device), device, repeats), seconds(lambda: walk(None), other, repeats)
    return {"walks, p": p, "q": q, "steps/s": steps / here, "compiled on the CPU, steps/s": steps / there}


def trained(graph: Any, device: torch.device, repeats: int) -> dict[str, Any]:
    import deepgen as dg
    from deepgen.words.skipgram_tensors import NOISE

    walks = np.concatenate(list(dg.graphs.walks(graph, length=LENGTH, per_node=1)))
    counts = np.bincount(walks.ravel(), minlength=len(graph))

    def learn(on: torch.device | None) -> None:
        dg.words.train_embeddings(
            lambda epoch: [walks], counts, dim=DIM, window=WINDOW, negatives=NEGATIVES, sample=0, device=on,
            progress=False,
        )  # fmt: skip

    stream = dg.random.generator(4, device)
    x, r = (torch.rand(len(walks), n, DIM, generator=stream, device=device) for n in (LENGTH, NOISE))

    def products() -> None:
        for other in (x, r):
            weight: Tensor = x @ other.mT
            weight @ other, weight.mT @ x

    here, floor = seconds(lambda: learn(device), device, repeats), seconds(products, device, repeats)
    there = seconds(lambda: learn(None), torch.device("cpu"), repeats)
    return {
        "skip-gram, tokens/s": walks.size / here,
        "over its products": here / floor,
        "compiled on the CPU, tokens/s": walks.size / there,
    }
