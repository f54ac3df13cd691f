"""Kernels for energy models: by the name of what makes them, in the scale of a base, and the moves of a generator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn

from deepgen import samplers
from deepgen.errors import ArgumentError, did_you_mean
from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.chain import Tunable
from deepgen.samplers.kernel import Kernel
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.target import Target
from deepgen.typing import LogProb


def made(method: str | Callable[..., Any], target: Target, **options: Any) -> Any:
    """``method(target, **options)``, of a constructor of `deepgen.samplers` or its name.

    Raises:
        ArgumentError: no such constructor, or one for rows of another kind.
    """
    make = _constructors().get(method) if isinstance(method, str) else method
    if not callable(make):
        hint = did_you_mean(method, _constructors())
        raise ArgumentError(f"no kernel {method!r}: {hint}give one of deepgen.samplers such as mala, hmc, ula")
    if target.discrete and method in ("mala", "ula", "hmc"):
        raise ArgumentError(f"{method} moves along real numbers and the rows are binary: use a discrete kernel")
    kernel = make(target, **options)
    if not isinstance(kernel, Kernel | Tunable):
        raise ArgumentError(f"method must make a kernel of a density, and gave a {type(kernel).__name__}")
    return kernel


@functools.cache
def _constructors() -> dict[str, Callable[..., Any]]:
    """What in `deepgen.samplers` makes a kernel of a density, by name."""
    every = {name: getattr(samplers, name) for name in samplers.__all__ if name != "as_target"}
    functions = {name: make for name, make in every.items() if inspect.isfunction(make)}
    first = {name: next(iter(inspect.signature(make).parameters)) for name, make in functions.items()}
    return {name: make for name, make in functions.items() if first[name] in ("log_density", "source")}


def far(proposal: nn.Module) -> Any:
    """The proposal of a generator: with its density, or reversible."""
    if hasattr(proposal, "encode") and not isinstance(proposal, LogProb):
        return samplers.Reversible(proposal)
    return samplers.Independence(proposal)


def scaled(kernel: Any, scale: Tensor) -> Any:
    """``kernel`` with moves in ``scale``, if that is one of its numbers (psgld finds a scale by itself)."""
    if isinstance(kernel, Adaptive):
        return replace(kernel, kernel=scaled(kernel.kernel, scale))
    if isinstance(kernel, Metropolis):
        return replace(kernel, proposal=scaled(kernel.proposal, scale))
    known = is_dataclass(kernel) and any(field.name == "scale" for field in fields(kernel))
    return replace(kernel, scale=scale) if known else kernel
