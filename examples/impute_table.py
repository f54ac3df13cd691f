"""How well does an RBM fill in a table of yes/no columns, categories and numbers, of which a quarter is missing?

The machine learns from the gappy rows themselves: what is missing is drawn from it at every step of training, and once
more in the end, by Gibbs steps given what is there. Beside it stand scikit-learn's imputers, on the same columns with
categories written one-hot: column means and most frequent values, nearest neighbours (the number of them chosen on the
answers, to their advantage) and chained regressions. These tell one column of a category from its others, which are
missing too, and so keep what they were filled with first. Tables are drawn from mixtures of classes within which
columns are independent, so the best possible imputation is known: the mean or likeliest value under the law itself.

    python examples/impute_table.py    # a minute
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (makes the next line work)
from sklearn.impute import IterativeImputer, KNNImputer
from torch import Tensor
from torch.nn.functional import one_hot

import deepgen as dg
from deepgen.evaluate import plus_minus
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax
from deepgen.plot.figures import PALETTE, new_figure, quiet, save, series

CLASSES, SPREAD = 6, 0.4  # of the law; deviation of a number within a class, where that of the column is 1
CHOICES = (2, 2, 2, 2, 3, 4, 5)  # values of the discrete columns, in front of the numbers
NUMBERS = 4
KINDS = {"yes/no, % wrong": slice(0, 4), "categories, % wrong": slice(4, 7), "numbers, RMSE": slice(7, 11)}


@dataclass
class Law:
    """weight: of the classes ``[CLASSES]``; logits: of each discrete column ``[CLASSES, values]``; means: of the
    numbers ``[CLASSES, NUMBERS]``, such that each column has mean 0 and deviation 1."""

    weight: Tensor
    logits: list[Tensor]
    means: Tensor

    @classmethod
    def random(cls, stream: torch.Generator) -> Law:
        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=stream)

        weight, means = torch.softmax(0.5 * normal(CLASSES), 0), normal(CLASSES, NUMBERS)
        means = means - weight @ means
        means = means * ((1 - SPREAD**2) / (weight @ means.square())).sqrt()
        return cls(weight, [1.5 * normal(CLASSES, n) for n in CHOICES], means)

    def draw(self, rows: int, stream: torch.Generator) -> Tensor:
        """Codes of the discrete columns, then the numbers: ``[rows, 11]``."""
        z = torch.multinomial(self.weight, rows, replacement=True, generator=stream)
        codes = [torch.multinomial(logits[z].softmax(1), 1, generator=stream) for logits in self.logits]
        return torch.cat([*codes, self.means[z] + SPREAD * torch.randn(rows, NUMBERS, generator=stream)], 1)

    def best(self, x: Tensor) -> Tensor:
        """The likeliest code and the mean of every entry given those of its row that are not NaN."""
        seen, filled = ~x.isnan(), x.nan_to_num()
        terms = [logits.log_softmax(1)[:, filled[:, j].long()].t() for j, logits in enumerate(self.logits)]
        terms += [-(filled[:, j : j + 1] - mean).square() / (2 * SPREAD**2)
                  for j, mean in enumerate(self.means.t(), len(CHOICES))]  # fmt: skip
        log_p = self.weight.log() + sum(term * seen[:, j : j + 1] for j, term in enumerate(terms))
        p = log_p.softmax(1)
        codes = [(p @ logits.softmax(1)).argmax(1, keepdim=True) for logits in self.logits]
        return torch.cat([*codes, p @ self.means], 1)


def encoded(x: Tensor) -> Tensor:
    """Yes/no as they are, categories one-hot, numbers; NaN where missing: ``[rows, 20]``."""
    parts = []
    for column, n in zip(x.t(), CHOICES, strict=False):
        wide = one_hot(column.nan_to_num().long(), n)[:, -(n if n > 2 else 1) :].float()
        parts.append(wide.masked_fill(column.isnan().unsqueeze(1), torch.nan))
    return torch.cat([*parts, x[:, len(CHOICES) :]], 1)


def decoded(means: Tensor) -> Tensor:
    """The likeliest codes, and the numbers: what `encoded` undoes, of means ``[rows, 20]``."""
    *groups, numbers = means.split([n if n > 2 else 1 for n in CHOICES] + [NUMBERS], 1)
    codes = [(g > 0.5).float() if g.shape[1] == 1 else g.argmax(1, keepdim=True) for g in groups]
    return torch.cat([*codes, numbers], 1)


def machine_draws(x: Tensor, epochs: int, copies: int, seed: int) -> Tensor:
    """Train an RBM on gappy rows and draw what is missing: ``[rows, copies, 20]``."""
    units = Product(Bernoulli(4), *(Softmax(1, n) for n in CHOICES[4:]), Gaussian(NUMBERS, precision=4.0, learned=True))
    rbm = RBM(units, 30, generator=seed).initialise(x)
    objective = dg.objectives.Incomplete(dg.objectives.PersistentCD(chains=100), steps=3)
    adam = torch.optim.Adam(rbm.parameters(), lr=0.03)
    dg.fit(rbm, x, objective, epochs=epochs, batch_size=50, optimizer=adam, schedule=lambda done: 1 - done, seed=seed,
           progress=False)  # fmt: skip
    many = x.repeat_interleave(copies, 0)
    return rbm.conditional_sample(many, ~many.isnan(), steps=50, generator=seed).view(len(x), copies, -1)


def errors(guess: Tensor, truth: Tensor, missing: Tensor) -> Tensor:
    """Of the missing entries of each kind of column: percent wrong, percent wrong, root mean squared error."""
    wrong = 100 * (guess != truth).double()
    wrong[:, KINDS["numbers, RMSE"]] = (guess - truth).double().square()[:, KINDS["numbers, RMSE"]]
    found = [wrong[:, columns][missing[:, columns]].mean() for columns in KINDS.values()]
    return torch.stack([*found[:2], found[2].sqrt()])


def main(
    tables: int = 5,
    rows: int = 1000,
    epochs: int = 100,
    missing: float = 0.25,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    warnings.simplefilter("ignore", ConvergenceWarning)  # of the chained regressions, after ten rounds
    found: dict[str, list[Tensor]] = {}
    inside = []
    for number in range(tables):
        stream = dg.random.generator(seed + number)
        law = Law.random(stream)
        truth = law.draw(rows, stream)
        gone = torch.rand(truth.shape, generator=stream) < missing
        gappy = truth.masked_fill(gone, torch.nan)
        x = encoded(gappy)
        draws = machine_draws(x, epochs, 49, seed + number)
        near = [decoded(torch.as_tensor(KNNImputer(n_neighbors=k).fit_transform(x.numpy()))) for k in (5, 20, 50)]
        guesses = {
            "mean, mode": decoded(x.nanmean(0).expand_as(x)),
            "regressions": decoded(torch.as_tensor(IterativeImputer().fit_transform(x.numpy()))),
            "RBM": decoded(draws.mean(1)),
            "the law itself": law.best(gappy),
        }
        scores = {name: errors(guess, truth, gone) for name, guess in guesses.items()}
        scores["neighbours"] = torch.stack([errors(guess, truth, gone) for guess in near]).amin(0)
        for name in ("mean, mode", "regressions", "neighbours", "RBM", "the law itself"):
            found.setdefault(name, []).append(scores[name])
        ranks = draws[:, :, -NUMBERS:].sort(1).values  # of 50 places for the truth among 49 draws, 40 lie inside
        value, hidden = truth[:, -NUMBERS:], gone[:, -NUMBERS:]
        inside.append(((ranks[:, 4] < value) & (value < ranks[:, 44]))[hidden].double().mean())

    numbers: dict[str, float] = {}
    print(f"{tables} tables of {rows} rows, {missing:.0%} missing; ± standard error over tables; seed {seed}")
    print(f"{'':15}" + "".join(f"{kind:>22}" for kind in KINDS) + "   less the RBM's on the same table")
    for name, each in found.items():
        stack = torch.stack(each)
        more = stack - torch.stack(found["RBM"])
        for i, kind in enumerate(KINDS):
            for key, values in ((f"{name}, {kind}", stack[:, i]), (f"{name}, {kind}, more", more[:, i])):
                numbers[key], numbers[f"{key}, error"] = float(values.mean()), float(values.std()) / tables**0.5
        told = "".join(f"{plus_minus(*pair(numbers, f'{name}, {kind}')):>22}" for kind in KINDS)
        less = "; ".join(plus_minus(*pair(numbers, f"{name}, {kind}, more"), signed=True) for kind in KINDS)
        print(f"{name:15}{told}" + ("" if name == "RBM" else f"   {less}"))
    cover = torch.stack(inside)
    numbers["inside"], numbers["inside, error"] = float(cover.mean()), float(cover.std()) / tables**0.5
    print(f"80 % intervals of the RBM's draws hold {plus_minus(100 * cover.mean(), 100 * numbers['inside, error'])} % "
          "of the missing numbers")  # fmt: skip
    print(f"picture in {save(picture(found), out / 'impute_table.png', scale=2)}")
    return numbers


def pair(numbers: dict[str, float], key: str) -> tuple[float, float]:
    return numbers[key], numbers[f"{key}, error"]


def picture(found: dict[str, list[Tensor]]) -> Figure:
    """A panel for each kind of column; a dot for each table, a bar for the mean."""
    figure = new_figure(900, 260)
    figure.set_layout_engine("constrained")
    for i, (ax, kind) in enumerate(zip(figure.subplots(1, len(KINDS), sharey=True), KINDS, strict=True)):
        quiet(ax)
        ax.grid(visible=False)
        for place, (name, each) in enumerate(found.items()):
            values = torch.stack(each)[:, i]
            colour = series(1) if name == "RBM" else PALETTE["muted"] if name == "the law itself" else series(0)
            ax.barh(place, float(values.mean()), height=0.6, color=colour, alpha=0.35)
            ax.scatter(values.tolist(), [place] * len(values), s=10, color=colour, zorder=2)
        best = float(torch.stack(found["the law itself"])[:, i].mean())
        ax.axvline(best, color=PALETTE["muted"], linewidth=0.8, linestyle="--")
        ax.set_title(kind, fontsize=10, color=PALETTE["ink"])
        ax.set_yticks(range(len(found)), list(found))
        ax.set_ylim(len(found) - 0.5, -0.5)
    return figure


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
