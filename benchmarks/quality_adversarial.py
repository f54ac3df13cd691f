"""Rows of `quality.py adversarial`: the modes of 25 Gaussians and of stacked MNIST, and DCGANs trained in four ways.

25 Gaussians: a grid, 2 apart, deviation 0.05; 2,500 draws, a draw is good within three deviations of its nearest mode
(98.9 % of real rows are), and a mode is found when a good draw belongs to it. Stacked MNIST: three random digits as the
channels of an image, 26,000 draws, each channel read by deepgen's digit network; modes of 1,000 that were seen, and the
KL of their shares from the data's beside that of 26,000 exact draws. Both are the protocols of VEEGAN (Srivastava et
al. 2017) and PacGAN (Lin et al. 2018). Images: the Fréchet distance of draws from held-out images, in the features of
the digit network (of each channel), beside that of real images from real images.

The four ways have the same networks, batches and updates of the discriminator; only what its paper asks for differs,
and the rate. On images that of R1 and R2 was chosen among three on the validation images, and the others' are as
published. On the 25 Gaussians all have one rate, which no paper states, and the strength and schedule of R1 and R2 were
chosen there, by modes and good draws; so the ways are not tuned alike.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from quality_rows import Results, Row, Task, products
from torch import Tensor
from torch.utils.data import Dataset

import deepgen as dg
from deepgen.implicit import GAN, DCGANDiscriminator, DCGANGenerator, Dense, SpectralNorm
from deepgen.layers.convolution import HE

MODES, SIDE = 1000, 28
GRID_DRAWS, STACKED_DRAWS, JUDGED = 2_500, 26_000, 10_000  # the protocols' two, and of the Fréchet distance
OTHER = 1000  # added to the seed where the grid is judged for a choice: its rows are drawn, so no part is held out


def run_grid(row: Row, task: Task) -> Results:
    """Train on 25 Gaussians, in units of their spread, and count the modes."""
    s, seed = row.setting, task.seed + (0 if task.judge == "test" else OTHER)
    law = dg.data.gaussian_grid(5)
    std, centres = law.component_distribution.stddev[0, 0], law.component_distribution.mean
    batches = min(100, s["updates"])
    stream = dg.random.generator(seed)
    x = dg.random.draw(law, (batches * s["batch"],), generator=stream) / s["unit"]
    G = Dense(s["latent"], s["hidden"], 2, activation="leaky_relu", generator=stream)
    D = Dense(2, s["hidden"], (), activation="leaky_relu", generator=stream)
    for layer in (*G.layers[:-1], *D.layers[:-1]):  # a signal keeps its size through rectifiers
        layer.weight.data *= HE
    judge = SpectralNorm(D, generator=stream) if s.get("spectral") else D
    gan = GAN(G, judge, latent=s["latent"], average=s["average"])
    place = task.folder.with_name(f"{row.folder()}_seed-{seed}")
    cost = fitted(gan, x, s["updates"] // batches, row, replace(task, seed=seed, folder=place))
    distance, mode = torch.cdist(gan.sample(GRID_DRAWS, generator=stream).cpu() * s["unit"], centres).min(1)
    good = distance < 3 * std
    share = float(good.double().mean())
    return {
        "data": f"25 Gaussians, deviation {float(std):.2g}, {len(x)} rows",
        "modes found": len(mode[good].unique()),
        "good draws, %": round(100 * share, 2),
        "stderr": round(100 * (share * (1 - share) / GRID_DRAWS) ** 0.5, 2),
        "n": GRID_DRAWS,
        **cost,
    }


def run_images(row: Row, task: Task) -> Results:
    """Train a DCGAN on MNIST, or on colours of its digits, and judge its draws."""
    s, stream = row.setting, dg.random.generator(task.seed)
    data = dg.data.load("mnist", root=task.root, binarise="none")
    assert data.labels is not None
    colours, held_out = s["data"] == "stacked_mnist", getattr(data, task.judge).view(-1, SIDE, SIDE)
    train = Stacked(data.train, s["rows"], task.seed) if colours else data.train.view(-1, SIDE, SIDE)
    shape = (3, SIDE, SIDE) if colours else (SIDE, SIDE)
    gan = convolutional(s, shape, stream).to(task.device)
    cost = fitted(gan, train, s["epochs"], row, task)
    started = time.process_time()
    features = DigitsOf(3 if colours else 1)
    draw = dg.random.generator(task.seed, device=task.device)
    parts, kinds = [], []
    for _ in range(-(-(STACKED_DRAWS if colours else JUDGED) // 1000)):
        x = gan.sample(1000, generator=draw).cpu()
        kinds.append(features.classes(x))
        parts += [x] if len(parts) < JUDGED // 1000 else []
    real = held_out[:JUDGED]
    if colours:
        real = Stacked(held_out, JUDGED, OTHER + task.seed).all()
    fake = torch.cat(parts)[: len(real)]
    quality = dg.evaluate.sample_quality(
        real=real, fake=fake, features=features, metrics=["frechet"], generator=task.seed
    )
    shares = digit_shares(data.labels.train)
    if colours:
        shares = (shares.view(10, 1, 1) * shares.view(1, 10, 1) * shares).flatten()
    found = dg.evaluate.mode_coverage(
        fake=torch.cat(kinds), modes=len(shares), probabilities=shares, generator=task.seed
    )
    return {
        "data": f"{s['data']}, {len(train)} train, {task.judge} images held out",
        "modes found": found.covered,
        "modes": found.modes,
        "KL, nats": round(found.kl, 4),
        "stderr of KL": round(found.stderr, 4),
        "KL of exact draws": dg.evaluate.plus_minus(found.kl_floor, found.kl_floor_spread),
        "draws read": found.n_fake,
        **distances(quality),
        **cost,
        "evaluate CPU s": round(time.process_time() - started),
    }


def convolutional(s: Mapping[str, Any], shape: tuple[int, ...], stream: torch.Generator) -> GAN:
    """The DCGAN of a row's setting, for images of a shape."""
    G = DCGANGenerator(s["latent"], shape, s["width"], norm=s["norms"][0], generator=stream)
    D = DCGANDiscriminator(shape, s["width"], norm=s["norms"][1], generator=stream)
    return GAN(G, SpectralNorm(D, generator=stream) if s.get("spectral") else D, latent=s["latent"])


