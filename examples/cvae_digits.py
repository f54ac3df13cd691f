"""What is a label worth? Digits by class from a conditional VAE, and its bound beside that of a VAE without labels.

log p(x | y) - log p(x) = log p(y | x) - log p(y): of one joint law the mean gain is at most log 10 = 2.30 nats, for ten
labels as frequent as one another. The CVAE gains more, as it is the better model of x as well: summed over labels, its
own log p(x) lies above that of the VAE.

    python examples/cvae_digits.py    # half a minute
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.plot import image_grid


def main(
    epochs: int = 150, hidden: int = 200, draws: int = 500, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    data = dg.data.load("digits")
    train, test = (torch.as_tensor(part).long() for part in (data.labels.train, data.labels.test))
    options = {"latent": 8, "activation": "silu", "generator": seed}
    plain = dg.implicit.mlp_vae(64, [hidden], **options)
    model = dg.implicit.mlp_cvae(64, [hidden], classes=10, **options)
    for one, rows in ((plain, data.train), (model, TensorDataset(data.train, train))):
        objective = dg.objectives.ELBO(warmup=200)
        dg.fit(one, rows, objective, epochs=epochs, batch_size=100, seed=seed, progress=False)
    with torch.no_grad():
        without = plain.eval().bound(data.test, samples=draws, generator=seed)
        given = model.eval()(test).bound(data.test, samples=draws, generator=seed)
        every = torch.stack(
            [model(torch.tensor([y])).bound(data.test, samples=draws, generator=seed) for y in range(10)]
        )
    gain = given - without
    numbers = {
        "log p(x)": float(without.mean()),
        "log p(x | y)": float(given.mean()),
        "gain": float(gain.mean()),
        "error": float(gain.std()) / len(gain) ** 0.5,
        "classified": float((every.argmax(0) == test).double().mean()),
        "marginal": float((every.logsumexp(0) - math.log(10)).mean()),
    }
    about = f"{draws}-draw bound, {len(data.test)} test rows"
    print(f"VAE:  log p(x)     {numbers['log p(x)']:.2f} nats/example (below; {about})")
    print(f"CVAE: log p(x | y) {numbers['log p(x | y)']:.2f} nats/example (below)")
    print(f"the same summed over labels, log p(x): {numbers['marginal']:.2f} nats/example (below)")
    print(f"gain by the label {numbers['gain']:.2f} ± {numbers['error']:.2f} nats")
    print(f"label by the largest log p(x | y): {numbers['classified']:.1%} of test rows right")
    path = out / "cvae_digits.png"
    image_grid(by_class(model, 14, seed), (8, 8), columns=14, title="Digits by class, one row a label", path=path)
    print(f"picture in {path}")
    return numbers


def by_class(model: dg.implicit.CVAE, each: int, seed: int) -> Tensor:
    """``each`` draws of every label, label by label."""
    return model(torch.arange(10).repeat_interleave(each)).sample(10 * each, generator=seed)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
