"""One of three processes of test_ranks.py, a script:  python ranks_job.py RANK FOLDER

Ranks 0 and 1 first train by themselves; then all three form another group, go on from what two had left, and rank 2 is
killed in the middle of a run.
"""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

import deepgen as dg
from deepgen.errors import MissingCapability, RankLost
from deepgen.train import Checkpoint, Ranks
from tests.train.ranks_cases import CASES, COMPILED, large, machine, train


def group(folder: Path, name: str, rank: int, world: int) -> Ranks:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/{name}", rank=rank, world_size=world, timeout=timedelta(seconds=200)
    )
    return Ranks.joined()


def of_two(folder: Path, rank: int) -> None:
    ranks = group(folder, "two", rank, 2)
    for name in CASES:
        train(name, folder / name, ranks=ranks)
    for name in COMPILED:
        train(name, folder / name, epochs=1, ranks=ranks)
    train("pcd", folder / "begun by two", epochs=2, ranks=ranks)
    train("pcd", folder / "two to three", epochs=2, ranks=ranks)
    train("pcd", folder / "begun by one", ranks=ranks)
    try:
        train("unsplit", None, ranks=ranks)
        raise AssertionError("chains that meet one another were split")
    except MissingCapability:
        pass
    with ranks.split_chains():
        for method in ("ais", "bidirectional"):
            found = dg.evaluate.log_partition(machine(), method, chains=33, temperatures=30, generator=4)
            (folder / f"{method} {rank}.json").write_text(json.dumps(found.to_dict()))
        found = dg.evaluate.log_partition(large(), "ais", chains=33, temperatures=30, generator=4)
        (folder / f"large {rank}.json").write_text(json.dumps(found.to_dict()))
        rows = (torch.rand(3, 6, generator=dg.random.generator(1)) < 0.4).double()
        found = dg.evaluate.log_likelihood(machine(), rows, method="raise", temperatures=30, generator=4)
        (folder / f"raise {rank}.json").write_text(json.dumps(found.to_dict()))
    dist.destroy_process_group()


class Killed:
    """Ends the process after a number of steps, as the system does when memory is short."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, record, model) -> None:
        pass

    def advance(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def of_three(folder: Path, rank: int) -> None:
    ranks = group(folder, "three", rank, 3)
    train("pcd", folder / "two to three", ranks=ranks)
    callbacks = [Checkpoint(steps=3), *([Killed(11)] if rank == 2 else [])]
    try:
        train("pcd", folder / "killed", ranks=ranks, callbacks=callbacks)
    except RankLost as lost:
        (folder / f"lost {rank}").write_text(str(lost))


if __name__ == "__main__":
    number, place = int(sys.argv[1]), Path(sys.argv[2])
    if number < 2:
        of_two(place, number)
    of_three(place, number)
