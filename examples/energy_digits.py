"""Can a generator be a probabilistic model with a likelihood? An energy model of scanned digits, judged by annealing.

p(x) is the exponential of a network's output times a Gaussian with the data's mean and covariance, over 64 grey pixels
(with uniform noise of one grey level, so that densities are finite). Persistent chains train it, exact Langevin chains
draw from it, and annealed importance sampling states its log-likelihood, as an interval between a value that lies above
in expectation and one that lies below as far as chains have mixed. The Gaussian alone and a mixture of Gaussians, both
with exact likelihoods, stand beside it.

    python examples/energy_digits.py
"""

from __future__ import annotations

from pathlib import Path

import torch

import deepgen as dg
from deepgen.plot import image_grid


def main(
    epochs: int = 95,
    hidden: int = 256,
    chains: int = 100,
    temperatures: int = 1000,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    data = dg.data.load("digits", dequantise="fixed", seed=seed)
    normal = dg.distributions.MultivariateNormal(64).initialise(data.train)
    gaussian = float(normal().log_prob(data.test).mean())
    mixture = dg.explicit.Flow(dg.transforms.Chain([]), dg.distributions.NormalMixture(64, 20, generator=seed))
    with torch.no_grad():  # components start at rows of the data
        mixture.base.means.copy_(data.train[:20])
        mixture.base.log_scales.fill_(-1.5)
    rate = torch.optim.Adam(mixture.parameters(), lr=0.01)
    dg.fit(mixture, data.train, dg.objectives.MaximumLikelihood(), epochs=60, optimizer=rate, seed=seed, progress=False)
    mixed = dg.evaluate.log_likelihood(mixture, data.test)

    net = dg.layers.ScalarMLP(64, [hidden, hidden], generator=seed)
    model = dg.explicit.EnergyModel(net, base=normal).initialise(data.train)
    objective = dg.objectives.PersistentChains(k=10, chains=200)
    rate = torch.optim.Adam(net.parameters(), lr=2e-3)
    dg.fit(
        model,
        data.train,
        objective,
        epochs=epochs,
        optimizer=rate,
        schedule=lambda done: 1 - done,
        seed=seed,
        progress=False,
    )

    annealed = dg.evaluate.log_likelihood(
        model, data.test, "bidirectional", chains=chains, temperatures=temperatures, generator=seed
    )
    low, high = annealed.interval()
    print(f"test log-likelihood of {len(data.test)} digits; moves of the chains: {objective.exactness(model)}")
    print(f"Gaussian with the data's moments  {gaussian:.2f} nats/example (exact)")
    print(f"mixture of 20 diagonal Gaussians  {mixed}")
    print(f"energy model over the Gaussian    {annealed}")
    print(f"95 % interval                     [{low:.2f}, {high:.2f}]")

    samples = model.sample(100, steps=1000, generator=seed)
    title = "Energy model: 100 chains of 1000 Langevin steps"
    image_grid(samples, data.image_shape, limits=(0.0, 1.0), title=title, path=out / "energy_digits.png")
    print(f"samples in {out / 'energy_digits.png'}")
    return {"gaussian": gaussian, "mixture": mixed.value, "low": low, "high": high}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
