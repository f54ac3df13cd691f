"""What blocks and quarter turns are worth in image networks: `python benchmarks/image_blocks.py [--seeds 3]`.

- `conv_vae` on binary digits (8 x 8) with none, residual, inception or dense blocks in its encoder, at equal steps: the
  bound of 500 draws on the test rows.
- Energies of 4 x 4 bits, each image at a quarter turn of its own drawn at random: a plain `ConvEncoder` and a
  `P4Encoder` of as many weights at two rates, by exact likelihood, over one base.

Nats per example; mean and standard error over the seeds, which draw weights, batches, latents, turns and chains; CPU s
of one thread, a run in the mean. The tables of docs/concepts/latent.md and docs/concepts/energy.md are from here.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import deepgen as dg
from deepgen.layers import ConvEncoder, DenseBlock, Inception, P4Encoder, ResidualBlock

BLOCKS: dict[str, Callable[[torch.Generator], Any]] = {
    "none": lambda g: None,
    "residual": lambda g: [ResidualBlock(width, generator=g) for width in (16, 32)],
    "inception": lambda g: [
        Inception(16, 4, (8, 8), (2, 2), 2, generator=g),
        Inception(32, 8, (16, 16), (4, 4), 4, generator=g),
    ],
    "dense": lambda g: [DenseBlock(width, 2, 8, generator=g) for width in (16, 32)],
}
ENERGIES: dict[str, Callable[[torch.Generator], Any]] = {
    "ConvEncoder": lambda g: ConvEncoder((1, 4, 4), 1, features=(16,), hidden=32, generator=g),
    "P4Encoder": lambda g: P4Encoder((1, 4, 4), (), features=(8,), hidden=16, generator=g),
}


def bound(name: str, seed: int) -> tuple[int, float, float]:
    """Numbers of the encoder, the held-out bound, and CPU seconds to train and judge."""
    data, stream = dg.data.load("digits"), dg.random.generator(seed)
    x, test = (rows.view(-1, 1, 8, 8) for rows in (data.train, data.test))
    vae = dg.implicit.conv_vae(
        (1, 8, 8), (16, 32), latent=8, hidden=64, blocks=BLOCKS[name](stream), generator=stream
    )  # fmt: skip
    started = time.process_time()
    dg.fit(
        vae, x, dg.objectives.ELBO(), epochs=25, batch_size=50, optimizer=torch.optim.Adam(vae.parameters(), lr=2e-3),
        schedule=_falling, seed=seed, progress=False,
    )  # fmt: skip
    with warnings.catch_warnings():  # of heavy tails: the bounds are compared with one another
        warnings.simplefilter("ignore", dg.errors.DegenerateWeights)
        found = dg.evaluate.log_likelihood(vae, test, samples=500, generator=seed)
    return sum(p.numel() for p in vae.encoder.parameters()), found.value, time.process_time() - started


def energy(name: str, rate: float, seed: int) -> tuple[int, float, float]:
    """Numbers of the network, the exact held-out log-likelihood, and CPU seconds."""
    data, stream = dg.data.load("digits", binarise="none"), dg.random.generator(seed)
    x, test = (_turned((F.avg_pool2d(d.view(-1, 1, 8, 8), 2) > 0.4).float(), stream) for d in (data.train, data.test))
    net = ENERGIES[name](stream)
    every = torch.cat([x.rot90(times, (2, 3)) for times in range(4)])
    base = dg.distributions.IndependentBernoulli(16)
    model = dg.explicit.EnergyModel(net, (1, 4, 4), support="binary", base=base).initialise(every)
    started = time.process_time()
    dg.fit(
        model, x, dg.objectives.PersistentChains(k=5, chains=100), epochs=30, batch_size=100,
        optimizer=torch.optim.Adam(net.parameters(), lr=rate), schedule=_falling, seed=seed, progress=False,
    )  # fmt: skip
    found = dg.evaluate.log_likelihood(model, test)
    assert found.side == "exact"
    return sum(p.numel() for p in net.parameters()), found.value, time.process_time() - started


def _turned(x: Tensor, stream: torch.Generator) -> Tensor:
    times = torch.randint(4, (len(x),), generator=stream)
    return torch.stack([image.rot90(int(k), (1, 2)) for image, k in zip(x, times, strict=True)])


def _falling(done: float) -> float:
    return 1.0 - done


def told(title: str, runs: list[tuple[int, float, float]]) -> str:
    numbers, values, seconds = zip(*runs, strict=True)
    found = torch.tensor(values, dtype=torch.float64)
    error = float(found.std()) / len(runs) ** 0.5
    return f"{title:38} {numbers[0]:7,} numbers  {found.mean():8.3f} +- {error:.3f}  {sum(seconds) / len(runs):5.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, seeds 0 to {seeds[-1]}")
    for name in BLOCKS:
        print(told(f"conv_vae, blocks: {name}", [bound(name, seed) for seed in seeds]), flush=True)
    for name in ENERGIES:
        for rate in (0.002, 0.005):
            print(told(f"energy, {name}, rate {rate}", [energy(name, rate, seed) for seed in seeds]), flush=True)


if __name__ == "__main__":
    main()
