"""Planar flow (Rezende & Mohamed 2015): a chain of planar maps, which has one fast direction and not the other."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from deepgen.errors import ArgumentError, check_count
from deepgen.explicit.flow import Flow
from deepgen.random import resolve
from deepgen.transforms import Chain, Inverse, Planar


class PlanarFlow(Flow):
    """Planar maps in a row; the direction that does not exist is refused by name.

    Args:
        features: number of variables.
        transforms: number of maps; each bends along one direction, so many are needed.
        fast: ``log_prob`` for fitting data, or ``sample`` for a variational posterior (``rsample_and_log_prob``).
        context: width of a context row, 0 for none.
        base: a module giving the base distribution, standard Gaussian if None.
        generator: source of the initial weights.

    >>> PlanarFlow(2, generator=0).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    >>> PlanarFlow(2, fast="sample", generator=0).sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        features: int,
        transforms: int = 8,
        *,
        fast: Literal["log_prob", "sample"] = "log_prob",
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        check_count(transforms=transforms)
        if fast not in ("log_prob", "sample"):
            raise ArgumentError(f"fast must be 'log_prob' or 'sample', got {fast!r}")
        stream = resolve(generator)
        layers: list[nn.Module] = [Planar(features, context=context, generator=stream) for _ in range(transforms)]
        if fast == "sample":
            layers = [Inverse(layer) for layer in layers]
        super().__init__(Chain(layers), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "fast": fast, "context": context}
