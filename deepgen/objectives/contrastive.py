"""Contrastive divergence, plain and persistent, with the centred gradient.

The gradient of the log-likelihood of an RBM is a difference of two means, over data rows (d) with their hidden layer
drawn given them, and over the model (m), here Markov chains. With offsets mu for v and lambda for h it is taken in
centred form (Melchior, Fischer & Wiskott 2016, "How to center deep Boltzmann machines", equations 9 to 11):

    dW = <(v - mu)(h - lambda)'>_d - <(v - mu)(h - lambda)'>_m
    da = <v>_d - <v>_m - dW lambda,        db = <h>_d - <h>_m - dW' mu

which is the gradient of the machine written as (v - mu)' W (h - lambda), mapped back to the ordinary parameters: the
fixed points are those of maximum likelihood, and flipping data bits changes nothing. h enters through E[h | v]. The
offsets are running means over data, started at the mean of the data given to ``start``. A decay l of the weights moves
them, too, so that biases get l W lambda and l W' mu: at rest data and chains have the same means, as the likelihood
less l |W|^2 / 2 wants. A projection after the step (`deepgen.layers.constrain`) moves weights without the biases, and
goes with the plain gradient only.

CD-k starts its chains at the batch and is biased for finite k (Hinton 2002). Persistent CD keeps them from step to step
(Tieleman 2008) and follows the likelihood when the rate is small beside the mixing time.

One persistent step is three matrix products: chains down [chains, hidden][hidden, visible], data and chains up in one
[batch + chains, visible][visible, hidden], and one outer product, whose two extra rows subtract the offsets:
dW = sum over rows of v P' / n - mu dh' - dv lambda', with dv = <v>_d - <v>_m and dh likewise. Sparse binary rows take
a shorter way, see `deepgen.explicit.binary`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeGuard

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.explicit.dbm import DBM
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Units
from deepgen.objectives import contrastive_deep
from deepgen.objectives.chain_memory import ChainMemory
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.equilibrium_watch import ChainWatch
from deepgen.objectives.products import Products
from deepgen.train.history import Record
from deepgen.typing import Update


@dataclass(frozen=True)
class Contrastive(ABC):
    """What the two objectives share: their options but ``chains``, and a step but for where its chains come from."""

    k: int = 1
    _: KW_ONLY
    centred: bool = True
    sliding: float = 0.01
    weight_decay: float = 0.0
    sparsity: tuple[float, float] | None = None
    binary: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        check_count(k=self.k)
        if not isinstance(self.centred, bool):
            raise ArgumentError(f"centred must be True or False, got {self.centred!r}")
        check_real("sliding", self.sliding, 0, 1)
        check_real("weight_decay", self.weight_decay, 0)
        if self.sparsity is not None:
            if not isinstance(self.sparsity, tuple | list) or len(self.sparsity) != 2:
                raise ArgumentError(f"sparsity must be (target, cost) or None, got {self.sparsity!r}")
            check_real("the target of sparsity", self.sparsity[0])
            check_real("the cost of sparsity", self.sparsity[1], 0)
        if not isinstance(self.binary, bool) and self.binary != "auto":
            raise ArgumentError(f"binary must be True, False or 'auto', got {self.binary!r}")

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: sample, write the gradients, let ``optimizer`` step."""
        return ContrastiveStep(as_rbm(model), optimizer, self, self._sample)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at 0.05, or at 0.005 where a layer is real-valued (Hinton 2010, section 13.2)."""
        rbm = as_rbm(model)
        return _sgd(rbm, (rbm.visible, rbm.hidden))

    @abstractmethod
    def _sample(self, products: Products, chains: Tensor, generator: torch.Generator) -> Tensor:
        """Leave visible layers and mean hidden layers of batch and chains in ``products``; return the next chains."""


@dataclass(frozen=True)
class PersistentCD(Contrastive):
    """Persistent contrastive divergence: stochastic maximum likelihood for an `RBM` over any pair of unit layers.

    A `DBM` of any levels takes it too. With one hidden level that is the `RBM`; with more it ascends the variational
    bound, or with enough ``posterior_steps`` the likelihood (`deepgen.objectives.contrastive_deep`).

    Rate and momentum are the optimizer's (by default plain SGD). The metric ``moment_gap``
    is the Euclidean norm of <h>_d - <h>_m, which the gradient sets to zero. It says whether chains look like data to
    the hidden layers and nothing about the likelihood, for which see `deepgen.evaluate.log_likelihood`. Of ten chains
    and more, ``autocorrelation`` is the time in Gibbs steps in which they forget, as long as they move with the model
    (`deepgen.objectives.chain_memory`); a run whose chains forget slowly warns. A DBM has another, ``turns``, those
    that mean field took.

    Args:
        k: Gibbs steps between updates.
        chains: number of persistent chains.
        centred: use the running means as offsets; otherwise offsets are zero, as they must be where weights are
            constrained (`deepgen.layers.constrain`): `update` raises an `ArgumentError` otherwise.
        sliding: weight of the newest batch in the running means.
        weight_decay: L2 penalty ``weight_decay / 2 |W|^2``, on the weights and not on the biases. A penalty that acts
            in the optimizer or as its hook (`deepgen.optim.ElasticNet`) moves weights without the biases: give
            ``centred=False`` with it, or the machine rests where data and chains have other means.
        sparsity: ``(target, cost)`` pulls each hidden unit's running mean towards ``target`` through its bias, with
            gradient ``cost (mean - target)`` (Hinton 2010, section 11).
        binary: take products as sums over ones, by `deepgen.explicit.binary`; ``"auto"`` where they are faster (sparse
            Bernoulli data on a CPU), True to insist, False never. Both ways sample the same law. Of an RBM only.
        turns, tolerance: of a DBM's mean field in one step; see `DBM.mean_field`.
        posterior_steps: Gibbs steps of a DBM's hidden levels given the data, from draws of mean field; with 2 a level
            can live that mean field alone pulls to zero, from first weights that are not near it
            (`deepgen.objectives.contrastive_deep`). 0 takes mean field.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = PersistentCD(chains=10), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.chains.shape, list(metrics)
    (torch.Size([10, 4]), ['moment_gap', 'autocorrelation'])
    """

    chains: int = 100
    _: KW_ONLY
    turns: int = 20
    tolerance: float = 0.01
    posterior_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(chains=self.chains, turns=self.turns)
        check_count(0, posterior_steps=self.posterior_steps)
        check_real("tolerance", self.tolerance, 0)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Any:
        """Chains at hidden layers drawn given random rows of the data ``x``, offsets at the means over ``x``."""
        if is_deep(model):
            return contrastive_deep.start(model, x, self, generator)
        state = _start(as_rbm(model), x, self.chains, generator)
        return state._replace(memory=ChainMemory.of(state.chains))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: sample, write the gradients, let ``optimizer`` step."""
        if is_deep(model):
            return contrastive_deep.DeepStep(model, optimizer, self)
        return super().update(model, optimizer)

    def watch(self) -> Callable[[Record, nn.Module], None]:
        """Says in words that chains forget slowly."""
        return ChainWatch(self.k)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at 0.05, or at 0.005 where a level is real-valued (Hinton 2010, section 13.2)."""
        return _sgd(model, model.levels) if is_deep(model) else super().optimizer(model)

    def _sample(self, products: Products, chains: Tensor, generator: torch.Generator) -> Tensor:
        products.walk(chains, self.k, generator)
        products.up(products.both)  # the chains go up the last time together with the data
        products.respond(products.data)
        return products.draw(products.free, generator)


def refuse_deep(objective: PersistentCD) -> None:
    """Raise `ArgumentError` where options of a `DBM` are given to an objective that trains an `RBM` alone."""
    for name in ("turns", "tolerance", "posterior_steps"):
        if getattr(objective, name) != getattr(PersistentCD, name):
            raise ArgumentError(
                f"{name} is of a DBM of several hidden levels, and {type(objective).__name__} trains none: leave it out"
            )


@dataclass(frozen=True)
class ContrastiveDivergence(Contrastive):
    """Contrastive divergence CD-k: chains start anew at each batch and run ``k`` Gibbs steps.

    Cheap in memory and steady, but biased: the machine is shaped only near the data, and its likelihood can fall while
    it trains. Arguments are those of `PersistentCD` but for ``chains``.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = ContrastiveDivergence(k=1), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.chains.shape
    torch.Size([0, 4])
    """

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> ContrastiveState:
        """No chains; offsets at the means over ``x``."""
        return _start(as_rbm(model), x, 0, generator)

    def _sample(self, products: Products, chains: Tensor, generator: torch.Generator) -> Tensor:
        products.up(products.data)
        products.walk(products.draw(products.data, generator), self.k, generator)
        products.up(products.free)
        products.respond(products.free)
        return chains


def _start(model: RBM, x: Tensor, chains: int, generator: torch.Generator) -> ContrastiveState:
    model.check(x)
    with torch.no_grad():
        # The chains' rows and some more, for the mean response; the mean of the data itself is over all rows.
        rows = torch.randint(len(x), (max(chains, 1000),), generator=generator, device=generator.device)
        field = model.hidden_field(x[rows.to(x.device)].to(model.weight))
        hidden = model.hidden.sample(field[:chains], generator=generator)
        return ContrastiveState(hidden, x.sum(0).to(model.weight) / len(x), model.hidden.mean(field).mean(0))


def _sgd(model: nn.Module, levels: Iterable[Units]) -> torch.optim.Optimizer:
    real = any(units.states is None for units in levels)
    return torch.optim.SGD(model.parameters(), lr=0.005 if real else 0.05)


def is_deep(model: nn.Module) -> TypeGuard[DBM]:
    """Whether it is a `DBM` that is no `RBM` by another name."""
    return isinstance(model, DBM) and not model.is_rbm


def as_rbm(model: nn.Module) -> RBM:
    """The `RBM` that ``model`` is; of a `DBM` with one hidden level that on its own parameters."""
    if isinstance(model, DBM) and model.is_rbm:
        return model.as_rbm(share=True)
    if not isinstance(model, RBM):
        raise MissingCapability(
            f"contrastive divergence trains an RBM, got {type(model).__name__}; a DBM of more than one hidden level is "
            "trained by deepgen.objectives.PersistentCD, a DBN by deepgen.objectives.LayerWise, an EnergyModel by "
            "deepgen.objectives.PersistentChains, a model with log_prob by deepgen.objectives.MaximumLikelihood"
        )
    return model
