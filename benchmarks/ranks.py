"""What a step costs on one rank and on two, and 10^9 examples or 10^6 chains on paper: `python benchmarks/ranks.py`.

Two processes talk by gloo on this machine, one thread each. A step of the whole batch by rank 0 alone, while rank 1
waits, and the same step by both take turns, so that all see the same machine; medians over turns, of CPU time of a rank
(waiting costs none) and of time on the wall. A busy machine makes the wall times long, and hardly the CPU times.

Options: ``--turns`` (7), ``--json FILE``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import deepgen as dg
from deepgen.samplers.kernel import advance
from deepgen.train import Ranks
from deepgen.train.sharing import SharedUpdate, own_chains

STEPS = 20
DAY = 86400


def machine(rows: int, chains: int) -> tuple[Any, ...]:
    model = dg.RBM(784, 500, generator=0)
    return model, bits(rows), dg.objectives.PersistentCD(chains=chains)


def vae(rows: int) -> tuple[Any, ...]:
    return dg.implicit.mlp_vae(784, [200, 200], latent=50, generator=0), bits(rows), dg.objectives.ELBO()


def flow(rows: int) -> tuple[Any, ...]:
    model = dg.explicit.MAF(50, transforms=5, hidden=[128, 128], generator=0)
    return model, torch.randn(rows, 50, generator=dg.random.generator(1)), dg.objectives.MaximumLikelihood()


def bits(rows: int) -> torch.Tensor:
    return (torch.rand(rows, 784, generator=dg.random.generator(1)) < 0.13).float()


CASES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "RBM 784-500, PCD-1, 100 rows, 100 chains": lambda: machine(100, 100),
    "RBM 784-500, PCD-1, 1000 rows, 1000 chains": lambda: machine(1000, 1000),
    "VAE 784-200-200-50, 100 rows": lambda: vae(100),
    "VAE 784-200-200-50, 1000 rows": lambda: vae(1000),
    "MAF 50, 5 transforms of 128-128, 100 rows": lambda: flow(100),
    "MAF 50, 5 transforms of 128-128, 1000 rows": lambda: flow(1000),
}


def runner(make: Callable[[], tuple[Any, ...]], ranks: Ranks) -> Callable[[], tuple[float, float]]:
    """A function that takes `STEPS` steps and returns seconds of CPU and on the wall of one of them."""
    model, x, objective = make()
    stream, optimizer = dg.random.generator(0), objective.optimizer(model)
    state = objective.start(model, x, generator=stream)
    update = SharedUpdate(objective.update(model, optimizer), ranks, state, objective, model, optimizer)
    kept = [own_chains(state, ranks)]

    def run() -> tuple[float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(STEPS):
            kept[0], _ = update(kept[0], x, generator=stream)
            ranks.agree(False, False, False)
        return (time.process_time() - cpu) / STEPS, (time.perf_counter() - wall) / STEPS

    return run


def chains_cost(count: int) -> Callable[[], tuple[float, float]]:
    """CPU and wall seconds of a Gibbs step of one chain, of ``count`` at a time."""
    kernel, stream = dg.RBM(784, 500, generator=0).gibbs(), dg.random.streams(0)
    position = [bits(count)]

    def run() -> tuple[float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        position[0] = advance(kernel, kernel.init(position[0]), 3, generator=stream).position
        return (time.process_time() - cpu) / 3 / count, (time.perf_counter() - wall) / 3 / count

    return run


def child(rank: int, folder: str, turns: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/ranks", rank=rank, world_size=2)
    ranks = Ranks.joined()
    found: dict[str, dict[str, Any]] = {}
    for name, make in CASES.items():
        alone, shared = runner(make, Ranks()), runner(make, ranks)
        times: dict[str, list[tuple[float, float]]] = {"alone": [], "shared": []}
        for turn in range(turns + 1):
            dist.barrier()
            if rank == 0:
                one = alone()
            dist.barrier()
            both = shared()
            if rank == 0 and turn:  # the first compiles kernels and makes buffers
                times["alone"].append(one)
                times["shared"].append(both)
        if rank == 0:
            weights = sum(p.numel() for p in make()[0].parameters())
            ratio = statistics.median(both[0] / one[0] for one, both in zip(*times.values(), strict=True))
            found[name] = {"weights": weights, "ratio": ratio, **{key: told(value) for key, value in times.items()}}
    if rank == 0:
        step = chains_cost(1000)
        step()
        found["a Gibbs step of a chain, 784-500, 1000 at a time"] = {"alone": told([step() for _ in range(turns)])}
        Path(folder, "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def told(times: list[tuple[float, float]]) -> dict[str, float]:
    return {
        name: statistics.median(column) for name, column in zip(("cpu", "wall"), zip(*times, strict=True), strict=True)
    }


def report(found: dict[str, dict[str, Any]]) -> None:
    print(
        "case | weights | one rank, CPU ms | each of two, CPU ms | two over one, CPU of a rank | wall ms, one and two"
    )
    for name, of in found.items():
        if "shared" not in of:
            continue
        one, two, ratio = of["alone"], of["shared"], of["ratio"]
        walls = f"{1e3 * one['wall']:.2f}, {1e3 * two['wall']:.2f}"
        print(f"{name} | {of['weights']:,} | {1e3 * one['cpu']:.2f} | {1e3 * two['cpu']:.2f} | {ratio:.2f} | {walls}")
    chain = next(of["alone"]["cpu"] for of in found.values() if "shared" not in of)
    print(f"a Gibbs step of a chain, 784-500, 1000 at a time: {1e6 * chain:.1f} CPU us")
    print("\non paper, one pass over 10^9 examples, batches of 1,000:")
    for name, of in found.items():
        if "shared" in of and " 1000 rows" in name:
            one, two = (1e6 * of[side]["cpu"] / DAY for side in ("alone", "shared"))
            print(f"  {name}: {one:.1f} days of one core, {two:.1f} days of each of two")
    print(
        f"on paper, a Gibbs step of 10^6 chains: {1e6 * chain:.1f} s of one core; 10^6 chains of 500 bits in float32 ",
        end="",
    )
    print(f"{1e6 * 500 * 4 / 1e9:.1f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        child(options.rank, options.folder, options.turns)
        return
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, __file__, "--turns", str(options.turns), "--folder", folder, "--rank"]
        jobs = [subprocess.Popen([*call, str(rank)]) for rank in range(2)]
        if any(code for code in [job.wait() for job in jobs]):
            sys.exit("a rank failed")
        found = json.loads(Path(folder, "found.json").read_text())
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
