"""KL(q || p) of a posterior and the prior, in closed form where torch has one and from the draws elsewhere.

    KL_j = E_q [ log q_j(z_j | x) - log p_j(z_j) ],      KL = sum_j KL_j

The parts j are single latents where both laws are products over them, and else there is one, the whole vector.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.distributions import Independent, kl_divergence

from deepgen.implicit.latent import Terms


def posterior_kl(terms: Terms, closed_form: bool) -> Tensor:
    """KL_j in nats of each row and group of latents, ``[rows, groups]``.

    >>> import torch, deepgen as dg
    >>> q = dg.implicit.DiagonalGaussian(2)(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))  # means, log scales
    >>> p = dg.distributions.StandardNormal(2)()
    >>> posterior_kl(Terms(q, p, q.mean, torch.zeros(1)), closed_form=True)  # m^2 / 2
    tensor([[0.5000, 2.0000]])
    """
    exact = exact_kl(terms) if closed_form else None
    if exact is not None:
        return exact
    q: Any = terms.q
    p: Any = terms.p
    if _parted(q) and _parted(p):
        return (q.base_dist.log_prob(terms.z) - p.base_dist.log_prob(terms.z)).mean(0)
    return (terms.log_posterior - terms.log_prior).mean(0).unsqueeze(1)


def exact_kl(terms: Terms) -> Tensor | None:
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
