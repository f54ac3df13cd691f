"""Flows of couplings: both directions cost one network pass a layer.

- `NICE` (Dinh, Krueger & Bengio 2015): additive couplings, volume kept, then one learned scale of each variable;
- `RealNVP` (Dinh, Sohl-Dickstein & Bengio 2017): affine couplings.

Halves alternate from layer to layer (even against odd variables), so that after two layers every variable was mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.explicit.flow import Flow
from deepgen.random import resolve
from deepgen.transforms import Affine, Chain, Coupling, Scale, Shift, Univariate


def couplings(
    features: int,
    transforms: int,
    univariate: Callable[[], Univariate],
    generator: torch.Generator | int | None,
    **options: Any,
) -> list[nn.Module]:
    """``transforms`` couplings whose halves alternate, each with a map of its own."""
    check_count(2, features=features)
    check_count(transforms=transforms)
    stream = resolve(generator)
    even = torch.arange(features) % 2 == 0
    return [
        Coupling(features, mask=even if i % 2 else ~even, univariate=univariate(), generator=stream, **options)
        for i in range(transforms)
    ]


class NICE(Flow):
    """Additive couplings, then a scale of each variable.

    Args:
        features: number of variables, at least 2.
        transforms: number of couplings.
        hidden: widths of each coupling's network.
        context: width of a context row, 0 for none.
        base: a module giving the base distribution, standard Gaussian if None.
        generator: source of the initial weights.

    >>> NICE(4, hidden=[32], generator=0).sample(3, generator=0).shape
    torch.Size([3, 4])
    """

    def __init__(
        self,
        features: int,
        transforms: int = 4,
        hidden: Sequence[int] = (128, 128),
        *,
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        layers = couplings(features, transforms, Shift, generator, hidden=hidden, context=context)
        super().__init__(Chain([*layers, Affine(features)]), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "hidden": list(hidden), "context": context}

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> NICE:
        """Let the scale at the end start where it gives ``x`` ``[rows, features]`` the base's mean and variance.

        Of a base that depends on the context these are its moments over all rows: the mean of its means; the mean of
        its variances plus the variance of its means. The couplings keep volume, so all of the density's sharpness is in
        this scale; from 1, Adam would need thousands of steps to reach that of pixels which hardly vary. A constant
        column keeps its scale.
        """
        self.check(x if context is None else (x, context))
        if len(x) < 2:
            raise ArgumentError(f"the spread of a column takes at least 2 rows, got {len(x)}")
        *layers, scale = self.transform.transforms  # type: ignore[misc]  # the Chain that the constructor made
        z, base = Chain(layers).encode(x.to(scale.shift), context)[0], self.base(context)
        means, variances = (moment.reshape(-1, x.shape[1]) for moment in (base.mean, base.variance))
        centre, wanted = means.mean(0), variances.mean(0) + means.var(0, correction=0)  # law of total variance
        if not bool(wanted.isfinite().all()):
            raise ArgumentError("the base has no finite variance to start from: leave initialise out, or take another")
        ratio = z.std(0) / wanted.sqrt()
        scale.log_scale.copy_(torch.where(ratio > 0, ratio, scale.log_scale.exp()).log())
        scale.shift.copy_(z.mean(0) - centre * scale.log_scale.exp())
        return self


class RealNVP(Flow):
    """Affine couplings with a bounded log scale (`deepgen.transforms.Scale`).

    Arguments are those of `NICE`, and ``residual`` for residual networks.

    >>> flow = RealNVP(4, context=2, hidden=[32], generator=0)
    >>> flow(torch.zeros(3, 2)).sample(generator=0).shape
    torch.Size([3, 4])
    """

    def __init__(
        self,
        features: int,
        transforms: int = 4,
        hidden: Sequence[int] = (128, 128),
        *,
        residual: bool = False,
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        layers = couplings(features, transforms, Scale, generator, hidden=hidden, residual=residual, context=context)
        super().__init__(Chain(layers), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "hidden": list(hidden),
                           "residual": residual, "context": context}  # fmt: skip
