"""Does arithmetic on codes do what it says? Digits of one class moved towards another, as a classifier sees them.

Class vectors are made of training codes, and added to codes of test rows: z + s (v_target - v_own). A classifier that
the VAE has not seen says how often the target is there, beside how often it sees a reconstruction's own digit, which is
the most that can be asked of these codes, and what a step of the same length in a random direction does.

    python examples/latent_arithmetic.py    # half a minute
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.evaluate import attribute_effect, class_vectors, digit_features, latent_usage
from deepgen.implicit import interpolate
from deepgen.plot import image_grid, traversals
from deepgen.plot.figures import new_figure, save

STRENGTHS = (0.0, 0.5, 1.0, 1.5)


def main(
    epochs: int = 200, hidden: int = 200, latent: int = 8, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    data, stream = dg.data.load("digits"), dg.random.generator(seed)
    train, test = (torch.as_tensor(part).long() for part in (data.labels.train, data.labels.test))
    vae = dg.implicit.mlp_vae(64, [hidden], latent=latent, activation="silu", generator=seed)
    dg.fit(vae, data.train, dg.objectives.ELBO(warmup=200), epochs=epochs, seed=seed, progress=False)
    vae.eval()
    usage = latent_usage(vae, data.test, generator=seed)
    print(usage)

    vectors, codes = class_vectors(vae.encode(data.train), train), vae.encode(data.test)
    target = (test + torch.randint(1, 10, test.shape, generator=stream)) % 10
    step = vectors[target] - vectors[test]
    seen = digit_features(8).classes
    effect = attribute_effect(vae, codes, step, lambda x: seen(x) == target, STRENGTHS)
    own = (seen(vae.decode(codes)) == test).double()
    chance = torch.randn(step.shape, generator=stream)
    chance = chance / chance.norm(dim=1, keepdim=True) * step.norm(dim=1, keepdim=True)
    random = attribute_effect(vae, codes, chance, lambda x: seen(x) == target, STRENGTHS)
    numbers = {
        "before": float(effect.rates[0]),
        "moved": float(effect.rates[2]),
        "further": float(effect.rates[3]),
        "error": float(effect.stderr[2]),
        "own": float(own.mean()),
        "random": float(random.rates[2]),
        "active": float(usage.units.count),
    }
    print(f"target digit {effect}")
    print(f"the same length in random directions: {numbers['random']:.0%} at 1")
    print(f"a reconstruction's own digit, the most to be asked: {numbers['own']:.0%}")

    figure = new_figure(1000, 430)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, 3, width_ratios=(4, 9, 9))
    rows = torch.stack([(test == digit).nonzero()[0, 0] for digit in range(10)])
    ways = interpolate(vae, codes[rows], codes[rows.roll(-1)], steps=9, spherical=True)
    picture(effect.x[:, rows], "Towards another digit,\ns = 0 to 1.5", axes[0])
    picture(ways, "From digit to digit, spherical", axes[1])
    order = usage.units.variances.argsort(descending=True).tolist()
    traversals(vae, torch.zeros(latent), (8, 8), units=order, limits=(0.0, 1.0), title="One latent at a time, -3 to 3",
               ax=axes[2])  # fmt: skip
    print(f"picture in {save(figure, out / 'latent_arithmetic.png')}")
    return numbers


def picture(x: Tensor, title: str, ax: object) -> None:
    """``[steps, rows, features]`` as a grid with a row for each row."""
    image_grid(x.transpose(0, 1).flatten(0, 1), (8, 8), columns=len(x), limits=(0.0, 1.0), title=title, ax=ax)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
