"""Importing deepgen is quick and has no side effect: each claim in a fresh interpreter."""

import json
import os
import re
import subprocess
import sys

import pytest

# torch loads tqdm and others for itself, so what counts is what is new after torch
PROBE = """
import gc, json, random, sys, warnings
import numpy as np, torch, torch.distributions

def world():
    law = torch.distributions.Distribution
    return {
        "torch's stream": torch.get_rng_state().tolist(),
        "numpy's stream": np.random.get_state()[1].tolist(),
        "python's stream": list(map(str, random.getstate())),
        "default dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "warning filters": list(map(str, warnings.filters)),
        "methods of Distribution": {name: id(value) for name, value in vars(law).items() if callable(value)},
        "validation": law._validate_args,
        "cuda": torch.cuda.is_initialized(),
        "tensors": sum(isinstance(x, torch.Tensor) and x.numel() > 0 for x in gc.get_objects()),
    }

modules, before = set(sys.modules), world()
import deepgen
for name in ("RBM", "data", "errors", "evaluate", "explicit", "fit", "objectives", "random", "samplers", "typing"):
    getattr(deepgen, name)
after = world()
changed = [name for name in before if before[name] != after[name]]
print(json.dumps({"changed": changed, "modules": sorted(set(sys.modules) - modules)}))
"""
HEAVY = {
    "pyro",
    "arviz",
    "matplotlib",
    "numba",
    "sklearn",
    "scipy",
    "networkx",
    "typer",
    "tqdm",
    "tensorboard",
    "pandas",
}
OURS_ON_DEMAND = {"deepgen.testing", "deepgen.interop", "deepgen.interop.arviz", "deepgen.plot", "deepgen.cli"}


# with bytecode, as installed packages have it: some machines are told to write none
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(code, *options, arguments=()):
    command = [sys.executable, *options, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def seen():
    return json.loads(run(PROBE).stdout)


def test_nothing_heavy_is_loaded(seen):
    assert "deepgen.explicit.rbm" in seen["modules"]
    assert not HEAVY & {name.partition(".")[0] for name in seen["modules"]}


def test_testing_bridges_pictures_and_commands_wait(seen):
    assert not OURS_ON_DEMAND & set(seen["modules"])


def test_nothing_is_drawn_allocated_or_patched(seen):
    assert seen["changed"] == []


def beyond_torch():
    """Seconds that ``import deepgen`` and the parts behind its first use take after torch, by -X importtime.

    From bytecode, that is from the second import on: compiling takes twice as long as all else.

    Torch leaves so many objects that Python goes through them all soon after, a tenth of a second that falls to whoever
    comes next: it is done before.
    """
    code = (
        "import gc, torch; gc.collect(); import deepgen; "
        "deepgen.fit, deepgen.explicit, deepgen.evaluate, deepgen.samplers, deepgen.objectives"
    )
    report = run(code, "-X", "importtime").stderr
    rows = re.findall(r"import time:\s*\d+ \|\s*(\d+) \|( +)(\S+)", report)
    own = [int(cumulative) for cumulative, indent, name in rows if name.startswith("deepgen") and len(indent) == 1]
    assert len(own) > 1
    return sum(own) / 1e6


# a fork of an interpreter with torch alone is as fresh as a new one for deepgen, and costs no second import of torch
FIRST = """
import os, sys, traceback
import torch

assert not any(name.partition(".")[0] == "deepgen" for name in sys.modules)
for part in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            __import__(f"deepgen.{part}")
        except BaseException:
            print(f"deepgen.{part}:", traceback.format_exc(), flush=True)
            os._exit(1)
        os._exit(0)
    if status := os.waitpid(child, 0)[1]:
        print(f"deepgen.{part} ended with status {status}", flush=True)
"""


def test_each_part_can_be_the_first_to_load():
    import deepgen

    functions = {"compare", "fit", "load", "load_weights", "save", "Embeddings", "RBM"}
    parts = sorted(set(deepgen.__all__) - functions)
    assert len(parts) > 10
    assert run(FIRST, arguments=parts).stdout == ""


def test_the_bare_import_waits_for_torch_and_lists_its_parts():
    assert (
        run("import sys, deepgen; print('torch' in sys.modules, 'explicit' in dir(deepgen))").stdout == "False True\n"
    )


def test_import_takes_at_most_half_a_second_beyond_torch():
    times = []
    for _ in range(8):  # the machine may be busy; the least of several is the import's own cost
        times.append(beyond_torch())
        if times[-1] <= 0.5:
            break
    print(f"seconds beyond torch: {times}")
    assert min(times) <= 0.5
