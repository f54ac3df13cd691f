"""Which modes does a GAN find? `python benchmarks/gan_modes.py [--only WORDS] [--seeds 3] [--out DIR] [--stacked]`.

25 Gaussians on a grid (standard deviation 0.05, 2 apart), 2,500 draws after training: a draw is good within three
standard deviations of its nearest mode (98.9 % of real rows are), and a mode is found when a good draw belongs to it.
Every cell of loss and penalty has the same networks, updates and rates; only what its paper asks for differs (betas,
steps of the critic). About 100 CPU seconds a seed and cell. A run that was stopped goes on from its checkpoint.

``--stacked`` is the protocol of the 1,000 modes (three random MNIST digits as the channels of a colour image; VEEGAN,
PacGAN): 26,000 draws, each channel read by a classifier trained on MNIST, modes seen of 1,000, and the KL divergence
from their frequencies to the data's. 26,000 real rows would show a KL of about 999 / 52,000 = 0.019. It wants hours of
a CPU, or a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import deepgen as dg
from deepgen.implicit import GAN, DCGANDiscriminator, DCGANGenerator, Dense, SpectralNorm
from deepgen.objectives import (
    R1,
    R2,
    Adversarial,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

RATES: dict[str, Any] = {"generator_rate": 1e-3, "discriminator_rate": 1e-3}
GAMMA = 0.1  # of the grid, whose modes are narrow beside their distance
CELLS: dict[str, Adversarial] = {
    "relativistic, R1 and R2": Adversarial(Relativistic(), (R1(GAMMA), R2(GAMMA)), **RATES),
    "relativistic, R1": Adversarial(Relativistic(), R1(GAMMA), **RATES),
    "relativistic, no penalty": Adversarial(Relativistic(), (), **RATES),
    "non-saturating, R1": Adversarial(NonSaturating(), R1(GAMMA), **RATES),
    "non-saturating, no penalty": Adversarial(NonSaturating(), (), **RATES),
    "minimax, no penalty": Adversarial(Minimax(), (), **RATES),
    "least squares, no penalty": Adversarial(LeastSquares(), (), **RATES),
    "hinge, spectral norm": Adversarial(Hinge(), (), **RATES),
    "Wasserstein, gradient penalty": Adversarial(
        Wasserstein(), GradientPenalty(0.1), critic_steps=5, betas=(0.0, 0.9), **RATES
    ),
}
UPDATES, BATCH, DRAWS, STD = 8_000, 256, 2_500, 0.05


def networks(name: str, seed: int) -> GAN:
    G = Dense(2, [128, 128], 2, activation="leaky_relu", generator=seed)
    D = Dense(2, [128, 128], (), activation="leaky_relu", generator=seed + 1000)
    judge = SpectralNorm(D, generator=seed) if "spectral" in name else D
    return GAN(G, judge, latent=2)


def found(x: Tensor, centres: Tensor, std: float = STD) -> tuple[int, float]:
    """Modes with a good draw, and the share of good draws."""
    distance, mode = torch.cdist(x, centres).min(1)
    good = distance < 3 * std
    return len(mode[good].unique()), float(good.double().mean())


def grid(name: str, seed: int, out: Path) -> str:
    law = dg.data.gaussian_grid(5, std=STD)
    x = dg.random.draw(law, (100 * BATCH,), generator=dg.random.generator(seed))
    gan = networks(name, seed)
    history = dg.fit(
        gan, x, CELLS[name], epochs=UPDATES // 100, batch_size=BATCH, schedule=lambda done: min(1.0, 2 - 2 * done),
        seed=seed, out=out,
    )  # fmt: skip
    modes, good = found(gan.sample(DRAWS, generator=seed), law.component_distribution.mean)
    error = (good * (1 - good) / DRAWS) ** 0.5
    return (
        f"{name}, seed {seed}: {modes} of 25 modes, {100 * good:.1f} +- {100 * error:.1f} % good of {DRAWS} draws, "
        f"{history[-1].cpu_seconds:.0f} CPU s"
    )


def stack(images: Tensor, labels: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """``n`` colour images of three digits each ``[n, 3, 28, 28]``, and their modes ``[n]``, 100 a + 10 b + c."""
    chosen = torch.randint(len(images), (n, 3), generator=dg.random.generator(seed))
    return images[chosen], labels[chosen] @ torch.tensor([100, 10, 1])


def classifier(images: Tensor, labels: Tensor, device: str) -> Callable[[Tensor], Tensor]:
    """What reads a channel: a small network trained on single digits for five passes."""
    net = DCGANDiscriminator((28, 28), 32, 10, generator=0).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(5):
        order = torch.randperm(len(images), generator=dg.random.generator(epoch))
        for rows in order.split(100):
            optimizer.zero_grad()
            F.cross_entropy(net(images[rows].to(device)), labels[rows].to(device)).backward()
            optimizer.step()
    net.eval()
    return lambda x: torch.cat([net(part).argmax(1) for part in x.flatten(0, 1).split(1000)]).view(len(x), 3)


def stacked(name: str, seed: int, out: Path, device: str) -> str:
    data = dg.data.load("mnist", binarise="none")
    images, labels = data.train.view(-1, 28, 28), data.labels.train
    read = classifier(images, labels, device)
    test, test_labels = data.test.view(-1, 28, 28).to(device), data.labels.test.to(device)
    accuracy = float((read(test.unsqueeze(1).expand(-1, 3, -1, -1))[:, 0] == test_labels).double().mean())
    x, modes = stack(images, labels, 128_000, seed)
    D = DCGANDiscriminator((3, 28, 28), 64, norm=False, generator=seed + 1000)
    judge = SpectralNorm(D, generator=seed) if "spectral" in name else D
    gan = GAN(DCGANGenerator(64, (3, 28, 28), 64, generator=seed), judge, latent=64).to(device)
    history = dg.fit(gan, x, CELLS[name], epochs=25, batch_size=64, seed=seed, out=out)
    with torch.no_grad():
        stream = dg.random.generator(seed, device=device)
        digits = torch.cat([read(gan.sample(1000, generator=stream)) for _ in range(26)])
    counts = torch.bincount(digits.cpu() @ torch.tensor([100, 10, 1]), minlength=1000).double()
    p, q = counts / counts.sum(), torch.bincount(modes, minlength=1000).double() / len(modes)
    kl = float(torch.where(p > 0, p * (p / q).log(), 0.0).sum())
    return (
        f"stacked MNIST, {name}, seed {seed}: {int((counts > 0).sum())} of 1000 modes, KL {kl:.3f} nats of 26,000 "
        f"draws (real rows: about 0.019), the classifier is right on {100 * accuracy:.2f} % of test digits, "
        f"{history[-1].cpu_seconds:.0f} CPU s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="cells whose name contains one of these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/gan_modes"))
    parser.add_argument("--stacked", action="store_true", help="the 1,000 modes of stacked MNIST")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in CELLS:
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        for seed in range(arguments.seeds):
            place = arguments.out / f"{'stacked' if arguments.stacked else 'grid'}_{name.replace(' ', '-')}_{seed}"
            if arguments.stacked:
                print(stacked(name, seed, place, arguments.device), flush=True)
            else:
                print(grid(name, seed, place), flush=True)


if __name__ == "__main__":
    main()
