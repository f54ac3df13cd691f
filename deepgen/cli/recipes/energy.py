"""Energy models: a network over the plainest law of the data, by persistent chains.

The base is a Gaussian with the mean and covariance of the training rows, or for bits their base rates: the network
learns what these do not say, and annealing starts there, so that the likelihood is a bracket.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.columns import caution, varying
from deepgen.cli.recipes.rbm import annealed
from deepgen.cli.recipes.recipe import Recipe
from deepgen.cli.values import kind, refused
from deepgen.distributions import IndependentBernoulli, MultivariateNormal
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP
from deepgen.objectives import PersistentChains
from deepgen.objectives.adam import adam

if TYPE_CHECKING:
    from deepgen.data import Data


def energy(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``energy``."""
    binary, features = kind(data) == "binary", data.event_shape.numel()
    if not binary and kind(data) not in ("real", "unit"):
        raise refused("energy takes zeros and ones, or real values", data)
    x = rows_of(data.train) if binary else varying(name, data)
    net = ScalarMLP(features, options["hidden"], generator=options["seed"])
    base = IndependentBernoulli(features) if binary else MultivariateNormal(features)
    model = EnergyModel(net, base=base, support="binary" if binary else "real").initialise(x)
    return Recipe(
        model=model,
        objective=PersistentChains(k=options["k"], chains=options["chains"]),
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=adam(net, lr=options["rate"]),
        monitor=partial(annealed, None) if options["patience"] else None,  # it has a base of its own
        caution=None if binary else caution(data),
    )
