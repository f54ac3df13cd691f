"""Whatever holds the data, as batches of tensors that a model takes, and a fingerprint to know it again by."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepgen.data.batches import as_tensor as array_to_tensor
from deepgen.data.batches import batches, count
from deepgen.data.splits import provenance
from deepgen.errors import ArgumentError, ShapeError, SupportError


class Source:
    """Training data for one model: a tensor, array, Dataset or DataLoader, cast to the model's dtype and device.

    A tensor or an array is cast as a whole, once; what a Dataset or a DataLoader gives is cast batch by batch, so data
    larger than memory stay where they are.

    Args:
        data: the user's data.
        model: whose first parameter says dtype and device, and whose ``check``, if it has one, says what is possible.
        batch_size: rows per batch; a DataLoader keeps its own.
        seed: data order is a function of (seed, epoch).
    """

    def __init__(self, data: Any, model: nn.Module, batch_size: int, seed: int) -> None:
        like = next(model.parameters(), torch.zeros(0))
        self.dtype, self.device = like.dtype, like.device
        self.batch_size, self.seed = batch_size, seed
        rows = as_tensor(data)
        self.data = self.cast(rows) if isinstance(rows, Tensor) else rows
        self.steps = count(self.data, batch_size)
        if self.steps == 0:
            raise ShapeError("the data have no rows: expected at least one example")
        first = self.rows()
        check_rows(model, first)

    def rows(self) -> Any:
        """All rows of a tensor; the first batch of anything else."""
        if isinstance(self.data, Tensor):
            return self.data
        for batch in self.batches(0):
            return batch
        raise ShapeError("the data gave no batch: expected at least one example")

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of ``epoch`` from number ``start`` on."""
        made = batches(self.data, self.batch_size, seed=self.seed, epoch=epoch, start=start)
        return iter(made) if isinstance(self.data, Tensor) else map(self.cast, made)

    def cast(self, batch: Any) -> Any:
        """One batch on the model's device; examples in its dtype, integers beside them (labels) left alone."""
        if isinstance(batch, Tensor):
            return batch.to(device=self.device, dtype=self.dtype)
        if not isinstance(batch, (list, tuple)) or not all(isinstance(part, Tensor) for part in batch):
            raise ArgumentError(f"batches must be tensors or tuples of tensors, got {type(batch).__name__}")
        first, *rest = batch
        if not rest:
            return self.cast(first)
        kept = (part.to(self.device, self.dtype if part.is_floating_point() else part.dtype) for part in rest)
        return (self.cast(first), *kept)


def check_rows(model: nn.Module, rows: Any) -> None:
    """Raise a typed error unless ``rows`` are what ``model`` can take, as far as it says; at least they are finite."""
    check = getattr(model, "check", None)
    if check is not None and isinstance(rows, tuple):
        raise ArgumentError(
            f"an example is a tuple of {len(rows)} here, and {type(model).__name__} takes one tensor: drop the labels"
        )
    if check is not None:
        for part in rows.split(2000) if len(rows) else [rows]:  # pieces that stay in the cache take half the time
            check(part)
    elif isinstance(rows, Tensor) and not bool(rows.isfinite().all()):
        raise SupportError("the data hold NaN or infinite values: remove or replace them first")


def as_tensor(data: Any) -> Any:
    """Turn arrays, frames and lists into tensors; pass tensors, Datasets and DataLoaders through."""
    is_array = isinstance(data, (list, tuple)) or hasattr(data, "__array__")
    return array_to_tensor(data) if is_array and not isinstance(data, (Tensor, Dataset)) else data


def fingerprint(data: Any) -> dict[str, Any]:
    """Enough of ``data`` to know them again: shape, dtype, a checksum over up to 4096 rows; with their provenance."""
    rows = as_tensor(data)
    known: dict[str, Any] = {"provenance": provenance(data)}
    if isinstance(rows, Tensor):
        picked = rows[:: max(1, len(rows) // 4096)].detach().cpu().contiguous()
        checksum = zlib.crc32(picked.reshape(-1).view(torch.uint8).numpy().data)
        known |= {"shape": list(rows.shape), "dtype": str(rows.dtype), "crc32": checksum}
    return known
