"""Train the feature networks of `deepgen.evaluate.sample_quality`: `python benchmarks/digit_features.py [8 28]
[--root FOLDER] [--seed 0] [--out deepgen/evaluate/weights]`.

Side 8 learns the embedded digits, side 28 MNIST's 50,000 training rows, read from --root or DEEPGEN_DATA. Each image is
shown as grey values, thresholded at 1/2, or with pixels drawn by their grey values, chosen at random, and moved by up
to one pixel (8x8) or two (28x28) in each direction, a batch alike. Nothing is chosen on test rows: the settings are
fixed here. It prints the accuracy on the test rows, grey and thresholded, and the CPU seconds, and writes the weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

import deepgen as dg
from deepgen.evaluate.features import WEIGHTS, DigitFeatures

DATA = {8: "digits", 28: "mnist"}
EPOCHS = {8: 60, 28: 10}
BATCH = {8: 32, 28: 128}
RATE = 2e-3


def shown(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Images ``[n, 1, side, side]`` as the network sees them in training."""
    x = x.view(-1, 1, side, side)
    reach = max(1, side // 14)
    across, down = (int(torch.randint(-reach, reach + 1, (), generator=generator)) for _ in range(2))
    x = pad(x, [reach] * 4)[:, :, reach + down : reach + down + side, reach + across : reach + across + side]
    kind = torch.randint(3, (len(x), 1, 1, 1), generator=generator)
    drawn = (torch.rand(x.shape, generator=generator) < x).to(x)
    return torch.where(kind == 0, x, torch.where(kind == 1, (x >= 0.5).to(x), drawn))


def train(side: int, root: str | None, seed: int) -> tuple[DigitFeatures, str]:
    """The trained network, and what it achieves, in words."""
    data = dg.data.load(DATA[side], binarise="none", **({} if side == 8 else {"root": root}))
    assert isinstance(data.train, Tensor)
    assert data.labels is not None
    x, labels = data.train, torch.as_tensor(data.labels.train).long()
    stream = dg.random.generator(seed)
    network = DigitFeatures(side, generator=stream)
    steps = EPOCHS[side] * (len(x) // BATCH[side])
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    start = time.process_time()
    for _ in range(EPOCHS[side]):
        for rows in torch.randperm(len(x), generator=stream).split(BATCH[side])[: len(x) // BATCH[side]]:
            optimizer.zero_grad()
            cross_entropy(network.logits(shown(x[rows], side, stream)), labels[rows]).backward()
            optimizer.step()
            rate.step()
    seconds = time.process_time() - start
    scale(network, x)
    test, truth = data.test, torch.as_tensor(data.labels.test).long()
    hits = [float((network.classes(rows) == truth).double().mean()) for rows in (test, (test >= 0.5).to(test))]
    grey, binary = (f"{100 * hit:.2f} %" for hit in hits)
    return network, f"{network.name}: test accuracy {grey} grey, {binary} thresholded; {seconds:.0f} CPU s, seed {seed}"


@torch.no_grad()
def scale(network: DigitFeatures, x: Tensor) -> None:
    """Give each feature the deviation 1 over the rows ``x``; the logits stay: a ReLU lets positive factors through."""
    deviation = torch.cat([network(rows) for rows in x.split(1000)]).std(0).clamp_min(1e-3)
    network.features.weight /= deviation.unsqueeze(1)
    network.features.bias /= deviation
    network.digits.weight *= deviation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[8, 28], help="8, 28 or both")
    parser.add_argument("--root", default=None, help="folder with the data sets; DEEPGEN_DATA by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for side in arguments.sides:
        network, words = train(side, arguments.root, arguments.seed)
        dg.save(network, arguments.out / f"digits_{side}")
        print(words, flush=True)


if __name__ == "__main__":
    main()
