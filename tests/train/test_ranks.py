"""Two and three ranks train what one does: real processes that talk by gloo. A job by torchrun loses a rank."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import deepgen as dg
from deepgen.cli import main as command
from deepgen.train.store import MANIFEST, read
from tests.train.ranks_cases import CASES, COMPILED, large, machine, train

JOB = Path(__file__).with_name("ranks_job.py")
ROOT = JOB.parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
ROUNDED = {  # metrics that are no means over rows or chains: each rank has its own, and their mean is told
    "gan, batch norm": {"diversity"},
    "tempered": {"rare"},
}


def tensors(tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for item in tree for x in tensors(item)] if isinstance(tree, (list, tuple)) else []


def assert_same_run(one, other, name):
    """Generators and chains (of whole numbers) to the bit, everything else to rounding in float64."""
    a, b = read(one), read(other)
    assert a["position"] == b["position"], name
    assert torch.equal(a["generator"], b["generator"]), name
    for part in ("model", "optimizer", "state"):
        pairs = list(zip(tensors(a[part]), tensors(b[part]), strict=True))
        for x, y in pairs:
            assert torch.allclose(x.double(), y.double(), rtol=1e-7, atol=1e-9, equal_nan=True), (name, part)
    for x, y in zip(a["history"]["records"], b["history"]["records"], strict=True):
        for metric in set(x["metrics"]) - ROUNDED.get(name, set()):
            assert math.isclose(x["metrics"][metric], y["metrics"][metric], rel_tol=1e-6, abs_tol=1e-9), (name, metric)


def assert_same_chains(one, other):
    assert torch.equal(read(one)["state"][0], read(other)["state"][0])


def test_ranks_train_what_one_process_does(tmp_path):
    train("pcd", tmp_path / "begun by one", epochs=2)
    jobs = [subprocess.Popen([sys.executable, JOB, str(rank), tmp_path], env=ENVIRONMENT) for rank in range(3)]
    alone = tmp_path / "alone"
    for name in CASES:
        train(name, alone / name)
    assert [job.wait(400) for job in jobs] == [0, 0, -signal.SIGKILL]

    for name in CASES:
        assert_same_run(alone / name, tmp_path / name, name)
    for name in ("pcd", "fast", "dbm", "gaps"):
        assert_same_chains(alone / name, tmp_path / name)

    for name in COMPILED:
        train(name, alone / name, epochs=1)
        one, other = read(alone / name), read(tmp_path / name)
        for x, y in zip(tensors(one["model"]), tensors(other["model"]), strict=True):
            assert torch.allclose(x, y, atol=1e-5)
        # In float32 a chance can lie between two roundings of a probability; other chains would agree in half the bits.
        assert (one["state"][0] == other["state"][0]).float().mean() > 0.999

    train("pcd", tmp_path / "begun by two")
    for resumed in ("begun by two", "begun by one", "two to three"):
        assert_same_run(alone / "pcd", tmp_path / resumed, resumed)
        assert_same_chains(alone / "pcd", tmp_path / resumed)

    for rank in (0, 1):
        assert "one of 3 ranks is gone" in (tmp_path / f"lost {rank}").read_text()
    assert read(tmp_path / "killed")["position"]["step"] == 9
    train("pcd", tmp_path / "killed")
    assert_same_run(alone / "pcd", tmp_path / "killed", "killed")

    for method in ("ais", "bidirectional"):
        found = dg.evaluate.log_partition(machine(), method, chains=33, temperatures=30, generator=4).to_dict()
        assert_same_estimates(found, tmp_path, method)
    found = dg.evaluate.log_partition(large(), "ais", chains=33, temperatures=30, generator=4).to_dict()
    assert_same_estimates(found, tmp_path, "large", rel=1e-4)
    rows = (torch.rand(3, 6, generator=dg.random.generator(1)) < 0.4).double()
    found = dg.evaluate.log_likelihood(machine(), rows, method="raise", temperatures=30, generator=4).to_dict()
    assert_same_estimates(found, tmp_path, "raise")


def assert_same_estimates(found, folder, method, rel=1e-9):
    """The same settings, sizes and sides, and values to rounding in float64."""
    both = [json.loads((folder / f"{method} {rank}.json").read_text()) for rank in range(2)]
    assert both[0] == both[1]
    assert flat(both[0]).keys() == flat(found).keys()
    for key, value in flat(both[0]).items():
        expected = flat(found)[key]
        assert value == (pytest.approx(expected, rel=rel) if isinstance(expected, float) else expected), (method, key)


def flat(tree, before=""):
    if not isinstance(tree, dict):
        return {before: tree}
    return {key: value for name, item in tree.items() for key, value in flat(item, f"{before}/{name}").items()}


def test_a_killed_rank_ends_the_job_of_torchrun_with_one_line(tmp_path):
    out = tmp_path / "run"
    command = ["-m", "deepgen", "train", "rbm", "--data", "bars_and_stripes", "--epochs", "1000000", "--out", out]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    job = subprocess.Popen([*launch, *command], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 200
        while not (out / MANIFEST).exists():
            assert job.poll() is None, job.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.1)
        os.kill(rank_one(job.pid), signal.SIGKILL)
        _, told = job.communicate(timeout=100)
    finally:
        if job.poll() is None:
            job.terminate()
            job.wait(60)
    assert job.returncode not in (0, None)
    lines = [line for line in told.splitlines() if line.startswith("deepgen:")]
    assert len(lines) == 1, told
    assert re.search(r"one of 2 ranks is gone.*the same command with any number of ranks goes on", lines[0])
    assert f"{out} holds the run as it was last saved" in lines[0]
    assert read(out)["kind"] == "run"


@pytest.mark.slow  # several processes: what ranks train is held to one process's above, torchrun's start just before
def test_the_command_by_torchrun_trains_what_one_process_does(tmp_path):
    words = ["train", "rbm", "--data", "digits", "--epochs", "1", "--hidden", "16", "--quiet", "--out"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "deepgen"]
    job = subprocess.Popen([*launch, *words, tmp_path / "two"], env=ENVIRONMENT)
    with pytest.raises(SystemExit) as end:
        command([*words, str(tmp_path / "one")])
    assert [end.value.code, job.wait(100)] == [0, 0]
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    assert one["position"] == two["position"]
    assert torch.equal(one["generator"], two["generator"])
    for x, y in zip(tensors(one["model"]), tensors(two["model"]), strict=True):
        assert torch.allclose(x, y, atol=1e-5)
    assert one["history"]["records"][0]["step"] == two["history"]["records"][0]["step"] > 10
    # In float32 a chance can lie between two roundings of a probability; other chains would agree in half the bits.
    assert (one["state"][0] == two["state"][0]).float().mean() > 0.999


def rank_one(parent):
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError("rank 1 was not started")
