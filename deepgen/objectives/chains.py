"""Maximum likelihood of an energy model by persistent chains, alone or beside a generator that learns to propose.

The gradient of the mean log-likelihood is a difference of two means, over data rows (d) and over the model (m):

    d/dw <log p(x)>_d = <d log f(x) / dw>_d - <d log f(x) / dw>_m

The model's mean is over chains that are kept from step to step and moved ``k`` kernel steps after each (Tieleman 2008;
for networks the chains are called a replay buffer, Du & Mordatch 2019). What is biased: chains lag behind parameters
that move, by an amount that falls with the rate and with 1 / k; ``restart`` brings in chains that have run for few
steps; ``ula`` has another law. What is exact: with an exact kernel, no restarts and a rate that goes to zero, the fixed
points are those of maximum likelihood (Younes 1999).

`AdversarialChains` also trains the model's ``proposal`` q, a flow. Together they play

    min over q, max over f:   <log f>_d - <log f>_q - H(q),       which at the best q is <log p>_d (q = p),

but the energy's own gradient is still taken at chains, where q's draws are accepted or rejected: a bad q costs speed
and not truth. "forward" fits q to the chains by likelihood (Xie et al. 2018, cooperative learning) and covers all modes
that chains are in; "reverse" is the game itself, min KL(q | p), which prefers to miss a mode (Dai et al. 2017).
"""

from __future__ import annotations

import inspect
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from deepgen import samplers
from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.explicit.energy import EnergyModel
from deepgen.objectives.adam import adam
from deepgen.objectives.give import give
from deepgen.random import uniform
from deepgen.samplers.composed import Cycle
from deepgen.samplers.kernel import Exactness
from deepgen.share_means import balance, over_rows
from deepgen.typing import LogProb, Update

_GAIN = 0.2  # of the log step size, for each update
_LONGEST = math.log(100)
_REPORTED = {"acceptance": "acceptance", "local_acceptance": "acceptance", "far_acceptance": "far"}  # of Info's fields


class Chains(NamedTuple):
    """position: ``[chains, *event]``, all of a sampler's state that outlives new parameters; log_step: 0-d."""

    position: Tensor
    log_step: Tensor

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("position",)


