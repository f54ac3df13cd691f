"""A generative adversarial network: a generator that draws, a discriminator that tells its draws from the data.

    z ~ prior,  x = G(z)          D(x): one logit a row, large where x looks real

The law of x is known by its draws alone: there is no density, so `GAN` keeps `Samples` and no more. What it is trained
towards is said elsewhere (`deepgen.objectives.Adversarial`), as is what else a discriminator is good for
(`deepgen.implicit.gan_chain`). Draws come from an average of the generator over training where there is one, the
exponential one of `deepgen.optim.blend`.
Sources: Goodfellow et al. 2014; Yazici et al. 2019, "The unusual effectiveness of averaging in GAN training"; Mirza &
Osindero 2014 (conditions).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.distributions import StandardNormal
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError, check_count, check_real
from deepgen.explicit.contexts import as_label, check_beside, check_context, check_pair, each_context
from deepgen.explicit.units import check_support, require_tensor
from deepgen.implicit.conditions import check_taken
from deepgen.implicit.latent import for_network
from deepgen.implicit.vae import check_module
from deepgen.optim.blend import blend, share
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest


class GAN(nn.Module):
    """Both networks, the law of the latents, and the average of the generator.

    Args:
        generator: any module ``[rows, *latent] -> [rows, *event]``; with a context ``generator(z, context)``.
        discriminator: any module ``[rows, *event] -> [rows]`` or ``[rows, 1]``, logits without a sigmoid at the end;
            with a context ``discriminator(x, context)``.
        latent: the law of z over one latent: a number of standard normals, a module such as
            `deepgen.distributions.StandardNormal` whose ``forward(None)`` returns a Distribution, or a Distribution.
        average: beta. None: no average, and draws come from the generator as it is. Otherwise they come from
            ``averaged``, and whatever judges the generator beside its draws (`Decoder`) wants that one.
        classes: how many labels condition both networks, integers from 0 on; 0 for none.
        context: or the width of the vectors that condition both networks; 0 for none.

    Raises:
        ArgumentError: ``average`` outside [0, 1), both ``classes`` and ``context``, or a network of this package that
            takes another context.

    >>> import deepgen as dg
    >>> gan = GAN(dg.implicit.Dense(3, [8], 2, generator=0), dg.implicit.Dense(2, [8], (), generator=1), latent=3)
    >>> gan.sample(5, generator=0).shape, gan.logit(torch.zeros(5, 2)).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    updates: Tensor

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        latent: int | Distribution | nn.Module,
        average: float | None = 0.999,
        classes: int = 0,
        context: int = 0,
    ) -> None:
        super().__init__()
        check_count(0, classes=classes, context=context)
        if classes and context:
            raise ArgumentError("the context is a label (classes=) or a vector (context=), not both at once")
        if average is not None:
            check_real("average", average, 0, below=1)
        check_module("generator", generator)
        check_module("discriminator", discriminator)
        if not isinstance(latent, (Distribution, nn.Module)):
            check_count(latent=latent)
            latent = StandardNormal(latent)
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.average, self.classes = average, int(classes)
        self.context = int(classes or context)  # what says to `deepgen.fit` that examples come with one
        for name, network in (("generator", generator), ("discriminator", discriminator)):
            check_taken(name, network, self.classes, self.context)
        self.averaged = None if average is None else copy.deepcopy(generator).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "latent": self.latent,
            "average": self.average,
            "classes": self.classes,
            "context": 0 if self.classes else self.context,
        }

    def prior(self) -> Distribution:
        """The law of one latent z."""
        law: Any = self.latent
        return law if isinstance(law, Distribution) else law(None)

    def draw_latents(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` draws of the prior ``[n, *latent]``."""
        return draw(self.prior(), (n,), generator=generator)

    def generate(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """x = G(z) by the averaged generator, where there is one: ``[rows, *latent] -> [rows, *event]``.

        Values of z and of vectors are not looked at: NaN goes in and comes out, as in any network.

        Raises:
            ArgumentError, ShapeError, SupportError: no tensor of real numbers, or a context that is missing or wrong.
        """
        return self._call(self.generator if self.averaged is None else self.averaged, "z", z, context)

    def logit(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """D(x), the discriminator's logit: ``[rows, *event] -> [rows]``; as of `generate` values are not looked at.

        Raises:
            ArgumentError, ShapeError, SupportError: no tensor of real numbers, a context that is missing or wrong, or
                a network that does not give one logit a row.
        """
        value = self._call(self.discriminator, "x", x, context)
        if value.shape == (len(x), 1):
            value = value.squeeze(1)
        if value.shape != (len(x),):
            raise ShapeError(
                f"the discriminator must give one logit a row, [{len(x)}] or [{len(x)}, 1], got {list(value.shape)}"
            )
        return value

    @answered_at_rest
    def sample(
        self, n: int, context: Tensor | int | None = None, *, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """``n`` independent draws ``[n, *event]``, one for each row of ``context`` or all for one.

        Raises:
            ArgumentError, ShapeError, SupportError: ``n`` below 1, or a context that is missing, uncalled for or wrong.
        """
        check_count(n=n)
        context = each_context(context, self.context, n, labels=self.classes > 0)
        stream = resolve(generator, self.updates.device)
        return self.generate(self.draw_latents(n, generator=stream), context)

    def forward(self, context: Tensor | int | None = None) -> Given:
        """The draws and logits given ``context``: one label or vector, or a batch ``[*batch, ...]`` of them.

        Raises:
            ArgumentError, ShapeError, SupportError: a context that is missing or wrong, or a `GAN` that takes none.
        """
        given: Any = as_label(context) if self.classes else context
        self.check_context(given, None)
        if given is None:
            raise ArgumentError("this GAN takes no context, so that none is to be filled in: gan.sample(n) draws")
        check_support(given, given.isfinite(), "finite in a context")
        return Given(self, given.to(self.updates.device))

    @torch.no_grad()
    def follow(self) -> None:
        """Take the generator as it is now into the average; called by the objective after every generator step."""
        self.updates += 1
        if self.averaged is None or self.average is None:
            return
        blend(self.averaged, self.generator, share(self.average, self.updates.double()))

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are finite rows ``[n, *event]``; rows with a context come as a pair."""
        rows, context = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        if not isinstance(rows, Tensor) or rows.ndim < 2 or len(rows) == 0:
            got = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ShapeError(f"x must be [batch, *event] with at least one row, got {got}")
        if not bool(rows.isfinite().all()):
            row = int((~rows.isfinite()).flatten(1).any(1).nonzero()[0])
            raise SupportError(f"x holds NaN or infinite values, first in row {row}: drop those rows or replace them")
        check_pair(context, self.context, len(rows), labels=self.classes > 0)

    def check_context(self, context: Any, rows: int | None) -> None:
        """Raise unless ``context`` is what the networks take: labels ``[rows]`` or vectors ``[rows, context]``."""
        check_context(context, self.context, rows, labels=self.classes > 0)

    def _call(self, network: nn.Module, name: str, x: Tensor, context: Tensor | None) -> Tensor:
        require_tensor(x, name)
        if x.ndim == 0 or x.is_complex():
            raise ShapeError(f"{name} must be rows of real numbers, [rows, ...], got {x.dtype} {list(x.shape)}")
        check_beside(context, self.context, len(x), labels=self.classes > 0)
        x = for_network(network, x)
        value: Tensor = network(x) if context is None else network(x, for_network(network, context))
        return value

    def extra_repr(self) -> str:
        kind = f", classes={self.classes}" if self.classes else f", context={self.context}" if self.context else ""
        return f"average={self.average}{kind}"


class Given:
    """A `GAN` with its context filled in: ``gan(context)``.

    >>> import deepgen as dg
    >>> G = dg.implicit.Concatenated(dg.implicit.Dense(3, [8], 2, context=10, generator=0), classes=10)
    >>> D = dg.implicit.Projected(dg.implicit.Dense(2, [8], 16, generator=1), 16, classes=10, generator=2)
    >>> gan = GAN(G, D, latent=3, classes=10)
    >>> gan(7).sample(5, generator=0).shape, gan(torch.arange(10)).sample(5, generator=0).shape
    (torch.Size([5, 2]), torch.Size([5, 10, 2]))
    """

    def __init__(self, model: GAN, context: Tensor) -> None:
        self.model, self.given = model, context
        self.batch_shape = context.shape if model.classes else context.shape[:-1]
        self.rows = context.reshape(-1) if model.classes else context.reshape(-1, context.shape[-1])

    def prior(self) -> Distribution:
        """The law of one latent z, whatever the context."""
        return self.model.prior()

    def draw_latents(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` draws of the prior ``[n, *latent]``."""
        return self.model.draw_latents(n, generator=generator)

    def generate(self, z: Tensor) -> Tensor:
        """x = G(z, context) for one context: ``[rows, *latent] -> [rows, *event]``."""
        return self.model.generate(z, self._repeated(len(z)))

    def logit(self, x: Tensor) -> Tensor:
        """D(x, context) for one context: ``[rows, *event] -> [rows]``."""
        return self.model.logit(x, self._repeated(len(x)))

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` draws for each context: ``[n, *batch, *event]``; ``gan.sample(n, context)`` draws one for each of n.

        A `CVAE` with contexts filled in draws one for each of its n contexts too.
        """
        check_count(n=n)
        each = self.rows.repeat(n, *(1,) * (self.rows.ndim - 1))
        x = self.model.sample(len(each), each, generator=generator)
        return x.view(n, *self.batch_shape, *x.shape[1:])

    def unfilled(self) -> tuple[GAN, Tensor]:
        """The GAN and the contexts, with which `deepgen.rest.at_rest` fills it in anew."""
        return self.model, self.given

    def __repr__(self) -> str:
        kind = f"of {self.model.classes} labels" if self.model.classes else f"[{self.model.context}]"
        return f"{type(self.model).__name__} given a batch {list(self.batch_shape)} of contexts, {kind}"

    def _repeated(self, rows: int) -> Tensor:
        if len(self.rows) != 1:
            raise ShapeError(f"generate and logit take one context, and this has {list(self.batch_shape)} of them")
        return self.rows.expand(rows, *self.rows.shape[1:])


def judging(model: Any) -> GAN:
    """The networks of ``model``: of a `GAN` that needs no context, or of ``gan(context)``.

    Raises:
        MissingCapability: it is neither.
        ArgumentError: a `GAN` that takes a context, without one.
    """
    gan = model.model if isinstance(model, Given) else model
    if not isinstance(gan, GAN):
        raise MissingCapability(
            f"needed is a deepgen.implicit.GAN, whose discriminator is at hand, got {type(model).__name__}"
        )
    if gan is model and gan.context:
        raise ArgumentError("this GAN takes a context: hand in gan(context), with one label or vector")
    return gan
