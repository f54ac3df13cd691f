"""Trees of plain values and tensors as JSON, with the tensors apart, and back.

A tree is made of dict, list, tuple, None, bool, int, float, str and tensors. In the JSON a tensor is
``{"$tensor": name}``; tuples, non-finite floats and dicts with other than plain string keys have such marks too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import CheckpointError

Pool = dict[Any, tuple[str, Tensor]]  # tensors and their names, by the memory they are


def pack(value: Any, tensors: Pool, name: str = "") -> Any:
    """Turn a tree into JSON, moving its tensors into ``tensors`` under names made of a number and their path.

    Tensors that are the same memory (tied weights) are stored once and come back as one.

    Raises:
        CheckpointError: something in the tree is neither plain nor a tensor.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, Tensor):
        return _pack_tensor(value, tensors, name)
    if isinstance(value, (list, tuple)):
        items = [pack(item, tensors, f"{name}.{index}" if name else str(index)) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, dict):
        packed = [(key, pack(item, tensors, f"{name}.{key}" if name else str(key))) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(packed)
        return {"$pairs": [[pack(key, tensors), item] for key, item in packed]}
    raise CheckpointError(
        f"cannot store {name or 'the value'}: expected numbers, strings, tensors and lists, tuples or dicts of them, "
        f"got {type(value).__name__}"
    )


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `pack`; NamedTuples come back as plain tuples."""
    laid: dict[str, Tensor] = {}  # one tensor for one name, however often it is named

    def undo(value: Any) -> Any:
        if isinstance(value, list):
            return [undo(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$tensor" in value:
            name = value["$tensor"]
            if name not in laid:
                laid[name] = _laid_out(tensors[name], value.get("stride"))
            return laid[name]
        if "$float" in value:
            return float(value["$float"])
        if "$tuple" in value:
            return tuple(undo(item) for item in value["$tuple"])
        if "$pairs" in value:
            return {undo(key): undo(item) for key, item in value["$pairs"]}
        return {key: undo(item) for key, item in value.items()}

    return undo(value)


def _pack_tensor(value: Tensor, tensors: Pool, name: str) -> dict[str, Any]:
    value = value.detach()
    memory = (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device) if value.numel() else object()
    stored, _ = tensors.setdefault(memory, (f"{len(tensors)}:{name}", value))
    mark: dict[str, Any] = {"$tensor": stored}
    if not value.is_contiguous() and 0 not in value.stride() and _span(value.shape, value.stride()) <= _room(value):
        mark["stride"] = list(value.stride())  # a product may round differently over another memory layout
    return mark


def _laid_out(stored: Tensor, stride: list[int] | None) -> Tensor:
    if stride is None:
        return stored
    if len(stride) != stored.ndim or min(stride) < 1 or _span(stored.shape, stride) > _room(stored):
        raise ValueError(f"stride {stride} of a tensor {list(stored.shape)}")
    return torch.empty_strided(stored.shape, stride, dtype=stored.dtype).copy_(stored)


def _span(shape: Sequence[int], stride: Sequence[int]) -> int:
    """Numbers from the first to the last of a tensor in memory."""
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def _room(tensor: Tensor) -> int:
    """The most that they may be: a column of a wide matrix comes back contiguous, and not with the memory of all."""
    return 64 * tensor.numel() + 1024
