"""Sample quality in one call: figures of two samples in one feature space, each beside what real rows score themselves.

    q = sample_quality(real=data.test, fake=model.sample(1000))
    print(q)                       the table
    q["precision"].value           one `Score`

The floor of a figure is the same figure between two random parts of the real rows, in the ratio of n_real to n_fake
(the rows are exchangeable, so this is the law of the figure for a perfect generator, at fewer rows): mean and standard
deviation over ``splits``. The Fréchet distances, kernel distance, MMD^2 and mode KL of equal laws are quadratic forms
whose mean and deviation go as 1/n_real + 1/n_fake (to first order), so their floors are scaled from the parts to the
rows at hand. The others are stated as they came. The floor of the mode KL is the expectation for n_fake exact draws of
the real rows' shares (`deepgen.evaluate.modes`), which needs no parts; real against real stands in its note.

Rows must be independent: draws of one chain make every standard error and p-value too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, UnknownName, check_count, unknown_name
from deepgen.evaluate.arguments import from_array
from deepgen.evaluate.copies import in_words, same_rows, within
from deepgen.evaluate.feature_maps import LEAST, Features, check_rows, classes_of, default_features, mapped, name_of
from deepgen.evaluate.frechet import frechet_least
from deepgen.evaluate.memorisation import memorisation_test
from deepgen.evaluate.quality_figures import divided, figures, floored
from deepgen.evaluate.quality_table import table
from deepgen.evaluate.score import Score, feature_rows
from deepgen.evaluate.supports import overlap_least
from deepgen.random import on_host

METRICS = ("frechet", "kernel", "overlap", "mmd", "classifier", "modes")
OF = {  # figures that come with a metric of another name
    "frechet_infinity": "frechet",
    **dict.fromkeys(("precision", "recall", "density", "coverage"), "overlap"),
    "mode_kl": "modes",
}


@dataclass(frozen=True)
class Quality:
    """What `sample_quality` found: a table when printed, each figure by its key.

    Attributes:
        scores: the figures by key: ``frechet``, ``frechet_infinity``, ``kernel``, ``precision``, ``recall``,
            ``density``, ``coverage``, ``mmd``, ``classifier``, ``modes``, ``mode_kl``, ``memorisation``, as far as
            asked for.
        features: the name of the feature map.
        width: how many features it has.
        n_real, n_fake: rows.
        splits: how many times the real rows were divided for the floors; 0 for none.
        data: the name of the real rows, as far as they know it.
        copies: how many fakes are exact copies of real rows, or of training rows, in words; empty where none is.
    """

    scores: dict[str, Score]
    features: str
    width: int
    n_real: int
    n_fake: int
    splits: int
    data: str
    copies: str = ""

    def __getitem__(self, key: str) -> Score:
        if key not in self.scores:
            raise unknown_name("figure", key, self.scores)
        return self.scores[key]

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values."""
        head = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "scores"}
        return {**head, "scores": {key: score.to_dict() for key, score in self.scores.items()}}

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        return table(self, markdown=True)

    def __str__(self) -> str:
        return table(self)


