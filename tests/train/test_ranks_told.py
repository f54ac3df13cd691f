"""What a rank makes of errors and devices, without other ranks: torch.distributed is asked in name only."""

import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist

from deepgen.errors import ArgumentError, RankLost
from deepgen.train import Ranks, torchrun

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/"
LOST = [
    RuntimeError(f"{GLOO}pair.cc:553] Connection closed by peer [127.0.0.1]:9938. This is typically caused by a ..."),
    RuntimeError(f"{GLOO}pair.cc:537] Read error [127.0.0.1]:17820: Connection reset by peer."),
    RuntimeError(f"{GLOO}pair.cc:81] writev [127.0.0.1]:1: Broken pipe"),
    RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 8000ms for recv operation to complete"),
    dist.DistBackendError("NCCL error in: ... ncclRemoteError: A call failed possibly due to a network error or a ..."),
    dist.DistNetworkError("The client socket has failed to connect"),
    dist.DistStoreError("wait timeout after 300000ms"),
]
OTHER = [
    RuntimeError("No backend type associated with device type cpu"),
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    RuntimeError(f"{GLOO}pair.cc:457] op.preamble.length <= op.nbytes. 4000 vs 40"),
    dist.DistBackendError("NCCL error in: ... Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 7000"),
    NotImplementedError("c10d::allreduce_ with arguments from the 'Meta' backend"),
]


def failing(monkeypatch, error):
    def fails(*args, **options):
        raise error

    monkeypatch.setattr(dist, "all_reduce", fails)
    return Ranks(0, 2)


@pytest.mark.parametrize("error", LOST, ids=str)
def test_a_rank_that_does_not_answer_is_lost(monkeypatch, error):
    ranks = failing(monkeypatch, error)
    with pytest.raises(RankLost, match="one of 2 ranks is gone") as told:
        ranks.agree(True)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_stay_what_they_are(monkeypatch, error):
    ranks = failing(monkeypatch, error)
    with pytest.raises(type(error)) as told:
        ranks.sum(torch.ones(2))
    assert told.value is error


@pytest.mark.parametrize(
    ("backend", "device", "told"),
    [
        ("cpu:gloo,cuda:gloo", "cpu", "cpu"),
        ("cpu:gloo,cuda:nccl", "cuda:1", "cpu"),
        ("cuda:nccl", "cuda:1", "cuda:1"),
        ("cuda:nccl", "cpu", None),
    ],
)
def test_what_is_agreed_on_lies_where_the_backend_sends_from(monkeypatch, backend, device, told):
    answers = {"is_initialized": True, "get_rank": 1, "get_world_size": 2, "get_backend_config": backend}
    for name, answer in answers.items():
        monkeypatch.setattr(dist, name, lambda answer=answer: answer)
    if told is None:
        with pytest.raises(ArgumentError, match=r"sends nothing between devices of the kind 'cpu': give device='cuda'"):
            Ranks.joined(device)
    else:
        assert Ranks.joined(device).told == torch.device(told)


@pytest.mark.parametrize(("gpus", "ranks", "auto"), [(0, 1, "cpu"), (1, 2, "cpu"), (2, 2, "cuda"), (4, 2, "cuda")])
def test_ranks_take_gpus_where_each_has_one(monkeypatch, gpus, ranks, auto):
    from deepgen.train.ranks import _device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert _device("auto", ranks).type == auto
    assert _device("cpu", ranks).type == "cpu"
    if gpus >= ranks:
        assert _device("cuda", ranks).type == "cuda"
    else:
        with pytest.raises(ArgumentError, match=f"torch sees {gpus or 'none'}: start as many ranks"):
            _device("cuda", ranks)


def test_a_gpu_that_is_asked_for_and_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="1 rank on this machine asks for a GPU each, and torch sees none"):
        torchrun("cuda").__enter__()


class Unanswered:
    """A message to a rank that is gone, as gloo now and then leaves it: only slices of its wait come back."""

    def is_completed(self):
        return False

    def wait(self, seconds):
        time.sleep(0.01)
        raise RuntimeError("Operation timed out!")


def test_a_message_that_hangs_is_ended_by_a_signal_and_known_to_hang(monkeypatch):
    def ended(number, frame):
        raise RankLost("the agent ended this rank")

    monkeypatch.setattr(dist, "all_reduce", lambda *args, **options: Unanswered())
    previous = signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        ranks = Ranks(0, 2)
        assert not ranks.hangs
        with pytest.raises(RankLost, match="the agent ended this rank"):
            ranks.agree(True)
        assert ranks.hangs
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_rank_that_knows_of_the_loss_is_left_the_time_to_say_so():
    from deepgen.train.ranks import _ended_by_agent

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(RankLost, match="one of 2 ranks is gone"), _ended_by_agent(2):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
        signal.signal(signal.SIGTERM, before)
        with pytest.raises(KeyError), _ended_by_agent(2):
            raise KeyError
        assert signal.getsignal(signal.SIGTERM) == before
    finally:
        signal.signal(signal.SIGTERM, before)


HUNG = """
import os, sys
from types import SimpleNamespace
from deepgen.train import ranks

os.environ |= {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}
ranks._fabric = lambda *given: SimpleNamespace(device="cpu")
ranks.Ranks.joined = staticmethod(lambda device: SimpleNamespace(hangs=HANGS))
with ranks.torchrun("cpu"):
    pass
sys.stdout.write("the program goes on to its end")
"""


@pytest.mark.parametrize("hangs", [True, False])
def test_a_process_whose_message_hangs_leaves_at_its_end_with_what_it_wrote(hangs):
    done = subprocess.run(
        [sys.executable, "-c", HUNG.replace("HANGS", str(hangs))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (int(hangs), "the program goes on to its end"), done.stderr
