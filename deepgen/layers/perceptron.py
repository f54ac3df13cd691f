"""The perceptron, a unit that learns from its mistakes alone.

    o = sign(w . x + b);    if o is not t:  w <- w + eta (t - o) / 2 x,  b <- b + eta (t - o) / 2;    t, o in {-1, 1}

Rows are shown in turn, from w = 0, b = 0 (eta then only scales w and changes no answer). If some unit vector (u, c)
separates the classes with the margin g = min t (u . x + c) > 0, no more mistakes are made than

    (R / g)^2,      R^2 = max |x|^2 + 1,

however many rows there are and in whatever order (Novikoff's theorem). If none does, mistakes never end while w stays
bounded (Block & Levin 1970), so the last weights are no better than others. XOR is the smallest such set.

Sources: Rosenblatt 1958, "The perceptron: a probabilistic model for information storage and organization in the brain";
Novikoff 1962, "On convergence proofs on perceptrons"; Block & Levin 1970, "On the boundedness of an iterative procedure
for solving a system of linear inequalities".
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepgen.errors import ArgumentError, check_real
from deepgen.layers.learning_rule import LearningRule, Numbers, as_rows, as_targets, row_order

BLOCK = 256  # rows whose sums are found in one product: until the first mistake among them they are what they would be


class NotConverged(RuntimeWarning):
    """A learning rule still made mistakes, or still moved, after its last epoch; the message says what is known of why.

    >>> issubclass(NotConverged, Warning)
    True
    """


@dataclass
class Perceptron(LearningRule):
    """Two classes apart by a hyperplane, learned row by row; scikit-learn's manner of ``fit`` and ``predict``.

    Args:
        rate: eta.
        epochs: passes over the rows, at most; a pass without a mistake is the last.
        generator: draws the order of the rows anew for each pass; None keeps them as they come.

    Attributes:
        coef_, intercept_: w ``[features]`` and b.
        classes_: the two labels in their order; the second is t = 1.
        converged_: whether the last pass was without a mistake, so that all rows are classified rightly.
        separable_: True, False (by a linear program, which is asked only without convergence), or None: not known.
        mistakes_: in each pass.
        report_: that in words.

    Raises:
        ArgumentError: a setting outside its range, or not two classes.
        ShapeError, SupportError: rows and labels that do not fit together, or are not finite.

    Without convergence ``fit`` warns with `NotConverged`.

    >>> unit = Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "no", "no", "yes"])
    >>> unit.predict([[1, 1], [0, 1]])
    array(['yes', 'no'], dtype='<U3')
    >>> print(unit.report_)  # doctest: +ELLIPSIS
    converged: all 4 rows are right after ... mistakes in ... passes
    """

    rate: float | None = 1.0
    epochs: int = 1000
    generator: torch.Generator | int | None = None

    def fit(self, x: Any, y: Any) -> Perceptron:
        """Learn from rows ``[rows, features]`` and their labels ``[rows]``; return self."""
        self._check_settings()
        rows = as_rows(x)
        labels = as_targets(y, len(rows))
        self.classes_ = _two(labels)
        wide = np.hstack([rows, np.ones((len(rows), 1))])  # b is the weight of a 1
        signed = wide * _signs(labels, self.classes_)[:, None]
        order, weights = row_order(len(rows), self.generator), np.zeros(wide.shape[1])
        rate = 1.0 if self.rate is None else float(self.rate)
        self.mistakes_: list[int] = []
        while len(self.mistakes_) < self.epochs and (not self.mistakes_ or self.mistakes_[-1]):
            self.mistakes_.append(_pass(signed[order()], weights, rate))
        self.coef_, self.intercept_ = weights[:-1], float(weights[-1])
        self.converged_ = self.mistakes_[-1] == 0
        self.separable_ = True if self.converged_ else separable(signed)
        self.report_ = self._report(len(rows), int((signed @ weights <= 0).sum()))
        if not self.converged_:
            warnings.warn(self.report_, NotConverged, stacklevel=2)
        return self

    def predict(self, x: Any) -> npt.NDArray[Any]:
        """The labels of rows, ``[rows, features] -> [rows]``."""
        second = self.decision_function(x) > 0
        return self.classes_[second.astype(np.int64)]

    def score(self, x: Any, y: Any) -> float:
        """The share of rows that are classified rightly."""
        found = self.predict(x)
        return float((found == as_targets(y, len(found))).mean())

    def _report(self, rows: int, wrong: int) -> str:
        made = f"{sum(self.mistakes_)} mistakes in {len(self.mistakes_)} passes"
        if self.converged_:
            return f"converged: all {rows} rows are right after {made}"
        why = {
            False: "no hyperplane separates the classes, so it never will: add features, or take a rule that "
            "minimises an error (Adaline, logistic regression)",
            True: "a hyperplane separates the classes, with a small margin: give it more epochs, or bring the features "
            "to one scale",
            None: "whether a hyperplane separates the classes is not known",
        }[self.separable_]
        return f"not converged: {wrong} of {rows} rows are wrong after {made}; {why}"


def _two(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The two classes of ``labels``, in their order."""
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ArgumentError(
            f"a perceptron tells two classes apart, got {len(classes)}: with more, one against the rest "
            "(sklearn.multiclass.OneVsRestClassifier)"
        )
    return classes


