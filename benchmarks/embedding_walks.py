"""Part ``walks`` of `embeddings.py`: how fast biased walks are, and whether they follow their law.

Speed: one walk of 80 nodes from every node of BlogCatalog (10,312 nodes, 333,983 edges), one thread, CPU time without
compilation; libraries take turns, and printed are the median of the rounds, half the distance of their quartiles, and
the median of the rounds' ratios. On two threads it is wall time.

Law: `deepgen.testing.check_walks` on small graphs, with what it says of the first row that fails. A peer is handed what
it documents, and is asked again where its mistake could not show.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
from floor import alternate, quartiles, setting
from walk_peers import PEERS, Sampler, deepgen

from deepgen.graphs import Graph, graph, load
from deepgen.testing import CheckFailed, check_walks

LENGTH, ROUNDS = 80, 7
SPEEDS = {(0.25, 0.25): 14.0, (4.0, 1.0): 45.0, (1.0, 1.0): None}  # Mstep per CPU-second
ALONE = {(0.01, 1.0): None, (0.01, 100.0): None, (100.0, 0.01): None}  # where a round of a peer may take minutes
FAST = ("deepgen", "fastnode2vec", "torch_cluster")  # what does a round in seconds
LAWS = ((4.0, 0.25), (0.25, 0.25), (4.0, 1.0), (0.25, 4.0))


def blogcatalog() -> Graph:
    """The graph of the speeds, from the folder of data sets."""
    return load("blogcatalog").graph


def small() -> dict[str, Graph]:
    """Graphs whose rows can be counted: a triangle with a tail; weights; few edges; one-way edges and dead ends."""
    rng = np.random.default_rng(0)
    one_way = (rng.random((8, 8)) < 0.35) & ~np.eye(8, dtype=bool)
    one_way[7] = False
    sparse = rng.random((40, 40)) < 0.07
    hub = ["0 1", "0 2", "0 3", "0 4", "0 5", "1 2", "3 4", "5 6", "6 7"]
    return {
        "triangle, tail": graph(["0 1", "1 2", "0 2", "1 3", "1 4"]),
        "hub, weighted": graph([f"{edge} {rng.gamma(1.0) + 0.1:.3f}" for edge in hub]),
        "sparse": graph(np.triu(sparse, 1) | np.triu(sparse, 1).T),
        "one-way": graph(one_way, directed=True),
    }


def law(sampler: Sampler, found: Graph, p: float, q: float) -> str:
    """What the check says: a p-value, or the worst row."""
    try:
        evidence = check_walks(lambda n, seed: sampler(p, q, 5, n, seed), found, p, q, n=2000, alpha=1e-6)
    except CheckFailed as error:
        return f"WRONG: {error}"
    except Exception as error:
        return f"breaks down: {type(error).__name__}: {str(error)[:90]}"
    return f"follows the law (p-value {evidence.p:.2g}, Bonferroni over rows, {evidence.n} walks a node)"


def once(sampler: Sampler, p: float, q: float) -> Callable[[], object]:
    """One walk from each node, others at each call."""
    seeds = itertools.count()
    return lambda: sampler(p, q, LENGTH, 1, next(seeds))


def speeds() -> None:
    """Mstep per CPU-second, ours and those that do a round within seconds."""
    found = blogcatalog()
    samplers = {}
    for name in FAST:
        try:
            samplers[name] = PEERS[name](found)
        except ImportError as error:
            print(f"{name}: not timed ({error})")
    steps = len(found) * (LENGTH - 1) / 1e6
    for (p, q), aim in {**SPEEDS, **ALONE}.items():
        sides = {n: once(sampler, p, q) for n, sampler in samplers.items() if n == "deepgen" or (p, q) in SPEEDS}
        times = alternate(sides, rounds=ROUNDS, warmup=1)
        print(f"p = {p:g}, q = {q:g}, {ROUNDS} rounds")
        for name, each in times.items():
            low, middle, high = quartiles([steps / (t / 1e6) for t in each])
            ratio = statistics.median(t / own for t, own in zip(each, times["deepgen"], strict=True))
            goal = f"  target {aim:g}: {'met' if middle >= aim else 'MISSED'}" if aim and name == "deepgen" else ""
            half = (high - low) / 2
            print(f"{name:>15}  {middle:7.2f} +- {half:5.2f} Mstep/CPU-s  {ratio:6.2f} x our time{goal}", flush=True)
    two, wall = deepgen(found, threads=2), []
    for seed in range(ROUNDS):
        start = time.perf_counter()
        two(0.25, 0.25, LENGTH, 10, seed)
        wall.append(10 * steps / (time.perf_counter() - start))
    print(f"two threads, p = q = 0.25: {statistics.median(wall):.1f} Mstep per second of wall time")


def laws() -> None:
    """A line for each library, graph and setting."""
    for name, make in PEERS.items():
        for words, found in small().items():
            if name == "torch_cluster" and found.weights is not None:
                continue
            try:
                sampler = make(found)
            except ImportError as error:
                print(f"{name}: not tested ({error})")
                break
            for p, q in LAWS:
                print(f"{name:>13}  {words:>14}  p = {p:<4g} q = {q:<4g}  {law(sampler, found, p, q)}", flush=True)


def run() -> None:
    """Both."""
    names = ("fastnode2vec", "pecanpy", "csrgraph", "torch_cluster")
    print(", ".join(f"{name} {value}" for name, value in setting(*names).items()))
    speeds()
    laws()


if __name__ == "__main__":
    run()
