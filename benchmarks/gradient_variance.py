"""How noisy an encoder's gradient is, by estimator and epoch: `python benchmarks/gradient_variance.py`.

A VAE 64-64-8 tanh on the binary 8x8 digits, seed 0. After 0 and 30 epochs of `ELBO` (Adam at 0.003, batches of 100)
the gradient in the encoder's weights is taken ``--repeats`` times on the same 100 rows with fresh draws, by every
estimator; `deepgen.objectives.gradient_noise` gives its total variance and its signal-to-noise ratio. Estimators of the
ELBO have one mean, which the largest deviation between them, in standard errors over all weights, is to confirm.
"""

from __future__ import annotations

import argparse

import torch

import deepgen as dg
from deepgen.objectives import ELBO, IWAE, gradient_noise

ESTIMATORS = {
    "through the draws, KL in closed form": ELBO(),
    "through the draws, KL from the draw": ELBO(closed_form=False),
    "through 10 draws": ELBO(samples=10),
    "score function": ELBO(gradient="score"),
    "score function, 10 draws and their baseline": ELBO(gradient="score", samples=10),
    "importance-weighted, 10 draws": IWAE(10),
    "importance-weighted, 10 draws, DReG": IWAE(10, dreg=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = dg.data.load("digits")
    vae = dg.implicit.mlp_vae(64, [64], latent=8, generator=0)
    x = data.train[:100]
    for epochs in (0, 30):
        if epochs:
            adam = torch.optim.Adam(vae.parameters(), lr=3e-3)
            dg.fit(vae, data.train, ELBO(), epochs=epochs, batch_size=100, optimizer=adam, seed=0, progress=False)
        print(f"after {epochs} epochs: total variance, over that of the first, signal to noise")
        first = None
        for name, objective in ESTIMATORS.items():
            at = vae.encoder.parameters()
            noise = gradient_noise(objective, vae, x, repeats=options.repeats, parameters=at, generator=1)
            first = first or noise
            error = (noise.stderr().square() + first.stderr().square()).sqrt()
            apart = float(((noise.mean - first.mean).abs() / error).nan_to_num().max())
            elbo = isinstance(objective, ELBO) and noise is not first
            same = f"  means apart by at most {apart:.1f} stderr" if elbo else ""
            ratio = noise.total_variance() / first.total_variance()
            figures = f"{noise.total_variance():10.4f} {ratio:9.2f} {noise.signal_to_noise():8.3f}"
            print(f"  {name:44} {figures}{same}", flush=True)


if __name__ == "__main__":
    main()
