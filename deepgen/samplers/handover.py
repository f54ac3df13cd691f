"""How one kernel goes on where another has moved the chains.

A kernel in a composition keeps its own State. When another has run, the values that both keep of the same target,
``log_density`` and ``gradient``, are taken over, and nothing is evaluated; what else there is, such as the log density
of a proposal, is evaluated anew by `init`. A kernel whose State holds more than a function of the position (replicas at
other temperatures, a stock of candidates, the place in a schedule) must not begin again, or the law of what it holds
would be lost, and one whose `init` looks at the numbers would wait for the device: these have

    enter(own, other) -> State:      its state ``own``, after the chains have moved to ``other.position``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.samplers.kernel import after_warmup
from deepgen.samplers.metropolis import Metropolis

SHARED = frozenset({"position", "log_density", "gradient"})  # of the target alone, whichever kernel keeps them


class Composed(NamedTuple):
    """position ``[chains, *event]``; states: the last of each kernel; current: which of them is at ``position``."""

    position: Tensor
    states: tuple[Any, ...]
    current: int


def start(kernels: Sequence[Any], position: Tensor) -> Composed:
    """The states of all kernels at ``position`` ``[chains, *event]``."""
    states = tuple(kernel.init(position) for kernel in kernels)
    return Composed(states[0].position, states, 0)


def run(kernels: Sequence[Any], state: Composed, index: int, generator: torch.Generator) -> tuple[Composed, Any]:
    """A step of kernel ``index`` from where the chains are: (the state, the kernel's Info)."""
    own, kernel = state.states[index], kernels[index]
    if index != state.current:
        own = entered(kernel, own, kernels[state.current], state.states[state.current])
    moved, info = kernel.step(own, generator=generator)
    return Composed(moved.position, (*state.states[:index], moved, *state.states[index + 1 :]), index), info


def put(kernels: Sequence[Any], own: Composed, other: Any) -> Composed:
    """The state of a composition after a kernel outside it has moved the chains to ``other.position``."""
    now = own.current
    state = entered(kernels[now], own.states[now], None, other)
    return Composed(other.position, (*own.states[:now], state, *own.states[now + 1 :]), now)


def counted_anew(kernels: Sequence[Any], state: Composed) -> Composed:
    """The state of a composition after the warm-up: see `deepgen.samplers.kernel.after_warmup`."""
    return state._replace(states=tuple(map(after_warmup, kernels, state.states)))


def entered(kernel: Any, own: Any, mover: Any, other: Any) -> Any:
    """The state of ``kernel``, which was ``own``, at the position of ``other``, the state of kernel ``mover``.

    >>> import deepgen as dg
    >>> def log_density(x):
    ...     return -x.square().sum(-1)
    >>> mala = dg.samplers.mala(log_density, 0.1)
    >>> walk = dg.samplers.metropolis(log_density, dg.samplers.RandomWalk(1.0))
    >>> other = mala.init(torch.ones(2, 3))
    >>> entered(walk, walk.init(torch.zeros(2, 3)), mala, other).log_density is other.log_density
    True
    """
    mover, other = _inside(mover, other)
    kernel, _ = _inside(kernel, None)
    names = set(own._fields)
    if names <= SHARED & set(other._fields) and _same_target(kernel, mover):
        return type(own)(*(getattr(other, name) for name in own._fields))
    if hasattr(kernel, "enter"):
        return kernel.enter(own, other)
    if isinstance(kernel, Metropolis):  # without the check of a start: the chains have been there
        return kernel.proposal.init(kernel.target, other.position)
    return kernel.init(other.position)


def _inside(kernel: Any, state: Any) -> tuple[Any, Any]:
    """The kernel that ran last inside a composition, and its state; of a repeated one the one repeated."""
    from deepgen.samplers.composed import Several, Thinned  # which import this

    while True:
        if isinstance(kernel, Thinned):
            kernel = kernel.kernel
        elif isinstance(kernel, Several) and state is not None:
            kernel, state = kernel.kernels[state.current], state.states[state.current]
        else:
            return kernel, state


def _same_target(kernel: Any, other: Any) -> bool:
    target = getattr(kernel, "target", None)
    return target is not None and target == getattr(other, "target", None)
