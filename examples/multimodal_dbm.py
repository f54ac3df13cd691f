"""Two kinds of data joined at the top: can one deep Boltzmann machine draw digits from labels, and labels from digits?

An image and its label are two visible layers, each with a hidden layer of its own, joined by a level above both. With
the label clamped chains draw images, with the image clamped labels: one law, of which both are conditionals. A
classifier of scanned digits judges the images; the labels are judged by the true ones, and drawn for the machine's own
images too, which leads back to the labels these came from if the two conditionals are as sure as each other. And the
joint level, as each kind alone sets it, retrieves: the test images nearest to what a label sets should show that digit.

    python examples/multimodal_dbm.py                  # 8 x 8 pixels, under a minute
    python examples/multimodal_dbm.py --root FOLDER    # MNIST from FOLDER, some minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from matplotlib.patches import Rectangle
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import one_hot

import deepgen as dg
from deepgen.evaluate import plus_minus
from deepgen.plot import image_grid
from deepgen.plot.figures import PALETTE, new_figure, save


def main(
    root: Path | None = None,
    epochs: int = 100,
    levels: list[list[int] | int] | None = None,
    rows: int = 360,
    copies: int = 20,
    each: int = 36,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    data = dg.data.load("digits") if root is None else dg.data.load("mnist", root=root, binarise="threshold")
    x, y = data.train, torch.as_tensor(data.labels.train).long()
    width, levels = x.shape[1], levels or ([[100, 50], 100] if root is None else [[500, 100], 500])
    joint = torch.cat([x, one_hot(y, 10).to(x)], 1)
    is_image = torch.arange(width + 10) < width
    dbm = dg.explicit.DBM([width, dg.explicit.Softmax(1, 10)], levels, generator=seed).initialise(joint)
    with torch.no_grad():  # a label alone has no structure to learn, so its layer starts as a random code for it
        dbm.couplings[0].blocks[1].normal_(0.0, 1.0, generator=dg.random.generator(seed))
    epochs = epochs if root is None else max(1, epochs // 20)
    fitting = {"batch_size": 20 if root is None else 100, "schedule": lambda done: 1 - done, "seed": seed}
    dg.explicit.pretrain(dbm, joint, epochs=max(1, epochs // 3), **fitting)
    objective = dg.objectives.PersistentCD(chains=100, weight_decay=1e-4, posterior_steps=2)
    sgd = torch.optim.SGD(dbm.parameters(), lr=0.02)
    dg.fit(dbm, joint, objective, epochs=epochs, optimizer=sgd, progress=False, **fitting)

    def labelled(images: Tensor) -> Tensor:
        """Images with labels drawn for them: ``[rows, copies, width + 10]``."""
        known = torch.cat([images, images.new_full((len(images), 10), torch.nan)], 1).repeat_interleave(copies, 0)
        return dbm.conditional_sample(known, is_image, steps=100, generator=seed).view(len(images), copies, -1)

    def joint_level(rows: Tensor) -> Tensor:
        """Mean-field means of the top level, mean over copies: ``[rows, copies, width + 10] -> [rows, top]``."""
        return dbm.transform(rows.flatten(0, 1))[:, -dbm.levels[-1].width :].view(*rows.shape[:2], -1).mean(1)

    given = torch.arange(10).repeat_interleave(each)  # so many images drawn of each
    known = torch.cat([x.new_full((len(given), width), torch.nan), one_hot(given, 10).to(x)], 1)
    both = dbm.conditional_sample(known, ~is_image, steps=500, generator=seed)
    drawn = both[:, is_image]

    chosen = torch.randperm(len(data.test), generator=dg.random.generator(seed))[:rows]
    test, truth = data.test[chosen], torch.as_tensor(data.labels.test)[chosen].long()
    completed = labelled(test)
    shares = completed[..., ~is_image].mean(1)
    apart = torch.cdist(joint_level(both.view(10, each, -1)), joint_level(completed))
    nearest = truth[apart.topk(10, largest=False).indices]  # labels of test images, [labels, 10]
    back = labelled(drawn)[..., ~is_image].mean(1)
    judge = LogisticRegression(max_iter=300).fit(x[:10_000], y[:10_000])
    hits = {
        "label drawn most for a test image is the true one": shares.argmax(1) == truth,
        "a label drawn once for a test image is the true one": shares.gather(1, truth[:, None])[:, 0],
        "logistic regression on the pixels of a test image": torch.as_tensor(judge.predict(test)) == truth,
        "judge sees the given label in a drawn image": torch.as_tensor(judge.predict(drawn)) == given,
        "label drawn most for a drawn image is the given one": back.argmax(1) == given,
        "a label's ten nearest test images show its digit": (nearest == torch.arange(10)[:, None]).double().mean(1),
    }
    numbers = {}
    print(f"{dbm}; {len(test)} test images and {len(drawn)} drawn ones; ± over images (the last, labels); seed {seed}")
    for what, right in hits.items():
        numbers[what] = float(right.double().mean())
        numbers[f"{what}, error"] = float(right.double().std()) / len(right) ** 0.5
        print(f"  {what:52} {plus_minus(100 * numbers[what], 100 * numbers[f'{what}, error'])} %")

    path = out / f"multimodal_dbm_{'digits' if root is None else 'mnist'}.png"
    figure = new_figure(1000, 520)
    figure.set_layout_engine("constrained")
    drawings, shown = figure.subplots(1, 2, width_ratios=(12, 11))
    few = drawn.view(10, each, -1)[:, :12].flatten(0, 1)
    image_grid(
        few, data.image_shape, columns=min(12, each), title="From labels to images, one row a label", ax=drawings
    )
    step = data.image_shape[0] + 1  # a pixel between images
    for label in range(10):
        place = (-2, step * label + step / 2)
        drawings.text(*place, str(label), ha="right", va="center", fontsize=8, color=PALETTE["muted"])
    bars(shown, test[:10], shares[:10], truth[:10], data.image_shape)
    print(f"picture in {save(figure, path, scale=2)}")
    return numbers


def bars(ax: Any, images: Tensor, shares: Tensor, truth: Tensor, shape: tuple[int, int]) -> None:
    """Each image with the shares of the labels drawn for it; the true one is framed."""
    ax.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row, (image, label) in enumerate(zip(images, truth.tolist(), strict=True)):
        ax.imshow(
            (1 - image.view(shape)).numpy(), cmap="gray", vmin=0, vmax=1, extent=(-1.6, -0.7, row + 0.45, row - 0.45)
        )
        ax.add_patch(Rectangle((label - 0.5, row - 0.5), 1, 1, fill=False, color=PALETTE["s1"], linewidth=1.5))
    ax.set(xlim=(-1.7, 9.52), ylim=(9.52, -0.52), aspect="equal", xticks=range(10), yticks=[])
    ax.tick_params(length=0, labelsize=8, colors=PALETTE["muted"])
    ax.spines[:].set_visible(False)
    ax.set_title("From images to labels: shares drawn; the true one framed", fontsize=10, pad=8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds MNIST's files; without it the 8 x 8 digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