@dataclass(frozen=True)
class PersistentChains:
    """Stochastic maximum likelihood for an `EnergyModel`, with chains as the replay buffer.

    The metrics: ``gap``, the mean log density of the batch minus that of the chains, in nats, which says whether they
    can be told apart and nothing about the likelihood (for that `deepgen.evaluate.log_likelihood`); ``acceptance``.

    Args:
        k: kernel steps between updates.
        chains: how many.
        restart: share of chains that start anew from the base before each update. 1 is short-run training, whose model
            is what k steps from the base make of it, and not p.
        kernel: name of a constructor of `deepgen.samplers`; see `EnergyModel.kernel`.
        step_size: of the kernel. None: follows its aim for the acceptance as the model changes.
        decay: weight of <f^2>_d + <f^2>_m, which holds the network's outputs near zero (Du & Mordatch 2019) and draws
            the model to its base.

    >>> import deepgen as dg
    >>> base = dg.distributions.MultivariateNormal(2)
    >>> model = dg.explicit.EnergyModel(dg.layers.ScalarMLP(2, generator=0), base=base)
    >>> x = torch.randn(200, 2, generator=dg.random.generator(0)) / 2
    >>> history = dg.fit(model, x, PersistentChains(k=5, chains=50), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['gap', 'acceptance']
    """

    k: int = 10
    chains: int = 100
    _: KW_ONLY
    restart: float = 0.0
    kernel: str = "auto"
    step_size: float | None = None
    decay: float = 0.0

    def __post_init__(self) -> None:
        check_count(k=self.k, chains=self.chains)
        check_real("restart", self.restart, 0, 1)
        check_real("decay", self.decay, 0)
        if self.step_size is not None:
            check_real("step_size", self.step_size, 1e-30)
        if not isinstance(self.kernel, str):
            raise ArgumentError(f"kernel must be the name of a constructor of deepgen.samplers, got {self.kernel!r}")

    def exactness(self, model: nn.Module) -> Exactness:
        """What is known of the law that the chains would settle at if the model stood still.

        >>> import deepgen as dg
        >>> model = dg.explicit.EnergyModel(dg.layers.ScalarMLP(2), event_shape=2)
        >>> print(PersistentChains(kernel="ula", step_size=0.1).exactness(model))
        biased (O(step size))
        """
        found = self._kernel(_as_energy(model), torch.ones(())).exactness
        return found & Exactness("biased", "restarts") if self.restart else found

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Chains:
        """Chains at rows of the data ``x`` chosen at random."""
        energy = _as_energy(model)
        energy.check(x)
        chosen = torch.randint(len(x), (self.chains,), generator=generator, device=generator.device)
        position = energy.rows(x[chosen.to(x.device)])
        kernel = self._kernel(energy, torch.ones((), device=position.device))  # names what does not fit before training
        if self.step_size is None and self._steps(energy) and _aim(kernel) is None:
            raise ArgumentError(f"{self.kernel} has no aim for its acceptance to tune a step by: give step_size")
        several = next((rows for rows in (position, energy.rows(x)) if rows.numel() > 1), None)
        scale = 1.0 if energy.scaled or several is None else float(several.std().clamp_min(1e-6))
        power = {"hmc": 1.0}.get(self.kernel, 2.0)  # a length or its square
        guess = 0.3 if energy.discrete else scale**power * position[0].numel() ** (-power / 6)
        step = guess if self.step_size is None else self.step_size
        return Chains(position, torch.tensor(step, dtype=torch.float64, device=position.device).log())

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: move the chains, take the difference of two means, let ``optimizer`` step."""
        energy = _as_energy(model)

        def step(state: Chains, batch: Tensor, *, generator: torch.Generator) -> tuple[Chains, dict[str, Tensor]]:
            chains, metrics = self._move(energy, state, generator)
            optimizer.zero_grad(set_to_none=True)
            value, tilt = _densities(energy, torch.cat([energy.rows(batch), chains.position]))
            data, free = value[: len(batch)].mean(), value[len(batch) :].mean()
            gap = data - balance() * free
            loss = -gap
            if self.decay:
                square = tilt.square()
                loss = loss + self.decay * (square[: len(batch)].mean() + balance() * square[len(batch) :].mean())
            if loss.requires_grad:  # an energy may be held while its generator learns
                loss.backward()
            more = self._more(energy, chains.position, generator)
            optimizer.step()
            return chains, {"gap": gap.detach(), **metrics, **more}

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return adam(model, lr=1e-3)

    @torch.no_grad()
    def _move(self, model: EnergyModel, chains: Chains, generator: torch.Generator) -> tuple[Chains, dict[str, Tensor]]:
        position = chains.position
        if self.restart:
            fresh = model.start(len(position), generator=generator)
            coin = uniform((len(position),), generator=generator).to(position.device) < self.restart
            position = torch.where(coin.reshape(-1, *(1,) * (position.ndim - 1)), fresh, position)
        kernel = self._kernel(model, chains.log_step.exp().to(position.dtype))
        state, found = kernel.init(position), []
        for _ in range(self.k):
            state, info = kernel.step(state, generator=generator)
            found.append(info)
        aim = _aim(kernel)
        metrics = {
            name: balance() * torch.stack([getattr(info, field) for info in found]).mean()
            for field, name in _REPORTED.items()
            if hasattr(found[0], field)
        }
        log_step = chains.log_step
        if self.step_size is None and aim is not None:
            excess = over_rows(metrics["acceptance"]).double() - aim
            log_step = log_step + _GAIN * excess
            if model.discrete:  # longer ones change nothing, and would take long to come back from
                log_step = log_step.clamp_max(_LONGEST)
        return Chains(state.position, log_step), metrics

    def _kernel(self, model: EnergyModel, step: Tensor) -> Any:
        return model.kernel(self.kernel, **({"step_size": step} if self._steps(model) else {}))

    def _steps(self, model: EnergyModel) -> bool:
        """Whether the kernel has a step size."""
        name = model.usual_kernel if self.kernel == "auto" else self.kernel
        make = getattr(samplers, name, None)
        return callable(make) and "step_size" in inspect.signature(make).parameters

    def _more(self, model: EnergyModel, position: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What else is trained: nothing. The proposal, if there is one, gets no gradient here."""
        return {}


