"""Mini-batches whose order and noise are pure functions of (seed, epoch, batch), so that a run can be resumed exactly.

An epoch is a permutation of the rows cut into batches; the last one may be smaller. Nothing is remembered between
epochs and no global stream moves: a Dataset or DataLoader that draws from torch's global stream (a shuffling sampler,
a random transform) is lent one seeded by (seed, epoch, batch) instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from deepgen.data.redrawn import Redrawn
from deepgen.data.workers import of_loader
from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.random import generator


def batches(data: Any, batch_size: int, *, seed: int, epoch: int, start: int = 0) -> Iterator[Any]:
    """Yield the batches of one epoch from number ``start`` on.

    Args:
        data: a tensor ``[rows, *event]``; a numpy array (see `as_tensor`); a `Redrawn` set; a TensorDataset or any
            other map-style Dataset; an IterableDataset, which keeps its own order; a DataLoader, whose own batch size
            and sampler are used and ``batch_size`` ignored.
        batch_size: rows per batch; the last may have fewer, and one above the number of rows means a single batch.
        seed, epoch: fix the order and the noise.
        start: batches to leave out, those done before an interruption. Tensors skip at no cost; iterable sets and
            loaders have to be run through.

    Yields:
        Tensors ``[batch, *event]`` on the data's device, or whatever a Dataset's rows collate to (tuples of tensors).

    Raises:
        ShapeError: no rows.
        ArgumentError: ``batch_size`` below 1, or ``epoch`` or ``start`` below 0.
        DataError: a worker of a DataLoader is gone.

    >>> x = torch.arange(5.0).unsqueeze(1)
    >>> [len(batch) for batch in batches(x, 2, seed=0, epoch=0)]
    [2, 2, 1]
    >>> again = torch.cat([*batches(x, 2, seed=0, epoch=0)])
    >>> torch.equal(torch.cat([*batches(x, 2, seed=0, epoch=0, start=1)]), again[2:])
    True
    """
    check_count(batch_size=batch_size)
    check_count(0, epoch=epoch, start=start)
    if isinstance(data, np.ndarray):
        data = as_tensor(data)
    if isinstance(data, DataLoader):
        return islice(_of_loader(data, seed, epoch), start, None)
    if isinstance(data, IterableDataset):
        return islice(_of_loader(DataLoader(data, batch_size), seed, epoch), start, None)
    if isinstance(data, TensorDataset) and type(data) is TensorDataset:
        return _of_tensors(data.tensors, batch_size, seed, epoch, start)
    if isinstance(data, Redrawn):
        return _of_redrawn(data, batch_size, seed, epoch, start)
    if isinstance(data, Tensor):
        return (batch[0] for batch in _of_tensors((data,), batch_size, seed, epoch, start))
    if isinstance(data, Dataset) or (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return _of_dataset(data, batch_size, seed, epoch, start)
    raise ArgumentError(f"data must be a tensor, an array, a Dataset or a DataLoader, got {type(data).__name__}")


def count(data: Any, batch_size: int) -> int | None:
    """Return how many batches an epoch of ``data`` has; None when only running through it would tell.

    >>> count(torch.zeros(5, 1), 2)
    3
    """
    if isinstance(data, DataLoader):
        return None if isinstance(data.dataset, IterableDataset) else len(data)
    return -(-len(data) // batch_size) if hasattr(data, "__len__") else None


def as_tensor(x: Any, *, double: bool = False) -> Tensor:
    """Return an array as a tensor: floats, bits and bytes as float32, wider integers (codes, tokens) as int64.

    With ``double`` float64 stays float64. A tensor comes as its values alone, without a graph.

    >>> as_tensor(np.zeros((2, 3))).dtype
    torch.float32
    """
    if isinstance(x, Tensor):  # of bfloat16 numpy knows nothing
        x = x.detach().cpu()
        x = x.float() if x.dtype == torch.bfloat16 else x
    try:
        array = np.asarray(x)
    except ValueError as error:  # numpy's words for lists that are no rectangle, such as [rows, labels]
        raise ArgumentError(f"rows of numbers, all of the same shape, are needed ({error})") from None
    if double and array.dtype == np.float64:
        return torch.from_numpy(np.array(array))
    if array.dtype.kind == "f" or array.dtype in (np.bool_, np.uint8):
        return torch.from_numpy(np.array(array, dtype=np.float32))  # a copy, so the caller's array may change or go
    if array.dtype.kind in "iu":
        return torch.from_numpy(array.astype(np.int64))
    raise ArgumentError(f"an array of numbers is needed, got one of {array.dtype}")


def stream(seed: int, epoch: int, batch: int = -1, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator that belongs to a batch; number -1 is the one for the order of the whole epoch."""
    key = hashlib.blake2b(f"{seed}/{epoch}/{batch}".encode(), digest_size=8).digest()
    return generator(int.from_bytes(key, "little"), device)


