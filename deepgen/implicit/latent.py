"""What every model with a prior, an encoder and a decoder can do, from the three laws alone.

    log w_i = log p(x | z_i) + log p(z_i) - log q(z_i | x),   z_i ~ q(. | x),   i = 1 .. k
    L_k(x)  = log 1/k sum_i w_i,        E L_1 <= E L_k <= log p(x)

L_1 is the evidence lower bound, L_k the importance-weighted one (Burda, Grosse & Salakhutdinov 2016, theorem 1). Draws
come first: ``[k, rows, latent]``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count
from deepgen.explicit.units import check_support, require_tensor
from deepgen.random import draw, normal, resolve
from deepgen.rest import answered_at_rest
from deepgen.share import rows_on
from deepgen.typing import Latent


class Terms:
    """Posterior q, prior p, draws z ``[k, rows, latent]`` of q; log p(x | z), log p(z) and log q(z | x), ``[k, rows]``.

    The last two are computed when they are first asked for: a KL in closed form does without them.

    >>> one = torch.ones(2, 3)
    >>> Terms(None, None, one.unsqueeze(2), -3 * one, log_prior=-2 * one, log_posterior=-one).log_weights()[0]
    tensor([-4., -4., -4.])
    """

    def __init__(
        self,
        q: Any,
        p: Any,
        z: Tensor,
        reconstruction: Tensor,
        *,
        log_prior: Tensor | None = None,
        log_posterior: Tensor | None = None,
    ) -> None:
        self.q, self.p, self.z, self.reconstruction = q, p, z, reconstruction
        self._log_prior, self._log_posterior = log_prior, log_posterior

    @property
    def log_prior(self) -> Tensor:
        """log p(z), ``[k, rows]``."""
        if self._log_prior is None:
            self._log_prior = self.p.log_prob(self.z)
        return self._log_prior

    @property
    def log_posterior(self) -> Tensor:
        """log q(z | x), ``[k, rows]``."""
        if self._log_posterior is None:
            self._log_posterior = self.q.log_prob(self.z)
        return self._log_posterior

    def log_weights(self) -> Tensor:
        """log w, ``[k, rows]``."""
        return self.reconstruction + self.log_prior - self.log_posterior


def draw_terms(
    model: Latent,
    x: Tensor,
    samples: int,
    *,
    generator: torch.Generator,
    reparametrised: bool = True,
    learn: bool = False,
) -> Terms:
    """Draw exactly ``samples`` latents for each row of ``x``, by one pass of the encoder, and score them.

    Args:
        model: with `Latent`.
        x: rows ``[rows, *event]``.
        samples: k.
        generator: source of the draws.
        reparametrised: let gradients flow through the draws to the posterior.
        learn: let an optimal sigma follow these rows once they are scored, as a training step does.

    Raises:
        MissingCapability: the posterior has no ``rsample``.
        ShapeError: the likelihood is over other rows than these, or the prior over another z.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=0)
    >>> draw_terms(vae, torch.zeros(5, 6), 3, generator=dg.random.generator(0)).log_weights().shape
    torch.Size([3, 5])
    """
    q = model.posterior(x)
    z, log_q = draw_latents(q, samples, generator, reparametrised and torch.is_grad_enabled())
    return score(model, x, q, z, log_q, learn=learn)


def score(
    model: Latent, x: Tensor, q: Distribution, z: Tensor, log_q: Tensor | None = None, *, learn: bool = False
) -> Terms:
    """The terms of draws ``z`` ``[k, rows, latent]`` of q, with their log-density where it is known already."""
    law, p = model.likelihood(z), model.prior()
    if law.event_shape != x.shape[1:]:
        raise ShapeError(
            f"the likelihood is over rows {list(law.event_shape)} and x is {list(x.shape)}: "
            "reshape the data, or what the decoder puts out"
        )
    if p.event_shape != q.event_shape:
        raise ShapeError(f"the prior is over z {list(p.event_shape)}, the posterior over z {list(q.event_shape)}")
    x = x.to(z.dtype)  # bits and levels often come as integers
    found = Terms(q, p, z, law.log_prob(x), log_posterior=log_q)
    follow: Any = getattr(model, "follow", None)
    if follow is not None and learn:
        follow(law, x)  # after the scores, so that none uses what its own rows teach
    return found


def draw_latents(
    q: Distribution, samples: int, generator: torch.Generator, reparametrised: bool
) -> tuple[Tensor, Tensor | None]:
    """Draws of q ``[k, rows, latent]``, and their log-density ``[k, rows]`` where that comes with them."""
    if reparametrised and not q.has_rsample:
        raise MissingCapability(
            f"{type(q).__name__} has no rsample, through which gradients reach the encoder: choose another posterior, "
            "or deepgen.objectives.ELBO(gradient='score')"
        )
    with rows_on(1):
        return _drawn(q, samples, generator, reparametrised)


def _drawn(
    q: Distribution, samples: int, generator: torch.Generator, reparametrised: bool
) -> tuple[Tensor, Tensor | None]:
    both: Any = getattr(q, "rsample_and_log_prob", None)
    if both is not None and q.has_rsample and (reparametrised or not torch.is_grad_enabled()):
        z, log_q = both((samples,), generator=generator)  # a flow knows the density of what it draws
        return z, log_q
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal):  # torch takes more than twice as long
        loc, scale = q.base_dist.loc, q.base_dist.scale
        z = torch.addcmul(loc, scale, normal((samples, *loc.shape), generator=generator, dtype=loc.dtype))
        return z if reparametrised else z.detach(), None
    return draw(q, (samples,), generator=generator, reparametrised=reparametrised), None


def check_observed(observation: Any, x: Tensor) -> None:
    """Raise a typed error unless ``x`` are rows ``[rows, *event]`` of values that the likelihood can take."""
    require_tensor(x, "x")
    if x.ndim < 2 or len(x) == 0:
        raise ShapeError(f"x must be [rows, *event] with at least one row, got {list(x.shape)}")
    observation.check(x)


def check_codes(z: Any, name: str = "z") -> None:
    """Raise unless ``z`` are finite codes of floating point, ``[..., latent]``.

    Raises:
        ShapeError: no tensor, or a single number.
        ArgumentError: whole or complex numbers.
        SupportError: NaN or infinite ones.

    >>> check_codes(torch.tensor([0.0, torch.nan]))
    Traceback (most recent call last):
    deepgen.errors.SupportError: values must be finite in z; got nan at [1], one of 1 such numbers: ...
    """
    require_tensor(z, name)
    if z.ndim == 0:
        raise ShapeError(f"{name} must be codes [..., latent], got a single number")
    if not z.is_floating_point():
        raise ArgumentError(f"{name} must be codes of floating point, got {z.dtype}: {name}.float() makes such")
    check_support(z, z.isfinite(), f"finite in {name}")


def for_network(network: nn.Module, z: Tensor) -> Tensor:
    """Codes or rows in the type of a network's parameters, if it has any; whole numbers, as labels are, as they are.

    >>> for_network(nn.Linear(2, 1), torch.zeros(3, 2, dtype=torch.float64)).dtype
    torch.float32
    """
    like = next(network.parameters(), None)
    return z if like is None or not z.is_floating_point() else z.to(like.dtype)


class LatentModel:
    """Bound, codes and reconstructions of what has ``prior``, ``posterior``, ``likelihood``, ``check`` and the object
    ``observation`` that its likelihood is named by."""

    def bound(self: Any, x: Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None) -> Tensor:
        """L_k(x) in nats from exactly k = ``samples`` draws a row: ``[rows, *event] -> [rows]``, differentiable.

        It lies below log p(x) in expectation. All k x rows are decoded at once, in the mode that the networks are in,
        as training needs it. `deepgen.evaluate.latent_bound` gives the same of the networks at rest, in bounded memory
        for many draws of many rows, without gradients.

        Raises:
            ShapeError, SupportError: rows that the model cannot have made.
        """
        check_count(samples=samples)
        self.check(x)
        terms = draw_terms(self, x, samples, generator=resolve(generator, x.device))
        return terms.log_weights().logsumexp(0) - math.log(samples)

    @answered_at_rest
    def encode(self: Any, x: Tensor, *, samples: int = 100, generator: torch.Generator | int | None = None) -> Tensor:
        """The posterior mean ``[rows, latent]``; of a flow, which states none, the mean of ``samples`` draws."""
        check_count(samples=samples)
        self.check(x)
        q = self.posterior(x)
        try:
            return q.mean
        except NotImplementedError:
            return draw(q, (samples,), generator=resolve(generator, x.device)).mean(0)

    transform = encode

    @answered_at_rest
    def decode(self: Any, z: Tensor) -> Tensor:
        """The mean of p(x | z), without gradients: ``[*batch, latent] -> [*batch, *event]``.

        With gradients it is ``likelihood(z).mean``, in the mode that the networks are in.

        Raises:
            ShapeError, ArgumentError, SupportError: no finite codes of the model's width.
        """
        check_codes(z)
        mean: Tensor = self.likelihood(z).mean
        return mean

    @answered_at_rest
    def reconstruct(self: Any, x: Tensor, *, generator: torch.Generator | int | None = None) -> Tensor:
        """The mean of p(x | z) at one draw z of each row's posterior: ``[rows, *event] -> [rows, *event]``."""
        self.check(x)
        z = draw(self.posterior(x), generator=resolve(generator, x.device))
        mean: Tensor = self.decode(z)
        return mean

    def follow(self: Any, law: Distribution, x: Tensor) -> None:
        """Let the likelihood learn from a training batch that has been scored (the optimal sigma of a `Gaussian`).

        Only the step of an objective calls it: what is asked about held-out rows must not learn from them.
        """
        follow: Any = getattr(self.observation, "follow", None)
        if follow is not None:
            follow(law, x)
