"""The Markov chain of a denoising autoencoder: put noise on, draw what was there before, again and again.

    x~ ~ C(. | x),    x' ~ p(. | f(x~))

If p(x | f(x~)) were the exact posterior of x given x~ under data and noise, the data's law would be stationary: the two
draws are then block Gibbs of the joint law of x and x~. A trained network is near it, and the chain's own law near the
data's (Bengio, Yao, Alain & Vincent 2013, "Generalized denoising auto-encoders as generative models", theorem 1), where
the chain forgets its start: noise must be strong enough to join the modes. Training along walks of this chain
(``Reconstruction(walkback=...)``) keeps it from modes that no data has.

A likelihood that draws its values independently, as all in `deepgen.implicit.likelihoods` do, can only be the exact
posterior where the noise is weak; more noise mixes faster, into a law further from the data's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.corruption import Corruption
from deepgen.random import draw, sequential
from deepgen.rest import at_rest
from deepgen.samplers.kernel import Exactness, require_state


class DenoisingState(NamedTuple):
    """position: the rows ``[chains, *event]``."""

    position: Tensor


class DenoisingInfo(NamedTuple):
    """nan: chains that drew a NaN and stayed where they were ``[chains]``."""

    nan: Tensor


@dataclass(frozen=True)
class DenoisingChain:
    """Kernel: noise, then a draw of the denoiser. It has a law of its own, near the data's and known by draws alone.

    Args:
        model: an `Autoencoder` that was trained under this noise.
        corruption: the noise, such as `SaltAndPepper`.

    The model is in eval mode meanwhile, so that chains do not depend on one another through batch norms.

    >>> import deepgen as dg
    >>> model = dg.implicit.mlp_autoencoder(6, [8], latent=8, generator=0)
    >>> kernel = DenoisingChain(model, dg.implicit.SaltAndPepper(0.3))
    >>> dg.samplers.sample_chain(kernel, torch.zeros(10, 6), draws=5, generator=0).draws.shape
    torch.Size([5, 10, 6])
    """

    model: Autoencoder
    corruption: Corruption
    exactness: ClassVar[Exactness] = Exactness("biased", "as far as the denoiser is from the exact posterior")

    def __post_init__(self) -> None:
        if not isinstance(self.model, Autoencoder):
            raise ArgumentError(f"model must be an Autoencoder, got {type(self.model).__name__}")
        if isinstance(self.corruption, type) or not callable(self.corruption):
            raise ArgumentError(f"corruption must be such as SaltAndPepper(0.3), got {self.corruption!r}")

    def init(self, position: Tensor) -> DenoisingState:
        """The state at rows ``[chains, *event]`` that the model's likelihood can take."""
        self.model.check(position)
        like = next(self.model.parameters(), position)
        return DenoisingState(position.to(like))

    @torch.no_grad()
    def step(self, state: DenoisingState, *, generator: torch.Generator) -> tuple[DenoisingState, DenoisingInfo]:
        """Corrupt, then draw from p(x | f(x~))."""
        require_state(state, DenoisingState)
        x = state.position
        with at_rest(self.model):
            law = self.model.likelihood(self.model.code(self.corruption(x, generator=generator)))
        if law.event_shape != x.shape[1:]:
            raise ShapeError(f"the likelihood is over rows {list(law.event_shape)}, and chains are {list(x.shape)}")
        new = draw(law, generator=sequential(generator)).to(x)
        nan = new.isnan().flatten(1).any(1)
        keep = nan.view(-1, *(1,) * (x.ndim - 1))
        return DenoisingState(torch.where(keep, x, new)), DenoisingInfo(nan)
