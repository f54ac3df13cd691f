"""Contrastive divergence, plain and persistent, with the centred gradient.

The gradient of the log-likelihood of an RBM is a difference of two means, over data rows (d) with their hidden layer
drawn given them, and over the model (m), here Markov chains. With offsets mu for v and lambda for h it is taken in
centred form (Melchior, Fischer & Wiskott 2016, "How to center deep Boltzmann machines", equations 9 to 11):

    dW = <(v - mu)(h - lambda)'>_d - <(v - mu)(h - lambda)'>_m
    da = <v>_d - <v>_m - dW lambda,        db = <h>_d - <h>_m - dW' mu

which is the gradient of the machine written as (v - mu)' W (h - lambda), mapped back to the ordinary parameters: the
fixed points are those of maximum likelihood, and flipping data bits changes nothing. h enters through E[h | v]. The
offsets are running means over data, started at the mean of the data given to ``start``.

CD-k starts its chains at the batch and is biased for finite k (Hinton 2002). Persistent CD keeps them from step to step
(Tieleman 2008) and follows the likelihood when the rate is small beside the mixing time.

One persistent step is three matrix products: chains down [chains, hidden][hidden, visible], data and chains up in one
[batch + chains, visible][visible, hidden], and one outer product, whose two extra rows subtract the offsets:
dW = sum over rows of v P' / n - mu dh' - dv lambda', with dv = <v>_d - <v>_m and dh likewise. Sparse binary rows take
a shorter way, see `deepgen.explicit.binary`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli, Units
from deepgen.typing import Update

GAP_ROWS = 10  # rows of the batch and of the chains behind the metric; all of them would cost as much as the sampling


class ContrastiveState(NamedTuple):
    """chains: hidden layers ``[chains, hidden]`` (no rows for CD); the running means that serve as offsets."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor


@dataclass(frozen=True)
class PersistentCD:
    """Persistent contrastive divergence: stochastic maximum likelihood for an `RBM` over any pair of unit layers.

    The rate, momentum and decay are the optimizer's (by default plain SGD). The metric ``free_energy_gap`` is
    F(data) - F(chains) in nats per example, from a few rows of each: near 0 when the chains look like data; it says
    nothing about the likelihood, for which see `deepgen.evaluate.log_likelihood`.

    Args:
        k: Gibbs steps between updates.
        chains: number of persistent chains.
        centred: use the running means as offsets; otherwise offsets are zero.
        sliding: weight of the newest batch in the running means.
        weight_decay: L2 penalty ``weight_decay / 2 |W|^2``, on the weights and not on the biases.
        sparsity: ``(target, cost)`` pulls each hidden unit's running mean towards ``target`` through its bias, with
            gradient ``cost (mean - target)`` (Hinton 2010, section 11).
        binary: use the kernels of `deepgen.explicit.binary`; ``"auto"`` where they are faster (sparse Bernoulli data
            on a CPU), True to insist, False never. Both ways sample the same law from different random numbers.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = PersistentCD(chains=10), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.chains.shape, list(metrics)
    (torch.Size([10, 4]), ['free_energy_gap'])
    """

    k: int = 1
    chains: int = 100
    _: KW_ONLY
    centred: bool = True
    sliding: float = 0.01
    weight_decay: float = 0.0
    sparsity: tuple[float, float] | None = None
    binary: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        _check_options(self)
        if self.chains < 1:
            raise ArgumentError(f"chains must be at least 1, got {self.chains}")

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> ContrastiveState:
        """Chains at hidden layers drawn given random rows of the data ``x``, offsets at the means over ``x``."""
        return _start(_as_rbm(model), x, self.chains, generator)

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: sample, write the gradients, let ``optimizer`` step."""
        return _update(_as_rbm(model), optimizer, self)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at 0.05, or at 0.005 where a layer is real-valued (Hinton 2010, section 13.2)."""
        return _optimizer(_as_rbm(model))


@dataclass(frozen=True)
class ContrastiveDivergence:
    """Contrastive divergence CD-k: chains start anew at each batch and run ``k`` Gibbs steps.

    Cheap in memory and steady, but biased: the machine is shaped only near the data, and its likelihood can fall while
    it trains. Arguments are those of `PersistentCD`.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = ContrastiveDivergence(k=1), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.chains.shape
    torch.Size([0, 4])
    """

    k: int = 1
    _: KW_ONLY
    centred: bool = True
    sliding: float = 0.01
    weight_decay: float = 0.0
    sparsity: tuple[float, float] | None = None
    binary: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        _check_options(self)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> ContrastiveState:
        """No chains; offsets at the means over ``x``."""
        return _start(_as_rbm(model), x, 0, generator)

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: sample, write the gradients, let ``optimizer`` step."""
        return _update(_as_rbm(model), optimizer, self)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at 0.05, or at 0.005 where a layer is real-valued (Hinton 2010, section 13.2)."""
        return _optimizer(_as_rbm(model))


