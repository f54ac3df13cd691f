"""How close does an RBM come to a distribution that is known in full?

Each of the 2^4 sets of rows of a 4 x 4 image, and each set of columns, is a pattern of bars or of stripes; the empty
and the full image are both, and so twice as likely as the other 28. No model can score above minus the entropy of that
distribution, -3.379 nats. The gap to it is the Kullback-Leibler divergence from the data to the model, which here is
exact: the partition function is a sum over 2^16 states.

    python examples/bars_and_stripes.py
"""

from __future__ import annotations

from pathlib import Path

import torch

import deepgen as dg
from deepgen.plot import image_grid


def main(epochs: int = 200, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    data = dg.data.load("bars_and_stripes")
    patterns, counts = data.train.unique(dim=0, return_counts=True)
    share = counts / counts.sum()
    ceiling = float((share * share.log()).sum())

    rbm = dg.explicit.RBM(visible=16, hidden=16, generator=seed).initialise(data.train)
    dg.fit(
        rbm,
        data.train.repeat(100, 1),  # so that an epoch is 100 steps
        dg.objectives.PersistentCD(k=1, chains=500),
        epochs=epochs,
        batch_size=len(data.train),
        optimizer=torch.optim.SGD(rbm.parameters(), lr=0.05),
        schedule=lambda done: 1 - done,  # a rate that stays where it is would leave the weights noisy, 1.8 nats short
        seed=seed,
    )

    exact = dg.evaluate.log_likelihood(rbm, data.train, method="exact")
    log_z = dg.evaluate.log_partition(rbm, method="exact")
    with torch.no_grad():
        mass = float((rbm.log_density(patterns) - log_z.value).exp().sum())
    print(f"ceiling  {ceiling:.3f} nats: minus the entropy of the data")
    print(f"RBM      {exact.value:.3f} nats ({exact.side}), {ceiling - exact.value:.3f} below it")
    print(
        f"its {len(patterns)} patterns get {mass:.1%} of the RBM's probability, and {30 / 2**16:.2%} of a coin flip's"
    )

    samples = rbm.sample(100, steps=2000, generator=seed)
    right = (samples[:, None] == patterns).all(-1).any(1).float().mean()
    picture = out / "bars_and_stripes.png"
    image_grid(samples, data.image_shape, title=f"100 samples, {right:.0%} of them bars or stripes", path=picture)
    print(f"samples in {picture}")
    return {"ceiling": ceiling, "exact": exact.value, "mass": mass, "right": float(right)}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
