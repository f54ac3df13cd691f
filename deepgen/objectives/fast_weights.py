"""Fast persistent contrastive divergence: chains that run on weights with a fast, decaying part added.

    chains     h, v ~ Gibbs steps at theta + phi
    theta      moves along the gradient, the data's mean at theta minus the chains' at theta + phi
    phi        <- decay phi + fast_rate gradient

phi raises the energy where chains have just been, so they leave their modes sooner than at theta alone, and forgets it
within some 1 / (1 - decay) steps. Only the chains see it: theta is the model. What is biased: the chains' law is that
of theta + phi, so the fixed points are those of likelihood only up to the size of phi. At ``fast_rate`` 0 it is
persistent contrastive divergence.

Source: Tieleman & Hinton 2009, "Using fast weights to improve persistent contrastive divergence", section 3; decay
19 / 20 and a fast rate of the size of the starting rate are theirs.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import check_real
from deepgen.explicit.rbm import RBM
from deepgen.objectives.chain_memory import ChainMemory
from deepgen.objectives.contrastive import PersistentCD, as_rbm, refuse_deep
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.products import Products
from deepgen.typing import Update


class FastState(NamedTuple):
    """The first four as in PCD; fast: phi, in the shapes of weight, visible bias and hidden bias."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    memory: ChainMemory | None
    fast: tuple[Tensor, Tensor, Tensor]

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("chains",)


@dataclass(frozen=True)
class FastPersistentCD(PersistentCD):
    """Fast persistent contrastive divergence (FPCD), for an `RBM` over any pair of unit layers.

    The centred gradient serves both parts. Parameters of the units themselves (learned precisions) have no fast part,
    and weight decay and sparsity act on the model alone. Metrics: ``moment_gap`` and ``autocorrelation`` as of
    `PersistentCD`, and ``fast``, the Euclidean norm of the fast weights.

    Args:
        fast_rate: rate of the fast part; it stays while that of the optimizer falls.
        decay: factor of the fast part in every step, from 0 to below 1.
        k, chains, centred, sliding, weight_decay, sparsity, binary: as of `PersistentCD`.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = FastPersistentCD(chains=10), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> list(metrics), state.fast[0].shape
    (['moment_gap', 'autocorrelation', 'fast'], torch.Size([6, 4]))
    """

    _: KW_ONLY
    fast_rate: float = 0.05
    decay: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_deep(self)
        check_real("fast_rate", self.fast_rate, 0)
        check_real("decay", self.decay, 0, below=1)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> FastState:
        """As `PersistentCD` starts, with no fast weights."""
        state, rbm = super().start(model, x, generator=generator), as_rbm(model)
        parameters = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
        weight, visible, hidden = (torch.zeros_like(p, requires_grad=False) for p in parameters)
        return FastState(state.chains, state.visible_mean, state.hidden_mean, state.memory, (weight, visible, hidden))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: chains at the sum of both parts, then both move."""
        return _FastStep(as_rbm(model), optimizer, self)


class _FastStep:
    def __init__(self, model: RBM, optimizer: torch.optim.Optimizer, options: FastPersistentCD) -> None:
        self.model, self.options = model, options
        self.step = ContrastiveStep(model, optimizer, options, self._sample, fused=False)
        self.sum = RBM(model.visible, model.hidden, generator=0).to(model.weight)  # its layers are the model's own
        for parameter in self._weights(self.sum):
            parameter.requires_grad_(False)

    def _weights(self, rbm: RBM) -> tuple[Tensor, Tensor, Tensor]:
        return rbm.weight, rbm.visible_bias, rbm.hidden_bias

    @torch.no_grad()
    def __call__(
        self, state: FastState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[FastState, dict[str, Tensor]]:
        options = self.options
        for both, slow, fast in zip(self._weights(self.sum), self._weights(self.model), state.fast, strict=True):
            torch.add(slow, fast, out=both)
        decayed = None
        if options.weight_decay:
            follows = options.centred and self.model.weight.requires_grad
            shifts = self.step.decayed(ContrastiveState(*state[:4])) if follows else (0.0, 0.0)
            decayed = options.weight_decay * self.model.weight, *shifts
        inner, metrics = self.step(ContrastiveState(*state[:4]), batch, generator=generator)
        weight, visible, hidden = self.step.gradients[:3]  # minus the gradients, with what the penalties add
        if decayed is not None:
            weight, visible, hidden = weight - decayed[0], visible + decayed[1], hidden + decayed[2]
        if options.sparsity is not None:
            goal, cost = options.sparsity
            hidden = hidden - cost * (inner.hidden_mean - goal)
        rate, decay = options.fast_rate, options.decay
        moved = (
            torch.add(decay * f, g, alpha=-rate) for f, g in zip(state.fast, (weight, visible, hidden), strict=True)
        )
        after = tuple(moved)
        metrics["fast"] = torch.linalg.vector_norm(after[0])
        return FastState(*inner, after), metrics  # type: ignore[arg-type]

    def _sample(self, products: Products, chains: Tensor, generator: torch.Generator) -> Tensor:
        products.up(products.data)
        products.respond(products.data)
        products.use(self.sum)
        products.walk(chains, self.options.k, generator)
        products.up(products.free)
        drawn = products.draw(products.free, generator)
        products.model = self.model
        return drawn
