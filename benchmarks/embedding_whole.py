"""Part ``whole`` of `embeddings.py`: node2vec from a graph to its vectors, seconds of wall time and peak memory.

BlogCatalog (10,312 nodes, 333,983 edges): p = q = 0.25, 10 walks of 80 nodes from each node, window 10, d = 128, one
epoch, on two threads, beside 15 s and 500 MB. Compiling, or reading what was compiled, is done on a small graph before,
and its seconds are printed apart. Every case runs in a process of its own; its peak memory is that of the process, so
Python, numpy and torch are in it, and what they take by themselves is printed beside.

``large`` is a drawn graph of a million nodes and 20 million edges whose ends come by a law with a heavy tail, with few
and short walks: it is about memory, and is no figure of quality. The graph is made by the same process.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from floor import verdict

import deepgen as dg
from deepgen.graphs import Graph, graph, node2vec

THREADS, ROUNDS = 2, 3
NODES, EDGES, TAIL = 1_000_000, 20_000_000, 0.6


def peak() -> float:
    """Largest resident memory of this process so far, MB.

    Linux hands the figure of getrusage on to what a large process starts; that of /proc begins anew with a program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def compiled() -> float:
    """Seconds until the kernels of walks and of skip-gram are there."""
    start = time.perf_counter()
    ring = np.roll(np.eye(20), 1, 1)
    node2vec(graph(ring + ring.T), 128, p=0.25, q=0.25, walk_length=10, window=10, threads=THREADS, progress=False)
    return time.perf_counter() - start


def blogcatalog() -> None:
    """One run; a line of its figures."""
    alone = peak()
    jit = compiled()
    start, cpu = time.perf_counter(), time.process_time()
    found = dg.graphs.load("blogcatalog").graph
    node2vec(found, 128, p=0.25, q=0.25, threads=THREADS, progress=False)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{jit:.2f} {seconds:.2f} {cpu:.2f} {alone:.0f} {peak():.0f}")


def drawn(nodes: int, edges: int, seed: int = 0) -> Graph:
    """A graph with ``edges`` different edges, or a few less, whose ends come in proportion to rank^-TAIL."""
    generator = np.random.default_rng(seed)
    ends = np.empty((2, edges), np.int32)
    share = np.cumsum(np.arange(1, nodes + 1) ** -TAIL)
    for row in ends:
        for first in range(0, edges, 2**20):
            part = row[first : first + 2**20]
            part[:] = np.searchsorted(share, generator.random(len(part)) * share[-1])
    from scipy.sparse import coo_array

    half = coo_array((np.ones(edges, np.bool_), tuple(ends)), shape=(nodes, nodes)).tocsr()
    del ends
    both = half + half.T
    del half
    return Graph(both.indptr, both.indices, directed=False)


def large() -> None:
    """One run; a line of its figures."""
    jit = compiled()
    start = time.perf_counter()
    found = drawn(NODES, EDGES)
    made, degree = time.perf_counter() - start, int(np.diff(found.indptr).max())
    first, start, cpu = peak(), time.perf_counter(), time.process_time()
    node2vec(found, 128, walks_per_node=1, walk_length=10, window=5, threads=THREADS, progress=False)
    print(
        f"{found}, largest degree {degree}, made in {made:.0f} s at {first:.0f} MB: 1 walk of 10 a node, window 5, "
        f"d = 128, {time.perf_counter() - start:.0f} s of wall time on {THREADS} threads, "
        f"{time.process_time() - cpu:.0f} CPU s, peak {verdict(-peak(), -4000, f'{peak():.0f} MB, below 4000 MB')} "
        f"(compiling or reading it before: {jit:.1f} s)"
    )


def run() -> None:
    """Both, each in processes of its own."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([float(word) for word in _apart("blogcatalog").split()])
        jit, seconds, cpu, alone, most = rounds[-1]
        print(
            f"BlogCatalog: {seconds:.1f} s of wall time, {cpu:.1f} CPU s, {THREADS} threads; before that compiling, or "
            f"reading what was compiled, {jit:.1f} s; {most:.0f} MB, {alone:.0f} of them imports",
            flush=True,
        )
    seconds, most = np.median(rounds, 0)[[1, 4]]
    print(f"median wall time, s: {verdict(-seconds, -15, f'{seconds:.1f}, at most 15')}")
    print(f"median peak memory, MB: {verdict(-most, -500, f'{most:.0f}, at most 500')}")
    print(_apart("large").strip(), flush=True)


def _apart(case: str) -> str:
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), case]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    {"blogcatalog": blogcatalog, "large": large}[sys.argv[1]]()
