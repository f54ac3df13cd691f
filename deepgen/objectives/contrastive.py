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

from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit.rbm import RBM
from deepgen.objectives.products import SPARSE, BinaryProducts, Products, use_binary
from deepgen.typing import Update


class ContrastiveState(NamedTuple):
    """chains: hidden layers ``[chains, hidden]`` (no rows for CD); the running means that serve as offsets."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor


@dataclass(frozen=True)
class PersistentCD:
    """Persistent contrastive divergence: stochastic maximum likelihood for an `RBM` over any pair of unit layers.

    The rate, momentum and decay are the optimizer's (by default plain SGD). The metric ``moment_gap``
    is the Euclidean norm of <h>_d - <h>_m, which the gradient sets to zero. It says whether chains look like data to
    the hidden layer and nothing about the likelihood, for which see `deepgen.evaluate.log_likelihood`.

    Args:
        k: Gibbs steps between updates.
        chains: number of persistent chains.
        centred: use the running means as offsets; otherwise offsets are zero.
        sliding: weight of the newest batch in the running means.
        weight_decay: L2 penalty ``weight_decay / 2 |W|^2``, on the weights and not on the biases.
        sparsity: ``(target, cost)`` pulls each hidden unit's running mean towards ``target`` through its bias, with
            gradient ``cost (mean - target)`` (Hinton 2010, section 11).
        binary: take products as sums over ones, by `deepgen.explicit.binary`; ``"auto"`` where they are faster (sparse
            Bernoulli data on a CPU), True to insist, False never. Both ways sample the same law.

    >>> import deepgen as dg
    >>> rbm, x = dg.RBM(visible=6, hidden=4, generator=0), torch.eye(6)
    >>> objective, stream = PersistentCD(chains=10), dg.random.generator(0)
    >>> step = objective.update(rbm, objective.optimizer(rbm))
    >>> state, metrics = step(objective.start(rbm, x, generator=stream), x, generator=stream)
    >>> state.chains.shape, list(metrics)
    (torch.Size([10, 4]), ['moment_gap'])
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


Options = PersistentCD | ContrastiveDivergence


def _update(model: RBM, optimizer: torch.optim.Optimizer, options: Options) -> Update:
    insist, allow = use_binary(model, options.binary)
    own = _unit_parameters(model)
    trained = [model.weight, model.visible_bias, model.hidden_bias, *own]
    gradients = [torch.zeros_like(p) for p in trained]
    stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    plain = type(optimizer) is torch.optim.SGD and all(id(p) in stepped and p.requires_grad for p in trained)
    counted = False
    workspaces: dict[tuple[bool, int, int], Products] = {}

    @torch.no_grad()
    def update(
        state: ContrastiveState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[ContrastiveState, dict[str, Tensor]]:
        nonlocal counted
        binary = insist or (allow and float(state.visible_mean.mean()) < SPARSE)
        sizes = (binary, len(batch), len(state.chains) if isinstance(options, PersistentCD) else len(batch))
        if sizes not in workspaces:
            if len(workspaces) > 3:  # room for the usual sizes and the ragged last batch, not for every size
                workspaces.clear()
            workspaces[sizes] = (BinaryProducts if binary else Products)(model, *sizes[1:])
        products = workspaces[sizes]
        products.load(batch)
        weight = model.weight.detach()

        # Sampling: hidden -> visible -> hidden, k times. Persistent chains go up the last time together with the data.
        if isinstance(options, PersistentCD):
            _run(products, state.chains, options.k, generator)
            products.up(products.both)
            fields = None
        else:
            products.up(products.data)
            fields = products.data.hidden.clone() if own else None
            _run(products, products.draw(products.data, generator), options.k, generator)
            products.up(products.free)
        if own:
            _own_descent(products, fields, own, gradients[3:])
        if isinstance(options, PersistentCD):
            products.respond(products.data)
            chains = products.draw(products.free, generator)
        else:
            products.respond(products.free)
            chains = state.chains

        rate = _plain_rate(optimizer) if plain else None
        if rate is None:
            target, alpha, beta = gradients[0], 1.0, 0.0
        else:
            target, alpha, beta = weight, -rate, 1 - rate * options.weight_decay
        means = products.descend(
            state.visible_mean,
            state.hidden_mean,
            sliding=options.sliding,
            centred=options.centred,
            biases=gradients[1:3],
            weight=target,
            alpha=alpha,
            beta=beta,
        )
        if options.sparsity is not None:
            goal, cost = options.sparsity
            gradients[2].add_(means[1] - goal, alpha=cost)
        if rate is None:
            if options.weight_decay:
                gradients[0].add_(weight, alpha=options.weight_decay)
        else:
            for parameter, gradient in zip(trained[1:], gradients[1:], strict=True):
                parameter.add_(gradient, alpha=-rate)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient if rate is None else None
        if rate is None or not counted:
            optimizer.step()  # with plain SGD once, without gradients, to let a scheduler see that steps are taken
            counted = True
        return ContrastiveState(chains, *means), {"moment_gap": torch.linalg.vector_norm(products.dh)}

    return update


def _plain_rate(optimizer: torch.optim.Optimizer) -> float | None:
    """The rate of plain SGD, or None if anything else stands between a gradient and its step.

    Plain SGD is added to the weights by the outer product itself, which spares writing and reading the gradient.
    """
    group = optimizer.param_groups[0]
    if group["momentum"] or group["weight_decay"] or group["maximize"] or not isinstance(group["lr"], float):
        return None
    if len(optimizer.param_groups) > 1 or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return None
    return group["lr"]


def _run(products: Products, hidden: Tensor, k: int, generator: torch.Generator) -> None:
    """Leave the visible layers reached from ``hidden`` after k ways down and k - 1 ways up."""
    for step in range(k):
        if step:
            products.up(products.free)
            hidden = products.draw(products.free, generator)
        products.down(hidden, generator)


def _own_descent(products: Products, fields: Tensor | None, own: list[nn.Parameter], out: list[Tensor]) -> None:
    """Write minus the gradients of the unit layers' own parameters: those of u(v) - A(field), data minus chains."""
    model, (data, free) = products.model, (products.data, products.free)

    def free_energy(visible: Tensor, field: Tensor) -> Tensor:
        return (model.visible.energy(visible) - model.hidden.cumulant(field)).mean()

    with torch.enable_grad():
        loss = free_energy(data.visible, data.hidden if fields is None else fields)
        loss = loss - free_energy(free.visible, free.hidden)
        for buffer, gradient in zip(out, torch.autograd.grad(loss, own), strict=True):
            buffer.copy_(gradient)


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
