"""Conditional variational autoencoder: a VAE of x for each value of a context c (Sohn, Lee & Yan 2015).

    p(x | c) = int p(z | c) p(x | z, c) dz,        q(z | x, c) ~ p(z | x, c)

The context is a label, a vector, or anything (an image, say) that a network turns into a vector; encoder and decoder
are handed it beside their input, and so is a prior that takes one. ``model(context)`` is the model of x with the
context filled in: it has `Latent`, ``bound`` and ``sample`` like a `VAE`, and whatever takes those takes it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from deepgen.compiled import followed
from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.explicit.contexts import as_label, check_context, check_labels
from deepgen.explicit.units import check_support, require_tensor
from deepgen.implicit.latent import LatentModel, check_observed, for_network
from deepgen.implicit.vae import check_module, decoded, encoder_input, flat, laws
from deepgen.implicit.vamp import VampPrior
from deepgen.random import draw, resolve
from deepgen.rest import answered_at_rest

PAIRS = "a CVAE takes pairs of rows and their contexts, such as torch.utils.data.TensorDataset(x, context)"


class CVAE(nn.Module):
    """A conditional VAE; ``model(context)`` has `Latent`, `Bound` and `Samples`. Train it on pairs (x, context).

    Args:
        encoder: a module ``(x [rows, *event], code [rows, k]) -> [rows, features]``.
        decoder: a module ``(z [rows, latent], code [rows, k]) -> [rows, *event]``, as in `VAE`.
        latent, likelihood, posterior: as in `VAE`.
        classes: k labels, integers from 0 on, whose code is one-hot;
        context: or the width k of the vectors that are their own code;
        embed: or with ``context=k`` a module that turns contexts of any shape into codes ``[rows, k]``.
        prior: as in `VAE`; or a module whose ``forward(code)`` is p(z | c), such as a flow with ``context=k`` or
            `DiagonalGaussian` with ``inputs=k``.

    >>> import deepgen as dg
    >>> model = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    >>> x, y = torch.zeros(5, 6), torch.tensor([0, 1, 2, 0, 1])
    >>> model(y).bound(x, samples=10, generator=0).shape, model(2).sample(4, generator=0).shape
    (torch.Size([5]), torch.Size([4, 6]))
    >>> pairs = torch.utils.data.TensorDataset(x, y)
    >>> history = dg.fit(model, pairs, dg.objectives.ELBO(), epochs=1, progress=False)
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        latent: int,
        classes: int = 0,
        context: int = 0,
        embed: nn.Module | None = None,
        likelihood: nn.Module | None = None,
        prior: nn.Module | None = None,
        posterior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_count(0, classes=classes, context=context)
        if bool(classes) == bool(context) or (classes and embed is not None):
            raise ArgumentError("give classes= for labels, or context= (and embed= if need be) for others, one of them")
        for name, part in (("encoder", encoder), ("decoder", decoder), ("embed", embed)):
            check_module(name, part, optional=name == "embed")
        if isinstance(prior, VampPrior):
            raise ArgumentError("a VampPrior is of a VAE: its inputs have no context. Give a CVAE another prior")
        self.encoder, self.decoder, self.latent, self.embed = encoder, decoder, int(latent), embed
        self.classes, self.context = int(classes), int(classes or context)
        self.observation, self.prior_law, self.posterior_law = laws(latent, likelihood, prior, posterior)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "latent": self.latent,
            "classes": self.classes,
            "context": 0 if self.classes else self.context,
            "embed": self.embed,
            "likelihood": self.observation,
            "prior": self.prior_law,
            "posterior": self.posterior_law,
        }

    def forward(self, context: Tensor | int | None = None) -> GivenContext:
        """The model of x for these contexts, one for each row that it will be asked about, or one for all.

        One for all is ``[1, ...]``, a plain label, or a vector ``[k]``.

        Raises:
            ArgumentError, ShapeError, SupportError: it is missing, no labels from 0 to k - 1, or no vectors of width k.
        """
        if context is None:
            check_context(None, self.context, None, labels=self.classes > 0)
        given: Any = as_label(context) if self.classes else context
        if isinstance(given, Tensor) and given.ndim == (0 if self.classes else 1) and self.embed is None:
            given = given.unsqueeze(0)
        return GivenContext(self, given)

    def bound(
        self,
        x: Tensor,
        context: Tensor | int | None = None,
        *,
        samples: int = 1,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``model(context).bound(x)``: below log p(x | context) in expectation, ``[rows]``."""
        if context is None:  # as objectives call it that were given rows alone
            raise ArgumentError(PAIRS)
        return self(context).bound(x, samples=samples, generator=generator)

    def sample(
        self, n: int, context: Tensor | int | None = None, *, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """``model(context).sample(n)``: ``n`` draws ``[n, *event]``, one for each context, or all for one."""
        return self(context).sample(n, generator=generator)

    @answered_at_rest
    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` is a pair of rows that the likelihood can take and as many contexts."""
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            raise ArgumentError(PAIRS)
        self(x[1]).check(x[0])

    def code(self, context: Tensor) -> Tensor:
        """What the networks are handed, ``[rows, k]``.

        Raises:
            ArgumentError, ShapeError, SupportError: no labels from 0 to k - 1, or no vectors of width k.
        """
        require_tensor(context, "context")
        if self.classes:
            check_labels(context, self.classes)
            if context.ndim != 1:
                raise ShapeError(f"labels must be [rows], got {list(context.shape)}")
            like = next(self.parameters(), torch.zeros(0))
            return F.one_hot(context.long(), self.classes).to(like)
        code: Tensor = context if self.embed is None else self.embed(context)
        if code.ndim != 2 or code.shape[1] != self.context:
            raise ShapeError(f"contexts must be [rows, {self.context}], got {list(code.shape)}")
        return code


class GivenContext(LatentModel):
    """A `CVAE` with its contexts filled in: ``cvae(context)``.

    Args:
        model: the CVAE.
        context: one for each row ``[rows, ...]``, or one for all ``[1, ...]``.

    >>> import deepgen as dg
    >>> model = dg.implicit.mlp_cvae(6, [8], latent=2, context=3, generator=0)
    >>> given = model(torch.zeros(5, 3))
    >>> isinstance(given, dg.typing.Latent), given.likelihood(torch.zeros(7, 5, 2)).batch_shape
    (True, torch.Size([7, 5]))
    """

    def __init__(self, model: CVAE, context: Tensor) -> None:
        require_tensor(context, "context")
        self.model, self.given, self.observation = model, context, model.observation
        if model.embed is None:
            self.code = model.code(context)  # a wrong context is refused here
            if self.code.is_cpu and not followed():  # a device would be waited for in every step of training
                check_support(self.code, self.code.isfinite(), "finite in a context")

    @cached_property
    def code(self) -> Tensor:
        """What the networks are handed, ``[rows, k]``; of ``embed`` in the mode in which it is first asked for."""
        return self.model.code(self.given)

    def prior(self) -> Distribution:
        """p(z | context): batch ``[rows]``, or none where the prior is the same for all."""
        law: Any = self.model.prior_law
        return law(None if getattr(law, "context", None) == 0 else self.code)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z | x, context): batch ``[rows]``, event ``[latent]``."""
        features = self.model.encoder(encoder_input(self.model, x), self._codes(len(x)))
        found: Distribution = self.model.posterior_law(features)
        return found

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z, context) for ``[*batch, rows, latent]``, each row with its context."""
        batch, width = z.shape[:-1], self.code.shape[-1]
        code = self._codes(batch[-1]) if batch else self._codes(1)[0]
        rows = for_network(self.model.decoder, flat(z, self.model.latent))
        out = self.model.decoder(rows, code.expand(*batch, width).reshape(-1, width))
        return decoded(self, z, out)

    def check(self, x: Tensor) -> None:
        """Raise a typed error unless ``x`` are rows that the likelihood can take, as many as there are contexts."""
        check_observed(self.observation, x)
        self._codes(len(x))
        check_support(self.code, self.code.isfinite(), "finite in a context")

    @answered_at_rest
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws ``[n, *event]``, one for each context, or all of them for one.

        Rows go with contexts here, as in all that is asked of a model with latent variables; a `GAN` with contexts
        filled in and a flow's law draw ``n`` for each context instead, ``[n, *batch, *event]``.
        """
        check_count(n=n)
        self._codes(n)
        check_support(self.code, self.code.isfinite(), "finite in a context")
        stream, prior = resolve(generator, self.code.device), self.prior()
        shape = () if len(prior.batch_shape) and prior.batch_shape[0] == n else (n,)
        z = draw(prior, shape, generator=stream).reshape(n, -1)
        return draw(self.likelihood(z), generator=stream)

    def unfilled(self) -> tuple[CVAE, Tensor]:
        """The CVAE and the contexts: `deepgen.evaluate` fills them in for some rows at a time, `at_rest` anew."""
        return self.model, self.given

    def _codes(self, rows: int) -> Tensor:
        if len(self.code) not in (1, rows):
            raise ShapeError(f"{len(self.code)} contexts were given for {rows} rows: give one for each, or one for all")
        return self.code.expand(rows, -1)
