"""The processes that do one job together, the ranks: what they say to one another, and how `torchrun` starts them.

    torchrun --nproc-per-node 2 -m deepgen train rbm --data digits --out runs/rbm
    torchrun --nproc-per-node 2 script.py        # with torchrun() as ranks:  dg.fit(..., ranks=ranks)

Messages go by torch.distributed: gloo between CPUs, nccl between GPUs, and gloo for what the hosts agree on. Lightning
Fabric (the extra ``distributed``) sets the group and the devices up from what torchrun left in the environment; a
process group that the caller has set up serves as well, and then Fabric is not needed.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability, RankLost
from deepgen.share import Part, part, splitting
from deepgen.train.messages import Messages, lost

T = TypeVar("T")


class Ranks:
    """The processes that share a job; by itself one rank alone, see `joined` and `torchrun` for several.

    Attributes:
        rank: which one this is, from 0; the first writes files and shows progress.
        world: how many there are.
        device: where this rank's model and data belong.
        told: where what the ranks agree on is kept: the CPU, unless the backend sends nothing from there.

    >>> alone = Ranks()
    >>> alone.world, alone.agree(True, False), alone.first(lambda: 3)
    (1, (True, False), 3)
    """

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | str = "cpu") -> None:
        self.rank, self.world, self.device = rank, world, torch.device(device)
        self.told = torch.device("cpu")
        self._messages = Messages(world)

    @classmethod
    def joined(cls, device: torch.device | str = "cpu") -> Ranks:
        """The ranks of the torch.distributed process group that the caller has set up.

        A group of nccl alone has messages between GPUs only: give it ``device="cuda:N"``, after
        ``torch.cuda.set_device(N)``, which says where torch.distributed puts what is no tensor.

        Raises:
            ArgumentError: there is none, or its backend sends nothing between such devices.
        """
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            raise ArgumentError("there is no process group: call torch.distributed.init_process_group, or use torchrun")
        ranks = cls(dist.get_rank(), dist.get_world_size(), device)
        backend = dist.get_backend_config()
        kinds = [pair.partition(":")[0] for pair in backend.split(",")]
        if ranks.device.type not in kinds:
            raise ArgumentError(
                f"the process group ({backend}) sends nothing between devices of the kind {ranks.device.type!r}: give "
                f"device={kinds[0]!r}, or set up the backend 'cpu:gloo,cuda:nccl'"
            )
        if "cpu" not in kinds:
            ranks.told = ranks.device
        return ranks

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """Add ``x`` up over all ranks, in place; the outcome is the same on each, to the bit."""
        if self.world > 1:
            self._messages.sum(x)
        return x

    def gather(self, own: Tensor, part: Part) -> Tensor:
        """The items of all ranks ``[total, ...]`` from the ``own`` of each, which are its ``part``."""
        if not part.cut:
            return own
        whole = own.new_empty(part.total, *own.shape[1:])
        places = torch.zeros(self.world, 2, dtype=torch.int64, device=self.told)
        places[self.rank] = torch.tensor([part.start, part.stop])
        for rank, (start, stop) in enumerate(self.sum(places).tolist()):
            if rank == self.rank:
                whole[start:stop] = own
            self._messages.copy(whole[start:stop], rank)
        return whole

    def broadcast(self, thing: T) -> T:
        """What rank 0 calls ``thing``."""
        if self.world == 1:
            return thing
        said = bytearray(pickle.dumps(thing) if self.is_first else b"")
        size = torch.tensor([len(said)], device=self.told)
        self._messages.copy(size, 0)
        sent = torch.frombuffer(said or bytearray(int(size)), dtype=torch.uint8).to(self.told)
        self._messages.copy(sent, 0)
        heard: T = thing if self.is_first else pickle.loads(sent.cpu().numpy().tobytes())
        return heard

    def copy_weights(self, tensors: list[Tensor]) -> None:
        """Give every rank the values that ``tensors`` have on rank 0."""
        if self.world > 1:
            with torch.no_grad():
                for tensor in tensors:
                    self._messages.copy(tensor.detach(), 0)

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Each of ``flags`` is true if it is on any rank."""
        if self.world == 1:
            return flags
        told = torch.tensor(flags, dtype=torch.int32, device=self.told)
        self._messages.largest(told)
        return tuple(bool(flag) for flag in told.tolist())

    def same(self, thing: Any) -> bool:
        """Whether ``thing`` is equal on all ranks."""
        return not self.agree(self.broadcast(thing) != thing)[0]

    def first(self, do: Callable[[], T]) -> T:
        """What ``do()`` returns or raises on rank 0, which alone calls it, on every rank."""
        if self.world == 1:
            return do()
        told: tuple[Any, BaseException | None] = (None, None)
        if self.is_first:
            try:
                told = do(), None
            except Exception as error:
                told = None, error
        value, failed = self.broadcast(told)
        if failed is not None:
            raise failed
        done: T = value
        return done

    @property
    def hangs(self) -> bool:
        """Whether an error left a message in the middle, such as one to a rank that was killed."""
        return self._messages.hangs

    def part(self, total: int) -> Part:
        """This rank's stretch of ``total`` items, such as chains."""
        return part(total, self.rank, self.world)

    @contextmanager
    def split_chains(self) -> Iterator[None]:
        """The block in which annealed runs (AIS, reverse AIS, RAISE) are split: each rank moves its chains.

        All ranks make the same calls with the same seed, and get the same `Estimate`: log weights come together in the
        order of the chains before their mean is taken. A chain has the random numbers that it has in one process.

        >>> import deepgen as dg
        >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
        >>> with torchrun() as ranks, ranks.split_chains():
        ...     print(dg.evaluate.log_partition(rbm, "ais", chains=100, generator=0).n)
        100
        """
        with splitting(self if self.world > 1 else None):
            yield


