"""Train a neural proposal on the chains it is to serve, freeze it, sample.

    repeat:  run the chains, a local move and the neural one in turn  ->  keep their positions  ->  update the network

The first round has the local move alone, from wherever the chains start. Chains that learn while they run have no
stationary law, so all of their positions are for training only; what comes back is a frozen copy, and a kernel made of
it is exact however badly it was trained. It can only propose what it has seen: a mode that no pilot chain starts in
or finds is found by the trained kernel's local part alone, if ever. Start the chains widely.

What is trained and how is an objective's business, as in `deepgen.fit`: maximum likelihood for flows
(`Independence`, `Involution`), `deepgen.objectives.AdversarialMixing` for `Reversible` maps. Sources: Song et al. 2017
(bootstrap from own chains); Gabrie, Rotskoff & Vanden-Eijnden 2022, "Adaptive Monte Carlo augmented with flows".
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count, check_real
from deepgen.progress import bar
from deepgen.random import streams
from deepgen.samplers.handover import Composed, run, start
from deepgen.samplers.kernel import Kernel, require_exact
from deepgen.samplers.starts import check_start
from deepgen.typing import Objective


@dataclass(frozen=True)
class TrainedProposal:
    """A frozen network, and what it cost.

    Attributes:
        model: the network, frozen; make the kernel of it.
        position: where the chains ended ``[chains, *event]``.
        seconds: CPU seconds of chains and updates together.
        history: the objective's metrics, one tensor ``[rounds]`` each, means over the round's updates; and
            ``acceptance``, the mean of the neural kernel, over its parts where it is a cycle; NaN in the first round.
    """

    model: Any
    position: Tensor
    seconds: float
    history: dict[str, Tensor]

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {float(values[-1]):.3g}" for name, values in self.history.items())
        return f"TrainedProposal({type(self.model).__name__}, {self.seconds:.1f} CPU s, {last})"


def train_proposal(
    model: nn.Module,
    kernel: Callable[[Any], Kernel],
    local: Kernel,
    position: Tensor,
    *,
    objective: Objective | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    rounds: int = 10,
    steps: int = 50,
    updates: int = 100,
    batch_size: int = 512,
    forget: float = 0.5,
    generator: torch.Generator | int | None = None,
    progress: bool = False,
) -> TrainedProposal:
    """Train ``model`` on chains that move by ``local`` and by ``kernel(model)``, and return a frozen copy of it.

    Args:
        model: the network; trained in place.
        kernel: makes the neural kernel of it, such as ``lambda q: independence(target, q, ahead=1)``; local steps come
            between, so candidates drawn further ahead would go to waste.
        local: an exact kernel with a step size that works where the chains start.
        position: ``[chains, *event]``, as wide as the target or wider.
        objective: as of `deepgen.fit`; maximum likelihood by default.
        optimizer: the objective's own by default.
        rounds, steps, updates: rounds, steps of the chains in each (every other one neural, but in the first round),
            and updates of the network after them.
        batch_size: rows of an update.
        forget: share of the kept positions that a new round replaces, so early ones, which the target may hardly
            allow, fade.
        generator: of the chains, and of the updates.

    Raises:
        ArgumentError: a count below 1, or ``forget`` outside [0, 1].
        SupportError: a chain starts at a NaN or an infinity or where log f is NaN, or all of them where f is 0.
        MissingCapability: ``local`` or what ``kernel`` makes is not exact.

    >>> import deepgen as dg
    >>> target = dg.data.gaussian_ring(6, radius=4.0, std=0.5)
    >>> start = 3 * torch.randn(100, 2, generator=dg.random.generator(0))
    >>> flow = dg.explicit.RealNVP(2, hidden=[16], generator=0)
    >>> local = dg.samplers.mala(target, step_size=0.2)
    >>> def neural(q):
    ...     return dg.samplers.independence(target, q, ahead=1)
    >>> trained = train_proposal(flow, neural, local, start, rounds=2, updates=20, generator=0)
    >>> sorted(trained.history), any(p.requires_grad for p in trained.model.parameters())
    (['acceptance', 'log_likelihood'], False)
    >>> x = dg.random.draw(target, (2000,), generator=dg.random.generator(1))
    >>> x = dg.samplers.sample_chain(neural(trained.model), x, draws=100, generator=0).draws[-1]
    >>> # draws of the target stay that, whatever the network has learnt
    >>> bool((x.square().sum(1).mean() - (4**2 + 2 * 0.5**2)).abs() < 0.4)
    True
    """
    from deepgen.objectives.likelihood import MaximumLikelihood  # the objectives' package loads this one

    check_count(rounds=rounds, steps=steps, updates=updates, batch_size=batch_size)
    neural, objective = kernel(model), MaximumLikelihood() if objective is None else objective
    for part in (local, neural):
        require_exact(part, "training a proposal on its chains")
    check_real("forget", forget, 0, 1)
    chains = start([local], position)
    check_start(local, chains.states[0])
    position = chains.position
    clock, stream = time.process_time(), streams(generator, position.device)
    optimizer = objective.optimizer(model) if optimizer is None else optimizer
    state, update = objective.start(model, position, generator=stream), objective.update(model, optimizer)
    kept, history = position[:0], dict[str, list[Tensor]]()
    for index in bar(range(rounds), what="training", unit="round", show=progress):
        if index:  # the network is another one now, and what the neural kernel keeps is to be of this one
            chains = Composed(chains.position, (chains.states[0], neural.init(chains.position)), 1)
        chains, passed, chance = _run([local, neural][: 1 + bool(index)], chains, steps, generator=stream)
        stay = torch.randperm(len(kept), generator=stream, device=kept.device)[: round(len(kept) * (1 - forget))]
        kept = torch.cat([kept[stay], passed])
        found: dict[str, list[Tensor]] = {"acceptance": [chance]}
        for _ in range(updates):
            rows = torch.randint(len(kept), (batch_size,), generator=stream, device=kept.device)
            state, metrics = update(state, kept[rows], generator=stream)
            for name, value in metrics.items():
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            history.setdefault(name, []).append(torch.stack(values).mean())
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    seconds = time.process_time() - clock
    return TrainedProposal(
        frozen, chains.position, seconds, {name: torch.stack(values) for name, values in history.items()}
    )


def _run(
    kernels: Sequence[Kernel], chains: Composed, steps: int, *, generator: torch.Generator
) -> tuple[Composed, Tensor, Tensor]:
    """The last state, the later half of all passed positions, and the mean acceptance of the neural move."""
    passed, chances = [], []
    for t in range(steps):
        index = t % len(kernels)
        chains, info = run(kernels, chains, index, generator)
        if index:
            chances.append(_chance(info, chains.position))
        if t >= steps // 2:
            passed.append(chains.position)
    none = chains.position.new_tensor(math.nan)
    return chains, torch.cat(passed), torch.stack(chances).nanmean() if chances else none


def _chance(info: Any, like: Tensor) -> Tensor:
    """The mean acceptance of a move, over the parts of a cycle; NaN of one that reports none."""
    named = dict(zip(getattr(info, "_fields", ()), info or (), strict=True))
    for end in ("acceptance", "accepted"):
        found = [value.to(like).mean() for name, value in named.items() if name.endswith(end) and value is not None]
        if found:
            return torch.stack(found).nanmean()
    return like.new_tensor(math.nan)


@dataclass(frozen=True)
class BreakEven:
    """When training has paid for itself.

    Attributes:
        training: CPU seconds of training.
        neural, reference: CPU seconds for one effective draw by the trained kernel, and by what is compared with it.

    >>> BreakEven(training=30.0, neural=1e-5, reference=1e-3)
    BreakEven(training 30 CPU s; 10.0 and 1,000.0 us an effective draw; ahead from 30,303 effective draws on)
    """

    training: float
    neural: float
    reference: float

    @property
    def draws(self) -> float:
        """Effective draws from which training and sampling together take less; infinite where never."""
        gain = self.reference - self.neural
        return self.training / gain if gain > 0 else math.inf

    def __repr__(self) -> str:
        costs = f"{1e6 * self.neural:,.1f} and {1e6 * self.reference:,.1f}"
        if self.draws == math.inf:
            return f"BreakEven(training {self.training:.3g} CPU s; {costs} us an effective draw; never ahead)"
        return (
            f"BreakEven(training {self.training:.3g} CPU s; {costs} us an effective draw; "
            f"ahead from {self.draws:,.0f} effective draws on)"
        )
