"""The part of `check_latent` about prior, posterior and likelihood, and what is drawn from them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.random import draw, resolve
from deepgen.random import generator as seeded
from deepgen.testing.draws import check_draws
from deepgen.testing.failure import demand
from deepgen.testing.goodness import same_law
from deepgen.testing.sequential import sequential
from deepgen.testing.view import View, wide
from deepgen.typing import Bound, Joint, Latent

NEAR = 1e-4  # relative, of float32


class Laws(View):
    """A model in its context, with its three laws."""

    def at(self, row: int) -> Any:
        return super().at(row)

    def laws(self) -> Any:
        return self.model if self.context is None else self.model(self.context)

    @torch.no_grad()
    def answers(self, x: Tensor) -> list[Tensor]:
        """What each law says of fixed rows and latents, the bound and the draws of seed 0; rows first."""
        laws, found = self.laws(), []
        if isinstance(laws, Joint):
            prior, like = laws.prior(), next(self.model.parameters(), torch.zeros(()))
            z = torch.randn(len(x), *prior.event_shape, generator=seeded(0)).to(like.dtype)
            found = [prior.log_prob(z), laws.likelihood(z).log_prob(x.to(z.dtype))]
        if isinstance(laws, Latent):
            found.append(laws.posterior(x).log_prob(z))
        found = [value.expand(len(x)) for value in found]
        if isinstance(laws, Bound):
            found.append(laws.bound(x, samples=2, generator=0))
        return found + ([self.sample(len(x), generator=0)] if self.can_draw else [])


class _Law(nn.Module):
    """One law as a model, for `check_draws`."""

    def __init__(self, law: Any) -> None:
        super().__init__()
        self.law, self.event_shape = law, law.event_shape

    @property
    def support(self) -> Any:
        return self.law.support

    def log_prob(self, x: Tensor) -> Tensor:
        return self.law.log_prob(x.unsqueeze(1)).squeeze(1) if self.law.batch_shape else self.law.log_prob(x)

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        return draw(self.law, (n,), generator=resolve(generator)).reshape(n, *self.event_shape)


def check_laws(view: Laws, x: Tensor, stream: torch.Generator) -> None:
    """Kinds, shapes, supports, and rows that stay apart."""
    laws, rows, name = view.laws(), len(x), view.name
    prior = laws.prior()
    demand(isinstance(prior, Distribution), f"{name}.prior() is a {type(prior).__name__}, no Distribution")
    demand(prior.batch_shape in ((), (rows,)), f"{name}.prior() has the batch {[*prior.batch_shape]}, not none or rows")
    z = draw(prior, (3,) if prior.batch_shape else (3, rows), generator=stream)
    _check_law(laws.likelihood(z), f"{name}.likelihood(z)", (3, rows), x.shape[1:], x.to(z.dtype), stream)
    _check_law(prior.expand((rows,)), f"{name}.prior()", (rows,), prior.event_shape, z, stream)
    if isinstance(laws, Latent):
        _check_law(laws.posterior(x), f"{name}.posterior(x)", (rows,), prior.event_shape, z, stream)
    whole = _each(laws, z[0], x)
    alone = [_each(view.at(i).laws(), z[0, i : i + 1], x[i : i + 1]) for i in range(rows)]
    for what, together, each in zip(("likelihood", "posterior"), whole, zip(*alone, strict=True), strict=False):
        same = torch.allclose(together, torch.cat([*each]), NEAR, NEAR)
        demand(same, f"{name}.{what} of a row depends on the other rows")


@torch.no_grad()
def _check_law(law: Any, what: str, batch: Any, event: Any, value: Tensor, stream: torch.Generator) -> None:
    demand(isinstance(law, Distribution), f"{what} is a {type(law).__name__}, no Distribution")
    shapes = (tuple(law.batch_shape), tuple(law.event_shape))
    demand(shapes == (tuple(batch), tuple(event)), f"{what} has batch and event {shapes}, not {(batch, tuple(event))}")
    drawn = draw(law, generator=stream)
    demand(drawn.shape == (*batch, *event), f"{what} draws {[*drawn.shape]}, not {[*batch, *event]}")
    for rows, which in ((drawn, "its own draws"), (value, "the values given")):
        demand(bool(law.support.check(rows).all()), f"{what}: {which} lie outside its support")
        score = law.log_prob(rows)
        demand(score.shape[-len(batch) :] == tuple(batch), f"{what}.log_prob gave {[*score.shape]}")
        demand(bool(score.isfinite().all()), f"{what}.log_prob of {which} is not finite")


@torch.no_grad()
def _each(laws: Any, z: Tensor, x: Tensor) -> list[Tensor]:
    found = [laws.likelihood(z).log_prob(x.to(z.dtype))]
    return [*found, laws.posterior(x).log_prob(z)] if isinstance(laws, Latent) else found


@torch.no_grad()
def check_mass(view: Laws, x: Tensor, n: int, alpha: float, stream: torch.Generator) -> list[str]:
    """Each law by `check_draws`: its mass, and its draws in cells."""
    laws, x, done = copy.deepcopy(view).double().at(0).laws(), wide(x), []
    prior = laws.prior()
    z = draw(prior, () if prior.batch_shape else (1,), generator=stream)
    found = {"prior": prior, "likelihood": laws.likelihood(z)}
    if isinstance(laws, Latent):
        found["posterior"] = laws.posterior(x[:1])
    for what, law in found.items():
        one = View(_Law(law))
        one.name = f"{view.name}'s {what}"
        done += check_draws(one, one.examples(8, generator=stream), n=n, alpha=alpha / 3, generator=stream)
    return done


@torch.no_grad()
def check_precision(view: Laws, x: Tensor) -> None:
    """float64 in, float64 out, and the same densities."""
    exact = copy.deepcopy(view).double()
    fine, coarse = exact.answers(wide(x)), view.answers(x)
    for got in fine:
        demand(got.dtype == torch.float64 or got.ndim > 1, f"{view.name}.double() answers in {got.dtype}")
    laws = view.laws()
    known = ("prior", "likelihood", "posterior")[
        : 3 if isinstance(laws, Latent) else 2 if isinstance(laws, Joint) else 0
    ]
    for what, one, other in zip(known, coarse, fine, strict=False):
        same = torch.allclose(one.double(), other, 10 * NEAR, 10 * NEAR)
        demand(same, f"{view.name}: the density of its {what} differs in float64")


def check_ancestral(view: Any, n: int, alpha: float, stream: torch.Generator) -> None:
    """Does ``sample`` draw from the prior, then from the likelihood?"""

    def p_values(n: int, g: torch.Generator) -> list[float]:
        own = view.sample(n, generator=g)
        with torch.no_grad():
            laws = view.laws()
            z = draw(laws.prior(), (n,), generator=g).reshape(n, *laws.prior().event_shape)
            other = draw(laws.likelihood(z), generator=g)
        return same_law(own, other, generator=g)

    sequential(p_values, what=f"{view.name}.sample is not prior, then likelihood", n=n, alpha=alpha, generator=stream)
