"""What tempering and annealing ask of a kernel: the same moves at any temperature, over the same states.

    kernel.at(beta)                     leaves p_beta invariant; beta is a number, or one a chain [chains]
    kernel.log_ratio(state, old, new)   log f_new(x) - log f_old(x), [chains]

A kernel whose State has the ``log_density`` of the target, log f, needs no ``log_ratio``. With a `Target` as its
``target`` (or a part that has one) it is that target's own, reference law and all: f^beta r^(1 - beta). Without one the
law at beta is taken to be f^beta, and the ratio is (new - old) log f(x).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import MissingCapability
from deepgen.samplers.kernel import Exactness, require_exact
from deepgen.samplers.target import Beta, Target, power


@runtime_checkable
class Temperable(Protocol):
    """A kernel that runs at any inverse temperature: Metropolis with any proposal, `BlockGibbs`, or the reader's own.

    >>> import deepgen as dg
    >>> isinstance(dg.samplers.mala(lambda x: -x.square().sum(-1), 0.1), Temperable)
    True
    """

    @property
    def exactness(self) -> Exactness: ...

    def at(self, beta: Beta) -> Any: ...

    def init(self, position: Tensor) -> Any: ...

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]: ...


def require_temperable(kernel: Any, purpose: str) -> Temperable:
    """Return ``kernel`` if it is exact and has ``at``, or raise `MissingCapability`.

    >>> import deepgen as dg
    >>> require_temperable(dg.samplers.ula(lambda x: -x.square().sum(-1), 0.1), "tempering")
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: UnadjustedLangevin is biased (O(step size)) and cannot be used for tempering, ...
    """
    require_exact(kernel, purpose)
    if not isinstance(kernel, Temperable):
        raise MissingCapability(
            f"{type(kernel).__name__} has no at(beta), the same kernel at inverse temperature beta, which {purpose} "
            "needs: a number or a tensor [chains], over the same states"
        )
    return kernel


def log_ratio(kernel: Any, state: Any, old: Beta, new: Beta) -> Tensor:
    """log f_new - log f_old where the chains are ``[chains]``: the kernel's own, its `Target`'s, or that of f^beta.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.mala(lambda x: -x.square().sum(-1), 0.1)
    >>> log_ratio(kernel, kernel.init(torch.ones(2, 3)), 0.5, 1.0)
    tensor([-1.5000, -1.5000])
    """
    own = getattr(kernel, "log_ratio", None)
    if own is not None:
        value: Tensor = own(state, old, new)
        return value
    if hasattr(state, "log_density"):
        target = target_of(kernel)  # the one that says where the path begins, so that log Z is of the same path
        if target is not None:
            return target.log_ratio(state, old, new)
        return power(new - old, state.log_density)
    raise MissingCapability(
        f"{type(kernel).__name__} does not say how its density changes with the temperature: give it "
        "log_ratio(state, old, new) -> [chains], or keep the target's log_density in its State"
    )


def target_of(kernel: Any) -> Target | None:
    """The `Target` of a kernel, or of the parts of a composition; None where none is known.

    >>> import deepgen as dg
    >>> target_of(dg.samplers.thin(dg.RBM(4, 3).gibbs(), 2)) is None
    True
    """
    own = getattr(kernel, "target", None)
    parts = (getattr(kernel, "kernel", None), *getattr(kernel, "kernels", ()))
    found = [own, *(target_of(part) for part in parts if part is not None)]
    return next((target for target in found if isinstance(target, Target)), None)