@torch.no_grad()
def sample_quality(
    *,
    real: Tensor,
    fake: Tensor,
    features: Features | None = None,
    train: Tensor | None = None,
    metrics: Sequence[str] | None = None,
    k: int = 5,
    splits: int = 10,
    permutations: int = 500,
    generator: torch.Generator | int | None = None,
) -> Quality:
    """Judge generated rows against real ones that the generator was not fitted to.

    Args:
        real: held-out real rows ``[n_real, *event]``, a tensor or an array.
        fake: generated rows ``[n_fake, *event]``.
        features: maps rows to features ``[rows, d]``; its ``name`` (or ``__name__``, or class) is printed. None: the
            `digit_features` of the shape for grey images of 8x8 or 28x28 with values in [0, 1], else the raw values
            (of rows of such a shape and other values the name says ``outside [0, 1]``: scale them). A module
            is put into eval mode for the while.
        train: the rows that the generator was fitted to, for the memorisation test.
        metrics: which of ``frechet``, ``kernel``, ``overlap`` (precision, recall, density, coverage), ``mmd``,
            ``classifier``, ``modes`` (only where ``features`` has a method ``classes``). None: all of those that
            there are.
        k: which neighbour ends a ball of the overlap figures.
        splits: random divisions of the real rows behind each floor; 0 for none, which leaves floors known without,
            2 or more otherwise.
        permutations: of the MMD's p-value.
        generator: chooses parts, permutations and subsets: a generator, a seed, or None for fresh entropy.

    Raises:
        ShapeError: no tensors, empty ones, or events of different shapes.
        SupportError: NaN or infinite values, in the rows or in their features.
        UnknownName: no such metric.
        ArgumentError: real and fake are the same rows, in any order, or real are rows of train; no metrics, or
            ``modes`` of features without classes. Or too few rows, with the number needed: 100, and with ``frechet``
            above 1.2 (d + 2) fakes, with ``overlap`` 4 k + 16, and twice as many reals for the floors.

    >>> import deepgen as dg
    >>> data = dg.data.load("digits")
    >>> noise = dg.random.uniform((200, 64), generator=dg.random.generator(0))
    >>> q = sample_quality(real=data.test, fake=noise, metrics=["overlap"], splits=2, generator=0)
    >>> q["recall"].value < 0.05, q["precision"].floor > 0.5
    (True, True)
    """
    from deepgen.data.splits import provenance

    asked = _asked(metrics, alone=train is None)
    check_count(0, splits=splits)
    check_count(k=k, permutations=permutations)
    if splits == 1:
        raise ArgumentError("splits must be 0, or at least 2 so that the floors have a spread; got 1")
    real, fake, train = from_array(real), from_array(fake), from_array(train)
    given = {"real": real, "fake": fake, **({} if train is None else {"train": train})}
    check_rows(given)
    if same_rows(real, fake):
        raise ArgumentError(
            f"real and fake are the same rows: all {len(fake):,} fakes are exact copies of the real rows, in their or "
            "another order. fake must be draws of a generator, real held-out data"
        )
    if train is not None and same_rows(real, train):
        raise ArgumentError(
            f"real and train are the same rows: all {len(train):,}, in their or another order. real must be held "
            "out, or no fake could lie nearer to the training rows; leave train= out to judge without that test"
        )
    if train is not None and within(real, train):
        raise ArgumentError(
            f"all {len(real):,} rows of real are rows of train: real must be held out, or no fake could lie nearer to "
            "the training rows; leave train= out to judge without that test"
        )
    space = features if features is not None else default_features(real)
    name, metrics = name_of(space), _there(asked, space)
    rows = {key: mapped(space, part, key) for key, part in given.items()}
    x, y = feature_rows(least=1, real=rows["real"], fake=rows["fake"])  # `_check_enough` names the one number needed
    need = _check_enough(x, y, split=splits > 0, metrics=metrics, k=k)
    stream = on_host(generator)
    kinds = None
    if "modes" in metrics:
        kinds = classes_of(space, real, "real"), classes_of(space, fake, "fake")
    judge = partial(figures, metrics=metrics, k=k, stream=stream)
    found = judge(x, y, kinds=kinds, permutations=permutations)
    size = min(max(round(len(x) * len(x) / (len(x) + len(y))), need), len(x) - need)
    floors = [divided(x, None if kinds is None else kinds[0], size, judge, stream) for _ in range(splits)]
    scores = {key: floored(key, score, [floor[key] for floor in floors]) for key, score in found.items()}
    if train is not None:
        scores["memorisation"] = memorisation_test(train=rows["train"], held_out=x, fake=y)
    scores = {key: replace(score, features=name) for key, score in scores.items()}
    data = str(provenance(real).get("name", ""))
    copies = in_words(real=real, fake=fake, train=train)
    return Quality(scores, name, x.shape[1], len(x), len(y), splits, data, copies)


def _asked(metrics: Sequence[str] | None, *, alone: bool) -> tuple[str, ...] | None:
    """The metrics asked for, by names that there are; None for all. None at all only beside the memorisation test."""
    if metrics is None:
        return None
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not names and alone:
        raise ArgumentError(
            f"metrics is empty and train= is not given: nothing would be judged. Name some of {', '.join(METRICS)}"
        )
    for name in names:
        if name in OF:
            raise UnknownName(f"{name!r} is a figure of the metric {OF[name]!r}: ask for that by metrics=")
        if name == "memorisation":
            raise UnknownName("memorisation is judged whenever the training rows are given by train=")
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    return names


def _there(asked: tuple[str, ...] | None, space: Features) -> tuple[str, ...]:
    """Those of the metrics that ``space`` can serve: all but modes where it knows no classes."""
    classes = hasattr(space, "classes")
    if asked is not None and "modes" in asked and not classes:
        raise ArgumentError(
            f"modes are the classes of rows, and {name_of(space)} has no method classes(x) that tells them: give "
            "features=deepgen.evaluate.digit_features(28) for digits, or a network of your own with one; where the "
            "modes are known otherwise, deepgen.evaluate.mode_coverage counts them"
        )
    return asked if asked is not None else tuple(name for name in METRICS if classes or name != "modes")


def _check_enough(x: Tensor, y: Tensor, *, split: bool, metrics: Sequence[str], k: int) -> int:
    """Return the rows that each part of the reals must have; raise where the samples are too small."""
    width = x.shape[1]
    needs = [(LEAST // 2, "")]
    if "frechet" in metrics:
        needs.append((max(LEAST, frechet_least(width)), f"the Fréchet distance in {width} features"))
    if "overlap" in metrics:
        needs.append((overlap_least(k), f"balls to neighbour {k}"))
    need, what = max(needs)
    least = {"real": max(LEAST, (2 if split else 1) * need), "fake": max(LEAST, need)}
    for (name, number), rows in zip(least.items(), (x, y), strict=True):
        if len(rows) < number:
            why = f" ({what}; metrics= leaves it out)" if number > LEAST else ""
            raise ArgumentError(f"{name} needs at least {number:,} rows{why}, got {len(rows):,}")
    return need
