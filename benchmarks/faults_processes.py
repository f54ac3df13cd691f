"""Processes that are killed, two of them at once on one run, and one without memory."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faults_common as common
import torch
from faults_common import ROWS, Hang, Tally
from faults_disks import dated, loads, tree, writers
from faults_files import TABLE
from torch.utils.data import DataLoader, Dataset, get_worker_info

import deepgen as dg
from deepgen.errors import CheckpointError, DeepgenError
from deepgen.samplers import mala, sample_chain
from deepgen.train import Checkpoint


class Often(Checkpoint):
    """What a command takes in place of a checkpoint every 30 seconds: one at every third step."""

    def __init__(self, **_: float) -> None:
        super().__init__(steps=3)


def kills(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """`deepgen train` killed at random moments until it is done; files and folders killed while they are written."""
    runs, files = Tally("killed deepgen train"), Tally("killed while writing")
    (place / "rows.csv").write_text("\n".join(",".join(str(int(v)) for v in row) for row in ROWS) + "\n")
    cases: list[tuple[Any, ...]] = [
        ("rbm", "--hidden", 6, "--epochs", 60),
        ("made", "--hidden", 8, "--epochs", 12, "--patience", 0),
    ]
    for number, (model, *words) in enumerate(cases):

        def train(out: Path, model: str = model, words: list[Any] = words) -> int:
            dg.train.fit.__globals__["Checkpoint"] = Often
            return common.shell("train", model, "--data", place / "rows.csv", "--out", out, *words, "--quiet")[0]

        whole = place / f"whole{number}"
        begun = time.monotonic()
        assert common.ended(common.child(partial(train, whole))) == 0
        seconds = time.monotonic() - begun
        expected, done, lap = common.weights(dg.load(whole)), 0, 0
        while done < tries:
            out, finished = place / f"run{number}-{lap}", False
            survived = 0
            while not finished:
                process = common.child(partial(train, out))
                if done < tries:
                    time.sleep(dice.uniform(0, 0.7 * seconds))
                    os.kill(process, signal.SIGKILL)
                status = common.ended(process)
                if status == -signal.SIGKILL:
                    done, survived = done + 1, survived + 1
                elif status != 0:
                    runs.lost.append(f"{model} after {survived} kills ended with status {status}")
                    survived = 0
                    break
                else:
                    finished = True
            equal = finished and common.weights(dg.load(out)) == expected
            for _ in range(survived):
                runs.check(equal, f"{model} in {out.name} ended in other weights")
            lap += 1
    for name, write in writers(place).items():
        write(1)
        second = tree(place)
        for _ in range(max(1, tries // 4)):
            write(0)
            first = tree(place)

            def again(write: Callable[[int], object] = write) -> int:
                while True:
                    write(1)
                    write(0)

            process = common.child(again)
            time.sleep(dice.uniform(0.001, 0.05))
            os.kill(process, signal.SIGKILL)
            common.ended(process)
            after = tree(place)
            fine = all(after.get(n) in (first[n], second.get(n)) for n in first if "/" not in n and not dated(n))
            if name == "embeddings txt.gz":
                fine = fine and dg.Embeddings.load(place / "emb.txt.gz").vectors.shape == (15, 4)
            files.check(fine and loads(place, first), name)
    return [runs, files]


class Deadly(Dataset[Any]):
    """`ROWS`; as long as ``fuse`` exists, the worker that reads row ``at`` is gone at once, by signal ``end``."""

    def __init__(self, fuse: Path, at: int, end: int) -> None:
        self.fuse, self.at, self.end = fuse, at, end

    def __len__(self) -> int:
        return len(ROWS)

    def __getitem__(self, i: int) -> torch.Tensor:
        if i == self.at and get_worker_info() is not None and self.fuse.exists():
            if self.end != signal.SIGKILL:  # which nobody can handle; torch handles the others
                signal.signal(self.end, signal.SIG_DFL)
            os.kill(os.getpid(), self.end)
        return ROWS[i]


def workers(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """Workers of a DataLoader that end at a random row: one line, the checkpoint whole, and the run goes on from it."""
    tally = Tally("killed workers of a DataLoader")
    for attempt in range(tries):
        fuse, out = place / "fuse", place / f"run{attempt}"
        fuse.touch()
        end = dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV))
        data = DataLoader(Deadly(fuse, dice.randrange(len(ROWS)), end), batch_size=20, num_workers=dice.choice((1, 2)))
        options: dict[str, Any] = {"data": data, "batch_size": None, "callbacks": [Checkpoint(steps=1)]}
        what = f"a worker gone by {end.name}"
        error: BaseException | None = None
        try:
            with common.in_time():
                common.fitted(out, **options)
        except (Exception, Hang) as raised:
            error = raised
        fuse.unlink()
        resumed, whole = common.fitted(out, **options), common.fitted(**options)
        if error is None:
            tally.lost.append(f"{what} was not told")
        elif common.weights(resumed) != common.weights(whole):
            tally.lost.append(f"{what}: other weights")
        else:
            tally.refusal(error, what)
    return [tally]


def pairs(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """A second process on a directory is refused while the first lives, and reads it; killed, the first lets go."""
    refused, reads, after = (
        Tally("second process on a run"),
        Tally("reading a run at work"),
        Tally("lock of the killed"),
    )
    for attempt in range(tries):
        out = place / f"run{attempt}"
        slow = [Checkpoint(steps=1), lambda record, model: time.sleep(0.002)]
        process = common.child(lambda: common.fitted(out, epochs=10**6, callbacks=slow) and 0)  # noqa: B023
        while not (out / "manifest.json").exists():
            time.sleep(0.01)
        for number in range(3):
            try:
                if number == 0:
                    common.fitted(out, epochs=3)
                elif number == 1:
                    dg.save(common.machine(), out)
                else:
                    chain = mala(lambda x: -x.square().sum(-1) / 2, 0.5)
                    sample_chain(chain, torch.zeros(3, 2), 8, out=out, resume=False, progress=False)
                refused.lost.append("a second process was let in")
            except (Exception, Hang) as error:
                if "in use by process" in str(error):
                    refused.refusal(error, "second process")
                else:
                    refused.lost.append(f"refused without saying why: {error}")
        for _ in range(20):
            try:
                dg.train.load_run(out)
                reads.survived += 1
            except CheckpointError as error:
                reads.lost.append(f"{reads.name}: {error}")
            time.sleep(dice.uniform(0, 0.01))
        os.kill(process, signal.SIGKILL)
        common.ended(process)
        done = len(dg.train.load_run(out).history)
        try:
            common.fitted(out, epochs=done + 1)
            after.check(len(dg.train.load_run(out).history) == done + 1, "did not go on")
        except DeepgenError as error:
            after.lost.append(f"{after.name}: {error}")
    return [refused, reads, after]


def memory(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """Commands in a process with so much memory to spare: done, or refused in one line, and the checkpoint is whole."""
    tally = Tally("memory limit")
    (place / "rows.csv").write_text(TABLE.replace("a,b,c\n", ""))
    run = place / "run"
    train = ["train", "vae", "--data", "digits", "--hidden", "64,64", "--quiet", "--out"]
    assert common.ended(common.child(lambda: common.shell(*train, run, "--epochs", 1)[0])) == 0
    before = tree(run)
    tasks: list[list[Any]] = [
        [*train, place / "other", "--hidden", "4000,4000", "--epochs", 1, "--batch", 1000],
        ["evaluate", run, "--seed", 1],
        ["sample", run, "-n", 2_000_000, "--out", place / "x.npy"],
    ]
    for attempt in range(tries):
        words, spare = tasks[attempt % len(tasks)], dice.choice((8, 30, 100, 300)) * 2**20
        log = place / "said.json"
        log.unlink(missing_ok=True)

        def work(words: list[Any] = words, spare: int = spare, log: Path = log) -> int:
            with common.limited(resource.RLIMIT_AS, common.in_use() + spare):
                status, said = common.shell(*words)
            log.write_text(json.dumps([status, said]))
            return 0

        code = common.ended(common.child(work))
        status, said = json.loads(log.read_text()) if log.exists() else (code, "")
        what = f"deepgen {words[0]} with {spare >> 20} MiB"
        if code or not (status == 0 or common.one_line(status, said)):
            tally.lost.append(f"{what}: status {status}: {said[-300:]!r}")
        elif {n: b for n, b in tree(run).items() if n in before} != before:
            tally.lost.append(f"{what}: the run was changed")
        elif status == 0:
            tally.survived += 1
        else:
            tally.failed += 1
    return [tally]
