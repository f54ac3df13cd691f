"""Bernoulli mixtures by expectation-maximisation; one component is independent columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.recipe import Recipe, mean
from deepgen.cli.values import kind, refused
from deepgen.explicit import BernoulliMixture
from deepgen.objectives import ExpectationMaximisation

if TYPE_CHECKING:
    from deepgen.data import Data


def mixture(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``bernoulli`` and ``mixture``."""
    if kind(data) != "binary":
        raise refused(f"{name} takes zeros and ones", data)
    components = options.get("components", 1)
    model = BernoulliMixture(data.event_shape.numel(), components)
    model.initialise(rows_of(data.train), generator=options["seed"])
    # a single component starts at its answer, so one step is all
    epochs = options["epochs"] if components > 1 else 1
    return Recipe(model, ExpectationMaximisation(), data, epochs, batch=len(data.train), monitor=mean)
