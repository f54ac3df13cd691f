"""The evidence lower bound as an objective, its KL weighed or not, its gradient through the draws or by scores.

    ELBO = E_q [ log p(x | z) ] - KL(q(z | x) || p(z))                (Jordan et al. 1999; Kingma & Welling 2014)

It lies below log p(x). What is ascended may weigh the KL (beta, free bits, a warm-up); what is logged never does, and
there bound = reconstruction - kl. Metrics and models: see `bounds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, check_real, unknown_name
from deepgen.implicit.latent import Terms, draw_terms
from deepgen.objectives.bounds import Ascent, Loss
from deepgen.objectives.posterior_kl import exact_kl, posterior_kl
from deepgen.objectives.warmup import come_so_far
from deepgen.share_means import over_rows

GRADIENTS = ("reparametrised", "score")


@dataclass(frozen=True)
class ELBO(Ascent):
    """Gradient ascent on the mean evidence lower bound.

        objective = E_q log p(x | z) - beta_t sum_j max(KL_j, free_bits),    beta_t = beta min(1, t / warmup)

    t: updates done; KL_j: of latent j, averaged over the batch, where prior and posterior factorise; of others the
    whole vector is one group, with ``free_bits`` times its width.

    Args:
        beta: the weight of the KL (Higgins et al. 2017); 1 is the bound itself.
        warmup: updates over which the weight rises from 0 (Bowman et al. 2016; Sonderby et al. 2016).
        free_bits: nats for each latent below which its KL costs the same (Kingma et al. 2016, equation 15).
        closed_form: take the KL in closed form where torch has one, and from the draws elsewhere.
        gradient: ``reparametrised``, through the draws; or ``score`` (REINFORCE), for posteriors without ``rsample``,
            whose variance is many times larger; see `gradient_noise`.
        samples: draws a row. With several the score-function gradient takes the mean of the others as its baseline.

    >>> import deepgen as dg
    >>> vae, x = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), torch.zeros(100, 6)
    >>> history = dg.fit(vae, x, ELBO(beta=4.0, warmup=10), epochs=2, progress=False)
    >>> [*history[-1].metrics]
    ['bound', 'reconstruction', 'kl']
    """

    beta: float = 1.0
    warmup: int = 0
    free_bits: float = 0.0
    closed_form: bool = True
    gradient: str = "reparametrised"
    samples: int = 1

    def __post_init__(self) -> None:
        check_count(samples=self.samples)
        check_count(0, warmup=self.warmup)
        check_real("beta", self.beta, 0)
        check_real("free_bits", self.free_bits, 0)
        if self.gradient not in GRADIENTS:
            raise unknown_name("gradient", self.gradient, GRADIENTS)
        if self.gradient == "score" and self.free_bits:
            raise ArgumentError("free bits need gradient='reparametrised': a score function weighs whole rows")

    def _draws(self) -> int:
        return self.samples

    def _of_laws(self, latent: Any, x: Tensor, step: Tensor | int, generator: torch.Generator, learn: bool) -> Loss:
        through = self.gradient == "reparametrised"
        terms = draw_terms(latent, x, self.samples, generator=generator, reparametrised=through, learn=learn)
        fit = terms.reconstruction.mean()  # of all draws and rows
        groups = posterior_kl(terms, self.closed_form).mean(0)
        cost = groups.sum()
        beta = self.beta * come_so_far(step, self.warmup)
        if through:
            free = self.free_bits * terms.z.shape[-1] / groups.numel()
            loss = beta * (over_rows(groups).clamp_min(free).sum() if self.free_bits else cost) - fit
        else:
            loss = -self._score(terms, beta)
        fit, cost = fit.detach(), cost.detach()
        return Loss(loss, {"bound": fit - cost, "reconstruction": fit, "kl": cost})

    def _score(self, terms: Terms, beta: Any) -> Tensor:
        """A value whose gradient is E[(log w - baseline) grad log q + grad log p], log w with its KL weighed."""
        exact = exact_kl(terms) if self.closed_form else None
        reward = terms.reconstruction
        if exact is None:
            reward = reward + beta * (terms.log_prior - terms.log_posterior)
        reward = reward.detach()
        if len(reward) > 1:
            reward = reward - (reward.sum(0) - reward) / (len(reward) - 1)
        value = (reward * terms.log_posterior + terms.reconstruction).mean()
        return value + (beta * terms.log_prior.mean() if exact is None else -beta * exact.sum(-1).mean())

    def _why_laws(self) -> str | None:
        plain = self.beta == 1 and not self.warmup and not self.free_bits and self.gradient == "reparametrised"
        return None if plain else "whose KL could be weighed: use ELBO()"
