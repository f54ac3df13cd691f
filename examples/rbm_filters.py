"""What does each hidden unit of an RBM look at, and are its dreams digits?

The weights of a hidden unit are an image: pixels that raise its field are blue, those that lower it red. Beside the
strongest of these filters stand digits and samples of the machine. Its likelihood lies in an interval, from annealing
both ways, above that of independent pixels; how much of an image a filter looks at is told by the number of pixels
over which its squared weight is spread, (sum w^2)^2 / sum w^4, here their median over the hidden units.

    python examples/rbm_filters.py                  # 8 x 8 pixels, half a minute
    python examples/rbm_filters.py --root FOLDER    # MNIST from FOLDER, some minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import deepgen as dg
from deepgen.plot import filters, image_grid
from deepgen.plot.figures import new_figure, save
from deepgen.plot.images import strongest


def main(
    root: Path | None = None,
    hidden: int | None = None,
    epochs: int | None = None,
    rows: int = 1000,
    temperatures: int | None = None,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    data = dg.data.load("digits") if root is None else dg.data.load("mnist", root=root, binarise="threshold")
    hidden = hidden or (100 if root is None else 500)
    test, width = data.test[:rows], data.train.shape[1]
    rbm = dg.explicit.RBM(width, hidden, generator=seed).initialise(data.train)
    dg.fit(
        rbm,
        data.train,
        dg.objectives.PersistentCD(k=1, chains=100, weight_decay=1e-4),
        epochs=epochs or (150 if root is None else 10),
        batch_size=20 if root is None else 100,
        schedule=lambda done: 1 - done,
        seed=seed,
        progress=False,
    )
    pixels = dg.explicit.BernoulliMixture(width).initialise(data.train)  # the baseline: pixels are independent
    baseline = dg.evaluate.log_likelihood(pixels, test)
    temperatures = temperatures or ("adaptive" if root is None else 4000)  # the adaptive ones warn on MNIST
    found = {name: dg.evaluate.log_likelihood(rbm, x, method="bidirectional", base=data.train, generator=seed,
                                              temperatures=temperatures)
             for name, x in (("test", test), ("training", data.train[:rows]))}  # fmt: skip
    weight = rbm.weight.detach().double()
    spread = weight.square().sum(0).square() / weight.pow(4).sum(0)
    numbers = {"baseline": baseline.value, "pixels": float(spread.median())}
    print(f"independent pixels, test rows  {baseline}")
    for name, each in found.items():
        numbers[f"{name}, low"], numbers[f"{name}, high"] = each.interval()
        print(f"RBM {width}-{hidden}, {name} rows  {each}")
    print(f"half of the filters spread over fewer than {numbers['pixels']:.0f} of {width} pixels; seed {seed}")

    samples = rbm.sample(64, steps=2000, generator=seed)
    figure = new_figure(1200, 430)
    figure.set_layout_engine("constrained", wspace=0.06)
    left, middle, right = figure.subplots(1, 3)
    image_grid(data.train[:64], data.image_shape, title="Training images", ax=left)
    image_grid(samples, data.image_shape, title="Samples, 2,000 Gibbs steps each", ax=middle)
    shown = strongest(rbm, 64)
    limit = float(weight.abs()[:, shown].quantile(0.99))
    title = f"{len(shown)} strongest of {hidden} filters"
    filters(rbm, data.image_shape, units=shown, limit=limit, title=title, ax=right)
    path = save(figure, out / f"rbm_filters_{'digits' if root is None else 'mnist'}.png", scale=2)
    print(f"picture in {path}")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds MNIST's files; without it the 8 x 8 digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
