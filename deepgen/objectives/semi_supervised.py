"""The objective of a semi-supervised VAE: the bounds of labelled and unlabelled rows, and the classifier's own loss.

    maximise  sum over labelled rows of  L(x, y) + log p(y) + alpha log q(y | x)
            + sum over the others of     sum_y q(y | x) [ L(x, y) + log p(y) - log q(y | x) ],      divided by all rows

Without alpha the classifier would learn from the rows without labels alone. Source: Kingma, Rezende, Mohamed & Welling
2014, equation 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.implicit.semi_supervised import SemiSupervised
from deepgen.objectives.adam import adam
from deepgen.objectives.bounds import Loss, descend
from deepgen.objectives.likelihood import Nothing
from deepgen.typing import Update


@dataclass(frozen=True)
class SemiSupervisedELBO:
    """Gradient ascent for a `deepgen.implicit.SemiSupervised`, on pairs (x, y) with y = -1 where it is not known.

    The metrics are ``bound``, on log p(x) of all rows with their labels summed out by q(y | x), in nats per example;
    and ``log_label``, the mean log q(y | x) of the labelled rows of the batch (0 where there are none).

    Args:
        alpha: weight of the classifier's loss on labelled rows.
        samples: draws of z for each row and label.

    >>> import deepgen as dg
    >>> cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    >>> model = dg.implicit.SemiSupervised(cvae, dg.implicit.Dense(6, [8], 3, generator=1))
    >>> pairs = torch.utils.data.TensorDataset(torch.zeros(9, 6), torch.tensor([0, 1, 2, -1, -1, -1, -1, -1, -1]))
    >>> [*dg.fit(model, pairs, SemiSupervisedELBO(), epochs=1, progress=False)[-1].metrics]
    ['bound', 'log_label']
    """

    alpha: float = 10.0
    samples: int = 1

    def __post_init__(self) -> None:
        check_real("alpha", self.alpha, 0)
        check_count(samples=self.samples)

    def start(self, model: nn.Module, x: Any, *, generator: torch.Generator) -> Nothing:
        """The empty state; `MissingCapability` unless ``model`` is a `SemiSupervised`, `ArgumentError` for a likelihood
        with an optimal sigma."""
        _require(model)
        return Nothing()

    def loss(self, model: Any, batch: Any, *, generator: torch.Generator) -> Loss:
        """Minus the objective of a batch (x, y) in nats per example, and the metrics."""
        _check(model, batch)
        x, y = batch
        known = y >= 0
        joint, log_q = model.joint_bounds(x, samples=self.samples, generator=generator), model.log_labels(x)
        summed = (log_q.exp() * (joint - log_q)).sum(1)
        place = y.clamp_min(0).unsqueeze(1)
        log_label = log_q.gather(1, place).squeeze(1)
        labelled = joint.gather(1, place).squeeze(1) + self.alpha * log_label
        value = torch.where(known, labelled, summed).mean()
        mean_label = (log_label * known).sum() / known.sum().clamp_min(1)
        return Loss(-value, {"bound": summed.mean().detach(), "log_label": mean_label.detach()})

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: draw, take the gradient, let ``optimizer`` step."""
        _require(model)
        return descend(partial(self.loss, model), optimizer)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return adam(model, lr=1e-3)


def _require(model: object) -> None:
    if not isinstance(model, SemiSupervised):
        raise MissingCapability(f"this objective is for a deepgen.implicit.SemiSupervised, got {type(model).__name__}")
    if getattr(model.cvae.observation, "kind", "") == "optimal":
        raise ArgumentError(
            "an optimal sigma would follow the errors under every label, the wrong ones too: "
            'use deepgen.implicit.Gaussian(kind="shared"), which is learned by gradients'
        )


def _check(model: SemiSupervised, batch: Any) -> None:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ArgumentError(
            "SemiSupervisedELBO takes pairs of rows and labels, -1 where not known, such as "
            "torch.utils.data.TensorDataset(x, y)"
        )
    if batch[0].device.type == "cpu":  # elsewhere that would wait for the device at every step
        model.check(batch)
