"""The scale of a proposal: a factor L with L L' near the target's covariance, acting on flattened events.

    None: the identity;      [D]: a diagonal;      [D, D]: a lower triangle (Cholesky)

In coordinates z = L^-1 x the target is round, and one step size serves all directions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_real

Scale = Tensor | None


def outwards(scale: Scale, z: Tensor) -> Tensor:
    """L z, row by row: ``[chains, *event] -> [chains, *event]``.

    >>> outwards(torch.tensor([[1.0, 0.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([[1., 5.]])
    """
    scale = _fitting(scale, z)
    if scale is None:
        return z
    if scale.ndim == 1:
        return z * scale.reshape(z.shape[1:])
    return (z.reshape(len(z), -1) @ scale.mT).reshape(z.shape)


def inwards(scale: Scale, gradient: Tensor) -> Tensor:
    """L' g, row by row: the gradient in the coordinates z: ``[chains, *event] -> [chains, *event]``.

    >>> inwards(torch.tensor([[1.0, 0.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([[3., 3.]])
    """
    scale = _fitting(scale, gradient)
    if scale is None:
        return gradient
    if scale.ndim == 1:
        return gradient * scale.reshape(gradient.shape[1:])
    return (gradient.reshape(len(gradient), -1) @ scale).reshape(gradient.shape)


def moved(x: Tensor, step: float | Tensor, direction: Tensor) -> Tensor:
    """x + step times direction, in one operation: ``step`` a number, or a tensor that broadcasts.

    >>> moved(torch.ones(2), 0.5, torch.tensor([2.0, 4.0]))
    tensor([2., 3.])
    """
    if isinstance(step, Tensor):
        return torch.addcmul(x, step, direction)
    return torch.add(x, direction, alpha=step)


def scale_of(covariance: Tensor | None) -> Scale:
    """The factor of a covariance ``[D, D]``, or of variances ``[D]``; None stays None.

    Raises:
        ShapeError: neither a vector nor a square matrix.
        ArgumentError: not finite or not positive definite.

    >>> scale_of(torch.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    if covariance is None:
        return None
    if not covariance.is_floating_point():
        covariance = covariance.to(torch.get_default_dtype())
    if not bool(covariance.isfinite().all()):
        raise ArgumentError("a covariance has finite numbers, and this one has an infinity or a NaN")
    if covariance.ndim == 1:
        if not bool((covariance > 0).all()):
            raise ArgumentError(f"variances must be positive, the least is {float(covariance.min()):.3g}")
        return covariance.sqrt()
    if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1]:
        raise ShapeError(f"a covariance is [D, D], or [D] if diagonal; got {list(covariance.shape)}")
    if bool((covariance - covariance.mT).abs().max() > 1e-4 * covariance.abs().max()):
        raise ArgumentError("a covariance is symmetric, and this one is not: perhaps a factor of it was handed in")
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if bool(failed):
        raise ArgumentError("the covariance is not positive definite: add a little to its diagonal")
    return factor


def check_step_size(step_size: float | Tensor) -> None:
    """Raise `ArgumentError` unless a ``step_size`` that is a number is positive; for tensors: `check_given`.

    >>> check_step_size(-0.1)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: step_size must be a positive number, got -0.1
    """
    if not isinstance(step_size, Tensor):
        check_real("step_size", step_size)
        if step_size <= 0:
            raise ArgumentError(f"step_size must be a positive number, got {step_size}")


def check_given(step_size: float | Tensor) -> None:
    """What a reader hands in: `check_step_size`, and of a tensor its numbers too, for which a device is waited for.

    Raises:
        ArgumentError: not positive and finite.
        ShapeError: neither one number nor one a chain.

    >>> check_given(torch.tensor([0.1, 0.0]))
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: step sizes must be positive numbers, the least is 0
    """
    if not isinstance(step_size, Tensor):
        check_step_size(step_size)
        return
    if step_size.ndim > 1:
        raise ShapeError(f"a step size is one number, or one a chain [chains], got {list(step_size.shape)}")
    if not step_size.is_meta and not bool((step_size.isfinite() & (step_size > 0)).all()):
        least = float(step_size.min())
        raise ArgumentError(f"step sizes must be positive numbers, the least is {least:.3g}")


def _fitting(scale: Scale, z: Tensor) -> Scale:
    """``scale`` in the dtype of ``z``, or a `ShapeError` where it is of another size than an event."""
    if scale is None:
        return None
    size = math.prod(z.shape[1:])
    if scale.shape[-1] != size:
        raise ShapeError(
            f"the scale or covariance is of {scale.shape[-1]} numbers, an event {list(z.shape[1:])} has {size}"
        )
    return scale.to(z)
