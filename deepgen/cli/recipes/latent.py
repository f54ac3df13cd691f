"""Variational autoencoders, with labels or without, by the ELBO or the importance-weighted bound.

The likelihood p(x | z) goes by what values can be: Bernoulli for bits, a category for each of a few grey levels, a
mixture of discretised logistics for many, and for real values Gaussians whose mean and sigma the decoder puts out.
Networks are in `networks`, priors and posteriors in `laws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from deepgen.cli.feed import classes_of
from deepgen.cli.recipes.autoregressive import FEW
from deepgen.cli.recipes.columns import caution, varying
from deepgen.cli.recipes.laws import posterior_of, prior_of
from deepgen.cli.recipes.networks import encoder_decoder
from deepgen.cli.recipes.recipe import Recipe, by_adam
from deepgen.cli.values import kind, refused, whole
from deepgen.evaluate import Bracket, Estimate
from deepgen.evaluate.latent_bound import latent_bound
from deepgen.implicit import CVAE, VAE, Bernoulli, Categorical, Gaussian, LogisticMixture
from deepgen.implicit.ready import features_of
from deepgen.objectives import ELBO, IWAE
from deepgen.random import generator

if TYPE_CHECKING:
    from deepgen.data import Data

WARMUP = 200  # updates over which the KL comes in, so that latents are in use before it presses on them
DRAWS = 10  # behind a validation bound: enough to choose an epoch by


def latent(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``vae``, ``iwae`` and ``cvae``."""
    data, caveat, notes = prepared(name, data)
    classes = classes_of(data) if name == "cvae" else 0
    model = latent_model(data, options, classes)
    draws = options["k"] if name == "iwae" else DRAWS
    return by_adam(
        model,
        IWAE(k=options["k"], dreg=True) if name == "iwae" else ELBO(warmup=WARMUP),
        data,
        options,
        monitor=Bounded(draws),
        caution=caveat,
        notes=notes,
        labelled=name == "cvae",
        settled={"latent": model.latent},
    )


class Bounded:
    """A monitor: the importance-weighted bound of so many draws, the same for all epochs, as the seed is."""

    def __init__(self, draws: int) -> None:
        self.draws = draws

    def __call__(self, model: nn.Module, valid: Any) -> Estimate | Bracket:
        x, context = (valid, None) if isinstance(valid, Tensor) else valid.tensors
        return latent_bound(model, x, self.draws, context=context, generator=0).estimate()


def prepared(name: str, data: Data) -> tuple[Data, str | None, dict[str, Any] | None]:
    """The data as networks with a law at their end take them, what to warn of, and notes for later commands."""
    if kind(data) == "text":
        raise refused(f"{name} is a model of bits, grey levels or real values", data)
    if kind(data) in ("real", "unit"):
        varying(name, data, density=name != "autoencoder")
        return data, caution(data), None
    return (whole(data), None, {"levels": data.levels}) if kind(data) == "grey" else (data, None, None)


def code_width(options: Mapping[str, Any], features: int) -> int:
    """Of ``--latent``: an eighth of the columns, from 2 to 50, where it was not given."""
    return options["latent"] or max(2, min(50, features // 8))


def latent_model(data: Data, options: Mapping[str, Any], classes: int) -> VAE | CVAE:
    """A `VAE`, or of so many ``classes`` a `CVAE`, with the networks and laws that the options name."""
    width, stream = code_width(options, data.event_shape.numel()), generator(options["seed"])
    likelihood = law_of_values(data)
    posterior = posterior_of(options, width, stream)
    encoder, decoder = encoder_decoder(
        data, options, features_of(posterior), width, likelihood, context=classes, generator=stream
    )
    prior = prior_of(data, options, width, classes, likelihood, stream)
    laws: Any = {"latent": width, "likelihood": likelihood, "prior": prior, "posterior": posterior}
    return CVAE(encoder, decoder, classes=classes, **laws) if classes else VAE(encoder, decoder, **laws)


def law_of_values(data: Data) -> nn.Module:
    """What the decoder's numbers mean."""
    made: nn.Module = Bernoulli()
    if kind(data) == "grey":
        assert data.levels is not None
        made = Categorical(data.levels) if data.levels <= FEW else LogisticMixture(data.levels)
    elif kind(data) in ("real", "unit"):
        made = Gaussian(1.0, "decoder")
    return made
