"""CPU time of a training step of a VAE, beside its floor: `python benchmarks/latent_step.py`.

The network of Burda et al. 2016, 784-200-200 tanh, 50 latents, 200-200-784 and Bernoulli logits, with k draws a row.
``floor`` is the matrix products of encoder and decoder alone, forwards and backwards, in the same precision, written
into memory allocated beforehand; ``step`` is all that `deepgen.fit` does with a batch: draws, products, densities,
gradients, Adam. ``torch's bits`` is the same step with torch's own Bernoulli and tanh in the place of ours. One thread;
the sides take turns. Options: ``--rounds``, ``--json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import floor
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

import deepgen as dg

WIDTH, HIDDEN, LATENT = 784, 200, 50
SIZES = ((1, 100), (5, 100), (50, 50))  # k and rows
PRECISIONS = (torch.float32, torch.bfloat16)


class _TorchBits(dg.implicit.Bernoulli):
    """The likelihood as torch computes it."""

    def forward(self, parameters: Any, event_dims: int) -> Any:
        return Independent(Bernoulli(logits=parameters[0], validate_args=False), event_dims, validate_args=False)


def products(k: int, rows: int, dtype: torch.dtype) -> Callable[[], None]:
    """Of every layer: outputs, weight gradients, and input gradients but of the first."""
    sizes = [(WIDTH, HIDDEN, rows), (HIDDEN, HIDDEN, rows), (HIDDEN, 2 * LATENT, rows)]
    sizes += [(LATENT, HIDDEN, rows * k), (HIDDEN, HIDDEN, rows * k), (HIDDEN, WIDTH, rows * k)]
    shapes = [((n, a), (b, a), (n, b), (b, a)) for a, b, n in sizes]
    layers = [tuple(torch.zeros(shape, dtype=dtype) for shape in four) for four in shapes]

    def run() -> None:
        for x, weight, y, slope in layers:
            torch.mm(x, weight.t(), out=y)
            torch.mm(y.t(), x, out=slope)
            if x.shape[1] != WIDTH:
                torch.mm(y, weight, out=x)

    return run


def stepper(k: int, rows: int, dtype: torch.dtype, *, plain: bool) -> Callable[[], None]:
    """A training step of `IWAE` with DReG, or of `ELBO` for k = 1."""
    likelihood = _TorchBits() if plain else dg.implicit.Bernoulli()
    model = dg.implicit.mlp_vae(WIDTH, [HIDDEN, HIDDEN], latent=LATENT, likelihood=likelihood, generator=0)
    if plain:
        for net in (model.encoder, model.decoder):
            nn.Module.__setattr__(net, "activation", torch.tanh)
    stream = dg.random.generator(0)
    x = torch.bernoulli(torch.full((rows, WIDTH), 0.13), generator=stream)
    objective: Any = dg.objectives.IWAE(k, dreg=True) if k > 1 else dg.objectives.ELBO()
    update = objective.update(model, torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True))
    state = objective.start(model, x, generator=stream)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32, cache_enabled=False):
            update(state, x, generator=stream)

    return run


def measure(rounds: int) -> dict[str, float]:
    found = {}
    for dtype in PRECISIONS:
        for k, rows in SIZES:
            sides = {
                "floor": products(k, rows, dtype),
                "step": stepper(k, rows, dtype, plain=False),
                "torch's bits": stepper(k, rows, dtype, plain=True),
            }
            times = floor.alternate(sides, rounds)
            about = f"k = {k}, {rows} rows, {str(dtype).removeprefix('torch.')}"
            found[f"{about}: step, ms"] = floor.median(times, "step") / 1e3
            found[f"{about}: step / floor"] = floor.ratio(times, "step", "floor")
            found[f"{about}: step / step with torch's bits"] = floor.ratio(times, "step", "torch's bits")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    floor.keep_memory()
    found = measure(options.rounds)
    if options.json:
        print(json.dumps({**found, **floor.setting()}))
        return
    for name, value in found.items():
        print(f"{name:60} {value:.2f}")


if __name__ == "__main__":
    main()
