"""What trains a `ClassRBM`: to tell labels, to generate rows with their labels, or both; rows without labels too.

    minimise  - discriminative <log p(y | x)>  - generative <log p(x, y)>  - unlabelled <log p(x)>_without labels

The first term is exact, its gradient autograd's. The others have log Z, whose gradient is a mean over persistent chains
(x, y, h all free), as in persistent contrastive divergence. Summing out a label is exact as well,
log p(x) = log sum_y e^-F(x, y) - log Z. Small weights of the generative terms regularise the classifier.

Source: Larochelle & Bengio 2008, sections 4 to 6 (discriminative, hybrid, semi-supervised).
"""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.explicit.class_rbm import ClassRBM
from deepgen.explicit.units import check_values
from deepgen.objectives.adam import adam
from deepgen.objectives.bounds import Loss
from deepgen.objectives.chain_memory import ChainMemory, remembered
from deepgen.objectives.equilibrium_watch import ChainWatch
from deepgen.share_means import balance
from deepgen.train.source import fingerprint
from deepgen.typing import Update


class HybridState(NamedTuple):
    """position: visible layers of the chains, ``[chains, features + classes]``; no rows without generative terms;
    memory: how long they remember, None where they are too few to tell."""

    position: Tensor
    memory: ChainMemory | None = None

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("position",)


@dataclass(frozen=True)
class Hybrid:
    """Gradient descent on the loss above, on rows with their labels beside them as `ClassRBM.join` makes them.

    ``Hybrid(generative=0)`` is the discriminative RBM. The metrics: ``log_label``, the mean log p(y | x) of the batch
    in nats per example, and ``errors``, the share of labels that are not the likeliest, both before the step; with ten
    chains or more ``autocorrelation``, as of `PersistentCD`.

    Args:
        discriminative, generative: weights of log p(y | x) and of log p(x, y) of the labelled rows.
        unlabelled: weight of log p(x) of the rows ``more``.
        more: rows without labels ``[rows, features]``; every step draws as many of them as the batch has.
        k: Gibbs steps of the chains between updates.
        chains: number of persistent chains.

    >>> import deepgen as dg
    >>> rbm = dg.explicit.ClassRBM(6, classes=3, hidden=4, generator=0)
    >>> rows = rbm.join(torch.eye(6), torch.tensor([0, 0, 1, 1, 2, 2]))
    >>> history = dg.fit(rbm, rows, Hybrid(), epochs=200, batch_size=6, progress=False)
    >>> rbm.predict(torch.eye(6)), list(history[-1].metrics)
    (tensor([0, 0, 1, 1, 2, 2]), ['log_label', 'errors', 'autocorrelation'])
    """

    discriminative: float = 1.0
    generative: float = 0.01
    _: KW_ONLY
    unlabelled: float = 0.0
    more: Tensor | None = field(default=None, repr=False, compare=False)
    k: int = 1
    chains: int = 100

    def __post_init__(self) -> None:
        for name in ("discriminative", "generative", "unlabelled"):
            check_real(name, getattr(self, name), 0)
        check_count(k=self.k, chains=self.chains)
        if (self.more is None) != (self.unlabelled == 0):
            raise ArgumentError(
                "rows without labels need a weight, and a weight needs rows: give unlabelled= and more="
            )
        if self.discriminative + self.generative + self.unlabelled == 0:
            raise ArgumentError("all three weights are 0: there is nothing to learn")

    def arguments(self) -> dict[str, Any]:
        """The settings as plain values, by which a checkpoint knows the run again; ``more`` by its fingerprint."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**own, "more": None if self.more is None else fingerprint(self.more)}

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> HybridState:
        """Chains at random rows of ``x``."""
        rbm = _as_class_rbm(model)
        rbm.check(x)
        if self.more is not None:
            check_values(rbm._data[0], self.more, "more")
        count = self.chains if self.generative + self.unlabelled else 0
        rows = torch.randint(len(x), (count,), generator=generator, device=generator.device)
        position = x[rows.to(x.device)].to(rbm.weight.detach())
        return HybridState(position, ChainMemory.of(position))

    def loss(self, model: ClassRBM, batch: Tensor, chains: Tensor, *, generator: torch.Generator) -> Loss:
        """The loss in nats per example, up to terms without a gradient, and the metrics.

        Its gradient is that of the objective where ``chains`` ``[chains, features + classes]`` are draws of the model.
        """
        x, y = model.split(batch)
        joint = model.log_joint(x)
        own = joint.gather(1, y.unsqueeze(1)).squeeze(1)
        log_label = (own - joint.logsumexp(1)).mean()
        value = -self.discriminative * log_label - self.generative * own.mean()
        if self.more is not None:
            rows = torch.randint(len(self.more), (len(batch),), generator=generator, device=generator.device)
            other = model.log_joint(self.more[rows.to(self.more.device)].to(batch.device))
            value = value - self.unlabelled * other.logsumexp(1).mean()
        if len(chains):
            value = value + balance() * (self.generative + self.unlabelled) * model.log_density(chains).mean()
        errors = (joint.argmax(1) != y).to(joint.dtype).mean()
        return Loss(value, {"log_label": log_label.detach(), "errors": errors})

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: move the chains, take the gradient, let ``optimizer`` step."""
        rbm = _as_class_rbm(model)
        kernel = rbm.gibbs()

        def step(
            state: HybridState, batch: Tensor, *, generator: torch.Generator
        ) -> tuple[HybridState, dict[str, Tensor]]:
            position = state.position
            if len(position):
                chain = kernel.init(position)
                for _ in range(self.k):
                    chain, _ = kernel.step(chain, generator=generator)
                position = chain.position
            optimizer.zero_grad(set_to_none=True)
            value, metrics = self.loss(rbm, batch.to(rbm.weight.detach()), position, generator=generator)
            value.backward()
            optimizer.step()
            memory, told = remembered(state.memory, position, self.k)
            return HybridState(position, memory), metrics | told

        return step

    def watch(self) -> ChainWatch:
        """Says in words that chains forget slowly."""
        return ChainWatch(self.k)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.003."""
        return adam(model, lr=3e-3)


def _as_class_rbm(model: nn.Module) -> ClassRBM:
    if not isinstance(model, ClassRBM):
        raise MissingCapability(f"this objective trains a ClassRBM, got {type(model).__name__}")
    return model