class Products:
    """The products and draws of one step, dense, in buffers that carry nothing from one step to the next.

    Rows of ``visible`` and ``hidden``: the batch, then the chains, then two rows for the offsets.
    """

    def __init__(self, model: RBM) -> None:
        self.model = model
        self.visible = model.weight.new_empty(0, model.visible.width)
        self.hidden = model.weight.new_empty(0, model.hidden.width)

    def load(self, batch: Tensor, chains: int) -> None:
        """Copy the batch in (from any dtype) and make room for the chains."""
        rows = len(batch) + chains + 2
        if len(self.visible) < rows or self.visible.dtype != self.model.weight.dtype:
            self.visible = self.model.weight.new_empty(rows, self.model.visible.width)
            self.hidden = self.model.weight.new_empty(rows, self.model.hidden.width)
        self.visible[: len(batch)].copy_(batch)

    def down(self, hidden: Tensor, rows: slice, generator: torch.Generator) -> None:
        """Draw the visible layers of ``rows`` given hidden layers ``hidden``."""
        field = torch.addmm(self.model.visible_bias, hidden, self.model.weight.t(), out=self.visible[rows])
        if isinstance(self.model.visible, Bernoulli):
            field.sigmoid_().gt_(torch.empty_like(field).uniform_(generator=generator))
        else:
            field.copy_(self.model.visible.sample(field, generator=generator))

    def up(self, rows: slice) -> Tensor:
        """The hidden fields of ``rows``, in place."""
        return torch.addmm(self.model.hidden_bias, self.visible[rows], self.model.weight, out=self.hidden[rows])

    def outer(self, rows: int, out: Tensor) -> Tensor:
        """Sum over the first ``rows`` rows of visible times hidden: ``[visible, hidden]``."""
        return torch.mm(self.visible[:rows].t(), self.hidden[:rows], out=out)

    def respond(self, rows: slice) -> None:
        """Turn the hidden fields of ``rows`` into means, in place."""
        _mean_(self.model.hidden, self.hidden[rows])

    def draw(self, rows: slice, generator: torch.Generator) -> Tensor:
        """Turn the hidden fields of ``rows`` into means, in place, and return new draws."""
        field = self.hidden[rows]
        if isinstance(self.model.hidden, Bernoulli):
            noise = torch.empty_like(field).uniform_(generator=generator)
            return torch.lt(noise, field.sigmoid_(), out=noise)
        drawn = self.model.hidden.sample(field, generator=generator)
        _mean_(self.model.hidden, field)
        return drawn


Options = PersistentCD | ContrastiveDivergence


