"""Variational autoencoders with networks that are there already, in one line; `deepgen.load` rebuilds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from deepgen.errors import ArgumentError
from deepgen.implicit.cvae import CVAE
from deepgen.implicit.vae import VAE, laws, numbers_of
from deepgen.layers.conv_decoder import ConvDecoder
from deepgen.layers.conv_encoder import ConvEncoder
from deepgen.layers.dense import Dense, shape_of
from deepgen.layers.images import Blocks
from deepgen.random import resolve


def mlp_vae(
    event_shape: int | Sequence[int],
    hidden: Sequence[int] = (200, 200),
    *,
    latent: int,
    likelihood: nn.Module | None = None,
    prior: nn.Module | None = None,
    posterior: nn.Module | None = None,
    activation: str = "tanh",
    generator: torch.Generator | int | None = None,
) -> VAE:
    """A `VAE` with multilayer networks: ``hidden`` widths from data to latents, and the reverse on the way back.

    ``mlp_vae(784, [200, 200], latent=50)`` is Burda, Grosse & Salakhutdinov's (2016) network with one stochastic layer.

    Args:
        event_shape: of an example, or its width.
        hidden, activation: see `Dense`.
        latent, likelihood, prior, posterior: see `VAE`. The encoder puts out as many features as the posterior reads.
        generator: source of the initial weights of both networks.

    >>> import deepgen as dg
    >>> iaf = dg.explicit.IAF(2, 2, [16], context=20, base=dg.implicit.DiagonalGaussian(2, inputs=20), generator=0)
    >>> vae = mlp_vae(6, [8], latent=2, posterior=iaf, generator=0)
    >>> vae.bound(torch.zeros(5, 6), generator=0).shape
    torch.Size([5])
    """
    made, before, law = laws(latent, likelihood, prior, posterior)
    same: Any = {"activation": activation, "generator": resolve(generator)}
    encoder, decoder = _dense(event_shape, hidden, latent, made, law, **same)
    return VAE(encoder, decoder, latent=latent, likelihood=made, prior=before, posterior=law)


def mlp_cvae(
    event_shape: int | Sequence[int],
    hidden: Sequence[int] = (200, 200),
    *,
    latent: int,
    classes: int = 0,
    context: int = 0,
    embed: nn.Module | None = None,
    likelihood: nn.Module | None = None,
    prior: nn.Module | None = None,
    posterior: nn.Module | None = None,
    activation: str = "tanh",
    generator: torch.Generator | int | None = None,
) -> CVAE:
    """A `CVAE` with multilayer networks, the context joined on to x and to z.

    >>> import deepgen as dg
    >>> prior = dg.implicit.DiagonalGaussian(2, inputs=3, generator=1)
    >>> model = mlp_cvae(6, [8], latent=2, classes=3, prior=prior, generator=0)
    >>> model(torch.tensor([0, 1])).prior().batch_shape
    torch.Size([2])
    """
    made, before, law = laws(latent, likelihood, prior, posterior)
    same: Any = {"activation": activation, "context": classes or context, "generator": resolve(generator)}
    encoder, decoder = _dense(event_shape, hidden, latent, made, law, **same)
    return CVAE(encoder, decoder, latent=latent, classes=classes, context=context, embed=embed, likelihood=made,
                prior=before, posterior=law)  # fmt: skip


def conv_vae(
    image: Sequence[int],
    features: Sequence[int] = (32, 64),
    *,
    latent: int,
    hidden: int = 256,
    likelihood: nn.Module | None = None,
    prior: nn.Module | None = None,
    posterior: nn.Module | None = None,
    activation: str = "silu",
    blocks: Blocks | None = None,
    generator: torch.Generator | int | None = None,
) -> VAE:
    """A `VAE` of images ``(channels, height, width)`` with `ConvEncoder` and `ConvDecoder`.

    ``blocks`` are the encoder's, a module or None for each of ``features``; for blocks in the decoder build both
    networks and call `VAE`.

    >>> conv_vae((1, 8, 8), [4, 8], latent=2, hidden=16, generator=0).sample(3, generator=0).shape
    torch.Size([3, 1, 8, 8])
    >>> from deepgen.layers import ResidualBlock
    >>> deep = conv_vae((1, 8, 8), [4, 8], latent=2, blocks=[ResidualBlock(4, generator=1), None], generator=0)
    >>> deep.encoder.blocks[0].outputs
    4
    """
    made, before, law = laws(latent, likelihood, prior, posterior)
    same: Any = {"features": features, "hidden": hidden, "activation": activation, "generator": resolve(generator)}
    encoder, decoder = _convolutional(image, latent, made, law, blocks, **same)
    return VAE(encoder, decoder, latent=latent, likelihood=made, prior=before, posterior=law)


def conv_cvae(
    image: Sequence[int],
    features: Sequence[int] = (32, 64),
    *,
    latent: int,
    classes: int = 0,
    context: int = 0,
    embed: nn.Module | None = None,
    hidden: int = 256,
    likelihood: nn.Module | None = None,
    prior: nn.Module | None = None,
    posterior: nn.Module | None = None,
    activation: str = "silu",
    blocks: Blocks | None = None,
    generator: torch.Generator | int | None = None,
) -> CVAE:
    """A `CVAE` of images ``(channels, height, width)`` with `ConvEncoder` and `ConvDecoder`.

    The context's code joins the flat maps before the encoder's hidden layer, and z before the decoder's. What it is (a
    label, a vector, or anything that ``embed`` turns into one) is said as for `CVAE`; the rest as for `conv_vae`.

    >>> model = conv_cvae((1, 8, 8), [4, 8], latent=2, classes=10, hidden=16, generator=0)
    >>> model(torch.arange(10)).sample(10, generator=0).shape  # one of each label
    torch.Size([10, 1, 8, 8])
    """
    made, before, law = laws(latent, likelihood, prior, posterior)
    same: Any = {"features": features, "hidden": hidden, "activation": activation, "context": classes or context,
                 "generator": resolve(generator)}  # fmt: skip
    encoder, decoder = _convolutional(image, latent, made, law, blocks, **same)
    return CVAE(encoder, decoder, latent=latent, classes=classes, context=context, embed=embed, likelihood=made,
                prior=before, posterior=law)  # fmt: skip


def _dense(
    event_shape: int | Sequence[int], hidden: Sequence[int], latent: int, likelihood: Any, posterior: Any, **same: Any
) -> tuple[Dense, Dense]:
    """Encoder and decoder as wide as the laws at their ends want them."""
    event = shape_of(event_shape)
    encoder = Dense(event, hidden, features_of(posterior), **same)
    return encoder, Dense(latent, [*reversed(hidden)], (numbers_of(likelihood) * event[0], *event[1:]), **same)


def _convolutional(
    image: Sequence[int], latent: int, likelihood: Any, posterior: Any, blocks: Blocks | None, **same: Any
) -> tuple[ConvEncoder, ConvDecoder]:
    """The same of images."""
    encoder = ConvEncoder(image, features_of(posterior), blocks=blocks, **same)
    return encoder, ConvDecoder(latent, image, numbers=numbers_of(likelihood), **same)


def features_of(posterior: Any) -> int:
    """How many features a posterior reads: its ``inputs``, or the ``context`` of a flow."""
    width = getattr(posterior, "inputs", None) or getattr(posterior, "context", None)
    if not isinstance(width, int):
        raise ArgumentError(
            f"how many features a {type(posterior).__name__} reads is not known: give the flow a context=, "
            "or build encoder and decoder yourself and call VAE"
        )
    return width
