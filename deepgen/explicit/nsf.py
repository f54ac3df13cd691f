"""Neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019): rational-quadratic splines, whose parameters a
network computes from the other variables, in coupling or in autoregressive layers.

A spline bends one variable into several modes where an affine map only shifts and scales it, and its inverse is in
closed form too. It acts inside a box [-L, L]; outside it is the identity, so the tails are those of the base
distribution. Standardise the data, that most of it lies inside.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import nn

from deepgen.explicit.autoregressive_flows import autoregressives
from deepgen.explicit.coupling_flows import couplings
from deepgen.explicit.flow import Flow
from deepgen.transforms import Chain, LULinear, Spline


class NSF(Flow):
    """Neural spline flow.

    Args:
        features: number of variables, at least 2 for couplings.
        transforms: number of layers. Halves alternate, or the order is reversed, from one to the next.
        hidden: widths of each layer's network.
        autoregressive: layers like those of `MAF`, a little better and slow to sample, in place of couplings, which
            cost one network pass in both directions.
        bins, box: of the splines, see `deepgen.transforms.Spline`.
        residual: residual networks (all widths alike).
        linear: a learned matrix (`deepgen.transforms.LULinear`) before each layer, as in the paper.
        context: width of a context row, 0 for none.
        base: a module giving the base distribution, standard Gaussian if None.
        generator: source of the initial weights; a new flow is close to the identity.

    >>> flow = NSF(4, hidden=[32, 32], generator=0)
    >>> x, log_prob, _ = flow.draw(3, generator=0)
    >>> torch.allclose(flow.log_prob(x), log_prob, atol=1e-4)
    True
    """

    def __init__(
        self,
        features: int,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        autoregressive: bool = False,
        bins: int = 8,
        box: float = 5.0,
        residual: bool = False,
        linear: bool = False,
        context: int = 0,
        base: nn.Module | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        build, spline = autoregressives if autoregressive else couplings, functools.partial(Spline, bins, box)
        layers = build(features, transforms, spline, generator, hidden=hidden, residual=residual, context=context)
        if linear:
            layers = [part for layer in layers for part in (LULinear(features), layer)]
        super().__init__(Chain(layers), features if base is None else base, context=context)
        self._arguments = {"features": features, "transforms": transforms, "hidden": list(hidden),
                           "autoregressive": autoregressive, "bins": bins, "box": box, "residual": residual,
                           "linear": linear, "context": context}  # fmt: skip