def distances(quality: dg.evaluate.Quality) -> Results:
    """The Fréchet distance beside its floor, and the same without its bias."""
    distance, limit = quality["frechet"], quality["frechet_infinity"]
    return {
        "Fréchet distance": round(distance.value, 3),
        "stderr of Fréchet": round(distance.stderr, 3),
        "real against real": dg.evaluate.plus_minus(distance.floor, distance.floor_spread),
        "without its bias": dg.evaluate.plus_minus(limit.value, limit.stderr),
        "n real, fake": [distance.n_real, distance.n_fake],
        "features": distance.features,
    }


def fitted(gan: GAN, train: Any, epochs: int, row: Row, task: Task) -> Results:
    """Train, resuming from the row's checkpoint; the cost, and what was said of the game."""
    s = row.setting
    with warnings.catch_warnings(record=True) as caught, products(row, task):
        warnings.simplefilter("always", dg.objectives.AdversarialWarning)
        history = dg.fit(
            gan, train, objective(s), epochs=epochs, batch_size=s["batch"], schedule=fading, seed=task.seed,
            out=task.folder,
        )  # fmt: skip
    said = [str(w.message) for w in caught if issubclass(w.category, dg.objectives.AdversarialWarning)]
    return {
        "parameters": [sum(p.numel() for p in net.parameters()) for net in (gan.generator, gan.discriminator)],
        "updates": history[-1].step,
        "told apart at the end": round(history[-1].metrics["told_apart"], 3),
        **({"warned": said} if said else {}),
        "train CPU s": round(history[-1].cpu_seconds),
    }


def objective(s: Mapping[str, Any]) -> dg.objectives.Adversarial:
    """The objective that a row's setting names."""
    o = dg.objectives
    penalty = tuple(getattr(o, name)(strength) for name, strength in s["penalty"].items())
    maker, judge = s["rates"]
    return o.Adversarial(
        getattr(o, s["loss"])(), penalty, early=s.get("early", 1.0), warmup=s.get("warmup", 0),
        critic_steps=s.get("critic", 1), generator_rate=maker, discriminator_rate=judge, betas=tuple(s["betas"]),
    )  # fmt: skip


def fading(done: float) -> float:
    """Factor of the rates: 1 over the first half, then down in a line to zero."""
    return min(1.0, 2 - 2 * done)


class Stacked(Dataset[Tensor]):
    """``rows`` images ``[3, 28, 28]`` whose channels are digits chosen at random, by ``seed``, from ``images``."""

    def __init__(self, images: Tensor, rows: int, seed: int) -> None:
        self.images = images.view(-1, SIDE, SIDE)
        self.chosen = torch.randint(len(images), (rows, 3), generator=dg.random.generator(seed))

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, row: int) -> Tensor:
        return self.images[self.chosen[row]]

    def all(self) -> Tensor:
        return self.images[self.chosen]


class DigitsOf:
    """The digit network's features of each channel, side by side, and its reading of all of them."""

    def __init__(self, channels: int) -> None:
        self.network, self.channels = dg.evaluate.digit_features(SIDE), channels
        self.name = self.network.name + (f" of each of {channels} channels" if channels > 1 else "")

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(x.reshape(-1, SIDE, SIDE)).view(len(x), -1)

    def classes(self, x: Tensor) -> Tensor:
        return self.network.classes(x)


