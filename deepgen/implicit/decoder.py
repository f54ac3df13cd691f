"""A generator with its observation model stated: what gives a GAN, or any decoder, a likelihood.

    z ~ p(z),    x ~ p(x | z), a law around G(z):  N(G(z), sigma^2 I), say;      p(x) = int p(z) p(x | z) dz

A generator alone puts its draws on a surface of as many dimensions as z has, and data beside it have density 0. With a
stated noise it has a likelihood, which is of generator and noise together: say sigma with every value. The best sigma
is chosen on validation rows (Wu et al. 2017, "On the quantitative analysis of decoder-based generative models"). There
is no posterior, so only what needs none can estimate it: annealing in z (``method="ais"``, what
`deepgen.evaluate.log_likelihood` does by itself) and, for few latents and much noise, draws of the prior (``"prior"``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.distributions import StandardNormal
from deepgen.errors import ArgumentError, ShapeError, check_count, check_real, is_whole
from deepgen.implicit.gan import Given
from deepgen.implicit.latent import for_network
from deepgen.implicit.likelihoods import FLOOR, Gaussian
from deepgen.implicit.vae import check_module, decoded
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest


class Decoder(nn.Module):
    """A network from z to x, a prior, and the law of what is observed; has `Joint` and `Samples`, no posterior.

    Args:
        network: any module ``[rows, *latent] -> [rows, *event]``, such as ``gan.averaged``, the generator that a `GAN`
            draws from (``gan.generator`` has the last weights, and is what draws of a `GAN` without an average are of).
        prior: the law of z: a number of standard normals, a module such as `deepgen.distributions.StandardNormal` whose
            ``forward(None)`` returns a Distribution over one z, or a Distribution.
        likelihood: the law of x given what the network puts out: a number, the sigma of normal noise in the units of
            the data, at least 1e-4; or a module such as `deepgen.implicit.Bernoulli`, called with
            ``([numbers, ...], event_dims)``, which has ``numbers``, how many it takes for each value (on the event's
            first axis).

    Raises:
        ArgumentError: ``likelihood`` is neither, or too small a sigma; ``network`` or ``prior`` is no such thing.

    >>> import deepgen as dg
    >>> toy = Decoder(nn.Linear(2, 5), prior=2, likelihood=0.5)
    >>> x = toy.sample(10, generator=0)
    >>> toy.likelihood(torch.zeros(3, 10, 2)).log_prob(x).shape
    torch.Size([3, 10])
    >>> print(dg.evaluate.log_likelihood(toy, x, temperatures=20, generator=0))
    -... nats/example (below; AIS in z)
    """

    def __init__(
        self, network: nn.Module, prior: int | nn.Module | Distribution, likelihood: float | nn.Module
    ) -> None:
        super().__init__()
        if not isinstance(likelihood, nn.Module):
            if isinstance(likelihood, bool) or not isinstance(likelihood, (int, float)):
                raise ArgumentError(f"likelihood must be the sigma of normal noise, or a module, got {likelihood!r}")
            check_real("likelihood", likelihood, FLOOR)
            likelihood = Gaussian(likelihood)
        elif not hasattr(likelihood, "numbers"):
            raise ArgumentError(f"{type(likelihood).__name__} does not say how many numbers a value takes: numbers = 1")
        if isinstance(network, Given):
            raise ArgumentError("a Decoder takes no gan(context): hand in a module that fills the context in itself")
        check_module("network", network)
        if is_whole(prior):
            check_count(prior=prior)
            prior = StandardNormal(prior)
        if not isinstance(prior, (nn.Module, Distribution)):
            raise ArgumentError(
                f"prior must be a number of standard normals, a module or a Distribution, got {prior!r}"
            )
        self.network, self.prior_law, self.observation = network, prior, likelihood

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"network": self.network, "prior": self.prior_law, "likelihood": self.observation}

    def prior(self) -> Distribution:
        """p(z), its event one z."""
        law: Any = self.prior_law
        return law if isinstance(law, Distribution) else law(None)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for ``[*batch, *latent]``: batch as given, event that of an example.

        Raises:
            ShapeError: the network does not give a row for each z.
        """
        event = self.prior().event_shape
        batch = z.shape[: z.ndim - len(event)]
        if z.shape[len(batch) :] != event:
            raise ShapeError(f"z must be [..., {', '.join(map(str, event))}], got {list(z.shape)}")
        return decoded(self, z, self.network(for_network(self.network, z.reshape(-1, *event))), len(event))

    @answered_at_rest
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws of p(x), the noise included: ``[n, *event]``."""
        check_count(n=n)
        stream = resolve(generator, next(self.network.parameters(), torch.zeros(0)).device)
        return draw(self.likelihood(draw(self.prior(), (n,), generator=stream)), generator=stream)
