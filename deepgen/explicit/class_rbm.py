"""Classification restricted Boltzmann machine: an RBM whose visible layer is a row of data and its label.

    E(x, y, h) = u(x) + u(h) - a.x - d.y - b.h - x.W.h - y.U.h,        y: one-hot over the classes

With h summed out, p(y | x) is a softmax over free energies, in closed form and without log Z:

    log p(y | x) = s_y - log sum_y' e^s_y',     s_y = d_y + A_h(b + x.W + U_y),     A_h: the hidden layer's cumulant.

The visible bias is (a, d) and the weight (W over U): it is an `RBM` over ``Product(visible, Softmax(1, classes))``, so
chains, trainers, completion and likelihoods are those of an RBM, over rows with their labels beside them.

Source: Larochelle & Bengio 2008, "Classification using discriminative restricted Boltzmann machines"; Larochelle,
Mandel, Pascanu & Bengio 2012, "Learning algorithms for the classification restricted Boltzmann machine", equation 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.explicit.product import Product
from deepgen.explicit.rbm import RBM
from deepgen.explicit.rows import Rows, answered
from deepgen.explicit.softmax import Softmax
from deepgen.explicit.units import Units, as_units, check_values, require_tensor

_NUMBERS = 2**24  # of hidden fields at a time


class ClassRBM(RBM):
    """An `RBM` over rows of data and their labels, with p(y | x) in closed form.

    Its rows are ``[rows, features + classes]``, made by `join`. `deepgen.objectives.Hybrid` trains it to classify, to
    generate, or both; `PersistentCD` and the others train the joint law alone.

    Args:
        visible: units of the data, a layer or a number of Bernoulli units.
        classes: number of labels, at least 2.
        hidden: units of the hidden layer.
        generator: source of the initial weights N(0, 0.01^2).

    >>> rbm = ClassRBM(6, classes=3, hidden=4, generator=0)
    >>> rbm
    ClassRBM(6 features, 3 classes, 4 hidden)
    >>> rbm.predict_proba(torch.zeros(2, 6)).shape, rbm.predict(torch.zeros(2, 6)).shape
    (torch.Size([2, 3]), torch.Size([2]))
    """

    def __init__(
        self,
        visible: int | Units,
        classes: int,
        hidden: int | Units,
        *,
        generator: torch.Generator | int | None = None,
    ) -> None:
        data = as_units(visible, "visible")
        check_count(2, classes=classes)
        parts = data.parts if isinstance(data, Product) else [data]
        super().__init__(Product(*parts, Softmax(1, classes)), hidden, generator=generator)
        self.classes, self.features = int(classes), data.width
        self._data = (data,)  # in a tuple, so that it is no second module of the same parts

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"visible": self._data[0], "classes": self.classes, "hidden": self.hidden}

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, features + classes]`` as `join` makes them."""
        if isinstance(x, Tensor) and x.ndim == 2 and x.shape[1] == self.features:
            raise ShapeError(
                f"data must be rows with their labels beside them, [rows, {self.visible.width}], got {list(x.shape)}: "
                "join(x, y) makes them"
            )
        super().check(x)

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Rows with their labels beside them: ``[rows, features], [rows] -> [rows, features + classes]``.

        Raises:
            ShapeError, SupportError: ``x`` is not such rows.
            ArgumentError: ``y`` is not one whole number from 0 to classes - 1 for each.

        >>> ClassRBM(2, classes=3, hidden=4, generator=0).join(torch.tensor([[0.0, 1.0]]), torch.tensor([2]))
        tensor([[0., 1., 0., 0., 1.]])
        """
        check_values(self._data[0], x, "x")
        labels = self._labels(y, len(x))
        return torch.cat([x.to(self.weight), torch.nn.functional.one_hot(labels, self.classes).to(self.weight)], 1)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `join`: data and labels, int64."""
        require_tensor(rows, "rows")
        if rows.ndim != 2 or rows.shape[1] != self.visible.width:
            raise ShapeError(f"rows must be [rows, {self.visible.width}], got {list(rows.shape)}")
        return rows[:, : self.features], rows[:, self.features :].argmax(1)

    def log_joint(self, x: Tensor) -> Tensor:
        """-F(x, y) of rows ``[rows, features]`` with every label, log p(x, y) up to log Z: ``[rows, classes]``."""
        require_tensor(x, "x")
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ShapeError(f"x must be [rows, {self.features}], got {list(x.shape)}")
        few = max(1, _NUMBERS // (self.classes * self.hidden.width))
        return torch.cat([self._log_joint(part.to(self.weight)) for part in x.split(few)])

    def _log_joint(self, x: Tensor) -> Tensor:
        (a, d), (weight, of_labels) = (p.split([self.features, self.classes]) for p in (self.visible_bias, self.weight))
        field = torch.addmm(self.hidden_bias, x, weight).unsqueeze(1) + of_labels  # [rows, classes, hidden]
        return (x @ a - self._data[0].energy(x)).unsqueeze(1) + d + self.hidden.cumulant(field)

    def log_labels(self, x: Tensor) -> Tensor:
        """log p(y | x) in nats, exact: ``[rows, features] -> [rows, classes]``."""
        return self.log_joint(x).log_softmax(1)

    @torch.no_grad()
    def predict_proba(self, x: Rows) -> Rows:
        """p(y | x), as scikit-learn names it: ``[rows, features] -> [rows, classes]``; an array gives an array."""
        return answered(x, self._probabilities)

    @torch.no_grad()
    def predict(self, x: Rows) -> Rows:
        """The likeliest label of each row, int64: ``[rows, features] -> [rows]``; an array gives an array."""
        return answered(x, lambda rows: self._probabilities(rows).argmax(1))

    def _probabilities(self, x: Tensor) -> Tensor:
        check_values(self._data[0], x, "x")
        return self.log_labels(x).exp()

    def _labels(self, y: Tensor, rows: int) -> Tensor:
        require_tensor(y, "y")
        whole = not y.is_floating_point() and y.dtype != torch.bool
        if not whole or y.shape != (rows,) or bool(((y < 0) | (y >= self.classes)).any()):
            raise ArgumentError(
                f"y must be [{rows}] whole numbers from 0 to {self.classes - 1}, got {y.dtype} {list(y.shape)}"
                + (f" from {y.min()} to {y.max()}" if y.numel() else "")
            )
        return y.long().to(self.weight.device)

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"ClassRBM({self.features} features, {self.classes} classes, {self.hidden.width} hidden)"
