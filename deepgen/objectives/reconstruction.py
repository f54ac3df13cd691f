"""The objective of an autoencoder: the reconstruction loss, of clean rows from noisy ones if asked, and penalties.

    minimise  < -log p(x | f(x~)) >  +  sum of weight * penalty(f(x~)),        x~ ~ C(. | x), or x itself

in nats per example. With a walkback of k steps the noise is put on k times along the model's own chain,

    x~_1 ~ C(. | x),   x_1 ~ p(. | f(x~_1)),   x~_2 ~ C(. | x_1),  ...        loss = mean over i of -log p(x | f(x~_i))

so that where the chain would go wrong it is told to come back (Bengio, Yao, Alain & Vincent 2013, algorithm 1, with k
fixed and not drawn). The law that the chain has in the end is the same for the best denoiser; k costs as many passes.

The metric ``reconstruction_loss`` is the unweighted loss, in nats per example, less is better: it is the negative log
of the likelihood that the model names, given a code that has seen x, and no likelihood of x. Penalties are logged
beside it by their names, without their weights. Sources: Vincent et al. 2008 and 2010; those of the penalties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count
from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.corruption import Corruption
from deepgen.objectives.adam import adam
from deepgen.objectives.batch_norm import refuse_batch_norm
from deepgen.objectives.bounds import Loss, descend
from deepgen.objectives.likelihood import Nothing
from deepgen.random import draw
from deepgen.rest import at_rest
from deepgen.typing import Update


@dataclass(frozen=True)
class Reconstruction:
    """Gradient descent on the reconstruction loss of an `Autoencoder`.

    Args:
        corruption: the noise that the model is to take away, such as `deepgen.implicit.Masking`; None for none.
        penalty: one of `Contraction`, `KLSparsity`, `L1`, or several; or any function like them, with a ``weight``
            and a ``name``.
        walkback: steps of the denoising chain from each row; 1 is the plain denoising loss.

    Raises:
        ArgumentError: a walkback without noise, or two penalties of one name.

    >>> import deepgen as dg
    >>> model = dg.implicit.mlp_autoencoder(6, [], latent=8, last="sigmoid", generator=0)
    >>> x = torch.eye(6).repeat(20, 1)
    >>> penalties = [dg.objectives.Contraction(0.1), dg.objectives.KLSparsity(0.1)]
    >>> objective = Reconstruction(dg.implicit.Masking(0.2), penalties)
    >>> [*dg.fit(model, x, objective, epochs=2, progress=False)[-1].metrics]
    ['reconstruction_loss', 'contraction', 'sparsity']
    """

    corruption: Corruption | None = None
    penalty: Any = ()
    walkback: int = 1

    def __post_init__(self) -> None:
        check_count(walkback=self.walkback)
        penalties = tuple(self.penalty) if isinstance(self.penalty, Sequence) else (self.penalty,)
        object.__setattr__(self, "penalty", penalties)
        for one in (*penalties, *([] if self.corruption is None else [self.corruption])):
            if isinstance(one, type) or not callable(one):
                got = f"the class {one.__name__} itself" if isinstance(one, type) else repr(one)
                raise ArgumentError(f"corruption and penalties must be such as Masking(0.3) and L1(0.1), got {got}")
        for one in penalties:
            if not hasattr(one, "name") or not hasattr(one, "weight"):
                raise ArgumentError(f"a penalty must have a name and a weight, as L1(0.1) has, got {one!r}")
        names = [one.name for one in penalties]
        if len({*names, "reconstruction_loss"}) <= len(names):
            raise ArgumentError(f"penalties must have names of their own, got {', '.join(names)}")
        if self.walkback > 1 and self.corruption is None:
            raise ArgumentError("a walkback puts noise on again and again: give a corruption")

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        """The empty state; typed errors unless ``model`` is an `Autoencoder` whose codes the penalties can take.

        `ArgumentError` for a batch norm in the encoder and a penalty on the code's derivatives (`Contraction`).
        """
        _require(model)
        made: Any = model
        for one in self.penalty:
            if hasattr(one, "needs_gradient") and one.needs_gradient(model):
                refuse_batch_norm(made.encoder, "encoder", "code", f"the penalty {one.name}", "or another penalty")
        with torch.no_grad(), at_rest(model):
            z = made.code(x[:100])
        for one in self.penalty:
            if hasattr(one, "check"):
                one.check(z)
        return Nothing()

    def loss(self, model: Any, x: Tensor, *, generator: torch.Generator, learn: bool = False) -> Loss:
        """What is minimised, of a batch ``[rows, *event]``, and the metrics.

        With ``learn``, as in a training step, an optimal sigma follows the batch once it has been scored.
        """
        if x.device.type == "cpu":
            model.check(x)  # elsewhere that would wait for the device; `fit` has looked at the first rows
        like = next(model.parameters(), None)
        x = x if like is None else x.to(like.dtype)
        totals: dict[str, Tensor] = {}
        value, at = x.new_zeros(()), x
        for step in range(self.walkback):
            noised = at if self.corruption is None else self.corruption(at, generator=generator)
            inputs = model.observation.inputs(noised)
            if any(one.needs_gradient(model) for one in self.penalty if hasattr(one, "needs_gradient")):
                inputs = inputs.detach().requires_grad_()
            z = model.coded(inputs)
            law = model.likelihood(z)
            parts = {"reconstruction_loss": model.loss_of(x, law).mean()}
            value = value + parts["reconstruction_loss"]
            for one in self.penalty:
                parts[one.name] = one(model, inputs, z, generator=generator)
                value = value + one.weight * parts[one.name]
            for name, part in parts.items():
                totals[name] = totals.get(name, 0.0) + part.detach() / self.walkback
            if learn:
                model.follow(law, x)
            if step + 1 < self.walkback:
                with torch.no_grad():
                    at = draw(law, generator=generator).to(x)
        return Loss(value / self.walkback, totals)

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: corrupt, take the gradient, let ``optimizer`` step."""
        _require(model)
        return descend(partial(self.loss, model, learn=True), optimizer)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return adam(model, lr=1e-3)


def _require(model: object) -> None:
    if not isinstance(model, Autoencoder):
        raise MissingCapability(
            f"Reconstruction trains a deepgen.implicit.Autoencoder, got {type(model).__name__}: "
            "wrap encoder and decoder in one, or train a model with a bound by ELBO()"
        )
