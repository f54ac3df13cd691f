"""Where chains cannot start, told before the first step: one lost chain would spoil a warm-up that all share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, SupportError

_ADVICE = "start every chain where the target has a density"


def check_start(kernel: Any, state: Any) -> None:
    """Raise an error where chains cannot start; the device is waited for, this once.

    Args:
        kernel: of which ``state`` is the first.

    Raises:
        SupportError: a chain is at a NaN or an infinity, or where log f is NaN, or all of them are where f is 0.
        ArgumentError: kernels of different targets are composed.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.mala(lambda x: -x.square().sum(-1) / 2, 0.5)
    >>> check_start(kernel, kernel.init(torch.tensor([[0.0], [torch.inf]])))
    Traceback (most recent call last):
    deepgen.errors.SupportError: chain 1 starts at a NaN or an infinity: ...
    """
    x = state.position
    if x.is_floating_point():
        lost = ~x.isfinite().reshape(len(x), -1).all(1)
        if bool(lost.any()):
            raise SupportError(f"{_named(lost)} at a NaN or an infinity: {_ADVICE}")
    seen = [log_f.double() for log_f in _log_densities(state) if log_f.shape == x.shape[:1]]
    for log_f in seen:
        if bool(log_f.isnan().any()):
            raise SupportError(f"{_named(log_f.isnan())} where the log density is NaN: {_ADVICE}")
        if _at_one(kernel) and bool((log_f == -torch.inf).all()):
            raise SupportError(f"all {len(x)} chains start where the density is 0: {_ADVICE}")
    for other in seen[1:]:
        _check_one_target(seen[0], other)


def _check_one_target(one: Tensor, other: Tensor) -> None:
    """Raise `ArgumentError` where two log densities of the same chains differ by more than a constant."""
    known = one.isfinite() & other.isfinite()
    gap = (other - one)[known]
    if len(gap) and float(gap.max() - gap.min()) > 1e-2 + 1e-3 * float(one[known].abs().max()):  # beyond rounding
        raise ArgumentError(
            "these kernels have different targets, and together none: their log densities differ by "
            f"{float(gap.min()):.4g} at one chain and by {float(gap.max()):.4g} at another"
        )


def _log_densities(state: Any) -> list[Tensor]:
    """log f at the chains' first positions, of every part of a state that keeps it."""
    if hasattr(state, "moving"):  # replicas, which all start where their chain does
        return [value[:, 0] for value in _log_densities(state.moving)]
    if hasattr(state, "states"):
        return [value for part in state.states for value in _log_densities(part)]
    value = getattr(state, "log_density", None)
    return [value] if isinstance(value, Tensor) else []


def _at_one(kernel: Any) -> bool:
    """Whether the kernel is of f itself: at beta = 0, of one rung too, a chain may stand where f is 0."""
    if hasattr(kernel, "betas"):
        return bool(kernel.betas[0] > 0)
    beta = getattr(kernel, "beta", 1.0)
    inside = [getattr(kernel, name, None) for name in ("tempering", "kernel")]
    parts = [part for part in (*inside, *getattr(kernel, "kernels", ())) if part is not None]
    return isinstance(beta, float) and beta == 1.0 and all(map(_at_one, parts))


def _named(which: Tensor) -> str:
    count, first = int(which.sum()), int(which.nonzero()[0])
    return f"chain {first}{f' (and {count - 1} more)' if count > 1 else ''} starts"
