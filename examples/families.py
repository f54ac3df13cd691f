"""Which family describes digits best, and which draws them best? Six of them under one budget, in one table.

An RBM, a PixelCNN, a neural spline flow, a VAE, a GAN and an energy model see the same zeros and ones for the same
time, and the same held-out rows judge them. Their likelihoods are of different sides (exact, between two estimates, a
lower bound, none at all), which the table keeps apart; independent pixels are the floor that all must beat.

    python examples/families.py                                   # 8 x 8 digits, about two minutes
    python examples/families.py --data binarized_mnist --budget 30m

MNIST's files are found by DEEPGEN_DATA. The same call again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch.nn.functional import pad

import deepgen as dg
from deepgen.plot import image_grid
from deepgen.plot.figures import new_figure, save

FAMILIES = ("rbm", "pixelcnn", "nsf", "vae", "gan", "energy")
FLOOR = "bernoulli"
SHOWN = 25  # images of each


def main(
    data: str = "digits",
    budget: str | float = "70s",
    models: tuple[str, ...] = (FLOOR, *FAMILIES),
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    found = dg.compare(data, models, budget=budget, out=out / f"families_{data}", seed=seed)
    print(found)
    print(f"the page: {found.page}")
    rows = dg.data.load(data)
    height, width = rows.image_shape[-2:]
    chosen = torch.randperm(len(rows.test), generator=dg.random.generator(0))[:SHOWN]  # files may be sorted by class
    panels = [("held-out", rows.test[chosen])]
    panels += [(one.title.partition(",")[0], x) for one in found.models if (x := found.draws(one.model)) is not None]
    figure = new_figure(150 * len(panels), 175)
    for ax, (name, x) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        apart = pad(x[:SHOWN].reshape(-1, height, width), (1, 1, 1, 1))  # strokes of neighbours do not touch
        image_grid(apart, (height + 2, width + 2), title=name, ax=ax)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.87, 0.06)
    print(f"written: {save(figure, out / f'families_{data}.png')}")
    # of each that has a likelihood, the least that it is known to be
    return {one.model: low for one in found.models if (low := one.range()[0]) > -math.inf}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--budget", default="70s")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"))
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