def _cut(rows: int, batch_size: int, seed: int, epoch: int, start: int) -> Iterator[tuple[int, Tensor]]:
    """Yield (batch number, row numbers)."""
    order = _order(rows, seed, epoch)
    for number in range(start, -(-rows // batch_size)):
        yield number, order[number * batch_size : (number + 1) * batch_size]


def _order(rows: int, seed: int, epoch: int) -> Tensor:
    if rows == 0:
        raise ShapeError("data must have at least one row, got none")
    return torch.randperm(rows, generator=stream(seed, epoch))


def _of_tensors(
    tensors: tuple[Tensor, ...], batch_size: int, seed: int, epoch: int, start: int
) -> Iterator[tuple[Tensor, ...]]:
    """Gather about a megabyte of rows at a time, as small gathers cost more in calls than in memory."""
    if any(x.ndim == 0 or len(x) != len(tensors[0]) for x in tensors):
        raise ShapeError(f"data must be [rows, *event] with equal rows, got {[list(x.shape) for x in tensors]}")
    row = sum(x[:1].numel() * x.element_size() for x in tensors)
    many = max(1, 2**20 // max(1, row * batch_size)) * batch_size
    rows, order = len(tensors[0]), _order(len(tensors[0]), seed, epoch)
    for first in range(start * batch_size, rows, many):
        index = order[first : first + many]
        gathered = [x.index_select(0, index.to(x.device)).split(batch_size) for x in tensors]
        yield from zip(*gathered, strict=True)


def _of_redrawn(data: Redrawn, batch_size: int, seed: int, epoch: int, start: int) -> Iterator[Any]:
    device = data.values.device
    for number, index in _cut(len(data), batch_size, seed, epoch, start):
        yield data.draw(index.to(device), generator=stream(seed, epoch, number, device))


def _of_dataset(data: Any, batch_size: int, seed: int, epoch: int, start: int) -> Iterator[Any]:
    for number, index in _cut(len(data), batch_size, seed, epoch, start):
        with _lent([torch.default_generator], [stream(seed, epoch, number).get_state()]):
            chosen = index.tolist()  # torch's loaders ask for them together too, where a set can give them so
            together = data.__getitems__(chosen) if hasattr(data, "__getitems__") else [data[i] for i in chosen]
            batch = default_collate(together)
        yield batch


def _of_loader(loader: DataLoader[Any], seed: int, epoch: int) -> Iterator[Any]:
    """Iterate ``loader`` while the streams that it and its sampler draw from are lent seeded states."""
    owners = (loader, loader.sampler, getattr(loader.batch_sampler, "sampler", None), loader.dataset)
    found = [torch.default_generator, *(getattr(owner, "generator", None) for owner in owners)]
    streams = list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
    states = [stream(seed, epoch, -2 - i, g.device).get_state() for i, g in enumerate(streams)]
    rows = of_loader(loader)
    while True:
        with _lent(streams, states):
            batch = next(rows, _END)
        if batch is _END:
            return
        yield batch


_END = object()


@contextmanager
def _lent(streams: list[torch.Generator], states: list[Tensor]) -> Iterator[None]:
    """Run the block with ``streams`` in ``states``, leave there what became of them, and put the streams back."""
    kept = [g.get_state() for g in streams]
    for g, state in zip(streams, states, strict=True):
        g.set_state(state)
    try:
        yield
    finally:
        states[:] = [g.get_state() for g in streams]
        for g, state in zip(streams, kept, strict=True):
            g.set_state(state)
