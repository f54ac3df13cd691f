"""What do hidden units look at if no weight may be below 0?

A machine with weights of both signs says "this pixel, and not that one"; one whose weights cannot be below 0 can only
add, and its units come to stand for parts of digits: strokes. The same machine is trained twice, with
`deepgen.layers.constrain` the second time. What the constraint costs is told by the likelihoods, two intervals from
annealing both ways, above that of independent pixels; how much of an image a unit looks at by the number of pixels
over which its squared weight is spread, (sum w^2)^2 / sum w^4, here their median.

The second machine starts from weights that are 0 but for a tenth: from small weights everywhere it does not leave
independence. Its gradient is not centred: see `PersistentCD`.

    python examples/nonnegative_rbm.py                  # 8 x 8 pixels, half a minute
    python examples/nonnegative_rbm.py --root FOLDER    # MNIST from FOLDER, some minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import deepgen as dg
from deepgen.plot import filters
from deepgen.plot.figures import new_figure, save
from deepgen.plot.images import strongest


def main(
    root: Path | None = None,
    hidden: int = 100,
    epochs: int | None = None,
    rows: int = 1000,
    temperatures: int | str | None = None,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    data = dg.data.load("digits") if root is None else dg.data.load("mnist", root=root, binarise="threshold")
    test, width = data.test[:rows], data.train.shape[1]
    pixels = dg.explicit.BernoulliMixture(width).initialise(data.train)  # the baseline: pixels are independent
    baseline = dg.evaluate.log_likelihood(pixels, test)
    print(f"independent pixels   {baseline}")
    numbers, machines = {"baseline": baseline.value}, {}
    temperatures = temperatures or ("adaptive" if root is None else 4000)  # the adaptive ones warn on MNIST
    for name in ("any weights", "none below 0"):
        apart = name == "none below 0"
        rbm = dg.explicit.RBM(width, hidden, generator=seed).initialise(data.train)
        optimizer = torch.optim.SGD(rbm.parameters(), lr=0.1)
        if apart:
            dg.layers.sparse_(rbm.weight, round(width / 5), axis=1, generator=seed)
            dg.layers.constrain(optimizer, rbm, dg.layers.NonNegative())
        dg.fit(
            rbm,
            data.train,
            dg.objectives.PersistentCD(k=1, chains=100, centred=not apart),
            epochs=epochs or (100 if root is None else 10),
            batch_size=20 if root is None else 100,
            optimizer=optimizer,
            schedule=lambda done: 1 - done,
            seed=seed,
            progress=False,
        )
        found = dg.evaluate.log_likelihood(rbm, test, method="bidirectional", base=data.train, generator=seed,
                                           temperatures=temperatures)  # fmt: skip
        weight = rbm.weight.detach().double()
        spread = float((weight.square().sum(0).square() / weight.pow(4).sum(0)).median())
        numbers[f"{name}, low"], numbers[f"{name}, high"] = found.interval()
        numbers[f"{name}, pixels"], numbers[f"{name}, least"] = spread, float(weight.min())
        print(f"{name:19}  {found}")
        print(f"{'':19}  half of the units spread over fewer than {spread:.1f} of {width} pixels")
        machines[name] = rbm

    figure = new_figure(900, 500)
    figure.set_layout_engine("constrained", wspace=0.06)
    for place, (name, rbm) in zip(figure.subplots(1, 2), machines.items(), strict=True):
        shown = strongest(rbm, 49)
        limit = float(rbm.weight.detach().abs()[:, shown].quantile(0.99))
        filters(rbm, data.image_shape, units=shown, limit=limit, ax=place,
                title=f"{name}: {len(shown)} strongest of {hidden} units")  # fmt: skip
    path = save(figure, out / f"nonnegative_rbm_{'digits' if root is None else 'mnist'}.png", scale=2)
    print(f"picture in {path}; seed {seed}")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds MNIST's files; without it the 8 x 8 digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
