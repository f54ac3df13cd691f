"""Laws over latents made of a row of numbers: what an encoder's features mean, or a context.

    DiagonalGaussian    N(m, diag s^2)    features: m, log s                      2 d numbers
    FullGaussian        N(m, L L')        features: m, log diag L, rows of L      d + d (d + 1) / 2 numbers

Any other module that turns features ``[*batch, inputs]`` into a torch Distribution over ``[latent]`` serves as well: a
flow of the library with ``context=`` as many features, and `DiagonalGaussian` with ``inputs=`` as its base (Kingma et
al. 2016, "Improved variational inference with inverse autoregressive flow").
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.random import resolve


class _Gaussian(nn.Module):
    """Splits off the features, through a linear layer of its own where ``inputs`` says how many there are."""

    def __init__(self, latent: int, numbers: int, inputs: int | None, generator: torch.Generator | int | None) -> None:
        super().__init__()
        check_count(latent=latent)
        self.latent, self.numbers, self._inputs = int(latent), numbers, inputs
        self.inputs = numbers if inputs is None else int(inputs)
        self.last: nn.Linear | None = None
        if inputs is not None:
            check_count(inputs=inputs)
            self.last = linear(inputs, numbers, generator=resolve(generator))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"latent": self.latent, "inputs": self._inputs}

    def _read(self, features: Tensor | None) -> Tensor:
        if features is None:  # how a flow asks its base for its shape
            return torch.zeros(self.numbers)
        if features.shape[-1:] != (self.inputs,):
            raise ShapeError(
                f"a {type(self).__name__} of {self.latent} latents reads {self.inputs} features, got "
                f"{list(features.shape)}: give the encoder that many outputs"
            )
        numbers = features if self.last is None else self.last(features)
        return numbers.to(torch.promote_types(numbers.dtype, torch.float32))  # autocast may hand over 16 bits, too few


class DiagonalGaussian(_Gaussian):
    """N(m, diag s^2) with m and log s from features.

    Args:
        latent: d.
        inputs: width of the features, which a linear layer turns into the 2 d numbers; None: they are those numbers.
        generator: source of that layer's initial weights.

    >>> DiagonalGaussian(2)(torch.zeros(5, 4)).log_prob(torch.zeros(5, 2))[0]  # -log 2 pi
    tensor(-1.8379)
    """

    def __init__(
        self, latent: int, inputs: int | None = None, *, generator: torch.Generator | int | None = None
    ) -> None:
        check_count(latent=latent)
        super().__init__(latent, 2 * latent, inputs, generator)

    def forward(self, features: Tensor | None = None) -> Distribution:
        mean, log_scale = self._read(features).chunk(2, -1)
        return Independent(Normal(mean, log_scale.exp(), validate_args=False), 1, validate_args=False)


class FullGaussian(_Gaussian):
    """N(m, L L') with a covariance of its own for each row; arguments are those of `DiagonalGaussian`.

    >>> FullGaussian(2).inputs, FullGaussian(2)(torch.zeros(5, 5)).covariance_matrix[0]
    (5, tensor([[1., 0.],
            [0., 1.]]))
    """

    def __init__(
        self, latent: int, inputs: int | None = None, *, generator: torch.Generator | int | None = None
    ) -> None:
        check_count(latent=latent)
        super().__init__(latent, latent + latent * (latent + 1) // 2, inputs, generator)

    def forward(self, features: Tensor | None = None) -> Distribution:
        d = self.latent
        mean, log_diagonal, lower = self._read(features).split([d, d, d * (d - 1) // 2], -1)
        rows, columns = torch.tril_indices(d, d, -1, device=mean.device)
        factor = torch.diag_embed(log_diagonal.exp())
        factor[..., rows, columns] = lower
        return MultivariateNormal(mean, scale_tril=factor, validate_args=False)
