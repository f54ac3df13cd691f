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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.objectives.adam import adam
from deepgen.objectives.likelihood import Nothing
from deepgen.random import normal, resolve
from deepgen.typing import Update


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
        generator: source of D's initial weights.

    Metrics: ``critic``, the estimated distance E D(map's) - E D(true) (0 where they agree), and ``velocity``, |v'|^2
    by its width (1 where it is right).

    >>> import deepgen as dg
    >>> f = dg.samplers.velocity_couplings(2, dg.transforms.Shift, hidden=[8], generator=0)
    >>> objective = AdversarialMixing(2, critic=(16,), generator=0)
    >>> update = objective.update(f, objective.optimizer(f))
    >>> _, metrics = update(Nothing(), torch.zeros(32, 2), generator=dg.random.generator(0))
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
        check_count(critic_steps=self.critic_steps)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        """The empty state; the critic lives in the step function."""
        return Nothing()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam with the paper's rate and betas, for the map; the critic has one of its own."""
        return adam(model, lr=self.rate, betas=(0.5, 0.9))

    def update(self, model: Any, optimizer: torch.optim.Optimizer) -> Update:
        """The step function over a batch of positions ``[rows, features]``; an odd last row is left out."""
        critic = self._critic().to(next(model.parameters()))
        sharpen = adam(critic, lr=self.rate, betas=(0.5, 0.9))

        def walk(x: Tensor, limit: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
            """1 to ``limit`` steps, drawn for the batch; the end and its velocity."""
            z = x
            for _ in range(int(torch.randint(1, limit + 1, (), generator=g, device=g.device))):
                v = normal((len(x), self.velocity or self.features), generator=g, dtype=x.dtype)
                z = model.encode(torch.cat([z[:, : self.features], v], 1))[0]
            return z[:, : self.features], z[:, self.features :]

        def pairs(x: Tensor, g: torch.Generator) -> tuple[Tensor, Tensor]:
            """The map's pairs ``[2 rows, 2 features]`` and the velocities at their ends."""
            y, v1 = walk(self.noise * normal(x.shape, generator=g, dtype=x.dtype), self.from_noise, g)
            x_end, v2 = walk(x, self.between, g)
            y_end, v3 = walk(y.detach(), self.between, g)
            return torch.cat([torch.cat([x_end, x], 1), torch.cat([y_end, y], 1)]), torch.cat([v1, v2, v3])

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            if batch.ndim != 2 or len(batch) < 2 or batch.shape[1] != self.features:
                raise ShapeError(
                    f"a batch must be [rows, {self.features}] with two rows or more, for pairs of them, got "
                    f"{list(batch.shape)}: choose a batch_size that leaves no single row at the end"
                )
            rows = len(batch) // 2
            start = batch[:rows]
            for _ in range(self.critic_steps):
                order = torch.randperm(len(batch), generator=generator, device=batch.device)
                true = torch.cat([batch, batch[order]], 1)  # rows of the chains are exchangeable: pairs of two of them
                with torch.no_grad():
                    made = pairs(batch[order[:rows]], generator)[0]
                loss = (
                    critic(true).mean() - critic(made).mean() + 10 * _slope(critic, true[: len(made)], made, generator)
                )
                sharpen.zero_grad(set_to_none=True)
                loss.backward()
                sharpen.step()
            made, v = pairs(start, generator)
            optimizer.zero_grad(set_to_none=True)
            judged = critic(made).mean()
            (judged + self.eta * v.square().sum(1).mean() / 2).backward()
            optimizer.step()
            return state, {"critic": (judged - critic(true).mean()).detach(), "velocity": v.square().mean().detach()}

        return step

    def _critic(self) -> nn.Module:
        stream = resolve(self.generator)
        widths = [2 * self.features, *self.critic]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [linear(before, after, generator=stream), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, linear(widths[-1], 1, generator=stream))


def _slope(critic: Callable[[Tensor], Tensor], true: Tensor, made: Tensor, generator: torch.Generator) -> Tensor:
    """E(|grad D| - 1)^2 at points between true and made pairs."""
    share = torch.rand(len(made), 1, generator=generator, device=made.device)
    between = (share * true + (1 - share) * made).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()
