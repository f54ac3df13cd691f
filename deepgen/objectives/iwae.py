"""The importance-weighted bound as an objective, its gradient plain or doubly reparametrised.

    L_k = E_q [ log 1/k sum_i p(x, z_i) / q(z_i | x) ]               (k draws; Burda, Grosse & Salakhutdinov 2016)

It lies between the evidence lower bound, which it is for k = 1, and log p(x). Metrics and models: see `bounds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, check_count
from deepgen.implicit.latent import Terms, draw_latents, draw_terms, score
from deepgen.objectives.bounds import Ascent, Loss


@dataclass(frozen=True)
class IWAE(Ascent):
    """Gradient ascent on the mean importance-weighted bound of ``k`` draws a row.

    With ``dreg`` the encoder's gradient is the doubly reparametrised one,

        sum_i v_i^2  d log w_i / d z_i  d z_i / d phi,        v_i = w_i / sum_j w_j

    which has the same mean, and whose signal-to-noise ratio grows with k where that of the plain one falls (Tucker et
    al. 2019, equation 8; Rainforth et al. 2018). For k = 1 it is that of Roeder, Wu & Duvenaud 2017. Gradients of
    decoder and prior are the same either way. It costs one more density of the posterior.

    The metrics are ``bound``, L_k itself, and of a model with `Latent` ``reconstruction`` and ``kl``, whose difference
    is the ELBO.

    Raises:
        ArgumentError: ``k`` below 1.
        MissingCapability: in training, with ``dreg``, a posterior that cannot be drawn from by reparametrising or that
            knows the density of its own draws alone, as an IAF does.

    >>> import deepgen as dg
    >>> vae, x = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), torch.zeros(100, 6)
    >>> history = dg.fit(vae, x, IWAE(k=3, dreg=True), epochs=2, progress=False)
    >>> [*history[-1].metrics]
    ['bound', 'reconstruction', 'kl']
    """

    k: int = 5
    dreg: bool = False

    def __post_init__(self) -> None:
        check_count(k=self.k)

    def _draws(self) -> int:
        return self.k

    def _of_laws(self, latent: Any, x: Tensor, step: Tensor | int, generator: torch.Generator, learn: bool) -> Loss:
        if self.dreg:
            value, terms = _doubly(latent, x, self.k, generator, learn)
        else:
            terms = draw_terms(latent, x, self.k, generator=generator, learn=learn)
        each = terms.log_weights().logsumexp(0) - math.log(self.k)
        kl = terms.log_posterior - terms.log_prior
        parts = {"bound": each, "reconstruction": terms.reconstruction, "kl": kl}
        metrics = {name: part.detach().mean() for name, part in parts.items()}
        return Loss(-(value if self.dreg else each.mean()), metrics)

    def _why_laws(self) -> str | None:
        return f"which DReG needs: use IWAE(k={self.k})" if self.dreg else None


def _doubly(latent: Any, x: Tensor, samples: int, generator: torch.Generator, learn: bool) -> tuple[Tensor, Terms]:
    """A value whose gradient is DReG's: weights v for decoder and prior, v^2 through the draws, none through q."""
    q = latent.posterior(x)
    z, _ = draw_latents(q, samples, generator, reparametrised=True)
    leaf = z.detach().requires_grad_()
    try:
        log_q = q.log_prob(leaf)
    except MissingCapability as error:  # of a flow that knows the density of its own draws alone
        raise MissingCapability(
            f"DReG needs log q of latents by themselves, and this posterior has it only as it draws them: use "
            f"IWAE(k={samples}), or a posterior with both, such as RealNVP, MAF and NSF"
        ) from error
    (slope_q,) = torch.autograd.grad(log_q.sum(), leaf)  # d log q / dz, its parameters held
    at = z.view_as(z)
    terms = score(latent, x, q, at, log_q.detach(), learn=learn)
    v = terms.log_weights().detach().softmax(0)
    if at.requires_grad:
        at.register_hook(lambda slope: slope * v.unsqueeze(-1))  # v once more for what flows through the draws
    log_p = terms.reconstruction + terms.log_prior
    value = (v * log_p).sum() - (v.square().unsqueeze(-1) * slope_q * z).sum()
    return value / x.shape[0], terms
