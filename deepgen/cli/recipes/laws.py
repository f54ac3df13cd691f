"""``--prior`` and ``--posterior`` of VAEs: the laws of the latents.

    prior       normal; mixture of --components Gaussians; vamp (VampPrior) of as many pseudo-inputs; flow (MAF)
    posterior   diagonal Gaussian; full covariance; flow (RealNVP couplings of the diagonal one's noise)

Given labels a flow prior is one of z given the label. Flows have layers as wide as the networks' last hidden one: a
prior two that are quick to score z, a posterior four that are quick to draw and to score it, as VampPrior and DReG ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from deepgen.cli.asking import rows_of
from deepgen.cli.values import kind
from deepgen.distributions import NormalMixture
from deepgen.errors import ArgumentError
from deepgen.explicit import MAF, Flow, RealNVP
from deepgen.implicit import DiagonalGaussian, FullGaussian, VampPrior
from deepgen.transforms import Chain, ContextAffine

if TYPE_CHECKING:
    import torch

    from deepgen.data import Data

PRIOR, POSTERIOR = 2, 4  # layers


def prior_of(
    data: Data, options: Mapping[str, Any], latent: int, classes: int, likelihood: Any, stream: torch.Generator
) -> nn.Module | None:
    """p(z); None for the standard normal."""
    name, components = options["prior"], options["components"]
    if name == "mixture":
        return NormalMixture(latent, components, generator=stream)
    if name == "flow":
        return MAF(latent, PRIOR, options["hidden"][-1:], context=classes, generator=stream)
    return _vamp(data, components, classes, likelihood, stream) if name == "vamp" else None


def _vamp(data: Data, components: int, classes: int, likelihood: Any, stream: torch.Generator) -> VampPrior:
    """Pseudo-inputs that start as different training rows, as the encoder is handed them."""
    if classes:
        raise ArgumentError(
            "--prior vamp is of a vae or iwae, as its pseudo-inputs have no label: give a cvae or m2 --prior mixture "
            "or flow"
        )
    if kind(data) == "real":
        raise ArgumentError(
            "--prior vamp learns pseudo-inputs among the data, and a rate that suits all of them needs one scale: of "
            "real columns take --prior mixture or flow, or deepgen.implicit.VampPrior(bounded=False) in Python"
        )
    x = rows_of(data.train)
    if len(x) < components:
        raise ArgumentError(
            f"--prior vamp starts from {components} different training rows, and {data.provenance['name']} has "
            f"{len(x)}: give --components {len(x)}, or fewer"
        )
    made = VampPrior(x.shape[1], components, bounded=kind(data) != "grey", generator=stream)
    return made.initialise(likelihood.inputs(x), generator=stream)


def posterior_of(options: Mapping[str, Any], latent: int, stream: torch.Generator) -> nn.Module:
    """q(z | x) of the encoder's features."""
    if options["posterior"] == "full":
        return FullGaussian(latent)
    diagonal = DiagonalGaussian(latent)
    if options["posterior"] == "diagonal":
        return diagonal
    # Couplings shape standardised noise and read the features that give it its place and scale.
    width = diagonal.inputs
    shaped = RealNVP(latent, POSTERIOR, options["hidden"][-1:], context=width, generator=stream).transform
    return Flow(Chain([ContextAffine(latent), shaped]), latent, context=width)
