"""Flows of autoregressive transforms: one network pass one way, one variable after another the other way.

- `MAF` (Papamakarios, Pavlakou & Murray 2017): the fast way is from data to code, so likelihoods and training are fast;
- `IAF` (Kingma et al. 2016): the fast way is from code to data, so samples and their densities are fast (what a
  variational posterior needs), while the density of given data is slow.

The order of the variables is reversed from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from deepgen.errors import check_count
from deepgen.explicit.flow import Flow
from deepgen.random import resolve
from deepgen.transforms import Autoregressive, Chain, Inverse, Scale, Univariate


def autoregressives(
    features: int,
    transforms: int,
    univariate: Callable[[], Univariate],
    generator: torch.Generator | int | None,
    **options: Any,
) -> list[nn.Module]:
    """``transforms`` autoregressive maps whose order is reversed each time."""
    check_count(features=features, transforms=transforms)
    stream, order = resolve(generator), list(range(features))
    return [
        Autoregressive(
            features, order=order[::-1] if i % 2 else order, univariate=univariate(), generator=stream, **options
        )
        for i in range(transforms)
    ]


class MAF(Flow):
    """Masked autoregressive flow: ``log_prob`` in one pass a layer, ``sample`` in one walk or some sweeps.

    Args:
        features: number of variables.
        transforms: number of layers.
        hidden: widths of each layer's network.
        residual: residual networks (all widths alike).
        context: width of a context row, 0 for none.
        base: a module giving the base distribution, standard Gaussian if None.
        generator: source of the initial weights.

    >>> flow = MAF(3, hidden=[32], generator=0)
    >>> a, b = (flow.sample(5, method=method, generator=1) for method in ("incremental", "jacobi"))
    >>> torch.allclose(a, b, atol=1e-5)
    True
    """

    def __init__(
        self,
        features: int,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        residual: bool = False,
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        layers = autoregressives(
            features, transforms, Scale, generator, hidden=hidden, residual=residual, context=context
        )
        super().__init__(Chain(layers), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "hidden": list(hidden),
                           "residual": residual, "context": context}  # fmt: skip


class IAF(Flow):
    """Inverse autoregressive flow: ``sample`` with its density in one pass a layer, ``log_prob`` of data slowly.

    Arguments are those of `MAF`.

    >>> p = IAF(3, hidden=[32], generator=0)()
    >>> x, log_prob = p.rsample_and_log_prob((5,), generator=1)
    >>> torch.allclose(p.log_prob(x), log_prob, atol=1e-4)
    True
    """

    def __init__(
        self,
        features: int,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        residual: bool = False,
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        layers = autoregressives(
            features, transforms, Scale, generator, hidden=hidden, residual=residual, context=context
        )
        super().__init__(Chain(map(Inverse, layers)), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "hidden": list(hidden),
                           "residual": residual, "context": context}  # fmt: skip
