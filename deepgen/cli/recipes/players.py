"""The two networks of ``gan`` and ``cgan``: dense, maxout, DCGAN's or residual, given labels or not.

A generator takes labels beside its latents. A discriminator of ``--condition projection`` ends in features on which the
label is projected, one of ``concatenation`` sees it beside the row, an image's as constant channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from deepgen.cli.recipes.networks import sides_of
from deepgen.cli.values import described, kind
from deepgen.errors import ArgumentError
from deepgen.implicit import (
    Concatenated,
    DCGANDiscriminator,
    DCGANGenerator,
    Dense,
    Projected,
    ResNetDiscriminator,
    ResNetGenerator,
)

if TYPE_CHECKING:
    import torch

    from deepgen.data import Data

PIECES = 5  # of a maxout unit, as in the first discriminator (Goodfellow et al. 2014)
WIDTH = 128  # of the features on which a label is projected


def players(
    data: Data, options: Mapping[str, Any], classes: int, first: torch.Generator, second: torch.Generator
) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of rows, by ``options["networks"]``; of 0 classes without labels."""
    networks, latent = options["networks"], options["latent"]
    projected = classes > 0 and options["condition"] == "projection"
    out: Any = WIDTH if projected else ()
    seen = 0 if projected else classes  # by the discriminator, beside the row
    generator: nn.Module
    discriminator: nn.Module
    if networks in ("dense", "maxout"):
        features, hidden = data.event_shape.numel(), options["hidden"]
        same: Any = {"activation": "silu"}
        generator = Dense(latent, hidden, features, context=classes, generator=first, **same)
        pieces = PIECES if networks == "maxout" else 1
        discriminator = Dense(features, hidden, out, context=seen, pieces=pieces, generator=second, **same)
    else:
        sides, channels = sides_of(data, networks), options["channels"]
        if kind(data) == "real":
            raise ArgumentError(
                f"--networks {networks} draws images with values from 0 to 1, and {data.provenance['name']} holds "
                f"{described(data)}: leave it out for dense networks"
            )
        shape = (1 + seen, *sides) if seen else sides
        if networks == "conv":
            generator = DCGANGenerator(latent + classes, sides, channels, norm=False, generator=first)
            discriminator = DCGANDiscriminator(shape, channels, out, generator=second)
        else:
            generator = ResNetGenerator(latent + classes, sides, channels, generator=first)
            discriminator = ResNetDiscriminator(shape, channels, out, generator=second)
    if classes:
        generator = Concatenated(generator, classes=classes)
        discriminator = (
            Projected(discriminator, WIDTH, classes=classes, generator=second)
            if projected
            else Concatenated(discriminator, classes=classes)
        )
    return generator, discriminator
