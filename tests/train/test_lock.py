"""One process a run: the second is refused in words, and a process that dies lets go."""

import os
import signal
import time

import pytest
import torch

import deepgen as dg
from deepgen.errors import CheckpointError
from deepgen.samplers import mala, sample_chain
from deepgen.train.lock import LOCK, held
from tests.train.runs import fitted

# from Python 3.12 on it is told of every fork of a process with threads, as workers of pytest-xdist are
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``tmp_path`` until it is killed."""
    child = os.fork()
    if child == 0:
        try:
            with held(tmp_path):
                time.sleep(600)
        finally:
            os._exit(0)
    while not (tmp_path / LOCK).exists() or not (tmp_path / LOCK).read_bytes():
        time.sleep(0.005)
    yield child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def chains(out):
    return sample_chain(mala(lambda x: -x.square().sum(-1) / 2, 0.5), torch.zeros(2, 2), 4, out=out, generator=0)


@pytest.mark.parametrize("what", [lambda out: fitted(out=out), chains, lambda out: dg.save(dg.RBM(2, 2), out)])
def test_a_second_process_is_refused_in_words(tmp_path, holder, what):
    with pytest.raises(CheckpointError, match=f"in use by process {holder} on .*: wait until that is done") as refused:
        what(tmp_path)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_the_killed_let_go_and_their_forks_do_not_hold_on(tmp_path):
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with held(tmp_path):
            if os.fork() == 0:  # a worker, as loaders of data have; told by itself, when its copy of the lock is gone
                os.write(told, f"{os.getpid()}\n".encode())
            time.sleep(600)
        os._exit(0)
    worker = int(os.read(ready, 20))
    try:
        with pytest.raises(CheckpointError, match="in use"), held(tmp_path):
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with held(tmp_path):  # while the worker lives on
            os.kill(worker, 0)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_run_within_a_run_is_refused_and_the_run_itself_is_not(tmp_path):
    def meddle(record, model):
        with pytest.raises(CheckpointError, match=f"in use by process {os.getpid()}"):
            fitted(out=tmp_path)

    fitted(out=tmp_path, callbacks=[meddle])
    assert len(fitted(out=tmp_path)[1]) == 4


def test_reading_takes_no_lock(tmp_path):
    fitted(out=tmp_path)
    with held(tmp_path):
        assert len(dg.train.load_run(tmp_path).history) == 4
        assert dg.load(tmp_path) is not None


def test_without_locks_there_is_none(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", none)
    with held(tmp_path), held(tmp_path):
        assert (tmp_path / LOCK).exists()
