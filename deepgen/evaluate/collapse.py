"""Are the latent variables of a model in use, and what to do where they are not, in words.

A posterior that is the prior for every x tells nothing: KL(q(z | x) || p(z)) is 0, the bound is as good as a model
without latents, and nothing in the loss says so. `latent_usage` looks at one model, `WatchLatents` after each epoch of
a `deepgen.fit`, and `deepgen.objectives.ELBO` warns by itself where the KL it logs is near 0.
Sources: Bowman et al. 2016 (warm-up); Kingma et al. 2016 (free bits); He et al. 2019 (lagging encoders).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count, check_real
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.information import Information, mutual_information
from deepgen.evaluate.latent_rows import at, with_contexts
from deepgen.evaluate.latent_units import ActiveUnits, active_units
from deepgen.explicit.units import require_tensor
from deepgen.random import resolve
from deepgen.typing import Latent

if TYPE_CHECKING:
    from deepgen.train.history import Record

NOTHING = 0.05  # nats/example: less than a coin's bias of 0.16 tells
FEW, FAR = 0.25, 1.0  # share of units; nats/example


class CollapseWarning(RuntimeWarning):
    """Latent variables that are not in use.

    >>> issubclass(CollapseWarning, Warning)
    True
    """


@dataclass(frozen=True)
class LatentUsage:
    """What `latent_usage` found; printed, it ends with `remarks`.

    Attributes:
        units: which latents move with x.
        information: what codes tell of rows; None for a model without laws of z, such as an autoencoder.
    """

    units: ActiveUnits
    information: Information | None

    def remarks(self) -> list[str]:
        """What is wrong and what to do about it, in sentences; empty where nothing is."""
        return [words for _, words in self.faults()]

    def faults(self) -> Iterator[tuple[str, str]]:
        """The kind of each fault, and what to say of it."""
        found, count, width = self.information, self.units.count, len(self.units.variances)
        if found is not None and (found.kl.value < NOTHING or count == 0):
            yield "collapsed", collapsed(found.kl.value, f", {count} of {width} units active")
            return
        if count == 0:
            yield (
                "dead",
                f"no unit's code moves by more than {self.units.threshold:g} (variance): the encoder is dead, or the "
                "threshold is not on the scale of its codes. Lower the rate or the penalties, or give a threshold",
            )
            return
        if count < FEW * width:
            yield (
                "few",
                f"{count} of {width} units are in use: fewer latents cost nothing, or let the others in by a warm-up, "
                "free bits, or IWAE",
            )
        if found is None:
            return
        if found.marginal.below.interval()[0] > FAR:
            yield (
                "holes",
                f"the codes' own law is at least {found.marginal.below.value:.1f} nats from the prior: draws of the "
                "prior fall where no data lie. Take a prior that learns (VampPrior, a flow, NormalMixture), or a "
                "larger beta",
            )
        if found.information.below.value > found.ceiling - 1:
            yield (
                "ceiling",
                f"what codes tell, {found.information.below.value:.1f} nats, is near log of the {found.rows:,} rows: "
                "give more rows to know it",
            )

    def __str__(self) -> str:
        parts = [str(self.units), *([] if self.information is None else [str(self.information)]), *self.remarks()]
        return "\n".join(parts)


def collapsed(kl: float, more: str = "") -> str:
    """What to say of a posterior that tells nothing.

    >>> collapsed(0.01)[:77]
    'the posterior has collapsed onto the prior: KL(q(z | x) || p(z)) is 0.01 nats'
    """
    return (
        f"the posterior has collapsed onto the prior: KL(q(z | x) || p(z)) is {kl:.2g} nats{more}, and the decoder "
        "explains the data without z. Let the KL come in late (ELBO(warmup=...)), give free bits, lower beta, or take "
        "a decoder that can remember less; if the data need no latents, leave them out"
    )


def latent_usage(
    model: Any,
    x: Tensor,
    *,
    context: Tensor | None = None,
    threshold: float = 0.01,
    draws: int = 4,
    generator: torch.Generator | int | None = None,
) -> LatentUsage:
    """Active units, what codes tell of rows, and the faults in words.

    Args:
        model: a `Latent`, or an `Autoencoder`, of which only units are counted.
        x: rows ``[rows, *event]``; some hundreds of held-out ones.
        context, threshold: see `active_units`.
        draws: see `mutual_information`.
        generator: source of the draws.

    >>> import deepgen as dg, deepgen.testing
    >>> vae = dg.implicit.VAE(torch.nn.Linear(6, 4), torch.nn.Linear(2, 6), latent=2)
    >>> _ = [p.data.zero_() for p in vae.encoder.parameters()]
    >>> print(latent_usage(vae, torch.eye(6), generator=0).remarks()[0][:43])
    the posterior has collapsed onto the prior:
    """
    check_rows(model, x, context)
    model, context = with_contexts(model, len(x), context)
    stream = resolve(generator, x.device)
    units = active_units(model, x, context=context, threshold=threshold, generator=stream)
    if not isinstance(at(model, None if context is None else context[:1]), Latent):
        return LatentUsage(units, None)
    return LatentUsage(units, mutual_information(model, x, context=context, draws=draws, generator=stream))


class WatchLatents:
    """A callback of `deepgen.fit`: `latent_usage` of some rows after epochs, kept, with a warning of each fault once.

    Args:
        x: rows to look at ``[rows, *event]``, such as 500 of the validation rows.
        context: of a conditional model.
        every: epochs between two looks.
        threshold: see `active_units`.
        after: epochs before anything is said, as codes are idle at the start.

    Attributes:
        epochs: of each look.
        found: the `LatentUsage` of each look.

    >>> import deepgen as dg
    >>> watch = WatchLatents(torch.eye(6), every=2)
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=0)
    >>> _ = dg.fit(vae, torch.eye(6), dg.objectives.ELBO(), epochs=4, callbacks=[watch], progress=False)
    >>> watch.epochs, watch.found[-1].units.rows
    ([2, 4], 6)
    """

    def __init__(
        self, x: Tensor, *, context: Tensor | None = None, every: int = 1, threshold: float = 0.01, after: int = 10
    ) -> None:
        check_count(every=every)
        check_count(0, after=after)
        check_real("threshold", threshold, 0)
        require_tensor(x, "x")
        if context is not None:
            require_tensor(context, "context")
        self.x, self.context, self.every, self.threshold, self.after = x, context, every, threshold, after
        self.epochs: list[int] = []
        self.found: list[LatentUsage] = []
        self._said: set[str] = set()

    def __call__(self, record: Record, model: nn.Module) -> None:
        if record.epoch % self.every:
            return
        like = next(model.parameters(), self.x)
        x = self.x.to(like.device)
        context = None if self.context is None else self.context.to(like.device)
        found = latent_usage(model, x, context=context, threshold=self.threshold, generator=record.epoch)
        self.epochs.append(record.epoch)
        self.found.append(found)
        if record.epoch <= self.after:
            return
        for kind, words in found.faults():
            if kind not in self._said:
                self._said.add(kind)
                warnings.warn(f"epoch {record.epoch}: {words}", CollapseWarning, stacklevel=2)
