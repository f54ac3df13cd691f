"""How noisy a gradient is: the mean and variance of an objective's gradient over fresh draws, on one batch.

    variance = sum_j Var g_j,        signal to noise = sqrt( sum_j (E g_j)^2 / sum_j Var g_j )

Two estimators of one gradient (through the draws or by the score function, plain or doubly reparametrised) have the
same mean, and the one with the smaller variance learns faster.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count
from deepgen.random import resolve


class GradientNoise(NamedTuple):
    """``mean`` and ``variance`` of the gradient's entries ``[parameters]``, float64, over ``repeats`` fresh draws.

    >>> round(GradientNoise(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 3.0]), 1000).signal_to_noise(), 2)
    2.5
    """

    mean: Tensor
    variance: Tensor
    repeats: int

    def stderr(self) -> Tensor:
        """Of the mean, ``[parameters]``."""
        return (self.variance / self.repeats).sqrt()

    def total_variance(self) -> float:
        """The sum over parameters."""
        return float(self.variance.sum())

    def signal_to_noise(self) -> float:
        """The norm of the mean over the root of the total variance; 0 where noise alone explains the mean.

        The square of an estimated mean is too large by variance / repeats, which is taken off: without that no ratio
        would be found below 1 / sqrt(repeats).
        """
        noise = self.total_variance()
        signal = float(self.mean.square().sum()) - noise / self.repeats
        return math.sqrt(max(signal, 0.0) / max(noise, 1e-300))


def gradient_noise(
    objective: Any,
    model: nn.Module,
    batch: Any,
    *,
    repeats: int = 100,
    parameters: Iterable[nn.Parameter] | None = None,
    generator: torch.Generator | int | None = None,
) -> GradientNoise:
    """Mean and variance of ``objective``'s gradient on ``batch``, over ``repeats`` sets of draws; nothing is trained.

    Args:
        objective: `ELBO`, `IWAE`, or anything with ``loss(model, batch, generator=)`` that returns a ``value``.
        model: as it is; parameters and buffers keep their values, an optimal sigma above all, and gradients theirs
            (not the running means of a batch normalisation in training mode).
        batch: ``x``, or a pair of ``x`` and its context.
        repeats: at least 2.
        parameters: those to look at, such as ``vae.encoder.parameters()``; all of them if None.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        MissingCapability: the objective has no such loss, as those have none whose gradient is of chains.

    >>> import deepgen as dg
    >>> vae, x = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), torch.eye(6)
    >>> def variance(gradient):
    ...     objective, encoder = dg.objectives.ELBO(gradient=gradient), vae.encoder.parameters()
    ...     return gradient_noise(objective, vae, x, parameters=encoder, generator=0).total_variance()
    >>> variance("score") > 10 * variance("reparametrised")
    True
    """
    check_count(2, repeats=repeats)
    at = [p for p in (model.parameters() if parameters is None else parameters) if p.requires_grad]
    if not at:
        raise ArgumentError("no parameter to look at requires a gradient: give parameters= some that do")
    stream, loss = resolve(generator, at[0].device), getattr(objective, "loss", None)
    try:
        inspect.signature(loss).bind(model, batch, generator=stream)  # type: ignore[arg-type]
    except TypeError:
        raise MissingCapability(f"{type(objective).__name__} has no loss(model, batch, generator=)") from None
    mean, squares = torch.zeros(()), torch.zeros(())
    for count in range(1, repeats + 1):  # Welford's recurrence
        value = loss(model, batch, generator=stream).value  # type: ignore[misc]
        found = torch.autograd.grad(value, at, materialize_grads=True)
        g = torch.cat([part.flatten() for part in found]).double()
        away = g - mean
        mean = mean + away / count
        squares = squares + away * (g - mean)
    return GradientNoise(mean, squares / (repeats - 1), repeats)
