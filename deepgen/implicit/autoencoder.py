"""Autoencoder: a code for each row, and a law of the row given its code.

    z = f(x)   the code,        x ~ p(x | z)   a law whose numbers are the decoder's

    reconstruction loss of a row = -log p(x | z = f(x))     in nats

The loss is the negative log of a named law, so its scale is known: squared errors are a `Gaussian` with a sigma that
somebody chose. It is no likelihood of x, and no bound on one: z has seen x, and no prior pays for what z tells. A large
enough code makes it as small as the law allows. How a code is kept from copying is the objective's business
(`deepgen.objectives.Reconstruction`): fewer numbers than x has, a penalty, or noise on x. Sources: Rumelhart, Hinton &
Williams 1986; Hinton & Salakhutdinov 2006; Vincent et al. 2008 (noise).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.errors import ArgumentError, ShapeError
from deepgen.explicit.units import require_tensor
from deepgen.implicit.latent import check_codes, for_network
from deepgen.implicit.vae import check_likelihood, check_module, decoded, encoder_input, numbers_of
from deepgen.rest import answered_at_rest


class Autoencoder(nn.Module):
    """Any encoder and decoder, and the law that the decoder's numbers stand for.

    Args:
        encoder: a module ``[rows, *event] -> [rows, latent]``.
        decoder: a module ``[rows, latent] -> [rows, *event]``, or with the first axis of the event n times as long
            where the likelihood takes n numbers for each value. None: the encoder has ``back(z)`` (`TiedDense`).
        likelihood: what those numbers mean: `Bernoulli` (the default), `Gaussian`, `Categorical`, `LogisticMixture`.

    Rows are refused where the likelihood cannot have made them: grey values under a Bernoulli, above all.

    Raises:
        ArgumentError: a part is no module, there is no way back, or no likelihood.

    >>> import torch
    >>> import deepgen as dg
    >>> model = Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6), likelihood=dg.implicit.Gaussian(0.5))
    >>> x = torch.zeros(5, 6)
    >>> model.encode(x).shape, model.reconstruct(x).shape, model.reconstruction_loss(x).shape
    (torch.Size([5, 2]), torch.Size([5, 6]), torch.Size([5]))
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module | None = None, *, likelihood: nn.Module | None = None
    ) -> None:
        super().__init__()
        check_module("encoder", encoder)
        check_module("decoder", decoder, optional=True)
        self.encoder, self.decoder, self.observation = encoder, decoder, check_likelihood(likelihood)
        if decoder is None:
            if not hasattr(encoder, "back"):
                raise ArgumentError(
                    f"a {type(encoder).__name__} has no way back(z): give a decoder, or a TiedDense as the encoder"
                )
            if numbers_of(self.observation) != 1:
                raise ArgumentError(
                    f"tied weights give one number for each value, and {type(self.observation).__name__} takes "
                    f"{numbers_of(self.observation)}: give a decoder"
                )

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"encoder": self.encoder, "decoder": self.decoder, "likelihood": self.observation}

    def code(self, x: Tensor) -> Tensor:
        """f(x), with its gradients: ``[rows, *event] -> [rows, latent]``.

        Raises:
            ShapeError: the encoder puts out something else.
        """
        return self.coded(encoder_input(self, x))

    def coded(self, inputs: Tensor) -> Tensor:
        """The code of what the encoder is handed, which for levels is a scale from -1 to 1."""
        z: Tensor = self.encoder(inputs)
        if z.ndim != 2 or len(z) != len(inputs):
            raise ShapeError(
                f"the encoder must put out [{len(inputs)}, latent], got {list(z.shape)}: end it with torch.nn.Flatten()"
            )
        return z

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for ``[*batch, latent]``: batch as given, event that of an example."""
        rows = for_network(self.encoder if self.decoder is None else self.decoder, z.reshape(-1, z.shape[-1]))
        encoder: Any = self.encoder
        return decoded(self, z, encoder.back(rows) if self.decoder is None else self.decoder(rows))

    def reconstruction_loss(self, x: Tensor) -> Tensor:
        """-log p(x | f(x)) in nats, differentiable: ``[rows, *event] -> [rows]``. No likelihood of x: see above.

        Raises:
            ShapeError, SupportError: rows that the law cannot have made.
        """
        self.check(x)
        return self.loss_of(x, self.likelihood(self.code(x)))

    def loss_of(self, x: Tensor, law: Distribution) -> Tensor:
        """-log of a law at rows that it must be over, ``[rows]``."""
        if law.event_shape != x.shape[1:]:
            raise ShapeError(
                f"the likelihood is over rows {list(law.event_shape)} and x is {list(x.shape)}: "
                "reshape the data, or what the decoder puts out"
            )
        like = next(self.parameters(), None)
        return -law.log_prob(x if like is None else x.to(like.dtype))

    @answered_at_rest
    def encode(self, x: Tensor) -> Tensor:
        """The code ``[rows, latent]``, without gradients and of the networks at rest; otherwise `code`."""
        self.check(x)
        return self.code(x)

    transform = encode

    @answered_at_rest
    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z): ``[*batch, latent] -> [*batch, *event]``; with gradients ``likelihood(z).mean``.

        Raises:
            ShapeError, ArgumentError, SupportError: no finite codes of the model's width.
        """
        check_codes(z)
        mean: Tensor = self.likelihood(z).mean
        return mean

    @answered_at_rest
    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x | f(x)): ``[rows, *event] -> [rows, *event]``."""
        return self.decode(self.encode(x))

    def follow(self, law: Distribution, x: Tensor) -> None:
        """Let the likelihood learn from a training batch that has been scored (the optimal sigma of a `Gaussian`)."""
        follow: Any = getattr(self.observation, "follow", None)
        if follow is not None and self.training:
            follow(law, x)

    def check(self, x: Tensor) -> None:
        """Raise a typed error unless ``x`` are rows ``[rows, *event]`` of values that the likelihood can take."""
        require_tensor(x, "x")
        if x.ndim < 2 or len(x) == 0:
            raise ShapeError(f"x must be [rows, *event] with at least one row, got {list(x.shape)}")
        observation: Any = self.observation
        observation.check(x)
