"""When the lower half of a digit is hidden, what does a deep Boltzmann machine put there?

Chains with the upper half clamped redraw the lower one, and the mean of several draws is what the machine expects of
each pixel. How often a pixel is guessed right says how well, and whether a classifier of scanned digits still sees the
same digit in a completed image says whether the halves fit. Beside it stand base rates, to which the upper half tells
nothing, the lower half of the training image whose upper half is nearest, and an RBM with as many hidden units.

    python examples/complete_dbm.py                  # 8 x 8 pixels, half a minute
    python examples/complete_dbm.py --root FOLDER    # MNIST from FOLDER, some minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

import deepgen as dg
from deepgen.evaluate import plus_minus


def main(
    root: Path | None = None,
    epochs: int = 150,
    hidden: tuple[int, int] | None = None,
    rows: int = 360,
    copies: int = 20,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    data = dg.data.load("digits") if root is None else dg.data.load("mnist", root=root, binarise="threshold")
    hidden = hidden or ((100, 50) if root is None else (500, 500))
    width, names = data.train.shape[1], ("DBM", "RBM")
    dbm = dg.explicit.DBM(width, hidden, generator=seed).initialise(data.train)
    rbm = dg.explicit.RBM(width, sum(hidden), generator=seed).initialise(data.train)
    epochs = epochs if root is None else max(1, epochs // 30)
    fitting = {"batch_size": 20 if root is None else 100, "schedule": lambda done: 1 - done, "seed": seed}
    dg.explicit.pretrain(dbm, data.train, epochs=max(1, epochs // 5), **fitting)
    for machine in (dbm, rbm):
        objective = dg.objectives.PersistentCD(chains=100, weight_decay=1e-4, posterior_steps=2)
        dg.fit(machine, data.train, objective, epochs=epochs, progress=False, **fitting)

    x, labels = data.test[:rows], torch.as_tensor(data.labels.test[:rows])
    mask = torch.arange(width) < width // 2  # the upper half is known
    drawn = {
        name: machine.conditional_sample(x.repeat_interleave(copies, 0), mask, steps=200, generator=seed)
        for name, machine in zip(names, (dbm, rbm), strict=True)
    }
    nearest = torch.cdist(x[:, mask], data.train[:, mask]).argmin(1)
    base = data.train.mean(0).expand_as(x)
    guesses = {name: draws.view(len(x), copies, -1).mean(1) for name, draws in drawn.items()}
    guesses |= {"nearest": data.train[nearest], "base rates": base}
    completed = {name: draws.view(len(x), copies, -1) for name, draws in drawn.items()}
    completed["nearest"] = torch.where(mask, x, data.train[nearest]).unsqueeze(1)
    completed["base rates"] = torch.where(mask, x, base).round().unsqueeze(1)

    judge = LogisticRegression(max_iter=300).fit(data.train[:10_000], data.labels.train[:10_000])
    numbers = {"judge": judge.score(x, labels)}
    print(f"{len(x)} test images, lower half hidden; ± standard error over the images; seed {seed}")
    print(f"the judge sees the right digit in {numbers['judge']:.1%} of the whole images")
    print(f"{'% right':10}{'hidden pixels':>22}{'digit of a completion':>22}{f'of most of {copies}':>22}")
    for name in guesses:
        right = ((guesses[name] > 0.5) == x.bool())[:, ~mask].double().mean(1)
        seen = torch.as_tensor(judge.predict(completed[name].flatten(0, 1))).view(len(x), -1)
        each_one, most = (seen == labels.unsqueeze(1)).double().mean(1), (seen.mode(1).values == labels).double()
        for what, each in (("pixels", right), ("digit", each_one), ("most", most)):
            numbers[f"{name}, {what}"] = float(each.mean())
            numbers[f"{name}, {what}, error"] = float(each.std()) / len(x) ** 0.5
        print(f"{name:10}" + "".join(f"{told(numbers, name, what):>22}" for what in ("pixels", "digit", "most")))

    path = out / f"complete_dbm_{'digits' if root is None else 'mnist'}.png"
    shown = drawn["DBM"].view(len(x), copies, -1)[:10, :8]
    dg.plot.completions(x[:10], mask, shown, data.image_shape, title=f"Drawn by a {dbm}", path=path)
    print(f"completions in {path}")
    return numbers


def told(numbers: dict[str, float], name: str, what: str) -> str:
    return plus_minus(100 * numbers[f"{name}, {what}"], 100 * numbers[f"{name}, {what}, error"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder that holds MNIST's files; without it the 8 x 8 digits")
    torch.set_num_threads(1)  # the matrices are too small to share
    main(**vars(parser.parse_args()))
