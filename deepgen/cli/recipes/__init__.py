"""From the options of ``deepgen train`` to a model, its objective and what is watched while it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deepgen.cli.constraints import constrained
from deepgen.cli.optimizers import stepped
from deepgen.cli.recipes.adversarial import gan
from deepgen.cli.recipes.autoencoder import autoencoder
from deepgen.cli.recipes.autoregressive import autoregressive
from deepgen.cli.recipes.class_rbm import class_rbm
from deepgen.cli.recipes.energy import energy
from deepgen.cli.recipes.flows import flow
from deepgen.cli.recipes.latent import latent
from deepgen.cli.recipes.mixture import mixture
from deepgen.cli.recipes.rbm import annealed, below_base_rates, deep, rbm
from deepgen.cli.recipes.recipe import Recipe
from deepgen.cli.recipes.semi_supervised import m2
from deepgen.cli.recipes.tokens import tokens

if TYPE_CHECKING:
    from deepgen.data import Data

__all__ = ["Recipe", "annealed", "below_base_rates", "build"]

_RECIPES: dict[str, Callable[[str, Data, Mapping[str, Any]], Recipe]] = {
    "rbm": rbm,
    **dict.fromkeys(("dbn", "dbm"), deep),
    **dict.fromkeys(("bernoulli", "mixture"), mixture),
    **dict.fromkeys(("made", "nade", "deep-nade", "pixelcnn", "gated-pixelcnn"), autoregressive),
    **dict.fromkeys(("nice", "realnvp", "maf", "nsf"), flow),
    **dict.fromkeys(("rnn", "lstm", "gru", "mlstm", "transformer"), tokens),
    **dict.fromkeys(("vae", "iwae", "cvae"), latent),
    "m2": m2,
    "class-rbm": class_rbm,
    "autoencoder": autoencoder,
    **dict.fromkeys(("gan", "cgan"), gan),
    "energy": energy,
}


def build(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """The recipe of the model ``name`` (see `deepgen.cli.options`) on ``data``."""
    return constrained(stepped(name, _RECIPES[name](name, data, options), options), options)
