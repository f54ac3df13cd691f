"""What are features learned without labels worth, when only 100 or 1,000 images are labelled?

A deep belief network learns digits without their labels. Then the same logistic regression, its penalty chosen by
cross-validation on the labelled images, sees their raw pixels, or the means of the network's hidden units instead.
All is repeated over random splits into images to learn from and images to be tested on, network and all. Splits share
images, so the variance over them is taken not 1/n but 1/n + tests/rest times, the correction of Nadeau & Bengio 2003,
"Inference for the generalization error".

    python examples/dbn_features.py                  # 8 x 8 pixels, a minute
    python examples/dbn_features.py --root FOLDER    # 20,000 images of MNIST from FOLDER a split, some minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

import deepgen as dg
from deepgen.evaluate import plus_minus
from deepgen.plot.figures import PALETTE, new_figure, quiet, save, series

KINDS = ("raw pixels", "DBN features")


def learned(x: Tensor, hidden: tuple[int, ...], epochs: int, seed: int) -> dg.explicit.DBN:
    """A network trained layer by layer, all layers at once."""
    dbn = dg.explicit.DBN(x.shape[1], hidden, generator=seed).initialise(x)
    objective = dg.objectives.LayerWise(dg.objectives.ContrastiveDivergence(weight_decay=2e-4))
    dg.fit(dbn, x, objective, epochs=epochs, batch_size=20, schedule=lambda done: 1 - done, seed=seed, progress=False)
    return dbn


def errors(train: Tensor, y: Tensor, test: Tensor, truth: Tensor) -> float:
    """The share of test rows that logistic regression gets wrong."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, tol=1e-3))
    search = GridSearchCV(regression, {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1.0]}, cv=3)
    return 1 - float(search.fit(train.numpy(), y.numpy()).score(test.numpy(), truth.numpy()))


def main(
    root: Path | None = None,
    splits: int | None = None,
    labelled: tuple[int, ...] = (100, 1000),
    hidden: tuple[int, ...] | None = None,
    epochs: int | None = None,
    out: Path = Path("runs/examples"),
    seed: int = 2,  # 0 and 1 are those of the splits that the settings were chosen on
) -> dict[str, float]:
    data = dg.data.load("digits") if root is None else dg.data.load("mnist", root=root, binarise="threshold")
    x = torch.cat([data.train, data.valid, data.test])
    y = torch.cat([torch.as_tensor(part) for part in data.labels])
    hidden = hidden or ((200, 200) if root is None else (500, 500))
    epochs = epochs or (100 if root is None else 10)
    splits = splits or (8 if root is None else 4)
    tests = min(len(x) // 5, 5_000)
    rest = min(len(x) - tests, 20_000)
    found = torch.zeros(len(KINDS), len(labelled), splits)
    for split in range(splits):
        order = torch.randperm(len(x), generator=dg.random.generator(seed + split))
        known, test = order[:rest], order[rest : rest + tests]
        dbn = learned(x[known], hidden, epochs, seed + split)
        for kind, rows in enumerate((x, dbn.transform(x))):
            for i, n in enumerate(labelled):
                found[kind, i, split] = errors(rows[known[:n]], y[known[:n]], rows[test], y[test])

    factor = (1 / splits + tests / rest) ** 0.5
    numbers = {}
    print(f"{KINDS[1]}: all hidden units of a DBN {x.shape[1]}-{'-'.join(map(str, hidden))} trained on {rest} "
          f"images without labels;\n{splits} random splits, {tests} test images each; ± corrected standard error; "
          f"seed {seed}")  # fmt: skip
    for i, n in enumerate(labelled):
        for kind, name in enumerate(KINDS):
            numbers[f"{name}, {n}"] = float(found[kind, i].mean())
            numbers[f"{name}, {n}, error"] = float(found[kind, i].std()) * factor
        gain = found[0, i] - found[1, i]
        numbers[f"gain, {n}"], numbers[f"gain, {n}, error"] = float(gain.mean()), float(gain.std()) * factor
        told = "   ".join(f"{what} {percent(numbers, f'{what}, {n}')}" for what in (*KINDS, "gain"))
        print(f"{n:5} labels, test errors in %:   {told}")

    figure = new_figure(560, 380)
    ax = figure.add_subplot()
    quiet(ax)
    for i in range(len(labelled)):
        for split in range(splits):  # the two errors of one split belong together
            ax.plot([3 * i, 3 * i + 1], 100 * found[:, i, split], color=PALETTE["rule"], linewidth=1, zorder=1)
        for kind, name in enumerate(KINDS):
            ax.scatter([3 * i + kind] * splits, 100 * found[kind, i], s=14, color=series(kind), zorder=2)
            ax.hlines(100 * found[kind, i].mean(), 3 * i + kind - 0.25, 3 * i + kind + 0.25, color=series(kind),
                      linewidth=2, label=name if i == 0 else None)  # fmt: skip
    ax.set_xticks([3 * i + 0.5 for i in range(len(labelled))], [f"{n:,} labels" for n in labelled])
    ax.set_ylim(0)
    ax.set_ylabel("test errors, %", fontsize=8, color=PALETTE["muted"])
    ax.set_title(f"The same {splits} splits with both; bars are means", fontsize=10, color=PALETTE["ink"])
    ax.legend(frameon=False, fontsize=8, labelcolor=PALETTE["ink"])
    path = out / f"dbn_features_{'digits' if root is None else 'mnist'}.png"
    print(f"picture in {save(figure, path, scale=2)}")
    return numbers


def percent(numbers: dict[str, float], name: str) -> str:
    return plus_minus(100 * numbers[name], 100 * numbers[f"{name}, error"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds MNIST's files; without it the 8 x 8 digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
