"""Kernels made of kernels: one after another, one picked at random, or one repeated.

    cycle      T = T_1 T_2 ... T_n           every kernel in turn, in every step
    mixture    T = sum_i w_i T_i             one kernel a step, by one coin for all chains, tossed on the host
    thin       T = T_1^k                     k steps as one

What each leaves invariant the composition does, so it is as exact as the weakest of its parts. A mixture of reversible
kernels is reversible, a cycle is not. One coin for all chains keeps the batch whole: each chain's law is the same as
with a coin of its own, though chains then share their times.

How a kernel goes on where another has moved the chains: `deepgen.samplers.handover`. Source: Tierney 1994, "Markov
chains for exploring posterior distributions".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from deepgen.errors import ArgumentError, check_count, check_real
from deepgen.samplers.chain import Tunable
from deepgen.samplers.composed import Cycle, Mixture, Thinned, Untuned
from deepgen.samplers.kernel import require_kernel


def cycle(*kernels: Any, **named: Any) -> Cycle | Untuned:
    """All of the kernels in turn as one, as exact as the weakest of them.

    Args:
        kernels: in their order; Info has their fields under names made of what they are.
        named: more of them, under names of the reader's own.

    Returns:
        A kernel; one that `sample_chain` tunes in its warm-up if a part of it is.

    >>> import torch, deepgen as dg
    >>> def log_density(x):
    ...     return -x.square().sum(-1) / 2
    >>> walk = dg.samplers.metropolis(log_density, dg.samplers.RandomWalk(1.0))
    >>> both = cycle(local=dg.samplers.mala(log_density, 1.0), walk=walk)
    >>> trace = dg.samplers.sample_chain(both, torch.zeros(100, 2), draws=50, generator=0)
    >>> list(trace.info)[:3], trace.exactness.kind
    (['local_acceptance', 'local_accepted', 'local_nan'], 'exact')
    """
    names, parts = _named(kernels, named)
    made = Cycle(parts, names)
    return Untuned(made) if any(isinstance(part, Tunable) for part in parts) else made


def mixture(
    *kernels: Any, weights: Sequence[float] | Mapping[str, float] | None = None, **named: Any
) -> Mixture | Untuned:
    """One of the kernels in every step, the same for all chains, with probabilities ``weights``.

    Args:
        kernels: the kernels, or one dict from kernels to their weights.
        weights: positive, one a kernel in their order, or by name; equal by default. Their sum need not be 1.
        named: more kernels, under names of the reader's own.

    Returns:
        A kernel; one that `sample_chain` tunes in its warm-up if a part of it is. Its Info says `which` has run.

    >>> import torch, deepgen as dg
    >>> def log_density(x):
    ...     return -x.square().sum(-1) / 2
    >>> local, far = (dg.samplers.metropolis(log_density, dg.samplers.RandomWalk(h)) for h in (1.0, 8.0))
    >>> both = mixture(local=local, far=far, weights={"local": 3, "far": 1})
    >>> trace = dg.samplers.sample_chain(both, torch.zeros(100, 2), draws=200, generator=0)
    >>> which, acceptance = trace.info["which"], trace.info["acceptance"]
    >>> bool(acceptance[which == both.names.index("far")].mean() < acceptance[which == 0].mean() / 3)
    True
    """
    if len(kernels) == 1 and isinstance(kernels[0], Mapping):
        if weights is not None or named:
            raise ArgumentError("a dict of kernels and weights says it all: no weights= and no named kernels beside it")
        kernels, weights = tuple(kernels[0]), list(kernels[0].values())
    names, parts = _named(kernels, named)
    if isinstance(weights, Mapping):
        if set(weights) != set(names):
            raise ArgumentError(f"weights are of {sorted(weights)}, the kernels {sorted(names)}")
        weights = [weights[name] for name in names]
    chances = [1.0] * len(parts) if weights is None else list(weights)
    if len(chances) != len(parts):
        raise ArgumentError(f"got {len(chances)} weights for {len(parts)} kernels")
    for weight in chances:
        check_real("a weight", weight, 1e-300)
    made = Mixture(parts, names, tuple(float(weight) / sum(chances) for weight in chances))
    return Untuned(made) if any(isinstance(part, Tunable) for part in parts) else made


def thin(kernel: Any, steps: int) -> Thinned | Untuned:
    """``steps`` steps of ``kernel`` as one: to balance a cycle, or to compare kernels at equal cost.

    >>> import torch, deepgen as dg
    >>> kernel = thin(dg.samplers.mala(lambda x: -x.square().sum(-1), 0.5), 5)
    >>> state, info = kernel.step(kernel.init(torch.zeros(4, 2)), generator=dg.random.streams(0))
    >>> info.acceptance.shape  # the mean over the five
    torch.Size([4])
    """
    check_count(steps=steps)
    made = Thinned(require_kernel(kernel), steps)
    return Untuned(made) if isinstance(kernel, Tunable) else made


def _named(kernels: Sequence[Any], named: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    parts = tuple(require_kernel(kernel) for kernel in (*kernels, *named.values()))
    if not parts:
        raise ArgumentError("there is nothing to compose: give at least one kernel")
    names: list[str] = []
    for kernel in kernels:
        numbered = (f"{_name(kernel)}_{number}" for number in count(2))
        names.append(next(name for name in chain([_name(kernel)], numbered) if name not in (*names, *named)))
    return (*names, *named), parts


def _name(kernel: Any) -> str:
    inner = getattr(kernel, "proposal", getattr(kernel, "kernel", None))  # what a Metropolis or a tuned one is made of
    if inner is not None and hasattr(inner, "proposal"):
        inner = inner.proposal
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(kernel if inner is None else inner).__name__).lower()
