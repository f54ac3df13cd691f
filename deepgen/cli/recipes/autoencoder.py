"""Denoising autoencoders: networks to a code and back, by the reconstruction loss of rows from noisy ones.

The law of a value given the code goes by what values can be, as for a VAE; real columns are standardised inside the
networks. There is no likelihood to watch: what is watched is the loss on validation rows, under noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from deepgen.cli.denoising import Restoring, noise_of
from deepgen.cli.recipes.latent import code_width, law_of_values, prepared
from deepgen.cli.recipes.recipe import Recipe, by_adam
from deepgen.cli.rundir import rows_of
from deepgen.implicit import Autoencoder, Gaussian, mlp_autoencoder
from deepgen.layers import Restored, Standardised
from deepgen.objectives import Reconstruction

if TYPE_CHECKING:
    from deepgen.data import Data


def autoencoder(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``autoencoder``."""
    data, caveat, notes = prepared(name, data)
    features, noise = data.event_shape.numel(), options["noise"]
    width = code_width(options, features)
    likelihood, numbers = law_of_values(data)
    model = mlp_autoencoder(
        features, options["hidden"], latent=width, likelihood=likelihood, activation="silu", generator=options["seed"]
    )
    if isinstance(likelihood, Gaussian):
        x, back = rows_of(data.train), model.decoder
        assert isinstance(back, nn.Module)
        model = Autoencoder(
            Standardised(model.encoder, features).initialise(x),
            Restored(back, features, numbers=numbers).initialise(x),
            likelihood=likelihood,
        )
    if not noise and width >= features:
        copies = (
            f"without noise a code of {width} numbers for {features} column{'s' if features > 1 else ''} learns to "
            "copy rows, and a small reconstruction loss says nothing: give --noise, or fewer --latent"
        )
        caveat = f"{caveat}; {copies}" if caveat else copies
    return by_adam(
        model,
        Reconstruction(noise_of(model, noise)),
        data,
        options,
        monitor=Restoring(noise),
        caution=caveat,
        notes=notes,
    )