def _update(model: RBM, optimizer: torch.optim.Optimizer, options: Options) -> Update:
    trained = [model.weight, model.visible_bias, model.hidden_bias, *_unit_parameters(model)]
    gradients = [torch.zeros_like(p) for p in trained]
    for_state = _products(model, options.binary)

    @torch.no_grad()
    def update(
        state: ContrastiveState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[ContrastiveState, dict[str, Tensor]]:
        count = len(batch)
        if isinstance(options, PersistentCD):
            chains = len(state.chains)
        else:
            chains = count
        data, free = slice(0, count), slice(count, count + chains)
        products = for_state(state)
        products.load(batch, chains)
        for gradient in gradients[3:]:
            gradient.zero_()

        # Sampling: hidden -> visible -> hidden, k times. Persistent chains go up the last time together with the data.
        if isinstance(options, PersistentCD):
            hidden = _run(products, state.chains, options.k, free, generator)
            products.up(slice(0, count + chains))
            gap = _free_energy(products, data, gradients[3:], 1) - _free_energy(products, free, gradients[3:], -1)
            products.respond(data)
            hidden = products.draw(free, generator)
        else:
            products.up(data)
            gap = _free_energy(products, data, gradients[3:], 1)
            _run(products, products.draw(data, generator), options.k, free, generator)
            products.up(free)
            gap -= _free_energy(products, free, gradients[3:], -1)
            products.respond(free)
            hidden = state.chains

        means = _descent(products, state, count, chains, options.centred, gradients)
        if options.weight_decay:
            gradients[0].add_(model.weight, alpha=options.weight_decay)
        visible_mean = torch.lerp(state.visible_mean, means[0], options.sliding)
        hidden_mean = torch.lerp(state.hidden_mean, means[1], options.sliding)
        if options.sparsity is not None:
            target, cost = options.sparsity
            gradients[2].add_(hidden_mean - target, alpha=cost)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient if parameter.requires_grad else None
        optimizer.step()
        return ContrastiveState(hidden, visible_mean, hidden_mean), {"free_energy_gap": gap}

    return update


def _run(products: Products, hidden: Tensor, k: int, rows: slice, generator: torch.Generator) -> None:
    """Leave in ``rows`` the visible layers reached from ``hidden`` after k ways down and k - 1 ways up."""
    for step in range(k):
        if step:
            products.up(rows)
            hidden = products.draw(rows, generator)
        products.down(hidden, rows, generator)


def _free_energy(products: Products, rows: slice, gradients: list[Tensor], sign: int) -> Tensor:
    """Mean free energy of the first few of ``rows``, from the hidden fields already there.

    Where a layer has parameters of its own, add to ``gradients`` the derivative of ``sign`` times the mean over all rows.
    """
    model, visible, field = products.model, products.visible[rows], products.hidden[rows]
    if gradients:
        with torch.enable_grad():
            own = (model.visible.energy(visible) - model.hidden.cumulant(field)).mean()
            for total, part in zip(gradients, torch.autograd.grad(own, _unit_parameters(model)), strict=True):
                total.add_(part, alpha=sign)
    visible, field = visible[:GAP_ROWS], field[:GAP_ROWS]
    return (model.visible.energy(visible) - visible @ model.visible_bias - model.hidden.cumulant(field)).mean()


def _descent(
    products: Products, state: ContrastiveState, count: int, chains: int, centred: bool, gradients: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Write minus the gradients of W, a and b; return the means of the data and of their hidden responses."""
    visible, hidden, rows = products.visible, products.hidden, count + chains
    hidden[:count].mul_(-1 / count)
    hidden[count:rows].mul_(1 / chains)
    visible_mean, hidden_mean = visible[:count].mean(0), -hidden[:count].sum(0)
    dv = visible_mean - visible[count:rows].mean(0)
    dh = hidden_mean - hidden[count:rows].sum(0)
    weight, visible_bias, hidden_bias = gradients[:3]
    if not centred:
        products.outer(rows, weight)
        torch.neg(dv, out=visible_bias)
        torch.neg(dh, out=hidden_bias)
        return visible_mean, hidden_mean
    mu, offset = state.visible_mean, state.hidden_mean
    visible[rows], hidden[rows] = mu, dh
    visible[rows + 1], hidden[rows + 1] = dv, offset
    products.outer(rows + 2, weight)
    torch.addmv(dv, weight, offset, beta=-1, alpha=-1, out=visible_bias)
    torch.addmv(dh, weight.t(), mu, beta=-1, alpha=-1, out=hidden_bias)
    return visible_mean, hidden_mean


def _products(model: RBM, binary: bool | str) -> Callable[[ContrastiveState], Products]:
    dense = Products(model)
    return lambda state: dense


def _mean_(units: Units, field: Tensor) -> None:
    if isinstance(units, Bernoulli):
        field.sigmoid_()
    else:
        field.copy_(units.mean(field))


def _start(model: RBM, x: Tensor, chains: int, generator: torch.Generator) -> ContrastiveState:
    model.check(x)
    with torch.no_grad():
        # The chains' rows and some more, for the mean response; the mean of the data itself is over all rows.
        rows = torch.randint(len(x), (max(chains, 1000),), generator=generator, device=generator.device)
        field = model.hidden_field(x[rows.to(x.device)].to(model.weight))
        hidden = model.hidden.sample(field[:chains], generator=generator)
        return ContrastiveState(hidden, x.sum(0).to(model.weight) / len(x), model.hidden.mean(field).mean(0))


def _optimizer(model: RBM) -> torch.optim.Optimizer:
    real = model.visible.states is None or model.hidden.states is None
    return torch.optim.SGD(model.parameters(), lr=0.005 if real else 0.05)


def _unit_parameters(model: RBM) -> list[nn.Parameter]:
    return [p for layer in (model.visible, model.hidden) if isinstance(layer, nn.Module) for p in layer.parameters()]


def _as_rbm(model: nn.Module) -> RBM:
    if not isinstance(model, RBM):
        raise MissingCapability(
            f"contrastive divergence trains an RBM, got {type(model).__name__}; "
            "a model with log_prob is trained by deepgen.objectives.MaximumLikelihood"
        )
    return model


def _check_options(options: Options) -> None:
    if isinstance(options.k, bool) or not isinstance(options.k, int) or options.k < 1:
        raise ArgumentError(f"k must be a positive integer, got {options.k!r}")
    if not 0 <= options.sliding <= 1:
        raise ArgumentError(f"sliding must lie in [0, 1], got {options.sliding}")
    if not options.weight_decay >= 0:
        raise ArgumentError(f"weight_decay must be at least 0, got {options.weight_decay}")
    if options.sparsity is not None and len(options.sparsity) != 2:
        raise ArgumentError(f"sparsity must be (target, cost) or None, got {options.sparsity!r}")
    if options.binary not in (True, False, "auto"):
        raise ArgumentError(f"binary must be True, False or 'auto', got {options.binary!r}")
