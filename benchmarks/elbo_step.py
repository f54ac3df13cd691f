"""CPU time of a training step of a VAE, beside a plain loop: `python benchmarks/elbo_step.py`.

The network of the papers: 784-200-200 tanh, 50 latent variables and back, Bernoulli likelihood, Adam. ``plain`` is the
loop that a user would write in twenty lines with torch alone: the same layers, the same noise, ``F.linear``, the
closed KL, ``binary_cross_entropy_with_logits``, backward and ``torch.optim.Adam(..., fused=True)``, the optimizer that
objectives begin with. ``default`` is the same loop with Adam as torch has it by default, of one parameter after the
other. ``elbo`` is `deepgen.objectives.ELBO`'s update on `deepgen.implicit.mlp_vae`, which checks its rows, draws from a
generator, builds laws and logs the bound with its parts. All start from the same weights, and their losses are compared
first. ``floor`` is the matrix products of a step alone, forward and backward. At most 1.15 of ``plain`` is the target.

One thread, float32. The sides take turns. Options: ``--batch`` (several), ``--rounds``, ``--json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import floor
import torch
import torch.nn.functional as F
from torch import Tensor

import deepgen as dg

WIDTH, HIDDEN, LATENT, TARGET = 784, 200, 50, 1.15


def bare(
    vae: dg.implicit.VAE, x: Tensor, stream: torch.Generator, *, fused: bool | None = True
) -> Callable[[], Tensor]:
    """The plain loop, on the weights that ``vae`` has."""
    encoder, decoder = ([*part.layers] for part in (vae.encoder, vae.decoder))
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3, fused=fused)

    def network(layers: list[Any], h: Tensor) -> Tensor:
        for layer in layers[:-1]:
            h = torch.tanh(layer(h))
        return layers[-1](h)

    def step() -> Tensor:
        adam.zero_grad()
        mean, log_scale = network(encoder, x).chunk(2, 1)
        scale = log_scale.exp()
        z = mean + scale * torch.randn(mean.shape, generator=stream)
        fit = F.binary_cross_entropy_with_logits(network(decoder, z), x, reduction="sum")
        kl = 0.5 * (mean.square() + scale.square() - 1 - 2 * log_scale).sum()
        loss = (fit + kl) / len(x)
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def ours(vae: dg.implicit.VAE, x: Tensor, stream: torch.Generator) -> Callable[[], Tensor]:
    objective = dg.objectives.ELBO()
    update = objective.update(vae, objective.optimizer(vae))
    state = objective.start(vae, x, generator=stream)

    def step() -> Tensor:
        nonlocal state
        state, metrics = update(state, x, generator=stream)
        return -metrics["bound"]

    return step


def products(batch: int) -> Callable[[], None]:
    """The matrix products of a step: each layer forward, its weights' gradient, its input's (but for the first)."""
    sizes = [
        (WIDTH, HIDDEN),
        (HIDDEN, HIDDEN),
        (HIDDEN, 2 * LATENT),
        (LATENT, HIDDEN),
        (HIDDEN, HIDDEN),
        (HIDDEN, WIDTH),
    ]
    stream = dg.random.generator(0)
    layers = [
        [dg.random.normal(shape, generator=stream) for shape in ((batch, a), (batch, b), (b, a))] for a, b in sizes
    ]

    def run() -> None:
        for index, (x, y, weight) in enumerate(layers):
            torch.mm(x, weight.t())
            torch.mm(y.t(), x)
            if index:
                torch.mm(y, weight)

    return run


def measure(batch: int, rounds: int) -> dict[str, Any]:
    x = torch.bernoulli(torch.full((batch, WIDTH), 0.2), generator=dg.random.generator(0))
    loops: dict[str, Callable[..., Callable[[], Tensor]]] = {
        "plain": bare,
        "default": partial(bare, fused=None),
        "elbo": ours,
    }
    steps = {
        name: make(dg.implicit.mlp_vae(WIDTH, [HIDDEN, HIDDEN], latent=LATENT, generator=0), x, dg.random.generator(1))
        for name, make in loops.items()
    }
    for _ in range(20):  # the same training, to rounding
        one, *others = (float(step()) for step in steps.values())
        assert all(abs(one - other) < 1e-3 * abs(one) for other in others), (one, others)
    sides: floor.Sides = {"floor": products(batch), **steps}
    times = floor.alternate(sides, rounds, inner=10)
    found: dict[str, Any] = {"batch": batch, **{name: floor.median(times, name) for name in sides}}
    for side in ("plain", "default"):
        found[f"elbo / {side}"] = floor.quartiles(floor.ratios(times, "elbo", side))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    floor.keep_memory()
    found = [measure(batch, options.rounds) for batch in options.batch]
    if options.json:
        print(json.dumps({"rows": found, **floor.setting()}))
        return
    print("CPU microseconds of a training step, one thread; quartiles of the rounds' ratios")
    for row in found:
        low, middle, high = row["elbo / plain"]
        least, half, most = row["elbo / default"]
        met = "met" if middle <= TARGET else "MISSED"
        sides = f"products {row['floor']:6.0f}  plain loop {row['plain']:6.0f}  ELBO {row['elbo']:6.0f}"
        print(f"batch {row['batch']:4}  {sides}  ratio {middle:.3f} ({low:.3f}, {high:.3f}), at most {TARGET}: {met}")
        print(
            f"            with torch's default Adam {row['default']:6.0f}  ratio {half:.3f} ({least:.3f}, {most:.3f})"
        )


if __name__ == "__main__":
    main()
