"""Draws from a model with their log-density, for proposals: from one stream a chain wherever the law allows it.

    z ~ base,  x = decode(z),  log q(x) = log base(z) - log |det dx/dz|          of a flow: one pass for both

A base (or a torch Distribution by itself) that is a Gaussian, a logistic, a Student's t, or a mixture of Gaussians is
made of uniforms and normals, and these come from each chain's own stream. Of any other model the draws come from
``sample(n, generator=)`` and one common stream: they are exact all the same, and repeat with the seed, but a chain's
numbers then depend on how many chains run beside it.

Student's t of any df by Bailey's polar method, the radius of the bivariate t and an angle:

    sqrt(df (u^(-2/df) - 1)) cos 2 pi v,      u, v uniform

Source: Bailey 1994, "Polar generation of random variates with the t-distribution".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal, StudentT

from deepgen.distributions.logistic import Logistic
from deepgen.errors import MissingCapability
from deepgen.explicit.flow import Flow
from deepgen.random import draw as draw_common
from deepgen.random import normal, sequential, uniform
from deepgen.samplers.laws import unchecked
from deepgen.typing import LogProb, Samples


def check_model(model: object) -> None:
    """Raise `MissingCapability` unless ``model`` draws exactly and has a normalised density.

    >>> check_model(torch.nn.Linear(2, 1))
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: ... got Linear
    """
    known = isinstance(model, LogProb) and isinstance(model, (Samples, Distribution)) and not isinstance(model, type)
    if not known:
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        raise MissingCapability(
            "an independence proposal takes a model with log_prob and sample (a flow, an autoregressive model) or a "
            f"torch Distribution over one event, got {name}"
        )


@torch.no_grad()
def candidates(model: Any, chains: int, ahead: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``ahead`` draws for each chain ``[chains, ahead, *event]`` and their log q ``[chains, ahead]``.

    >>> import deepgen as dg
    >>> flow = dg.explicit.RealNVP(2, hidden=[8], generator=0)
    >>> x, log_q = candidates(flow, 5, 3, generator=dg.random.streams(0))
    >>> x.shape, torch.allclose(flow.log_prob(x.flatten(0, 1)), log_q.flatten(), atol=1e-5)
    (torch.Size([5, 3, 2]), True)
    """
    shape = (chains, ahead)
    if isinstance(model, Flow):
        base = model.base(None)
        z = own_draws(base, shape, generator=generator)
        if z is not None:
            rows = z.flatten(0, 1)
            x, log_det, _ = model.solve(rows)
            return x.view(*shape, *x.shape[1:]), (base.log_prob(rows) - log_det).view(shape)
    elif isinstance(model, Distribution):
        z = own_draws(model, shape, generator=generator)
        if z is not None:
            return z, unchecked(model).log_prob(z)
    stream = sequential(generator)
    if isinstance(model, Distribution):
        x = draw_common(model, (chains * ahead,), generator=stream)
    else:
        x = model.sample(chains * ahead, generator=stream)
    return x.view(*shape, *x.shape[1:]), model.log_prob(x).view(shape)


def own_draws(law: Distribution, shape: tuple[int, int], *, generator: torch.Generator) -> Tensor | None:
    """Draws ``[chains, ahead, *event]`` from one stream a chain, or None where it is not known how.

    >>> from deepgen.random import streams
    >>> own_draws(Normal(torch.zeros(3), 1.0), (2, 4), generator=streams(0)) is None  # three events, not one
    True
    >>> own_draws(Independent(Normal(torch.zeros(3), 1.0), 1), (2, 4), generator=streams(0)).shape
    torch.Size([2, 4, 3])
    """
    if law.batch_shape:
        return None
    event = law.event_shape
    plain: Any = law.base_dist if isinstance(law, Independent) else law
    if not _ours(plain):
        return None
    if isinstance(plain, Normal):
        noise = normal((*shape, *event), generator=generator, dtype=plain.loc.dtype)
        return plain.loc + plain.scale * noise
    if isinstance(plain, MultivariateNormal):
        noise = normal((*shape, *event), generator=generator, dtype=plain.loc.dtype)
        return plain.loc + noise @ plain.scale_tril.mT
    if isinstance(plain, Logistic):
        return plain.icdf(uniform((*shape, *event), generator=generator, dtype=plain.loc.dtype))
    if isinstance(plain, StudentT):
        u = uniform((*shape, *event, 2), generator=generator, dtype=plain.loc.dtype)
        radius = (plain.df * (-2 / plain.df * u[..., 0].log()).expm1()).sqrt()
        return plain.loc + plain.scale * radius * (2 * math.pi * u[..., 1]).cos()
    if isinstance(plain, MixtureSameFamily) and isinstance(plain.component_distribution, Independent):
        parts = plain.component_distribution.base_dist
        if isinstance(parts, Normal) and _ours(parts) and len(event) == 1:
            u = uniform(shape, generator=generator, dtype=parts.loc.dtype)
            below = plain.mixture_distribution.probs.cumsum(-1)
            which = torch.searchsorted(below, u.contiguous()).clamp_max(len(below) - 1)
            noise = normal((*shape, *event), generator=generator, dtype=parts.loc.dtype)
            return parts.loc[which] + parts.scale[which] * noise
    return None


def _ours(law: Any) -> bool:
    """Whether the class is torch's or of this library: any other may draw in a way of its own."""
    return type(law).__module__.partition(".")[0] in ("torch", "deepgen")
