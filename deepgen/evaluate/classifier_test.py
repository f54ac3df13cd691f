"""Can a classifier tell real from fake? The two-sample test by held-out accuracy (Lopez-Paz & Oquab 2017).

A classifier is fitted to half of the rows of both samples, balanced, and judged on the others. ``value`` is the mean of
its accuracies on held-out reals and on held-out fakes: 0.5 in expectation for equal laws, 1 where it tells all.

p-value: given the classifier, and how many held-out rows it calls fake in all, equal laws leave open which they are:
the number of fakes among them is hypergeometric (Fisher's exact test, one-sided). It holds at every n and for every
classifier; being discrete it errs upwards. The power is the classifier's: logistic regression on features and their
squares sees means and scales.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepgen.evaluate.score import Score, feature_rows
from deepgen.random import on_host


def classifier_test(
    *, real: Tensor, fake: Tensor, classifier: Any = None, generator: torch.Generator | int | None = None
) -> Score:
    """The held-out accuracy with its binomial standard error and the p-value.

    Args:
        real: features ``[n_real, d]``, at least 20 rows.
        fake: features ``[n_fake, d]``.
        classifier: anything with scikit-learn's ``fit(x, y)`` and ``predict(x)``; None for logistic regression on
            standardised features and their squares. It is given standardised features.
        generator: chooses the halves: a generator, a seed, or None for fresh entropy.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import normal, generator
    >>> x = normal((800, 2), generator=generator(0))
    >>> score = classifier_test(real=x[:400], fake=x[400:] * 3, generator=0)
    >>> score.value > 0.7, score.p_value < 1e-6
    (True, True)
    """
    from scipy.stats import hypergeom

    stream = on_host(generator)
    x, y = feature_rows(real=real, fake=fake, least=20)
    x, y = (rows[torch.randperm(len(rows), generator=stream, device=stream.device).to(rows.device)] for rows in (x, y))
    size = min(len(x), len(y)) // 2  # of each kind in training
    train = torch.cat([x[:size], y[:size]])
    centre, scale = train.mean(0), train.std(0)
    scale = torch.where(scale > 0, scale, 1.0)
    labels = torch.cat([torch.zeros(size), torch.ones(size)]).long()

    def seen(rows: Tensor) -> Any:
        rows = ((rows - centre) / scale).cpu()
        return (torch.cat([rows, rows.square()], 1) if classifier is None else rows).numpy()

    fitted = classifier if classifier is not None else _logistic()
    fitted.fit(seen(train), labels.numpy())
    n, m = len(x) - size, len(y) - size
    called_real, called_fake = (int((fitted.predict(seen(rows[size:])) == 1).sum()) for rows in (x, y))  # called fake
    p = float(hypergeom.sf(called_fake - 1, n + m, called_real + called_fake, m))
    right, found = 1 - called_real / n, called_fake / m
    stderr = math.sqrt(right * (1 - right) / n + found * (1 - found) / m) / 2
    name = "logistic regression" if classifier is None else type(classifier).__name__
    note = f"{name}, {n:,} real and {m:,} fake rows held out"
    return Score("classifier accuracy", (right + found) / 2, stderr, len(x), len(y), p_value=min(1.0, p), note=note)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=1000)
