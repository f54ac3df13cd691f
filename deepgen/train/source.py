"""Whatever holds the data, as batches of tensors that a model takes, and a fingerprint to know it again by."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from deepgen.data.batches import as_tensor as array_to_tensor
from deepgen.data.batches import batches, count
from deepgen.data.splits import Data, provenance
from deepgen.errors import ArgumentError, ShapeError, SupportError

# Numbers compared as these are the same to the bit: -0 is not 0.
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
}


class Source:
    """Training data for one model: a tensor, array, Dataset or DataLoader, cast to the model's dtype and device.

    A tensor or an array is cast as a whole, once; what a Dataset or a DataLoader gives is cast batch by batch, so data
    larger than memory stay where they are. Where all values of a tensor are whole numbers from 0 to 255 (bits above
    all) a CPU gathers its batches from a copy in bytes and casts them after: rows picked at random come at the speed of
    memory, and these are a quarter of its traffic, for a quarter of the data's own room in float32.

    Args:
        data: the user's data.
        model: whose first parameter says dtype and device, and whose ``check``, if it has one, says what is possible.
        batch_size: rows per batch, 100 if None; a DataLoader keeps its own.
        seed: data order is a function of (seed, epoch).
        check: of an objective that takes other rows than the model: ``check(model, rows)`` instead of the model's own.

    Attributes:
        batch_size: what it came to; None for a DataLoader whose batches have no one size.
        steps: batches in an epoch; None where only running through it would tell.
    """

    def __init__(
        self,
        data: Any,
        model: nn.Module,
        batch_size: int | None,
        seed: int,
        check: Callable[[nn.Module, Any], None] | None = None,
    ) -> None:
        like = next(model.parameters(), torch.zeros(0))
        self.dtype, self.device, self.seed = like.dtype, like.device, seed
        self.given, self.batch_size = as_tensor(data, self.dtype), _batch_rows(data, batch_size)
        self.data = self.given
        if isinstance(self.given, Tensor):
            if self.given.ndim == 0:
                raise ShapeError("data must be [rows, *event], got a single number")
            narrow = in_bytes(self.given, self.dtype) if self.device.type == self.given.device.type == "cpu" else None
            self.data = self.cast(self.given) if narrow is None else narrow
        self.steps = count(self.data, self.batch_size or 1)
        if self.steps == 0:
            raise ShapeError("the data have no rows: expected at least one example")
        first = self.rows()
        (check or check_rows)(model, first)

    def rows(self) -> Any:
        """All rows of a tensor; the first batch of anything else."""
        if isinstance(self.data, Tensor):
            return self.data if self.data.dtype == self.dtype else self.cast(self.given)
        for batch in self.batches(0):
            return batch
        raise ShapeError("the data gave no batch: expected at least one example")

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of ``epoch`` from number ``start`` on."""
        made = batches(self.data, self.batch_size or 1, seed=self.seed, epoch=epoch, start=start)
        same = isinstance(self.data, Tensor) and self.data.dtype == self.dtype
        return iter(made) if same else map(self.cast, made)

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


def in_bytes(x: Tensor, dtype: torch.dtype) -> Tensor | None:
    """``x`` as uint8 if every entry, cast to ``dtype``, comes back from there to the bit; None if one does not."""
    if x.dtype == torch.uint8:
        return x
    whole = _BITS.get(dtype)
    if whole is None:
        return None
    found = torch.empty(x.shape, dtype=torch.uint8)
    for narrow, part in zip(_pieces(found), _pieces(x), strict=True):
        wide = part.to(dtype).contiguous()
        narrow.copy_(wide)
        if not torch.equal(narrow.to(dtype).view(whole), wide.view(whole)):
            return None
    return found


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    """``x`` in stacks of rows that stay in a cache while they are looked at."""
    return x.split(max(1, 2**16 // max(1, x[:1].numel())))


def check_rows(model: nn.Module, rows: Any) -> None:
    """Raise a typed error unless ``rows`` are what ``model`` can take, as far as it says; at least they are finite."""
    check = getattr(model, "check", None)
    if check is not None and isinstance(rows, tuple):
        if getattr(model, "context", 0):  # examples, each with its context
            check(rows)
            return
        raise ArgumentError(
            f"an example is a tuple of {len(rows)} here, and {type(model).__name__} takes one tensor: "
            "pass deepgen.data.Unlabelled(dataset), which gives the first of each"
        )
    if not isinstance(rows, Tensor):
        return
    if check is None:
        _check_finite(rows)
        return
    try:
        for part in _pieces(rows):
            check(part)
    except (ShapeError, SupportError) as error:
        _check_finite(rows)
        known = getattr(rows, "provenance", {}).get("nearly_binary")
        if known:
            raise SupportError(f"{error}; in the file, {known}") from None
        check(rows)  # so that shape and places in the message are those of all rows
        raise


def _check_finite(rows: Tensor) -> None:
    finite = rows.isfinite()
    if not bool(finite.all()):
        wrong = (~finite).nonzero()
        place = wrong[0].tolist()
        raise SupportError(
            f"data{place} is {float(rows[tuple(place)])}, one of {len(wrong)} NaN or infinite values: "
            "remove or replace them first"
        )


def _batch_rows(data: Any, batch_size: int | None) -> int | None:
    if not isinstance(data, DataLoader):
        return 100 if batch_size is None else batch_size
    own = data.batch_size or getattr(data.batch_sampler, "batch_size", None)
    if batch_size not in (None, own):
        raise ArgumentError(
            f"batch_size={batch_size}, and the DataLoader makes its own batches"
            f"{f' of {own}' if own else ''}: leave batch_size out"
        )
    return own


def as_tensor(data: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Turn arrays, frames and lists into tensors for a model of ``dtype``; pass tensors, Datasets, DataLoaders on."""
    if isinstance(data, Data):
        raise ArgumentError(
            f"{data.provenance.get('name')!r} is a whole set: pass one of its splits, such as data.train"
        )
    if isinstance(data, str):
        raise ArgumentError(f"{data!r} is a name: pass rows, such as deepgen.data.load({data!r}).train")
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(part, Tensor) for part in data):
        raise ArgumentError(
            "data are a pair of tensors: pass one tensor, or for examples with contexts "
            "torch.utils.data.TensorDataset(y, c)"
        )
    is_array = isinstance(data, (list, tuple)) or hasattr(data, "__array__")
    if not is_array or isinstance(data, (Tensor, Dataset)):
        return data
    return array_to_tensor(data, double=dtype == torch.float64)


def fingerprint(data: Any) -> dict[str, Any]:
    """Enough of ``data`` to know them again: shape, dtype, a checksum over up to 4096 rows; with their provenance."""
    rows = as_tensor(data)
    known: dict[str, Any] = {"provenance": provenance(data)}
    if isinstance(rows, Tensor):
        picked = rows[:: max(1, len(rows) // 4096)].detach().cpu().contiguous()
        checksum = zlib.crc32(picked.reshape(-1).view(torch.uint8).numpy().data)
        known |= {"shape": list(rows.shape), "dtype": str(rows.dtype), "crc32": checksum}
    return known
