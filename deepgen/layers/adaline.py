"""The linear unit (Adaline), which learns from how far its sum is from the target: the delta rule.

    o = w . x + b;      w <- w + eta mean (t - o) x,      b <- b + eta mean (t - o)

with the mean over all rows, over a few in turn, or over one at a time (Widrow and Hoff's own form, LMS). It is gradient
descent on E = 1/2 mean (t - o)^2. With all rows an error along an eigenvector of C = mean (x, 1)(x, 1)' shrinks by
|1 - eta l| a step, l its eigenvalue: E falls to the least-squares minimum if eta < 2 / l_max, and from w = 0 the
weights go to the shortest of those that have it. With fewer rows at a time a constant rate does not end there but at a
distance of the order of eta (Widrow & Hoff's misadjustment), as every row pulls towards its own solution.

Sources: Widrow & Hoff 1960, "Adaptive switching circuits"; Rumelhart, Hinton & Williams 1986 for the name of the rule.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deepgen.errors import ArgumentError, DivergenceError, SupportError, check_count, check_real
from deepgen.layers.learning_rule import LearningRule, Numbers, as_rows, as_targets, row_order
from deepgen.layers.perceptron import NotConverged


@dataclass
class Adaline(LearningRule):
    """A linear unit learned by the delta rule; scikit-learn's manner of ``fit`` and ``predict``, which puts out o.

    Args:
        rate: eta; None is 1 / l_max, or 1 / max |(x, 1)|^2 with batches, below which no single row is overshot.
        epochs: passes over the rows, at most.
        batch_size: rows a step; None for all, 1 for LMS.
        tolerance: the fit has converged when a pass moves the weights by less than this share of their length.
        generator: draws the order of the rows anew for each pass; None keeps them as they come.

    Attributes:
        coef_, intercept_: w ``[features]`` and b.
        converged_: whether the last pass moved less than the tolerance.
        losses_: E after each pass.
        rate_: the rate that was used.
        report_: that in words.

    Raises:
        ArgumentError: a setting outside its range.
        ShapeError, SupportError: rows and targets that do not fit together, or are not finite numbers.
        DivergenceError: the weights left the finite numbers; the message names the greatest rate for all rows.

    Without convergence ``fit`` warns with `NotConverged`.

    >>> unit = Adaline(epochs=10_000).fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> unit.predict([[3.0]]).round(4)
    array([7.])
    >>> unit.converged_
    True
    """

    rate: float | None = None
    epochs: int = 1000
    batch_size: int | None = None
    tolerance: float = 1e-8
    generator: torch.Generator | int | None = None

    def fit(self, x: Any, y: Any) -> Adaline:
        """Learn from rows ``[rows, features]`` and their targets ``[rows]``, numbers (-1 and 1 for classes)."""
        self._check_settings()
        check_real("tolerance", self.tolerance, 0)
        if self.batch_size is not None:
            check_count(batch_size=self.batch_size)
        rows = as_rows(x)
        wide, t = np.hstack([rows, np.ones((len(rows), 1))]), _numbers(y, len(rows))
        size = min(self.batch_size or len(rows), len(rows))
        greatest = float(np.linalg.eigvalsh(wide.T @ wide / len(rows))[-1])
        self.rate_ = float(self.rate or 1 / (greatest if size == len(rows) else (wide**2).sum(1).max()))
        order, weights = row_order(len(rows), self.generator), np.zeros(wide.shape[1])
        self.losses_: list[float] = []
        self.converged_ = False
        while len(self.losses_) < self.epochs and not self.converged_:
            before, chosen = weights.copy(), order()
            with np.errstate(over="ignore", invalid="ignore"):  # said below, in words
                for at in range(0, len(rows), size):
                    some = chosen[at : at + size]
                    weights += self.rate_ * ((t[some] - wide[some] @ weights) @ wide[some]) / len(some)
                self.losses_.append(float(((t - wide @ weights) ** 2).mean() / 2))
            self._check_finite(2 / greatest)
            moved = np.linalg.norm(weights - before)
            self.converged_ = bool(moved <= self.tolerance * np.linalg.norm(weights))
        self.coef_, self.intercept_ = weights[:-1], float(weights[-1])
        made = f"{len(self.losses_)} passes at rate {self.rate_:.3g}, E = {self.losses_[-1]:.6g}"
        self.report_ = f"converged: weights at rest after {made}"
        if not self.converged_:
            hint = "give it more epochs, or bring the features to one scale"
            if size < len(rows) and self.generator is not None:
                hint = "with drawn orders and a constant rate they need not come to rest: lower the rate"
            self.report_ = f"not converged: weights still move after {made}; {hint}"
            warnings.warn(self.report_, NotConverged, stacklevel=2)
        return self

    def predict(self, x: Any) -> Numbers:
        """o of rows, ``[rows, features] -> [rows]``; its sign is the class where targets were -1 and 1."""
        return self.decision_function(x)

    def score(self, x: Any, y: Any) -> float:
        """R^2: 1 less the squared error's share of the targets' variance, as scikit-learn's regressors have it.

        Raises:
            ArgumentError: all targets are one number, of which no share can be explained.
        """
        found = self.predict(x)
        targets = _numbers(y, len(found))
        spread = ((targets - targets.mean()) ** 2).sum()
        if spread == 0:
            raise ArgumentError("y must hold at least two different targets, so that there is a variance to explain")
        return float(1 - ((targets - found) ** 2).sum() / spread)

    def _check_finite(self, limit: float) -> None:
        if not np.isfinite(self.losses_[-1]):
            raise DivergenceError(
                f"the weights grow without bound at rate {self.rate_:.3g} (seen after {len(self.losses_)} passes): "
                f"with all rows in one step it must be below 2 / l_max = {limit:.3g}; with fewer, lower still",
                step=len(self.losses_),
            )


def _numbers(y: Any, rows: int) -> Numbers:
    """Targets in float64."""
    targets = as_targets(y, rows)
    if targets.dtype.kind not in "fiub":
        raise SupportError(f"targets must be numbers (-1 and 1 for two classes), got {targets.dtype}")
    return targets.astype(np.float64)
