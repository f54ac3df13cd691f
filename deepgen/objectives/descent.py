"""The last part of a step whose gradients are written by hand: into the weights at once, or to any optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from deepgen.errors import ArgumentError
from deepgen.layers.weight_constraints import projections_of
from deepgen.objectives.give import give


class Descent:
    """Buffers for the gradients of ``trained``, the first ``products`` of which are products of tall matrices.

    With plain SGD those are added to their parameters by the product itself, which spares writing and reading them; any
    other optimizer finds all gradients in ``p.grad``, and so does plain SGD unless ``fused``.

    ``centred`` are those of ``trained`` whose gradients are the centred one's. It takes from the biases what weights
    are about to give to the fields, so of a weight that a projection puts back the biases would keep their part, at
    every step: such a constraint raises an `ArgumentError`, here and in ``rate``.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        trained: Sequence[nn.Parameter],
        products: int,
        *,
        fused: bool = True,
        centred: Sequence[nn.Parameter] = (),
    ) -> None:
        self.optimizer, self.trained, self.products = optimizer, list(trained), products
        self.gradients = [torch.zeros_like(p) for p in self.trained]
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.all_stepped = fused and all(id(p) in stepped and p.requires_grad for p in self.trained)
        self.counted = False
        self.centred = {id(p) for p in centred}
        self._check_unprojected()

    def _check_unprojected(self) -> None:
        if self.centred and any(hook.holds(self.centred) for hook in projections_of(self.optimizer)):
            raise ArgumentError(
                "the centred gradient moves biases by what it moves weights, and a projection "
                "(deepgen.layers.constrain) takes the weights back without them: give the objective centred=False"
            )

    def rate(self) -> float | None:
        """The rate of plain SGD over all of ``trained``, or None if anything stands between a gradient and its step."""
        self._check_unprojected()
        return _plain_rate(self.optimizer) if self.all_stepped else None

    def move(self, rate: float | None) -> None:
        """Let the optimizer step, or, with the ``rate`` of plain SGD, take its step for all but the products."""
        if rate is not None:
            for parameter, gradient in zip(self.trained[self.products :], self.gradients[self.products :], strict=True):
                parameter.add_(gradient, alpha=-rate)
        give(self.trained, self.gradients if rate is None else [None] * len(self.trained))
        if rate is None or not self.counted:
            self.optimizer.step()  # with plain SGD once, without gradients, to let a scheduler see that steps are taken
            self.counted = True


def _plain_rate(optimizer: torch.optim.Optimizer) -> float | None:
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) > 1:
        return None
    group = optimizer.param_groups[0]
    if group["momentum"] or group["weight_decay"] or group["maximize"] or not isinstance(group["lr"], float):
        return None
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return None
    return group["lr"]
