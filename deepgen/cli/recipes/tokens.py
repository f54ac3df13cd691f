"""Recurrent networks and Transformers over the characters of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.recipe import Recipe, by_adam
from deepgen.cli.values import kind, refused
from deepgen.explicit import CharRNN, Transformer
from deepgen.objectives import MaximumLikelihood

if TYPE_CHECKING:
    from deepgen.data import Data


def tokens(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``rnn``, ``lstm``, ``gru``, ``mlstm`` and ``transformer``."""
    if kind(data) != "text":
        raise refused(f"{name} takes a text (--data shakespeare, or the path of a .txt file)", data)
    vocabulary, (length,) = data.levels or 0, data.event_shape
    rest = {"length": length, "dropout": options["dropout"], "generator": options["seed"]}
    model: CharRNN | Transformer
    if name == "transformer":
        sizes = {key: options[key] for key in ("width", "heads", "layers")}
        model = Transformer(vocabulary, **sizes, **rest)
    else:
        model = CharRNN(vocabulary, options["hidden"], options["layers"], name, **rest)
    model.initialise(rows_of(data.train))
    return by_adam(model, MaximumLikelihood(), data, options, notes={"alphabet": data.provenance["alphabet"]})
