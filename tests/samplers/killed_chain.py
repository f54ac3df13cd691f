"""Chains killed by SIGKILL at random moments and taken up again; a script, run by test_long_runs.py.

    python killed_chain.py FOLDER KILLS SEED KIND

Every step is saved, so that a kill meets every stage of a save. One JSON line for each run completed.
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
from deepgen.samplers import folder as folders

folders.SECONDS = 0.0
SCALE = torch.tensor([1.0, 5.0])


def run(out, kind):
    return dg.samplers.sample_chain(
        dg.samplers.mala(lambda x: -(x / SCALE).square().sum(-1) / 2),
        torch.zeros(6, 2),
        draws=10,
        warmup=30,
        thin=2,
        store=kind != "sums",
        at_once=4 if kind == "blocks" else None,
        generator=3,
        out=out,
    )


def content(trace):
    tensors = [trace.draws, *trace.info.values(), *trace.state, trace.kernel.proposal.scale]
    tensors += [torch.as_tensor(trace.kernel.proposal.step_size)]
    if trace.sums is not None:
        tensors += [*trace.sums.first, *trace.sums.second, trace.sums.long, *trace.sums.info.values()]
    return [t.numpy().tobytes() for t in tensors], trace.generator.calls, trace.generator.seed_key


def alive(out, kind):
    child = os.fork()
    if child == 0:
        try:
            run(out, kind)
        except BaseException as error:  # a child must never get back into the parent's code
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def main(folder, kills, seed, kind):
    torch.set_num_threads(1)
    dice = random.Random(seed)
    expected = content(run(None, kind))
    started = time.monotonic()
    assert os.waitpid(alive(folder / "whole", kind), 0)[1] == 0
    seconds = time.monotonic() - started
    done, lap = 0, 0
    while done < kills:
        out, survived, finished = folder / str(lap), 0, False
        while not finished:
            child = alive(out, kind)
            if done < kills:
                time.sleep(dice.uniform(0.0, 0.6 * seconds))
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                done, survived = done + 1, survived + 1
            else:
                assert os.WEXITSTATUS(status) == 0
                finished = True
        print(json.dumps({"survived": survived, "same": content(run(out, kind)) == expected}), flush=True)
        lap += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
