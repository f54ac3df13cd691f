"""``class-rbm``: an RBM of rows with their labels beside them, trained to classify and a little to generate.

Watched is the mean log p(label | row) of validation rows, which is exact. Source: Larochelle & Bengio 2008.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.feed import classes_of
from deepgen.cli.recipes.recipe import Recipe
from deepgen.cli.values import kind, refused
from deepgen.errors import ArgumentError
from deepgen.explicit import ClassRBM
from deepgen.objectives import Hybrid
from deepgen.objectives.adam import adam

if TYPE_CHECKING:
    from deepgen.data import Data


def class_rbm(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``class-rbm``."""
    if kind(data) != "binary":
        raise refused(f"{name} takes zeros and ones", data)
    if not isinstance(data.train, Tensor):
        raise ArgumentError(f"{name} takes bits that stay as they are: give --binarise fixed or threshold")
    model = ClassRBM(data.event_shape.numel(), classes_of(data, 2), options["hidden"], generator=options["seed"])
    return Recipe(
        model=model,
        objective=Hybrid(k=options["k"], chains=options["chains"]),
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=adam(model, lr=options["rate"]),
        monitor=LogLabels(),
    )


class LogLabels:
    """A monitor: the mean log p(label | row) of rows with their labels beside them."""

    name = "log p(label | row) of validation rows, nats per example"

    def __call__(self, model: nn.Module, valid: Tensor) -> float:
        machine: Any = model
        with torch.no_grad():
            x, labels = machine.split(valid)
            return float(machine.log_labels(x).gather(1, labels.unsqueeze(1)).double().mean())
