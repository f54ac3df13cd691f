"""Variational autoencoder: a latent variable model whose posterior is approximated by a network.

    p(x) = int p(z) p(x | z) dz,         q(z | x) ~ p(z | x)

    log p(x) >= E_q [ log p(x | z) + log p(z) - log q(z | x) ]             (the evidence lower bound, ``bound``)

prior p(z), likelihood p(x | z) = a law whose numbers are the decoder's, posterior q(z | x) = a law whose numbers are
the encoder's; all three are objects (`likelihoods`, `posteriors`, and any flow). Sources: Kingma & Welling 2014;
Rezende, Mohamed & Wierstra 2014.

The density itself is not known: `bound` lies below it, by KL(q || p(z | x)) for one draw, and closer with more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.distributions.base import NormalMixture, StandardLogistic, StandardNormal, StudentT
from deepgen.errors import ArgumentError, ShapeError, check_count, not_by_name
from deepgen.explicit.flow import Flow
from deepgen.implicit.latent import LatentModel, check_observed, for_network
from deepgen.implicit.likelihoods import Bernoulli
from deepgen.implicit.posteriors import DiagonalGaussian, FullGaussian
from deepgen.implicit.vamp import VampPrior
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest


class VAE(LatentModel, nn.Module):
    """A VAE of any encoder and decoder; has `Latent`, `Bound` and `Samples`.

    Args:
        encoder: a module ``[rows, *event] -> [rows, features]``.
        decoder: a module ``[rows, latent] -> [rows, *event]``, or with the first axis of the event n times as long
            where the likelihood takes n numbers for each value (channels, for images).
        latent: number of latent variables.
        likelihood: what those numbers mean: `Bernoulli` (the default), `Gaussian`, `Categorical`, `LogisticMixture`.
        prior: a module whose ``forward(None)`` is a Distribution over ``[latent]``: ``StandardNormal`` (the default)
            and ``NormalMixture`` of `deepgen.distributions`, a flow; or a `VampPrior`.
        posterior: a module from features to a Distribution over ``[latent]``: `DiagonalGaussian` (the default),
            `FullGaussian`, a flow with ``context=`` the number of features.

    Raises:
        ArgumentError: a part that is no module, or no likelihood.
        ShapeError: a prior or posterior of this package over another width than ``latent``; of others it shows when
            the laws are asked.

    Rows are refused where the likelihood cannot have made them: grey values under a Bernoulli, above all.

    >>> import deepgen as dg
    >>> encoder, decoder = nn.Linear(6, 4), nn.Linear(2, 6)
    >>> vae = VAE(encoder, decoder, latent=2, likelihood=dg.implicit.Bernoulli())
    >>> vae.bound(torch.zeros(5, 6), samples=10, generator=0).shape, vae.sample(3, generator=0).shape
    (torch.Size([5]), torch.Size([3, 6]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        latent: int,
        likelihood: nn.Module | None = None,
        prior: nn.Module | None = None,
        posterior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_module("encoder", encoder)
        check_module("decoder", decoder)
        self.encoder, self.decoder, self.latent = encoder, decoder, int(latent)
        self.observation, self.prior_law, self.posterior_law = laws(latent, likelihood, prior, posterior)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "latent": self.latent,
            "likelihood": self.observation,
            "prior": self.prior_law,
            "posterior": self.posterior_law,
        }

    def prior(self) -> Distribution:
        """p(z), event ``[latent]``."""
        law: Any = self.prior_law
        return law.law(self._vamp) if isinstance(law, VampPrior) else law(None)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z | x) for rows ``[rows, *event]``: batch ``[rows]``, event ``[latent]``."""
        found: Distribution = self.posterior_law(self.encoder(encoder_input(self, x)))
        return found

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for ``[*batch, latent]``: batch as given, event that of an example."""
        return decoded(self, z, self.decoder(for_network(self.decoder, flat(z, self.latent))))

    def check(self, x: Tensor) -> None:
        """Raise a typed error unless ``x`` are rows ``[rows, *event]`` of values that the likelihood can take."""
        check_observed(self.observation, x)

    @answered_at_rest
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws of p(x) ``[n, *event]``: of z from the prior, then of x from p(x | z)."""
        check_count(n=n)
        stream = resolve(generator, next(self.parameters(), torch.zeros(0)).device)
        z = draw(self.prior(), (n,), generator=stream)
        return draw(self.likelihood(z), generator=stream)

    def _vamp(self, u: Tensor) -> Distribution:
        found: Distribution = self.posterior_law(self.encoder(u))
        return found


def laws(
    latent: int, likelihood: nn.Module | None, prior: nn.Module | None, posterior: nn.Module | None
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The three laws of a model, those that were left out by default: Bernoulli, standard normal, diagonal Gaussian."""
    check_count(latent=latent)
    observation = check_likelihood(likelihood)
    for name, law in (("prior", prior), ("posterior", posterior)):
        check_module(name, law, optional=True)
        width = _width(law)
        if width is not None and width != (latent,):
            raise ShapeError(f"the {name} is over z {list(width)}, and latent={latent}: give both the same width")
    return (
        observation,
        StandardNormal(latent) if prior is None else prior,
        DiagonalGaussian(latent) if posterior is None else posterior,
    )


