"""Rows of `quality.py adversarial` on photographs: DCGANs trained in four ways on 10,000 colour images of 32 x 32.

The images are a subset of CIFAR-10 (Krizhevsky 2009) that went through JPEG, 1,000 to train and 200 to test of each of
ten classes, so that no figure compares with one of CIFAR-10. The Fréchet distance is of 2,000 draws from the 2,000 test
images in 64 features of a small network that learned the classes from the training images, beside that of real images
from real images. That network is trained once and kept beside the rows; its test errors stand in each of them.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from quality_adversarial import LOW, NORMS, WAYS, convolutional, distances, fitted
from quality_rows import Results, Row, Task
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import deepgen as dg

SHAPE, CLASSES, WIDTH = (3, 32, 32), 10, 64
EPOCHS, BATCH, RATE = 30, 100, 2e-3  # of the network of features


class PhotoFeatures(nn.Module):
    """`[rows, 3, 32, 32]` in [0, 1] to the means of 64 maps, and on to the logits of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, WIDTH)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in widths[1:])
        self.last = nn.Linear(WIDTH, CLASSES)
        self.name = f"network of photographs, {WIDTH} features"

    def forward(self, x: Tensor) -> Tensor:
        h = 2 * x - 1
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            h = norm(layer(h)).relu()
            h = F.max_pool2d(h, 2) if number < 3 else h
        return h.mean((2, 3))

    def classes(self, x: Tensor) -> Tensor:
        return self.last(self(x)).argmax(1)


def photographs(root: str | None) -> dict[str, Tensor]:
    """Images ``[n, 3, 32, 32]`` in [0, 1] and labels of both parts."""
    path = Path(root or ".") / "cifar10_jpeg_subset" / "cifar10_jpeg_subset.npz"
    arrays = {name: torch.as_tensor(array) for name, array in dg.data.read_npz(path).items()}
    images = {name: arrays[f"{name}_images"].permute(0, 3, 1, 2).float().div_(255) for name in ("train", "test")}
    return {**images, **{f"{name}_labels": arrays[f"{name}_labels"].long() for name in ("train", "test")}}


def features(data: dict[str, Tensor], place: Path) -> PhotoFeatures:
    """The network of features: what ``place`` keeps, else trained on the training images and put there."""
    with dg.random.lend(dg.random.generator(0)):  # torch's own layers start from it
        network = PhotoFeatures()
    if place.exists():
        network.load_state_dict(load_file(place))
        return network.eval()
    stream, x, y = dg.random.generator(1), data["train"], data["train_labels"]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    steps = EPOCHS * len(x) // BATCH
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=stream).split(BATCH):
            images = F.pad(x[rows], (4, 4, 4, 4))  # moved by up to 4 pixels and turned over, so that 10,000 last longer
            top, left, turned = (int(n) for n in torch.randint(9, (3,), generator=stream))
            images = images[:, :, top : top + 32, left : left + 32]
            loss = F.cross_entropy(network.last(network(images.flip(3) if turned % 2 else images)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    beside = place.with_suffix(f".{os.getpid()}.tmp")
    save_file(network.state_dict(), beside)
    beside.replace(place)
    return network.eval()


def run(row: Row, task: Task) -> Results:
    """Train a DCGAN on the photographs and judge its draws."""
    s, stream, data = row.setting, dg.random.generator(task.seed), photographs(task.root)
    started = time.process_time()
    judge = features(data, task.folder.with_name("photo-features.safetensors"))
    with torch.no_grad():
        chosen = torch.cat([judge.classes(x) for x in data["test"].split(500)])
    errors = float((chosen != data["test_labels"]).double().mean())
    ready = time.process_time() - started
    gan = convolutional(s, SHAPE, stream).to(task.device)
    cost = fitted(gan, data["train"], s["epochs"], row, task)
    draw = dg.random.generator(task.seed, device=task.device)
    real = data["test"]
    fake = torch.cat([gan.sample(500, generator=draw).cpu() for _ in range(len(real) // 500)])
    quality = dg.evaluate.sample_quality(
        real=real, fake=fake, train=data["train"], features=judge, metrics=["frechet", "overlap"], generator=task.seed
    )
    return {
        "data": f"subset of CIFAR-10 by JPEG, {len(data['train'])} train, {len(real)} test images held out",
        **distances(quality),
        "features are wrong of": f"{100 * errors:.1f} % of test images",
        **{key: dg.evaluate.plus_minus(quality[key].value, quality[key].stderr) for key in ("precision", "recall")},
        "copies": quality.copies,
        **cost,
        "features CPU s": round(ready),
    }


def _row(way: str) -> Row:
    chosen = {"rates": [1e-3, 1e-3]} if way == "R1 and R2" else {"rates": [2e-4, 2e-4]}
    setting = {"data": "photographs", **WAYS[way], "norms": NORMS[way], "latent": 64, "width": 32, "batch": 64, **LOW,
               **chosen, "epochs": 26}  # fmt: skip
    return Row(f"photographs, {way}", run, setting, seeds=3)


ROWS = [_row(way) for way in WAYS]
