"""Adversarial training of a reversible map as a Markov chain that mixes fast: A-NICE-MC's objective.

A critic D sees pairs. True ones are two independent positions of the chains. The map's are ends of short paths, each
step by f forwards alone, with a new velocity, and with no acceptance:

    (x', x):    x from the chains,            x' after m steps from x
    (y', y):    y after b steps from noise,   y' after m steps from y (held fixed there);     b, m: uniform, from 1

If f moves noise to the target in b steps, and any point to an independent one in m, no critic can tell them apart.

    critic:  min  E D(true) - E D(map's) + 10 E(|grad D| - 1)^2          between the two (Wasserstein, Gulrajani 2017)
    map:     min  E D(map's) + eta E|v'|^2 / 2                          v' near N(0, 1), or moves are not accepted

It asks for no density and no likelihood, and so for nothing that acceptance needs but through v': look at the
acceptance, and at the mixing, of the chains that come out. Source: Song, Zhao & Ermon 2017.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count, check_real
from deepgen.layers.linear import linear
from deepgen.objectives.adam import adam
from deepgen.objectives.adversarial_penalties import GradientPenalty, Judged
from deepgen.random import key, normal, resolve
from deepgen.typing import Update


class Critic(NamedTuple):
    """weights of D; means, squares: Adam's running means of their gradients and of the squares; steps: D's, 0-d."""

    weights: tuple[Tensor, ...]
    means: tuple[Tensor, ...]
    squares: tuple[Tensor, ...]
    steps: Tensor


@dataclass(frozen=True)
class AdversarialMixing:
    """Train a map of (x, v), for `deepgen.samplers.Reversible`, against a critic of pairs.

    Attributes:
        features, velocity: widths of x and of v; that of v is x's by default.
        from_noise, between: the limits of b and m; their 8 and 2 by default.
        eta: weight of the velocity's part.
        critic: hidden widths of D.
        critic_steps: updates of D for one of the map.
        rate: of both Adams, whose betas are (0.5, 0.9).
        noise: scale of the noise x starts from; about the target's.
        generator: source of D's initial weights; None draws them from that of the run.

    Metrics: ``critic``, the estimated distance E D(map's) - E D(true) (0 where they agree), and ``velocity``, |v'|^2
    by its width (1 where it is right).

    >>> import deepgen as dg
    >>> f = dg.samplers.velocity_couplings(2, dg.transforms.Shift, hidden=[8], generator=0)
    >>> objective = AdversarialMixing(2, critic=(16,), generator=0)
    >>> x, stream = torch.zeros(32, 2), dg.random.generator(0)
    >>> update = objective.update(f, objective.optimizer(f))
    >>> _, metrics = update(objective.start(f, x, generator=stream), x, generator=stream)
    >>> sorted(metrics)
    ['critic', 'velocity']
    """

    features: int
    velocity: int | None = None
    from_noise: int = 8
    between: int = 2
    eta: float = 1.0
    critic: tuple[int, ...] = (128, 128)
    critic_steps: int = 5
    rate: float = 5e-4
    noise: float = 1.0
    generator: torch.Generator | int | None = None

    def __post_init__(self) -> None:
        check_count(features=self.features, from_noise=self.from_noise, between=self.between)
        check_count(critic_steps=self.critic_steps, velocity=self._velocity())
        for width in self.critic:
            check_count(**{"each width of critic": width})
        for name in ("eta", "rate", "noise"):
            check_real(name, getattr(self, name), 0)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Critic:
        """A new critic, to which nothing has happened."""
        source = resolve(key(generator) if self.generator is None else self.generator)
        weights = tuple(p.detach().to(next(model.parameters())) for p in self._critic(source).parameters())
        means, squares = (tuple(torch.zeros_like(w) for w in weights) for _ in range(2))
        return Critic(weights, means, squares, torch.zeros((), dtype=torch.float32, device=weights[0].device))

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam with the paper's rate and betas, for the map; the critic has one of its own."""
        return adam(model, lr=self.rate, betas=(0.5, 0.9))

    def update(self, model: Any, optimizer: torch.optim.Optimizer) -> Update:
        """The step function over a batch of positions ``[rows, features]``; an odd last row is left out."""
        critic = self._critic(resolve(0)).to(next(model.parameters()))  # its weights are those of the state
        sharpen, penalty = adam(critic, lr=self.rate, betas=(0.5, 0.9)), GradientPenalty(10.0)

        def walk(x: Tensor, limit: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
            """1 to ``limit`` steps, drawn for the batch; the end and its velocity."""
            z = x
            for _ in range(int(torch.randint(1, limit + 1, (), generator=g, device=g.device))):
                v = normal((len(x), self._velocity()), generator=g, dtype=x.dtype)
                z = model.encode(torch.cat([z[:, : self.features], v], 1))[0]
            return z[:, : self.features], z[:, self.features :]

        def pairs(x: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
            """The map's pairs ``[2 rows, 2 features]`` and the velocities at their ends."""
            y, v1 = walk(self.noise * normal(x.shape, generator=g, dtype=x.dtype), self.from_noise, g)
            x_end, v2 = walk(x, self.between, g)
            y_end, v3 = walk(y.detach(), self.between, g)
            return torch.cat([torch.cat([x_end, x], 1), torch.cat([y_end, y], 1)]), torch.cat([v1, v2, v3])

        def step(state: Critic, batch: Tensor, *, generator: torch.Generator) -> tuple[Critic, dict[str, Tensor]]:
            if batch.ndim != 2 or len(batch) < 2 or batch.shape[1] != self.features:
                raise ShapeError(
                    f"a batch must be [rows, {self.features}] with two rows or more, for pairs of them, got "
                    f"{list(batch.shape)}: choose a batch_size that leaves no single row at the end"
                )
            rows = len(batch) // 2
            _put(state, critic, sharpen)
            for _ in range(self.critic_steps):
                order = torch.randperm(len(batch), generator=generator, device=batch.device)
                true = torch.cat([batch[order], batch[order.roll(1)]], 1)  # the chains are exchangeable: two of them
                with torch.no_grad():
                    made = pairs(batch[order[:rows]], generator)[0]
                real, fake = Judged(true, critic(true)), Judged(made, critic(made))
                held = penalty(real._replace(rows=true[: len(made)]), fake, critic, generator=generator)
                sharpen.zero_grad(set_to_none=True)
                (real.logits.mean() - fake.logits.mean() + held.mean()).backward()
                sharpen.step()
            made, v = pairs(batch[:rows], generator)
            optimizer.zero_grad(set_to_none=True)
            judged = critic(made).mean()
            (judged + self.eta * v.square().sum(1).mean() / 2).backward()
            optimizer.step()
            metrics = {"critic": (judged - critic(true).mean()).detach(), "velocity": v.square().mean().detach()}
            return _taken(critic, sharpen), metrics

        return step

    def _velocity(self) -> int:
        return self.features if self.velocity is None else self.velocity

    def _critic(self, stream: torch.Generator) -> nn.Module:
        widths = [2 * self.features, *self.critic]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [linear(before, after, generator=stream), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, linear(widths[-1], 1, generator=stream))


@torch.no_grad()
def _put(state: Critic, critic: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give the networks of the step function what the state says they are."""
    for p, weight, mean, square in zip(critic.parameters(), *state[:3], strict=True):
        p.copy_(weight)
        moments = {"step": state.steps, "exp_avg": mean, "exp_avg_sq": square}
        optimizer.state[p] = {name: moment.clone() for name, moment in moments.items()}


def _taken(critic: nn.Module, optimizer: torch.optim.Optimizer) -> Critic:
    """What the step function has made of them."""
    weights = list(critic.parameters())
    kept = [optimizer.state[p] for p in weights]
    means, squares = (tuple(one[name] for one in kept) for name in ("exp_avg", "exp_avg_sq"))
    return Critic(tuple(p.detach().clone() for p in weights), means, squares, kept[0]["step"])
