"""One step of contrastive divergence: sample, write the gradients, and let the optimizer step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.explicit.rbm import RBM
from deepgen.objectives.binary_products import SPARSE, BinaryProducts, use_binary
from deepgen.objectives.chain_memory import ChainMemory, remembered
from deepgen.objectives.descent import Descent
from deepgen.objectives.products import Offsets, Products, Target
from deepgen.share_means import balance

if TYPE_CHECKING:
    from deepgen.objectives.contrastive import Contrastive

Sample = Callable[[Products, Tensor, torch.Generator], Tensor]


class ContrastiveState(NamedTuple):
    """chains: hidden layers ``[chains, hidden]`` (no rows for CD); the running means that serve as offsets; memory: how
    long the chains remember, None where it is not followed."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    memory: ChainMemory | None = None

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain (`deepgen.train.sharing`)."""
        return ("chains",)


class ContrastiveStep:
    """The `Update` of ``options`` for one model and optimizer.

    Gradients are those of minus the log-likelihood; how they reach the parameters is `Descent`. The decay of
    ``weight_decay`` moves weights at fixed centred biases b + W' mu and a + W lambda, as the gradient does: otherwise
    machines would come to rest where data and chains have other means.

    Args:
        sample: ``sample(products, chains, generator)`` leaves visible layers of batch and chains with their mean
            hidden layers in ``products``, and returns the next chains.
        fused: False to find minus the gradients in ``gradients`` after every step, under plain SGD too.

    Raises:
        ArgumentError: weights that are projected after each step, with the centred gradient.
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
        self.model, self.options, self.sample = model, options, sample
        self.insist, self.allow = use_binary(model, options.binary)
        layers = (layer for layer in (model.visible, model.hidden) if isinstance(layer, nn.Module))
        self.own = [p for layer in layers for p in layer.parameters() if p.requires_grad]
        trained = [model.weight, model.visible_bias, model.hidden_bias, *self.own]
        self.descent = Descent(optimizer, trained, 1, fused=fused, centred=trained[:3] if options.centred else ())
        self.gradients = self.descent.gradients
        self.workspaces: dict[tuple[bool, int, int, float], Products] = {}

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
        rate = self.descent.rate()
        if rate is None:
            target = Target(self.gradients[0], biases, alpha=1.0, beta=0.0)
        else:
            target = Target(weight, biases, alpha=-rate, beta=1 - rate * options.weight_decay)
        offsets = Offsets(state.visible_mean, state.hidden_mean, options.sliding, options.centred)
        follows = options.weight_decay and options.centred and self.model.weight.requires_grad
        decayed = self.decayed(state) if follows else ()
        means = products.descend(offsets, target)
        for bias, shift in zip(biases, decayed, strict=False):
            bias.sub_(shift)
        if options.weight_decay and rate is None:
            self.gradients[0].add_(weight, alpha=options.weight_decay)
        if options.sparsity is not None:
            goal, cost = options.sparsity
            self.gradients[2].add_(means[1] - goal, alpha=cost)
        self.descent.move(rate)
        memory, told = remembered(state.memory, chains, options.k)
        gap = {"moment_gap": products.gap()}
        return ContrastiveState(chains, *means, memory), gap | told

    def decayed(self, state: ContrastiveState) -> tuple[Tensor, Tensor]:
        """By how much visible and hidden biases rise in a step of rate 1, as the decay takes weights from them."""
        weight, decay = self.model.weight.detach(), self.options.weight_decay
        return torch.mv(weight, state.hidden_mean).mul_(decay), torch.mv(weight.t(), state.visible_mean).mul_(decay)

    def _products(self, state: ContrastiveState, batch: Tensor) -> Products:
        """Buffers of the right sizes: there is room for the usual ones and the ragged last batch, not for every one."""
        weigh = balance()
        # The binary kernels weigh data and chains alike.
        binary = weigh == 1 and (self.insist or (self.allow and float(state.visible_mean.mean()) < SPARSE))
        count, chains = len(batch), len(state.chains) or len(batch)  # CD starts one at each row
        sizes = (binary, count, chains, weigh)
        if sizes not in self.workspaces:
            if len(self.workspaces) > 3:
                self.workspaces.clear()
            self.workspaces[sizes] = (BinaryProducts if binary else Products)(self.model, count, chains, self.own)
        return self.workspaces[sizes]
