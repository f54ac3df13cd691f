"""Autoencoders with networks that are there already, in one line; `deepgen.load` rebuilds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.tied import TiedDense
from deepgen.implicit.vae import check_likelihood, numbers_of
from deepgen.layers.conv_decoder import ConvDecoder
from deepgen.layers.conv_encoder import ConvEncoder
from deepgen.layers.dense import Dense, shape_of
from deepgen.layers.images import Blocks
from deepgen.random import resolve


def mlp_autoencoder(
    event_shape: int | Sequence[int],
    hidden: Sequence[int] = (200,),
    *,
    latent: int,
    likelihood: nn.Module | None = None,
    activation: str = "tanh",
    last: str | None = None,
    tied: bool = False,
    generator: torch.Generator | int | None = None,
) -> Autoencoder:
    """An `Autoencoder` with multilayer networks: ``hidden`` widths down to the code, and the reverse on the way back.

    ``latent`` below the width of the data is undercomplete, and above it overcomplete, which copies unless noise or a
    penalty keeps it from that. ``hidden=[]`` and a `Gaussian` likelihood is the linear one, which finds the subspace of
    PCA (Baldi & Hornik 1989).

    Args:
        event_shape: of an example, or its width.
        hidden, activation: see `Dense`.
        latent: width of the code.
        likelihood: see `Autoencoder`.
        last: the activation at the code, such as ``sigmoid`` for a sparse one; None for none.
        tied: the way back has the weights of the way there, transposed (`TiedDense`).
        generator: source of the initial weights.

    >>> model = mlp_autoencoder((4, 4), [8], latent=3, tied=True, generator=0)
    >>> model.reconstruct(torch.zeros(5, 4, 4)).shape
    torch.Size([5, 4, 4])
    """
    event, stream = shape_of(event_shape), resolve(generator)
    made = check_likelihood(likelihood)
    options: Any = {"activation": activation, "generator": stream}
    if tied:
        return Autoencoder(TiedDense(event, hidden, latent, last=last, **options), likelihood=made)
    encoder = Dense(event, hidden, latent, last=last, **options)
    decoder = Dense(latent, [*reversed(hidden)], (numbers_of(made) * event[0], *event[1:]), **options)
    return Autoencoder(encoder, decoder, likelihood=made)


def conv_autoencoder(
    image: Sequence[int],
    features: Sequence[int] = (32, 64),
    *,
    latent: int,
    hidden: int = 256,
    likelihood: nn.Module | None = None,
    activation: str = "silu",
    blocks: Blocks | None = None,
    generator: torch.Generator | int | None = None,
) -> Autoencoder:
    """An `Autoencoder` of images ``(channels, height, width)``: convolutions there, transposed convolutions back.

    Arguments are those of `ConvEncoder` and `ConvDecoder`; ``latent`` is the width of the code, and ``blocks`` are the
    encoder's. For blocks on the way back build both networks and call `Autoencoder`.

    >>> model = conv_autoencoder((1, 8, 8), [4, 8], latent=2, hidden=16, generator=0)
    >>> model.encode(torch.zeros(3, 1, 8, 8)).shape, model.decode(torch.zeros(3, 2)).shape
    (torch.Size([3, 2]), torch.Size([3, 1, 8, 8]))
    """
    made = check_likelihood(likelihood)
    same: Any = {"features": features, "hidden": hidden, "activation": activation, "generator": resolve(generator)}
    encoder = ConvEncoder(image, latent, blocks=blocks, **same)
    decoder = ConvDecoder(latent, image, numbers=numbers_of(made), **same)
    return Autoencoder(encoder, decoder, likelihood=made)
