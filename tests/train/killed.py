"""Fits killed by SIGKILL at random moments and taken up again; a script, run by test_kill.py in a process of its own.

    python killed.py FOLDER KILLS SEED

It forks, so that each of many lives costs milliseconds. For every run it completes it prints one JSON line: kills it
survived, and whether weights, metrics and monitor are bit for bit those of a run that was never touched.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import deepgen as dg
from deepgen.errors import CheckpointError
from deepgen.objectives import PersistentCD
from deepgen.train import Checkpoint, EarlyStopping

X = (torch.rand(130, 16, generator=dg.random.generator(1)) < 0.3).float()


def run(out: Path) -> None:
    model = dg.explicit.RBM(visible=16, hidden=8, generator=2)
    dg.fit(
        model,
        X,
        PersistentCD(k=1, chains=20),
        epochs=30,
        batch_size=20,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        schedule=lambda t: 1 - t,
        valid=X[:30],
        monitor=lambda m, x: -float(m.free_energy(x).mean()),
        callbacks=[EarlyStopping(patience=1000), Checkpoint(steps=2)],
        out=out,
        progress=False,
    )


def alive(out: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            run(out)
        except BaseException as error:  # a child must never get back into the parent's code
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def outcome(out: Path) -> tuple:
    run = dg.train.load_run(out)
    weights = [p.detach().numpy().tobytes() for p in run.model.parameters()]
    return weights, [(record.step, record.metrics, record.monitor) for record in run.history]


def whole(out: Path) -> bool:
    """Whether ``out`` holds a good checkpoint, or none yet."""
    try:
        dg.train.load_run(out)
    except CheckpointError as error:
        return "no checkpoint in" in str(error)
    return True


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    dice = random.Random(seed)
    started = time.monotonic()
    assert os.waitpid(alive(folder / "whole"), 0)[1] == 0
    seconds = time.monotonic() - started
    expected, done, lap = outcome(folder / "whole"), 0, 0
    while done < kills:
        out, survived, finished = folder / str(lap), 0, False
        while not finished:
            child = alive(out)
            if done < kills:
                time.sleep(dice.uniform(0.0, 0.4 * seconds))
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                done, survived = done + 1, survived + 1
                assert whole(out), f"kill {done} left a broken checkpoint"
            else:
                assert os.WEXITSTATUS(status) == 0
                finished = True
        print(json.dumps({"survived": survived, "same": outcome(out) == expected}), flush=True)
        lap += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
