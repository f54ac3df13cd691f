"""Bounds as objectives, for models that state one instead of a likelihood (`Bound`).

    ELBO:  E_q [ log p(x | z) ] - KL(q(z | x) || p(z))                (Jordan et al. 1999; Kingma & Welling 2014)
    IWAE:  E_q [ log 1/k sum_i p(x, z_i) / q(z_i | x) ]               (k draws; Burda, Grosse & Salakhutdinov 2016)

Both lie below log p(x), the second closer. What is ascended may weigh the KL (beta, free bits, a warm-up); what is
logged never does: ``bound`` is the unweighted one, in nats per example, of a batch before its step, with its parts
``reconstruction`` and ``kl`` (bound = reconstruction - kl for the ELBO). A model with `Bound` alone, such as a
dequantised flow, is trained by its bound as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Independent, kl_divergence

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real, unknown_name
from deepgen.implicit.latent import Terms, draw_latents, draw_terms, score
from deepgen.objectives.collapse_watch import EARLIEST, Watch
from deepgen.typing import Bound, Latent, Update, require

GRADIENTS = ("reparametrised", "score")


class Steps(NamedTuple):
    """step: how many updates were done, 0-d."""

    step: Tensor


class Loss(NamedTuple):
    """``value``, whose gradient is what an optimizer descends, and the metrics that are logged beside it."""

    value: Tensor
    metrics: dict[str, Tensor]


class _Ascent:
    """What the two objectives share: rows and pairs, the step, the optimizer."""

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Steps:
        """Step 0; `MissingCapability` unless ``model`` has what the objective needs."""
        self._require(model)
        return Steps(torch.tensor(0))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: draw, take the gradient, let ``optimizer`` step."""
        self._require(model)

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(model, batch, step=state.step, generator=generator, learn=True)
            loss.value.backward()
            optimizer.step()
            return Steps(state.step + 1), loss.metrics

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return torch.optim.Adam(model.parameters(), lr=1e-3)

    def watch(self) -> Watch:
        """What tells of a collapsed posterior, once, after 1,000 steps and the warm-up."""
        return Watch(max(EARLIEST, getattr(self, "warmup", 0)))

    def loss(
        self, model: Any, batch: Any, *, step: Tensor | int = 0, generator: torch.Generator, learn: bool = False
    ) -> Loss:
        raise NotImplementedError

    def _require(self, model: nn.Module) -> None:
        require(model, Bound, "train towards a bound")


@dataclass(frozen=True)
class ELBO(_Ascent):
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

    def loss(
        self, model: Any, batch: Any, *, step: Tensor | int = 0, generator: torch.Generator, learn: bool = False
    ) -> Loss:
        """Minus the objective of a batch, ``x`` or a pair of ``x`` and its context, at update number ``step``.

        With ``learn``, as in a training step, an optimal sigma follows the batch once it has been scored.
        """
        latent, x = _given(model, batch)
        if not isinstance(latent, Latent):
            value = _bound(model, batch, self.samples, generator).mean()
            return Loss(-value, {"bound": value.detach()})
        through = self.gradient == "reparametrised"
        terms = draw_terms(latent, x, self.samples, generator=generator, reparametrised=through, learn=learn)
        kl = _kl(terms, self.closed_form, each=self.free_bits > 0)  # [rows] or [rows, groups]
        fit, groups = terms.reconstruction.mean(), kl.mean(0)  # of all draws, and of all rows
        cost = groups.sum()
        beta = self.beta if self.warmup == 0 else self.beta * (torch.as_tensor(step) / self.warmup).clamp_max(1)
        if through:
            free = self.free_bits * terms.z.shape[-1] / groups.numel()
            value = fit - beta * (groups.clamp_min(free).sum() if self.free_bits else cost)
        else:
            value = self._score(terms, beta)
        fit, cost = fit.detach(), cost.detach()
        return Loss(-value, {"bound": fit - cost, "reconstruction": fit, "kl": cost})

    def _score(self, terms: Terms, beta: Any) -> Tensor:
        """A value whose gradient is E[(log w - baseline) grad log q + grad log p], log w with its KL weighed."""
        exact = _exact_kl(terms) if self.closed_form else None
        reward = terms.reconstruction
        if exact is None:
            reward = reward + beta * (terms.log_prior - terms.log_posterior)
        reward = reward.detach()
        if len(reward) > 1:
            reward = reward - (reward.sum(0) - reward) / (len(reward) - 1)
        value = (reward * terms.log_posterior + terms.reconstruction).mean()
        return value + (beta * terms.log_prior.mean() if exact is None else -beta * exact.sum(-1).mean())

    def _require(self, model: nn.Module) -> None:
        require(model, Bound, "train towards a bound")
        plain = self.beta == 1 and not self.warmup and not self.free_bits and self.gradient == "reparametrised"
        if not plain and not _has_laws(model):
            raise MissingCapability(f"{type(model).__name__} has no Latent, whose KL could be weighed: use ELBO()")


