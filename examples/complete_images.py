"""When the lower half of a digit is hidden, how much does the upper half tell a model about it?

An autoregressive model in raster order knows that exactly: the upper half comes first, so the terms of its lower pixels
add up to log p(lower half | upper half), and drawing those pixels one after the other completes the image from that
very law. Two baselines have exact conditionals too: base rates, to which the upper half tells nothing, and a mixture of
Bernoullis, where p(lower | upper) = p(both) / p(upper).

The score of the model's own completions is minus the entropy that it leaves to the lower half, and what the true one
would score on average if the model were right. Where the truth scores less, the model is surer than it may be.

    python examples/complete_images.py
    python examples/complete_images.py --data binarized_mnist --model RUN   # a saved PixelCNN or other such model
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.evaluate import plus_minus


def trained(data: dg.data.Data, epochs: int, seed: int) -> dg.explicit.GatedPixelCNN:
    """A small gated PixelCNN, at its best epoch on the validation rows."""
    model = dg.explicit.GatedPixelCNN(data.image_shape, channels=24, layers=4, generator=seed).initialise(data.train)
    dg.fit(
        model,
        data.train,
        dg.objectives.MaximumLikelihood(),
        epochs=epochs,
        batch_size=50,
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1),
        schedule=lambda done: 1 - done,
        valid=data.valid,
        callbacks=[dg.train.EarlyStopping(patience=epochs)],
        seed=seed,
    )
    return model


def mixture(x: Tensor, components: int, seed: int) -> dg.explicit.BernoulliMixture:
    model = dg.explicit.BernoulliMixture(x.shape[1], components, generator=seed).initialise(x)
    if components > 1:
        em = dg.objectives.ExpectationMaximisation()
        dg.fit(model, x, em, epochs=50, batch_size=len(x), seed=seed)
    return model


@torch.no_grad()
def given_upper(model: dg.explicit.BernoulliMixture, x: Tensor, mask: Tensor) -> Tensor:
    """log p(x outside ``mask`` | x under it) of a mixture, whose marginal is a mixture again."""
    upper = dg.explicit.BernoulliMixture(int(mask.sum()), model.components)
    upper.logits.copy_(model.logits[:, mask])
    upper.weight_logits.copy_(model.weight_logits)
    return model.log_prob(x) - upper.log_prob(x[:, mask])


def main(
    data: str = "digits",
    model: Path | None = None,
    rows: int = 360,
    copies: int = 8,
    epochs: int = 20,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    sets = dg.data.load(data)
    net = trained(sets, epochs, seed) if model is None else dg.load(model)
    chosen = torch.randperm(len(sets.test), generator=dg.random.generator(seed))[:rows]  # files may be sorted by digit
    x = sets.test[chosen].float()
    height, width = sets.image_shape[-2:]
    mask = torch.arange(height * width) < height // 2 * width  # the upper half is known

    drawn = net.conditional_sample(x.repeat_interleave(copies, 0), mask, generator=seed).flatten(1)
    with torch.no_grad():
        true = torch.cat([net.conditional_log_prob(part, mask) for part in x.split(100)])
        own = torch.cat([net.conditional_log_prob(part, mask) for part in drawn.split(100)]).view(-1, copies).mean(1)
    scores = {
        "base rates": given_upper(mixture(sets.train, 1, seed), x, mask),
        "mixture of 60 Bernoullis": given_upper(mixture(sets.train, 60, seed), x, mask),
        type(net).__name__: true,
        "its own completions": own,
    }
    numbers = {}
    print(f"log p(lower half | upper half), nats/example, of {len(x)} test images; exact, ± over the images")
    for name, each in scores.items():
        numbers[name] = float(each.mean())
        print(f"  {name:26} {plus_minus(numbers[name], float(each.std()) / len(x) ** 0.5)}")
    ahead = true - scores["mixture of 60 Bernoullis"]
    numbers |= {"ahead": float(ahead.mean()), "ahead, error": float(ahead.std()) / len(x) ** 0.5}
    print(f"ahead of the mixture on the same images by {plus_minus(numbers['ahead'], numbers['ahead, error'])}")

    picture = out / "complete_images.png"
    shown = drawn.view(len(x), copies, -1)[:10]
    dg.plot.completions(x[:10], mask, shown, sets.image_shape, title=f"Drawn by a {type(net).__name__}", path=picture)
    print(f"completions in {picture}")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a binary set of images; its files are found by DEEPGEN_DATA")
    parser.add_argument("--model", type=Path, help="folder of a saved autoregressive model in raster order")
    parser.add_argument("--rows", type=int, default=360, help="test images to score")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"))
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
