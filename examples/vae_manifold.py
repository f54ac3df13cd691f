"""What does a VAE of two latents lay out? The plane of scanned digits, and what two latents cost against eight.

Decoder means over a grid whose steps hold the same mass of the prior, beside the test rows at their posterior means.
Two numbers a digit are few: the importance-weighted bound with eight latents lies nats above.

    python examples/vae_manifold.py                  # 8 x 8 pixels, half a minute
    python examples/vae_manifold.py --data mnist     # 28 x 28, some minutes; its files are found by DEEPGEN_DATA
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.plot import code_map, manifold
from deepgen.plot.figures import new_figure, save

UPDATES = {"digits": 2500, "mnist": 10_000}


def trained(train: object, width: int, latent: int, hidden: int, updates: int, seed: int) -> dg.implicit.VAE:
    """A multilayer VAE after about ``updates`` steps of the ELBO, the KL weighed up over the first tenth."""
    vae = dg.implicit.mlp_vae(width, [hidden, hidden], latent=latent, activation="silu", generator=seed)
    epochs = max(1, round(updates / math.ceil(len(train) / 100)))  # type: ignore[arg-type]
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    objective = dg.objectives.ELBO(warmup=updates // 10)
    dg.fit(vae, train, objective, epochs=epochs, batch_size=100, optimizer=adam, seed=seed, progress=False)
    return vae.eval()


def main(
    data: str = "digits",
    updates: int | None = None,
    hidden: int = 200,
    draws: int = 500,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    loaded = dg.data.load(data, binarise="dynamic" if data == "mnist" else None, seed=seed)
    test, numbers, models = loaded.test[:1000], {}, {}
    for latent in (2, 8):
        vae = trained(loaded.train, test.shape[1], latent, hidden, updates or UPDATES[data], seed)
        with torch.no_grad():
            each = torch.cat([vae.bound(x, samples=draws, generator=seed) for x in test.split(100)])
        numbers[f"latent {latent}"], models[latent] = float(each.mean()), vae
        error = float(each.std()) / len(each) ** 0.5
        print(f"{latent} latents: {numbers[f'latent {latent}']:.2f} ± {error:.2f} nats/example "
              f"(below; {draws}-draw bound, {len(test)} test rows)")  # fmt: skip

    vae = models[2]
    codes, labels = vae.encode(test), loaded.labels.test[: len(test)]
    numbers["neighbours"] = neighbours_agree(codes, labels)
    print(f"nearest neighbour in the plane has the same label: {numbers['neighbours']:.0%} (by chance 10%)")
    figure = new_figure(1000, 520)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    manifold(vae, loaded.image_shape, limits=(0.0, 1.0), title="Decoder means", ax=left)
    code_map(codes, labels, title="Posterior means of test rows", ax=right)
    print(f"picture in {save(figure, out / f'vae_manifold_{data}.png')}")
    return numbers


def neighbours_agree(codes: Tensor, labels: Tensor) -> float:
    """The share of rows whose nearest other row has their label."""
    distance = torch.cdist(codes, codes).fill_diagonal_(math.inf)
    return float((labels[distance.argmin(1)] == labels).double().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(UPDATES), default="digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
