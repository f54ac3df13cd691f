"""Can a generator be a probabilistic model with a likelihood? An energy model of scanned digits, judged by annealing.

p(x) is the exponential of a network's output times a Gaussian with the data's mean and covariance, over grey pixels
(with uniform noise of one grey level, so that densities are finite). Persistent chains train it, exact Langevin chains
draw from it, and annealed importance sampling states its log-likelihood, as an interval between a value that lies above
in expectation and one that lies below as far as chains have mixed. The Gaussian alone and a mixture of Gaussians, both
with exact likelihoods, stand beside it.

    python examples/energy_digits.py                  # 8 x 8 pixels, about a minute
    python examples/energy_digits.py --data mnist     # MNIST at 14 x 14 pixels of 16 levels, some minutes

MNIST's files are found by DEEPGEN_DATA. Its 28 x 28 pixels are averaged in blocks of 2 x 2 and rounded to 16 levels:
the noise of one of 256 levels would make the likelihood one of margins that are empty.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.plot import image_grid
from deepgen.plot.figures import new_figure, save

UPDATES = {"digits": 1045, "mnist": 1500}


def load(name: str, seed: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Training rows, at most 2,000 test rows, and the shape of an image."""
    if name == "digits":
        data = dg.data.load(name, dequantise="fixed", seed=seed)
        return data.train, data.test, (8, 8)
    data, stream = dg.data.load(name), dg.random.generator(seed)

    def coarse(x: Tensor) -> Tensor:
        levels = (15 * x.reshape(-1, 14, 2, 14, 2).mean((2, 4)).flatten(1)).round()
        return (levels + torch.rand(levels.shape, generator=stream)) / 16

    return coarse(data.train), coarse(data.test[:2000]), (14, 14)


def mixture_of(train: Tensor, seed: int, components: int = 20, updates: int = 700) -> dg.explicit.Flow:
    """A mixture of diagonal Gaussians by maximum likelihood; components start at rows of the data."""
    width = train.shape[1]
    mixture = dg.explicit.Flow(
        dg.transforms.Chain([]), dg.distributions.NormalMixture(width, components, generator=seed)
    )
    with torch.no_grad():
        mixture.base.means.copy_(train[:components])
        mixture.base.log_scales.copy_(train.std(0).log().expand(components, -1))
    rate = torch.optim.Adam(mixture.parameters(), lr=0.01)
    fit(mixture, train, dg.objectives.MaximumLikelihood(), rate, updates, seed)
    return mixture


def fit(model: torch.nn.Module, train: Tensor, objective: object, rate: object, updates: int, seed: int) -> None:
    """About ``updates`` updates, in whole epochs of batches of 100, at a rate that falls to 0."""
    epochs = max(1, round(updates / math.ceil(len(train) / 100)))
    falling = {"optimizer": rate, "schedule": lambda done: 1 - done}
    dg.fit(model, train, objective, epochs=epochs, batch_size=100, seed=seed, progress=False, **falling)


def main(
    data: str = "digits",
    updates: int | None = None,
    hidden: int = 256,
    chains: int = 100,
    temperatures: int = 1000,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    train, test, shape = load(data, seed)
    normal = dg.distributions.MultivariateNormal(train.shape[1]).initialise(train)
    gaussian = float(normal().log_prob(test).mean())
    mixture = mixture_of(train, seed)
    mixed = dg.evaluate.log_likelihood(mixture, test)

    net = dg.layers.ScalarMLP(train.shape[1], [hidden, hidden], generator=seed)
    model = dg.explicit.EnergyModel(net, base=normal).initialise(train)
    objective = dg.objectives.PersistentChains(k=10, chains=200)
    rate = torch.optim.Adam(net.parameters(), lr=2e-3)
    fit(model, train, objective, rate, updates or UPDATES[data], seed)

    rows = {
        "Test rows": test[:40],
        "The Gaussian": dg.random.draw(normal(), (20,), generator=dg.random.generator(seed)),
        "The mixture of 20 Gaussians": mixture.sample(20, generator=seed),
        "The energy model: 80 chains, each 1,000 Langevin steps from the Gaussian": model.sample(
            80, steps=1000, generator=seed
        ),
    }
    figure = new_figure(1000, 610)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(len(rows), 1, height_ratios=[len(x) // 20 + 0.3 for x in rows.values()])
    for ax, (title, x) in zip(axes, rows.items(), strict=True):
        image_grid(x, shape, columns=20, limits=(0.0, 1.0), title=title, ax=ax)
    picture = save(figure, out / f"energy_{data}.png")
    print(f"samples in {picture}")

    annealed = dg.evaluate.log_likelihood(
        model, test, "bidirectional", chains=chains, temperatures=temperatures, generator=seed
    )
    low, high = annealed.interval()
    print(f"test log-likelihood of {len(test)} rows of {data}; moves of the chains: {objective.exactness(model)}")
    print(f"Gaussian with the data's moments  {gaussian:.2f} nats/example (exact)")
    print(f"mixture of 20 diagonal Gaussians  {mixed}")
    print(f"energy model over the Gaussian    {annealed}")
    print(f"95 % interval                     [{low:.2f}, {high:.2f}]")
    return {"gaussian": gaussian, "mixture": mixed.value, "low": low, "high": high}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(UPDATES), default="digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
