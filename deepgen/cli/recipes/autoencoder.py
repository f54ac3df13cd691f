"""Denoising autoencoders: networks to a code and back, by the reconstruction loss of rows from noisy ones.

The law of a value given the code goes by what values can be, as for a VAE, and so do the networks. There is no
likelihood to watch: what is watched is the loss on validation rows, under noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepgen.cli.denoising import Restoring, noise_of
from deepgen.cli.recipes.latent import code_width, law_of_values, prepared
from deepgen.cli.recipes.networks import encoder_decoder
from deepgen.cli.recipes.recipe import Recipe, by_adam
from deepgen.errors import ArgumentError
from deepgen.implicit import Autoencoder, TiedDense
from deepgen.objectives import L1, Contraction, KLSparsity, Reconstruction

if TYPE_CHECKING:
    from deepgen.data import Data


PENALTIES: dict[str, Any] = {"contraction": Contraction, "l1": L1, "sparsity": KLSparsity}


def autoencoder(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``autoencoder``."""
    data, caveat, notes = prepared(name, data)
    features, noise = data.event_shape.numel(), options["noise"]
    width = code_width(options, features)
    likelihood: Any = law_of_values(data)
    penalty = None if options["penalty"] in (None, "none") else PENALTIES[options["penalty"]](options["penalty_weight"])
    last = "sigmoid" if isinstance(penalty, KLSparsity) else None  # whose codes are activities
    if options["networks"] == "tied":
        if likelihood.numbers > 1:
            raise ArgumentError(
                "--networks tied has one number for each value, enough for zeros and ones, and the law of these takes "
                f"{likelihood.numbers}: leave it out, or make bits of grey levels by --binarise threshold"
            )
        tied = TiedDense(features, options["hidden"], width, activation="silu", last=last, generator=options["seed"])
        model = Autoencoder(tied, likelihood=likelihood)
    else:
        there, back = encoder_decoder(data, options, width, width, likelihood, last=last, generator=options["seed"])
        model = Autoencoder(there, back, likelihood=likelihood)
    if not noise and penalty is None and width >= features:
        copies = (
            f"without noise a code of {width} numbers for {features} column{'s' if features > 1 else ''} learns to "
            "copy rows, and a small reconstruction loss says nothing: give --noise, --penalty or fewer --latent"
        )
        caveat = f"{caveat}; {copies}" if caveat else copies
    return by_adam(
        model,
        Reconstruction(noise_of(model, noise), [] if penalty is None else penalty),
        data,
        options,
        monitor=Restoring(noise),
        caution=caveat,
        notes=notes,
        settled={"latent": width},
    )
