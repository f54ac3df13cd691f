"""``--max-norm`` and ``--non-negative`` of ``deepgen train``: weights that every step leaves in a set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.cli.recipes.recipe import Recipe


def check_constraint(chosen: Mapping[str, Any]) -> None:
    """Refuse two sets at once, a limit that is none, and layers whose weights are computed from others."""
    limit, signs = chosen.get("max_norm"), chosen.get("non_negative")
    if limit is not None and signs:
        raise ArgumentError("--max-norm and --non-negative are two sets, and weights are kept in one: drop one of them")
    if limit is not None and not 0 < limit < math.inf:
        raise ArgumentError(f"--max-norm must be a finite number above 0, got {limit}")
    if limit is not None and chosen.get("spectral_norm"):
        raise ArgumentError("--max-norm moves weights that --spectral-norm computes from others: drop one of them")


def constrained(recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    """``recipe`` with an optimizer that keeps the weights of its model where ``options`` say, if they do."""
    from deepgen.layers import MaxNorm, NonNegative, constrain

    limit, signs = options.get("max_norm"), options.get("non_negative")
    if recipe.optimizer is not None and (signs or limit is not None):
        constrain(recipe.optimizer, recipe.model, MaxNorm(limit) if limit is not None else NonNegative())
    return recipe