@dataclass(frozen=True)
class AdversarialChains(PersistentChains):
    """`PersistentChains`, while the model's ``proposal``, a flow, learns to draw what the chains draw.

    Metrics beside those of `PersistentChains`: ``far``, the acceptance of the flow's draws; ``proposal``, its mean
    log-likelihood of the chains in nats ("forward"), or minus the bound KL(q | p) - log Z ("reverse").

    Args:
        learn: ``"forward"`` or ``"reverse"``; other arguments as of `PersistentChains`.

    >>> import deepgen as dg
    >>> flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    >>> model = dg.explicit.EnergyModel(
    ...     dg.layers.ScalarMLP(2, generator=0), base=dg.distributions.MultivariateNormal(2), proposal=flow
    ... )
    >>> x = torch.randn(200, 2, generator=dg.random.generator(0)) / 2
    >>> history = dg.fit(model, x, AdversarialChains(k=5, chains=50), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['gap', 'acceptance', 'far', 'proposal']
    """

    _: KW_ONLY
    learn: Literal["forward", "reverse"] = "forward"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learn not in ("forward", "reverse"):
            raise ArgumentError(f"learn must be 'forward' or 'reverse', got {self.learn!r}")

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Chains:
        """Chains at rows of the data; `MissingCapability` unless the model has a proposal that can be trained so."""
        proposal = _as_energy(model).proposal
        if proposal is None:
            raise MissingCapability("there is no generator to train: EnergyModel(net, ..., proposal=a flow)")
        if not isinstance(proposal, LogProb):
            raise MissingCapability(
                f"a proposal is trained here by its log_prob, and {type(proposal).__name__} has none: give a flow, or "
                "train a reversible map by deepgen.objectives.AdversarialMixing in deepgen.samplers.train_proposal"
            )
        if not any(p.requires_grad for p in proposal.parameters()):
            raise ArgumentError(
                "the proposal is frozen, so there is nothing to train in it: proposal.requires_grad_(), or train the "
                "energy alone by PersistentChains"
            )
        if self.learn == "reverse" and not hasattr(proposal, "draw"):
            raise MissingCapability(
                f"learn='reverse' needs draws with a gradient, as a Flow's draw() gives; {type(proposal).__name__} has "
                "none: use learn='forward'"
            )
        return super().start(model, x, generator=generator)

    def _more(self, model: EnergyModel, position: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        proposal: Any = model.proposal
        parameters = [p for p in proposal.parameters() if p.requires_grad]
        with torch.enable_grad():
            if self.learn == "forward":
                value = proposal.log_prob(position).mean()
            else:
                drawn = proposal.draw(len(position), generator=generator)
                value = (model.log_density(drawn.x) - drawn.log_prob).mean()
            gradients = torch.autograd.grad(-balance() * value, parameters)  # to q alone: f learns from the chains
        give(parameters, gradients)
        return {"proposal": balance() * value.detach()}


def _aim(kernel: Any) -> float | None:
    """The acceptance that the local kernel's proposal is best at; None if it has none."""
    local = kernel.kernels[0] if isinstance(kernel, Cycle) else kernel  # of EnergyModel.kernel
    return getattr(getattr(local, "proposal", None), "acceptance", None)


def _densities(model: EnergyModel, x: Tensor) -> tuple[Tensor, Tensor]:
    tilt, reference = model.tilt(x), model.reference()
    return (tilt if reference is None else tilt + reference.log_prob(x)), tilt


def _as_energy(model: nn.Module) -> EnergyModel:
    if not isinstance(model, EnergyModel):
        raise MissingCapability(
            f"these chains train an EnergyModel, got {type(model).__name__}; an RBM is trained by "
            "deepgen.objectives.PersistentCD, a model with log_prob by MaximumLikelihood"
        )
    return model
