"""What is saved comes back, bit for bit."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepgen.testing.failure import demand


def check_checkpoint(model: nn.Module) -> None:
    """Check that ``model`` survives `deepgen.save` and `deepgen.load`, `deepgen.load_weights`, and ``copy.deepcopy``.

    Compared bit for bit: parameters and buffers by name, with shapes, dtypes and which of them are learned. The class
    and its constructor arguments come back too, and no copy shares memory with the model.

    Raises:
        CheckFailed: naming the entry that differs.

    >>> import deepgen as dg
    >>> check_checkpoint(dg.RBM(visible=dg.explicit.Gaussian(3), hidden=2))
    """
    from deepgen import load, load_weights, save

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        save(model, place)
        rebuilt = load(place)
        demand(type(rebuilt) is type(model), f"a {type(model).__name__} came back as a {type(rebuilt).__name__}")
        demand_same_state(model, rebuilt, "saved and loaded")
        demand(_plain(rebuilt) == _plain(model), "constructor arguments changed when saved and loaded")
        other = copy.deepcopy(model)
        with torch.no_grad():
            for value in [*other.parameters(), *other.buffers()]:
                value.copy_(torch.full_like(value, 7) if value.is_floating_point() else value)
        load_weights(other, place)
        demand_same_state(model, other, "weights loaded")
    duplicate = copy.deepcopy(model)
    demand_same_state(model, duplicate, "deep-copied")
    mine = {value.data_ptr() for value in model.state_dict().values() if value.numel()}
    shared = [name for name, value in duplicate.state_dict().items() if value.data_ptr() in mine and value.numel()]
    demand(not shared, f"a deep copy shares the memory of {shared}")


def demand_same_state(first: nn.Module, second: nn.Module, how: str) -> None:
    """Raise `CheckFailed` unless the parameters and buffers of two modules are the same bits under the same names.

    >>> demand_same_state(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False).requires_grad_(False), "made twice")
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: made twice: weight differs
    """
    a, b = first.state_dict(), second.state_dict()
    demand(list(a) == list(b), f"{how}: entries {sorted(a.keys() ^ b.keys())} appeared or vanished")
    for name in a:
        like = a[name].dtype == b[name].dtype and a[name].shape == b[name].shape
        bits = like and torch.equal(_bits(a[name]), _bits(b[name]))
        demand(bits, f"{how}: {name} differs")
    learned = [{name: p.requires_grad for name, p in module.named_parameters()} for module in (first, second)]
    demand(learned[0] == learned[1], f"{how}: other parameters are learned")


def _bits(x: torch.Tensor) -> torch.Tensor:
    """The bytes, so that NaN equals NaN and 0 differs from -0."""
    return x.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def _plain(value: Any) -> Any:
    """Constructor arguments as comparable values."""
    if hasattr(value, "arguments"):
        return type(value).__name__, _plain(value.arguments())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
