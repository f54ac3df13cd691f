"""``--networks`` of VAEs and autoencoders: an encoder and a decoder between rows, dense or convolutional.

Real columns are standardised inside both, so that bounds and samples are in the units of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from deepgen.cli.asking import rows_of
from deepgen.errors import ArgumentError
from deepgen.implicit import ConvDecoder, ConvEncoder, Dense, Gaussian
from deepgen.layers import Reshaped, Restored, Standardised
from deepgen.random import resolve

if TYPE_CHECKING:
    import torch

    from deepgen.data import Data


def encoder_decoder(
    data: Data,
    options: Mapping[str, Any],
    outputs: int,
    latent: int,
    likelihood: Any,
    *,
    context: int = 0,
    last: str | None = None,
    generator: torch.Generator | int,
) -> tuple[nn.Module, nn.Module]:
    """Networks from rows to ``outputs`` numbers, and from ``latent`` ones to those of the likelihood of a row.

    ``last`` is the activation at the ``outputs`` of dense networks.
    """
    features, hidden, numbers = data.event_shape.numel(), options["hidden"], likelihood.numbers
    same: Any = {"activation": "silu", "context": context, "generator": resolve(generator)}
    encoder: nn.Module
    decoder: nn.Module
    if options["networks"] == "conv":
        shape, channels = (1, *sides_of(data, "conv")), options["channels"]
        (width,) = hidden  # `deepgen.cli.options` has looked
        same |= {"features": [channels, 2 * channels], "hidden": width}
        encoder = Reshaped(ConvEncoder(shape, outputs, **same), shape)
        decoder = Reshaped(ConvDecoder(latent, shape, numbers=numbers, **same), (latent,))
    else:
        encoder = Dense(features, hidden, outputs, last=last, **same)
        decoder = Dense(latent, [*reversed(hidden)], numbers * features, **same)
    if isinstance(likelihood, Gaussian):
        x = rows_of(data.train)
        encoder = Standardised(encoder, features).initialise(x)
        decoder = Restored(decoder, features, numbers=numbers).initialise(x)
    return encoder, decoder


def sides_of(data: Data, networks: str) -> tuple[int, int]:
    """Height and width of rows that networks with two halvings can take."""
    name, sides = data.provenance["name"], data.image_shape
    if sides is None:
        raise ArgumentError(
            f"--networks {networks} takes images, and the rows of {name} have no height and width (those of a .npy "
            "file [rows, height, width] have): leave it out for dense networks"
        )
    if any(side % 4 for side in sides):
        raise ArgumentError(
            f"--networks {networks} halves images twice, so their sides must be multiples of 4, and those of {name} "
            f"are {sides[0]} x {sides[1]}: pad them, or leave it out for dense networks"
        )
    return sides
