"""The contract of checkpoints: killed at any moment and resumed is, bit for bit, never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed.py")


def survive(folder, kills, seed):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(kills), str(seed)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    laps = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(lap["survived"] for lap in laps) == kills
    assert all(lap["same"] for lap in laps)


def test_a_fit_killed_three_times_equals_the_one_never_killed(tmp_path, seed):
    survive(tmp_path, 3, seed)


@pytest.mark.slow
def test_a_fit_killed_twenty_times_equals_the_one_never_killed(tmp_path, seed):
    survive(tmp_path, 20, seed)
