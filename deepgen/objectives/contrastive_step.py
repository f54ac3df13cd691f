"""One step of contrastive divergence: sample, write the gradients, and let the optimizer step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.explicit.rbm import RBM
from deepgen.objectives.binary_products import SPARSE, BinaryProducts, use_binary
from deepgen.objectives.products import Offsets, Products, Target

if TYPE_CHECKING:
    from deepgen.objectives.contrastive import Contrastive

Sample = Callable[[Products, Tensor, torch.Generator], Tensor]


class ContrastiveState(NamedTuple):
    """chains: hidden layers ``[chains, hidden]`` (no rows for CD); the running means that serve as offsets."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor


class ContrastiveStep:
    """The `Update` of ``options`` for one model and optimizer.

    Plain SGD is added to the weights by the outer product itself, which spares writing and reading the gradient; any
    other optimizer finds minus the gradients of the log-likelihood in ``p.grad``.

    Args:
        sample: ``sample(products, chains, generator)`` leaves visible layers of batch and chains with their mean
            hidden layers in ``products``, and returns the next chains.
        fused: False to find minus the gradients in ``gradients`` after every step, under plain SGD too.
    """

    def __init__(
        self,
        model: RBM,
        optimizer: torch.optim.Optimizer,
        options: Contrastive,
        sample: Sample,
        *,
        fused: bool = True,
    ) -> None:
        self.model, self.optimizer, self.options, self.sample = model, optimizer, options, sample
        self.insist, self.allow = use_binary(model, options.binary)
        layers = (layer for layer in (model.visible, model.hidden) if isinstance(layer, nn.Module))
        self.own = [p for layer in layers for p in layer.parameters() if p.requires_grad]
        self.trained = [model.weight, model.visible_bias, model.hidden_bias, *self.own]
        self.gradients = [torch.zeros_like(p) for p in self.trained]
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self.all_stepped = fused and all(id(p) in stepped and p.requires_grad for p in self.trained)
        self.counted = False
        self.workspaces: dict[tuple[bool, int, int], Products] = {}

    @torch.no_grad()
    def __call__(
        self, state: ContrastiveState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[ContrastiveState, dict[str, Tensor]]:
        options, weight, biases = self.options, self.model.weight.detach(), self.gradients[1:3]
        products = self._products(state, batch)
        products.load(batch)
        chains = self.sample(products, state.chains, generator)
        if self.own:
            for buffer, gradient in zip(self.gradients[3:], products.own_gradients(), strict=True):
                buffer.copy_(gradient)
        rate = _plain_rate(self.optimizer) if self.all_stepped else None
        if rate is None:
            target = Target(self.gradients[0], biases, alpha=1.0, beta=0.0)
        else:
            target = Target(weight, biases, alpha=-rate, beta=1 - rate * options.weight_decay)
        offsets = Offsets(state.visible_mean, state.hidden_mean, options.sliding, options.centred)
        means = products.descend(offsets, target)
        if options.weight_decay and rate is None:
            self.gradients[0].add_(weight, alpha=options.weight_decay)
        if options.sparsity is not None:
            goal, cost = options.sparsity
            self.gradients[2].add_(means[1] - goal, alpha=cost)
        self._move(rate)
        return ContrastiveState(chains, *means), {"moment_gap": torch.linalg.vector_norm(products.dh)}

    def _products(self, state: ContrastiveState, batch: Tensor) -> Products:
        """Buffers of the right sizes: there is room for the usual ones and the ragged last batch, not for every one."""
        binary = self.insist or (self.allow and float(state.visible_mean.mean()) < SPARSE)
        count, chains = len(batch), len(state.chains) or len(batch)  # CD starts one at each row
        sizes = (binary, count, chains)
        if sizes not in self.workspaces:
            if len(self.workspaces) > 3:
                self.workspaces.clear()
            self.workspaces[sizes] = (BinaryProducts if binary else Products)(self.model, count, chains, self.own)
        return self.workspaces[sizes]

    def _move(self, rate: float | None) -> None:
        """Let the optimizer step, or, with the ``rate`` of plain SGD, take its step for all but the weights."""
        if rate is not None:
            for parameter, gradient in zip(self.trained[1:], self.gradients[1:], strict=True):
                parameter.add_(gradient, alpha=-rate)
        for parameter, gradient in zip(self.trained, self.gradients, strict=True):
            parameter.grad = gradient if rate is None else None
        if rate is None or not self.counted:
            self.optimizer.step()  # with plain SGD once, without gradients, to let a scheduler see that steps are taken
            self.counted = True


def _plain_rate(optimizer: torch.optim.Optimizer) -> float | None:
    """The rate of plain SGD, or None if anything else stands between a gradient and its step."""
    if type(optimizer) is not torch.optim.SGD or len(optimizer.param_groups) > 1:
        return None
    group = optimizer.param_groups[0]
    if group["momentum"] or group["weight_decay"] or group["maximize"] or not isinstance(group["lr"], float):
        return None
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return None
    return group["lr"]
