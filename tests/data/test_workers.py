import gc
import os
import signal
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data import dataloader as torchs

import deepgen as dg
from deepgen.data.batches import batches
from deepgen.errors import DataError
from tests.train.runs import equal, fitted, machine

PCD = dg.objectives.PersistentCD


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """torch looks for dead workers every five seconds, and waits as long for one to end: here every half of one.

    It binds the first as a default argument. Without these two names of torch the tests are only slower.
    """
    monkeypatch.setattr(torchs._utils, "MP_STATUS_CHECK_INTERVAL", 0.5, raising=False)
    look = getattr(torchs._MultiProcessingDataLoaderIter, "_try_get_data", None)
    if look is not None:
        monkeypatch.setattr(look, "__defaults__", (0.5,))


class Deadly(Dataset):
    """Rows of which one ends the worker that reads it, as long as ``fuse`` exists."""

    def __init__(self, fuse, end):
        self.fuse, self.end = fuse, end

    def __len__(self):
        return 60

    def __getitem__(self, i):
        if i == 37 and torch.utils.data.get_worker_info() is not None and self.fuse.exists():
            self.end()
        return (torch.rand(6, generator=dg.random.generator(i)) < 0.3).float()


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def quits():
    os._exit(3)


def wrong():
    raise KeyError("the row's own error")


def deadly(place, end, workers):
    fuse = place / "fuse"
    fuse.touch()
    return fuse, DataLoader(Deadly(fuse, end), batch_size=10, num_workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_is_told_and_the_run_goes_on_to_the_bit(tmp_path, workers):
    fuse, data = deadly(tmp_path, killed, workers)
    fuse.unlink()
    list(data)  # the first loader sets torch's handler, which stays
    before = signal.getsignal(signal.SIGCHLD)
    fuse.touch()
    out, options = tmp_path / "run", {"data": data, "batch_size": None, "epochs": 2}
    callbacks = [dg.train.Checkpoint(steps=1)]
    with pytest.raises(DataError, match=r"worker \d of the DataLoader's \d \(process \d+\) was killed by SIGKILL"):
        fitted(machine(), PCD(k=1, chains=10), out=out, callbacks=callbacks, **options)
    assert signal.getsignal(signal.SIGCHLD) is before
    fuse.unlink()
    resumed, history = fitted(machine(), PCD(k=1, chains=10), out=out, callbacks=callbacks, **options)
    whole, _ = fitted(machine(), PCD(k=1, chains=10), **options)
    assert history.new_steps < 12
    assert equal(resumed, whole)


def test_a_worker_that_dies_in_the_middle_of_a_step_is_told_with_the_next_batch(tmp_path):
    _, data = deadly(tmp_path, killed, 1)
    rows = batches(data, 10, seed=0, epoch=0)
    next(rows)
    time.sleep(0.5)  # the worker is dead by now; torch would raise here
    with pytest.raises(DataError):
        list(rows)


def test_a_worker_that_quits_and_a_row_that_is_wrong_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="ended with status 3"):
        list(batches(deadly(tmp_path, quits, 1)[1], 10, seed=0, epoch=0))
    with pytest.raises(KeyError, match="the row's own error"):
        list(batches(deadly(tmp_path, wrong, 1)[1], 10, seed=0, epoch=0))


def test_a_lasting_worker_that_dies_between_epochs_is_told_and_the_loader_serves_again(tmp_path):
    fuse, _ = deadly(tmp_path, killed, 1)
    fuse.unlink()
    data = DataLoader(Deadly(fuse, killed), batch_size=10, num_workers=2, persistent_workers=True)
    list(DataLoader(Deadly(fuse, killed), num_workers=1))  # sets torch's handler
    before = signal.getsignal(signal.SIGCHLD)
    first = list(batches(data, 10, seed=0, epoch=0))
    os.kill(data._iterator._workers[1].pid, signal.SIGKILL)
    time.sleep(0.5)  # between epochs: torch would raise here
    with pytest.raises(DataError, match=r"worker 1 of the DataLoader's 2 \(process \d+\) was killed by SIGKILL"):
        list(batches(data, 10, seed=0, epoch=1))
    assert signal.getsignal(signal.SIGCHLD) is before
    assert all(torch.equal(a, b) for a, b in zip(batches(data, 10, seed=0, epoch=0), first, strict=True))
    assert signal.getsignal(signal.SIGCHLD) is not before
    del data
    gc.collect()
    assert signal.getsignal(signal.SIGCHLD) is before