def digit_shares(labels: Any) -> Tensor:
    """How frequent each digit is, ``[10]``."""
    counts = torch.bincount(torch.as_tensor(labels).long(), minlength=10).double()
    return counts / counts.sum()


WAYS: dict[str, dict[str, Any]] = {
    "R1 and R2": {"loss": "Relativistic", "penalty": {"R1": 0.25, "R2": 0.25}, "betas": [0.0, 0.99]},
    "WGAN-GP": {"loss": "Wasserstein", "penalty": {"GradientPenalty": 10.0}, "betas": [0.0, 0.9], "critic": 5},
    "SN": {"loss": "Hinge", "penalty": {}, "betas": [0.5, 0.999], "spectral": True},
    "DCGAN": {"loss": "NonSaturating", "penalty": {}, "betas": [0.5, 0.999]},
}
NORMS = {"R1 and R2": [False, False], "WGAN-GP": [True, False], "SN": [True, False], "DCGAN": [True, True]}
IMAGES = {"latent": 64, "width": 32, "batch": 64, "rates": [2e-4, 2e-4]}


def _mnist(way: str, **setting: Any) -> Row:
    everything = {"data": "mnist", **WAYS[way], "norms": NORMS[way], **IMAGES, "epochs": 12, **setting}
    return Row(f"MNIST, {way}", run_images, everything, seeds=3)


def _stacked(way: str, **setting: Any) -> Row:
    target = ">= 950 modes" if way == "R1 and R2" else ""
    everything = {"data": "stacked_mnist", "rows": 128_000, **WAYS[way], "norms": NORMS[way], **IMAGES, "epochs": 6}
    return Row(f"stacked MNIST, {way}", run_images, {**everything, **setting}, target, seeds=3)


def _grid(name: str, **setting: Any) -> Row:
    everything = {"penalty": {}, **PLANE, **setting}
    return Row(f"25 Gaussians, {name}", run_grid, everything, "25 modes" if name == "R1 and R2" else "", seeds=3)


def _constant(gamma: float, **setting: Any) -> Row:
    return _grid("R1 and R2, constant", loss="Relativistic", penalty={"R1": gamma, "R2": gamma}, **setting)


PLANE = {"hidden": [128, 128, 128], "latent": 2, "unit": 2.8, "updates": 20_000, "batch": 256, "rates": [1e-3, 1e-3],
         "betas": [0.0, 0.99], "average": 0.99}  # fmt: skip
GAMMA = 1e-5  # of the candidates the one with all modes and the most good draws
DOWN = {"loss": "Relativistic", "penalty": {"R1": GAMMA, "R2": GAMMA}, "early": 1e4, "warmup": 10_000}  # from 0.1
GRID = [
    _grid("R1 and R2", **DOWN),
    _grid("WGAN-GP", **{**WAYS["WGAN-GP"], "penalty": {"GradientPenalty": 0.1}}),  # the authors' weight for such data
    _grid("SN", **WAYS["SN"]),
    _grid("DCGAN", **WAYS["DCGAN"]),
    _constant(GAMMA),
]
OTHERS = [  # cells of the grid that no paper of the table stands for
    _grid("no penalty", loss="Relativistic"),
    _grid("minimax", loss="Minimax"),
    _grid("least squares", loss="LeastSquares"),
    _grid("R1 alone", loss="Relativistic", penalty={"R1": GAMMA}),
    _grid("non-saturating, R1", loss="NonSaturating", penalty={"R1": GAMMA}),
]
LOW = {"products": "bfloat16"}  # two thirds of the time of float32; drawing and judging are in float32
CHOSEN = {**LOW, "rates": [1e-3, 1e-3]}  # of three rates, on validation images of stacked MNIST
ROWS = [
    _stacked("R1 and R2", **CHOSEN),
    *GRID,
    *(_mnist(way, **(CHOSEN if way == "R1 and R2" else LOW)) for way in WAYS),
    *(_stacked(way, **LOW) for way in WAYS if way != "R1 and R2"),
]
SINGLE = [
    *(_constant(gamma) for gamma in (1e-3, 1e-4, 1e-5)),
    _constant(1e-3, unit=1.0),
    _constant(1e-4, hidden=[128] * 4),
    _constant(1e-4, rates=[2e-3, 2e-3]),
    *(_stacked("R1 and R2", rates=[rate, rate], epochs=2) for rate in (2e-4, 5e-4, 1e-3)),
]
CANDIDATES = [_grid("penalties that come down", **DOWN), *(replace(row, seeds=1) for row in [*SINGLE, *OTHERS])]
FULL = [
    _stacked("R1 and R2", width=64, epochs=40),
    *(_mnist(way, width=64, epochs=100) for way in WAYS),
    *(_stacked(way, width=64, epochs=40) for way in WAYS if way != "R1 and R2"),
]