def check_likelihood(likelihood: nn.Module | None) -> nn.Module:
    """The likelihood, Bernoulli where it was left out; or raise `ArgumentError` for what is none."""
    check_module("likelihood", likelihood, optional=True)
    observation = Bernoulli() if likelihood is None else likelihood
    lacking = [name for name in ("numbers", "inputs", "check") if not hasattr(observation, name)]
    if lacking:
        raise ArgumentError(
            f"{type(observation).__name__} is no likelihood: it has no {', '.join(lacking)}, as those of "
            "deepgen.implicit have, Bernoulli() or Gaussian(0.1), say"
        )
    return observation


def _width(law: object) -> tuple[int, ...] | None:
    """The shape of one draw of a law of this package; None where it is not known before it is asked."""
    if isinstance(law, Flow):
        return tuple(law.event_shape)
    if isinstance(law, (StandardNormal, StandardLogistic, StudentT, NormalMixture)):
        return (law.features,)
    return (law.latent,) if isinstance(law, (DiagonalGaussian, FullGaussian)) else None


def numbers_of(likelihood: Any) -> int:
    """How many numbers a likelihood takes for each value."""
    return int(likelihood.numbers)


_LAWS = {
    "likelihood": ["implicit.Bernoulli", "implicit.Gaussian", "implicit.Categorical", "implicit.LogisticMixture"],
    "prior": ["distributions.StandardNormal", "distributions.NormalMixture", "implicit.VampPrior", "explicit.MAF"],
    "posterior": ["implicit.DiagonalGaussian", "implicit.FullGaussian", "explicit.IAF"],
}


def check_module(name: str, part: object, *, optional: bool = False) -> None:
    """Raise `ArgumentError` unless ``part`` is a module, or None if ``optional``: others do not move with the model."""
    if isinstance(part, str) and name in _LAWS:
        raise not_by_name(name, part, [f"deepgen.{law}" for law in _LAWS[name]])
    if not isinstance(part, nn.Module) and not (optional and part is None):
        got = f"the class {part.__name__} itself" if isinstance(part, type) else type(part).__name__
        raise ArgumentError(f"{name} must be a torch.nn.Module, got {got}")


def encoder_input(model: Any, x: Tensor) -> Tensor:
    """Rows as the encoder is handed them: in the model's dtype, levels on the scale from -1 to 1."""
    like = next(model.parameters(), None)
    found: Tensor = model.observation.inputs(x if like is None else x.to(like.dtype))
    return found


def flat(z: Tensor, latent: int) -> Tensor:
    """``[*batch, latent] -> [rows, latent]``."""
    if z.shape[-1:] != (latent,):
        raise ShapeError(f"z must be [..., {latent}], got {list(z.shape)}")
    return z.reshape(-1, latent)


def decoded(model: Any, z: Tensor, out: Tensor, axes: int = 1) -> Distribution:
    """The likelihood's law from what the decoder put out for ``z``, whose last ``axes`` are those of one latent."""
    observation, batch = model.observation, z.shape[: z.ndim - axes]
    n = numbers_of(observation)
    if out.ndim < 2 or len(out) != batch.numel() or out.shape[1] % n:
        raise ShapeError(
            f"the decoder must put out [{batch.numel()}, *event], its first axis {n} times the event's for "
            f"{type(observation).__name__}, got {list(out.shape)}"
        )
    parts = (out,) if n == 1 else out.unflatten(1, (n, out.shape[1] // n)).unbind(1)
    law: Distribution = observation([part.reshape(*batch, *part.shape[1:]) for part in parts], out.ndim - 1)
    return law
