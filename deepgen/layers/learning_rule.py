"""What the perceptron and the linear unit share: settings as scikit-learn asks for them, and rows that are checked."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepgen.errors import (
    ArgumentError,
    MissingCapability,
    ShapeError,
    SupportError,
    check_count,
    check_real,
    did_you_mean,
)
from deepgen.random import resolve

Numbers = npt.NDArray[np.float64]


class LearningRule:
    """Settings of a dataclass, read and written by name, and w . x + b after ``fit``."""

    coef_: Numbers
    intercept_: float
    rate: float | None
    epochs: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def set_params(self, **settings: Any) -> Any:
        """Change settings; return self."""
        known = self.get_params()
        for name, value in settings.items():
            if name not in known:
                raise ArgumentError(
                    f"{type(self).__name__} has no setting {name!r}: {did_you_mean(name, known)}"
                    f"it has {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def decision_function(self, x: Any) -> Numbers:
        """w . x + b of rows ``[rows, features]``.

        Raises:
            MissingCapability: before ``fit``.
            ShapeError, SupportError: rows of another width, or not finite.
        """
        if not hasattr(self, "coef_"):
            raise MissingCapability(f"{type(self).__name__} has no weights yet: call fit first")
        values: Numbers = as_rows(x, len(self.coef_)) @ self.coef_ + self.intercept_
        return values

    def _check_settings(self) -> None:
        check_count(epochs=self.epochs)
        if self.rate is not None:
            check_real("rate", self.rate, 1e-300)


def as_rows(x: Any, features: int | None = None) -> Numbers:
    """Rows ``[rows, features]`` of finite numbers in float64, from an array, a tensor or a list.

    >>> as_rows([[1, 2]])
    array([[1., 2.]])
    """
    try:
        rows = np.asarray(x.detach().cpu() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
    except (TypeError, ValueError):
        raise ShapeError("x must be rows of numbers, [rows, features], all of one width") from None
    if rows.ndim != 2 or 0 in rows.shape or (features is not None and rows.shape[1] != features):
        raise ShapeError(f"x must be [rows, {features or 'features'}] with at least a row, got {list(rows.shape)}")
    if not np.isfinite(rows).all():
        place = np.argwhere(~np.isfinite(rows))[0].tolist()
        raise SupportError(f"x{place} is {rows[tuple(place)]}: remove or replace rows with NaN or infinite values")
    return rows


def as_targets(y: Any, rows: int) -> npt.NDArray[Any]:
    """One target or label for each row.

    >>> as_targets([0, 1], 2)
    array([0, 1])
    """
    try:
        targets = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
    except (TypeError, ValueError):  # lists that are no rectangle
        raise ShapeError(f"y must be [{rows}], one for each row of x") from None
    if targets.shape != (rows,):
        raise ShapeError(f"y must be [{rows}], one for each row of x, got {list(targets.shape)}")
    if targets.dtype.kind == "f" and not np.isfinite(targets).all():
        raise SupportError("y has NaN or infinite values: remove those rows")
    return targets


def row_order(rows: int, generator: torch.Generator | int | None) -> Any:
    """A function that gives the order of rows for the next epoch: as they come without a generator, else drawn.

    >>> row_order(3, None)()
    array([0, 1, 2])
    """
    if generator is None:
        same = np.arange(rows)
        return lambda: same
    stream = resolve(generator)
    return lambda: torch.randperm(rows, generator=stream).numpy()