@dataclass(frozen=True)
class IWAE(_Ascent):
    """Gradient ascent on the mean importance-weighted bound of ``k`` draws a row.

    With ``dreg`` the encoder's gradient is the doubly reparametrised one,

        sum_i v_i^2  d log w_i / d z_i  d z_i / d phi,        v_i = w_i / sum_j w_j

    which has the same mean, and whose signal-to-noise ratio grows with k where that of the plain one falls (Tucker et
    al. 2019, equation 8; Rainforth et al. 2018). For k = 1 it is that of Roeder, Wu & Duvenaud 2017. Gradients of
    decoder and prior are the same either way. It costs one more density of the posterior.

    The metrics are ``bound``, L_k itself, and of a model with `Latent` ``reconstruction`` and ``kl``, whose difference
    is the ELBO.

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

    def loss(
        self, model: Any, batch: Any, *, step: Tensor | int = 0, generator: torch.Generator, learn: bool = False
    ) -> Loss:
        """Minus the bound of a batch, ``x`` or a pair of ``x`` and its context; ``learn`` as for `ELBO`."""
        latent, x = _given(model, batch)
        if not isinstance(latent, Latent):
            value = _bound(model, batch, self.k, generator).mean()
            return Loss(-value, {"bound": value.detach()})
        if self.dreg:
            value, terms = _doubly(latent, x, self.k, generator, learn)
        else:
            terms = draw_terms(latent, x, self.k, generator=generator, learn=learn)
        each = terms.log_weights().logsumexp(0) - math.log(self.k)
        kl = terms.log_posterior - terms.log_prior
        parts = {"bound": each, "reconstruction": terms.reconstruction, "kl": kl}
        metrics = {name: part.detach().mean() for name, part in parts.items()}
        return Loss(-(value if self.dreg else each.mean()), metrics)

    def _require(self, model: nn.Module) -> None:
        require(model, Bound, "train towards a bound")
        if self.dreg and not _has_laws(model):
            raise MissingCapability(f"{type(model).__name__} has no Latent, which DReG needs: use IWAE(k={self.k})")


def _doubly(
    latent: Any, x: Tensor, samples: int, generator: torch.Generator, learn: bool = False
) -> tuple[Tensor, Terms]:
    """A value whose gradient is DReG's: weights v for decoder and prior, v^2 through the draws, none through q."""
    q = latent.posterior(x)
    z, _ = draw_latents(q, samples, generator, reparametrised=True)
    leaf = z.detach().requires_grad_()
    log_q = q.log_prob(leaf)
    (slope_q,) = torch.autograd.grad(log_q.sum(), leaf)  # d log q / dz, its parameters held
    at = z.view_as(z)
    terms = score(latent, x, q, at, log_q.detach(), learn=learn)
    v = terms.log_weights().detach().softmax(0)
    if at.requires_grad:
        at.register_hook(lambda slope: slope * v.unsqueeze(-1))  # v once more for what flows through the draws
    log_p = terms.reconstruction + terms.log_prior
    value = (v * log_p).sum() - (v.square().unsqueeze(-1) * slope_q * z).sum()
    return value / x.shape[0], terms


def _has_laws(model: Any) -> bool:
    return isinstance(model, Latent) or bool(getattr(model, "context", 0))


def _given(model: Any, batch: Any) -> tuple[Any, Tensor]:
    """What has the three laws, and x: the model and a batch, or the model given the context of a pair."""
    if not isinstance(batch, (tuple, list)):
        latent, x = model, batch
    else:
        x, context = batch
        latent = model(context) if getattr(model, "context", 0) else model
    check: Any = getattr(latent, "check", None)
    if isinstance(latent, Latent) and check is not None and x.device.type == "cpu":
        check(x)  # elsewhere that would wait for the device at every step; `fit` has looked at the first rows
    return latent, x


def _bound(model: Any, batch: Any, samples: int, generator: torch.Generator) -> Tensor:
    rows = batch if isinstance(batch, (tuple, list)) else (batch,)
    value: Tensor = model.bound(*rows, samples=samples, generator=generator)
    return value


def _kl(terms: Terms, closed_form: bool, *, each: bool) -> Tensor:
    """KL(q || p) of each row ``[rows]``, or latent by latent ``[rows, groups]``; one group where laws do not part."""
    exact = _exact_kl(terms) if closed_form else None
    if exact is not None:
        return exact if each else exact.sum(1)
    if each and _parted(terms.q) and _parted(terms.p):
        q: Any = terms.q
        p: Any = terms.p
        return (q.base_dist.log_prob(terms.z) - p.base_dist.log_prob(terms.z)).mean(0)
    kl = (terms.log_posterior - terms.log_prior).mean(0)
    return kl.unsqueeze(1) if each else kl


def _exact_kl(terms: Terms) -> Tensor | None:
    """``[rows, groups]`` where torch has a closed form, else None."""
    q: Any = terms.q
    p: Any = terms.p
    try:
        if _parted(q) and _parted(p):
            return kl_divergence(q.base_dist, p.base_dist)
        return kl_divergence(q, p).unsqueeze(-1)
    except NotImplementedError:
        return None


def _parted(law: Any) -> bool:
    """Whether it is a product over single latents."""
    return isinstance(law, Independent) and law.reinterpreted_batch_ndims == 1 and not law.base_dist.event_shape
