"""Models to JSON and back: a public class of deepgen by name, its constructor's arguments by value.

    {"class": "explicit.RBM", "arguments": {"visible": {"class": "explicit.Gaussian", "arguments": {...}}, "hidden": 9}}

An ``arguments()`` entry named ``*`` holds positional arguments. Only modules that deepgen exports, and that have
``arguments()`` themselves, can be named, so a checkpoint from a stranger can make no other code run.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from deepgen.errors import CheckpointError, MissingCapability
from deepgen.train.bounded import Bounded
from deepgen.typing import Rebuilt

SIZE = 2**22  # a size in the arguments of a model of which less numbers are stored


def encode(value: Any) -> Any:
    """Return the JSON form of a model, or of one constructor argument.

    Raises:
        MissingCapability: a part is not plain JSON, nor an object of a public class of deepgen with ``arguments()``.

    >>> import deepgen as dg
    >>> encode(dg.explicit.Bernoulli(3))
    {'class': 'explicit.Bernoulli', 'arguments': {'width': 3}}
    """
    value = as_python(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):  # a number of numpy
        return encode(value.item())
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    name = _public_name(type(value))
    if name is None or not isinstance(value, Rebuilt):
        raise MissingCapability(
            f"cannot write down a {type(value).__name__}: only deepgen's own classes and plain values are rebuilt by "
            "deepgen.load; build this model yourself and read its weights with deepgen.load_weights(model, dir)"
        )
    return {"class": name, "arguments": encode(value.arguments())}


def as_python(value: Any) -> Any:
    """A number of numpy as one of Python; all else as it is.

    >>> import numpy as np
    >>> as_python(np.int64(3)), as_python("3")
    (3, '3')
    """
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def decode(value: Any, stored: int = 0) -> Any:
    """Build what `encode` wrote down, of a checkpoint with ``stored`` numbers in its tensors.

    Raises:
        CheckpointError: a class that deepgen does not export, arguments that it does not take, or a model much larger
            than what is stored of it.
    """
    with Bounded(stored):
        return _decode(value, max(SIZE, stored))


def _decode(value: Any, most: int) -> Any:
    if isinstance(value, list):
        return [_decode(item, most) for item in value]
    if isinstance(value, int) and value > most:
        raise CheckpointError(f"a model of size {value}, and {most} is the most for what is stored of it")
    if not isinstance(value, dict):
        return value
    if value.keys() != {"class", "arguments"}:
        return {key: _decode(item, most) for key, item in value.items()}
    cls = _public_class(value["class"])
    arguments = _decode(value["arguments"], most)
    if not isinstance(arguments, dict):
        raise CheckpointError(f"the arguments of {value['class']} must be named, got {arguments!r}")
    positional = arguments.pop("*", [])
    try:
        return cls(*positional, **arguments)
    except Exception as error:
        raise CheckpointError(f"cannot build {value['class']} from the checkpoint: {error}") from error


def _public() -> Iterator[tuple[str, type]]:
    import deepgen

    for module_name in deepgen.__all__:
        module = getattr(deepgen, module_name)
        if isinstance(module, ModuleType):
            for name in getattr(module, "__all__", ()):
                thing = getattr(module, name)
                if inspect.isclass(thing) and issubclass(thing, nn.Module) and hasattr(thing, "arguments"):
                    yield f"{module_name}.{name}", thing


def _public_name(cls: type) -> str | None:
    return next((name for name, thing in _public() if thing is cls), None)


def _public_class(name: object) -> type:
    for known, thing in _public():
        if known == name:
            return thing
    raise CheckpointError(f"the checkpoint names {name!r}, which is no model or layer of this deepgen")
