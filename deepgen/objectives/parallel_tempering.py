"""Persistent chains that are parallel-tempered ensembles: the chain at beta = 1 is fed from hotter ones.

    p(x_1, ..., x_K) = prod_r p_r(v_r, h_r),   p_r(v, h) ~ exp(beta_r (a.v + b.h + v.W.h) - u(v) - u(h)),   beta_K = 1

Every replica takes a block Gibbs step at its own beta, then neighbours exchange places with the probability of
`deepgen.samplers.Tempering`, in turn over even and odd pairs. With h summed out of the joint energies the exchange of v
and v' between beta and beta' is accepted with min(1, exp D),

    D = [(beta' - beta) a.v + A_h(beta' f) - A_h(beta f)](v) - [the same](v'),        f = b + v.W.

It is not (beta' - beta) (F(v') - F(v)) with the free energy F at beta = 1, as some published code has it: what a chain
at beta samples has the marginal sum_h exp(-beta E(v, h)), which is not exp(-beta F(v)).

The data's part of the gradient, its centring and its step are those of persistent contrastive divergence. The cost is
that of as many chains as there are replicas.

Sources: Desjardins, Courville, Bengio, Vincent & Delalleau 2010, "Tempered Markov chain Monte Carlo for training of
restricted Boltzmann machines"; Cho, Raiko & Ilin 2010; of the order of swaps see `deepgen.samplers.replicas`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, is_whole
from deepgen.explicit.rbm import RBM
from deepgen.objectives.chain_memory import ChainMemory
from deepgen.objectives.contrastive import PersistentCD, as_rbm, refuse_deep
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.equilibrium_watch import LadderWatch
from deepgen.objectives.products import Products
from deepgen.samplers.replicas import Replicas, Tempering
from deepgen.samplers.tempering import tempering
from deepgen.share_means import balance
from deepgen.typing import Update


class TemperedState(NamedTuple):
    """replicas: of the sampler; the running means that serve as offsets; memory: of the replicas at beta = 1."""

    replicas: Replicas
    visible_mean: Tensor
    hidden_mean: Tensor
    memory: ChainMemory | None = None


@dataclass(frozen=True)
class ParallelTempering(PersistentCD):
    """Persistent contrastive divergence with parallel-tempered chains, for an `RBM` over any pair of unit layers.

    The ladder is fixed. Its hot end at beta = 0 are units without fields, which forget everything in one step; how many
    rungs lead there is for the swap rates to say. A warning names the first pair that swaps in less than a twentieth
    of its tries.

    Metrics: ``moment_gap`` and ``autocorrelation`` as of `PersistentCD`, of the visible layers at beta = 1, which
    forget by their own steps and by swaps; ``swap``, the mean probability of the swaps that were tried; ``rare``, that
    of the pair where it is least; ``trips``, round trips between the ends that were completed in a step, a chain.

    Args:
        betas: the ladder, rising to 1, or how many rungs equally spaced from 0 to 1.
        chains: ensembles, each with a replica on every rung.
        k: steps of all replicas, each with swaps, between updates.
        centred, sliding, weight_decay, sparsity, binary: as of `PersistentCD`.

    Raises:
        ArgumentError: the ladder does not rise to 1.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = ParallelTempering(chains=10, betas=5), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.replicas.moving.position.shape, list(metrics)
    (torch.Size([10, 5, 6]), ['moment_gap', 'autocorrelation', 'swap', 'rare', 'trips'])
    """

    _: KW_ONLY
    betas: int | Sequence[float] = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_deep(self)
        if self.betas < 2 if is_whole(self.betas) else not isinstance(self.betas, (list, tuple)):
            raise ArgumentError(f"betas must be 2 or more, or a list that rises to 1, got {self.betas!r}")
        self.kernel(RBM(1, 1, generator=0))

    def kernel(self, model: RBM) -> Tempering:
        """The kernel that moves the chains, of the weights as they are at each step."""
        betas = torch.linspace(0, 1, int(self.betas)) if is_whole(self.betas) else self.betas
        made = tempering(model.gibbs(), betas)
        assert isinstance(made, Tempering)
        return made

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> TemperedState:
        """All replicas of an ensemble at one random row of the data ``x``, offsets at the means over ``x``."""
        state, rbm = super().start(model, x, generator=generator), as_rbm(model)
        rows = torch.randint(len(x), (self.chains,), generator=generator, device=generator.device)
        replicas = self.kernel(rbm).init(x[rows.to(x.device)].to(rbm.weight))
        memory = ChainMemory.of(replicas.position)
        return TemperedState(replicas, state.visible_mean, state.hidden_mean, memory)

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: move and swap all replicas, then step on the data and the replicas at beta = 1."""
        return _TemperedStep(as_rbm(model), optimizer, self)

    def watch(self) -> LadderWatch:
        """Says in words that a pair of rungs hardly swaps, and that chains forget slowly."""
        return LadderWatch(self.k)


class _TemperedStep:
    def __init__(self, model: RBM, optimizer: torch.optim.Optimizer, options: ParallelTempering) -> None:
        self.kernel, self.options = options.kernel(model), options
        self.step = ContrastiveStep(model, optimizer, options, self._sample)

    def __call__(
        self, state: TemperedState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[TemperedState, dict[str, Tensor]]:
        replicas, seen = state.replicas, []
        for _ in range(self.options.k):
            replicas, info = self.kernel.step(replicas, generator=generator)
            seen.append(info)
        # the ledger's bridges are between laws that move, and would tell nothing; the clock keeps the turn of the swaps
        replicas = replicas._replace(ledger=state.replicas.ledger)
        inner = ContrastiveState(replicas.position, state.visible_mean, state.hidden_mean, state.memory)
        after, metrics = self.step(inner, batch, generator=generator)
        tried = torch.stack([info.swaps for info in seen]).nanmean((0, 1))
        told = {
            "swap": balance() * torch.stack([info.swap for info in seen]).mean(),
            "rare": tried.nan_to_num(math.inf).amin().clamp_max(1.0),
            "trips": balance() * torch.stack([info.trips for info in seen]).sum(0).double().mean(),
        }
        return TemperedState(replicas, *after[1:]), {**metrics, **told}

    def _sample(self, products: Products, chains: Tensor, generator: torch.Generator) -> Tensor:
        products.place(products.free, chains)
        products.up(products.both)
        products.respond(products.data)
        products.respond(products.free)
        return chains