@contextmanager
def torchrun(device: torch.device | str = "auto") -> Iterator[Ranks]:
    """The ranks that torchrun started, this process being one of them; without torchrun one rank alone.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: a GPU for each rank if there are as many.

    Raises:
        ArgumentError: ``"cuda"``, and this machine has fewer GPUs than ranks.
        MissingCapability: several ranks, and lightning-fabric is not installed.
        RankLost: inside the block, another rank is gone, or torchrun ends this one because one is (SIGTERM).

    After a `RankLost` a message to the rank that is gone may hang for half an hour. Then the process ends by
    ``os._exit`` when the program is done, with status 1 even where the program finished: stdout and stderr are flushed,
    exit handlers registered before are left out.

    >>> with torchrun() as ranks:
    ...     ranks.rank, ranks.world
    (0, 1)
    """
    world = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if world == 1:
        yield Ranks(device=_device(device, 1))
        return
    import torch.distributed as dist

    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    kind = _device(device, local).type
    ranks = Ranks.joined(_fabric(kind, local, world // local).device)
    try:
        with _ended_by_agent(world):
            yield ranks
    finally:
        if ranks.hangs:
            atexit.register(_leave)
        elif dist.is_initialized():
            dist.destroy_process_group()


def _leave() -> None:
    """End this process as it is: torch would wait for a message to a rank that is gone, until torchrun kills."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _device(device: torch.device | str, local: int) -> torch.device:
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if str(device) == "auto":
        return torch.device("cuda" if there >= local else "cpu")
    found = torch.device(device)
    if found.type == "cuda" and there < local:
        raise ArgumentError(
            f"{local} rank{'s' if local > 1 else ''} on this machine ask{'' if local > 1 else 's'} for a GPU each, and "
            f"torch sees {there or 'none'}: start as many ranks as there are GPUs, or train on 'cpu'"
        )
    return found


def _fabric(kind: str, devices: int, nodes: int) -> Any:
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise MissingCapability(
            "several ranks need the package lightning-fabric: pip install 'deepgen[distributed]'"
        ) from error
    if kind not in ("cpu", "cuda"):
        raise ArgumentError(f"ranks train on 'cpu' or 'cuda', got {kind!r}")
    backend = "gloo" if kind == "cpu" else "cpu:gloo,cuda:nccl"
    strategy = DDPStrategy(process_group_backend=backend)
    fabric = Fabric(accelerator=kind, devices=devices, num_nodes=nodes, strategy=strategy)
    told = logging.getLogger("lightning_fabric")
    level = told.level
    told.setLevel(logging.WARNING)  # six lines from every launch
    try:
        fabric.launch()
    finally:
        told.setLevel(level)
    return fabric


@contextmanager
def _ended_by_agent(world: int) -> Iterator[None]:
    """Turn the SIGTERM by which torchrun ends the ranks that are left into `RankLost`.

    A rank that has heard of the loss by itself, a moment before, is left the time to say so: to it SIGTERM is nothing
    any more. It ends, or torchrun kills it half a minute later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ended(number: int, frame: FrameType | None) -> None:
        raise RankLost(lost(world))

    previous = signal.signal(signal.SIGTERM, ended)
    try:
        yield
    except RankLost:
        previous = signal.SIG_IGN
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