def _signs(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Numbers:
    """t of each label."""
    return np.where(labels == classes[1], 1.0, -1.0)


def _pass(signed: Numbers, weights: Numbers, rate: float) -> int:
    """Show rows t (x, 1) in turn, change ``weights`` in place, return how many mistakes were made."""
    mistakes = at = 0
    while at < len(signed):
        block = signed[at : at + BLOCK]
        wrong = block @ weights <= 0
        first = int(wrong.argmax())
        if not wrong[first]:
            at += len(block)
            continue
        weights += rate * block[first]
        mistakes, at = mistakes + 1, at + first + 1
    return mistakes


def separable(signed: Numbers) -> bool | None:
    """Whether some w has w . s >= 1 for all rows s = t (x, 1), by a linear program; None if that gave up.

    Columns are brought to one scale first, and the program's tolerance (1e-7) is that of the answer.

    >>> separable(np.array([[1.0, 1.0], [-2.0, -1.0]])), separable(np.array([[1.0, 1.0], [-1.0, -1.0]]))
    (True, False)
    """
    from scipy.optimize import linprog

    scale = np.abs(signed).max(0)
    columns = signed / np.where(scale > 0, scale, 1.0)
    found = linprog(np.zeros(signed.shape[1]), A_ub=-columns, b_ub=-np.ones(len(signed)), bounds=(None, None))
    return {0: True, 2: False}.get(found.status)


def mistake_bound(x: Any, y: Any, coef: Any, intercept: float = 0.0) -> float:
    """(R / g)^2 by the margin g of the hyperplane ``coef . x + intercept``; infinite if that separates nothing.

    Args:
        x: rows ``[rows, features]``.
        y: labels of two kinds ``[rows]``, numbers or texts; the greater, as `Perceptron.classes_` has them, lies where
            the hyperplane is positive.
        coef, intercept: of a hyperplane, on any scale: the wider its margin, the less the bound.

    Raises:
        ArgumentError: not two kinds of labels, or a hyperplane of another width or none.

    >>> mistake_bound([[-1.0], [1.0]], [0, 1], [1.0])
    2.0
    """
    rows = as_rows(x)
    labels = as_targets(y, len(rows))
    try:
        normal = np.asarray(coef, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"coef must be numbers, got {coef!r}") from None
    check_real("intercept", intercept)
    if normal.shape != (rows.shape[1],):
        raise ArgumentError(f"coef must be [{rows.shape[1]}], got {list(normal.shape)}")
    if not np.isfinite(normal).all():
        raise ArgumentError(f"coef must be finite, got {normal}")
    length = math.hypot(*normal, intercept)
    if length == 0:
        raise ArgumentError("coef and intercept are all 0, which is no hyperplane")
    signs = _signs(labels, _two(labels))
    margin = (signs * (rows @ normal + intercept)).min() / length
    if not margin > 0:
        return math.inf
    return float(((rows**2).sum(1).max() + 1) / margin**2)
