"""What models ``deepgen train`` knows, and the options of each with their defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from deepgen.cli.constraints import check_constraint
from deepgen.cli.optimizers import OPEN, check_named, usual_rate
from deepgen.errors import ArgumentError, DeepgenError, unknown_name

Root = Annotated[str | None, typer.Option(help="Folder with the files of a named data set; $DEEPGEN_DATA by default.")]

Binarise = Annotated[
    str | None,
    typer.Option(
        help="none, threshold, fixed or dynamic; by default the data set's own way, of a run as it was trained."
    ),
]

# Adam at a rate that falls to zero, left at its best epoch on validation rows.
_LEARNED = {
    "epochs": 100, "patience": 20, "batch": 50, "rate": 1e-3, "optimizer": "adam", "schedule": "linear"
}  # fmt: skip
_IMAGES = {**_LEARNED, "epochs": 30, "channels": 32, "layers": 6}
_FLOW = {**_LEARNED, "epochs": 50, "transforms": 5, "hidden": [128, 128]}
_NETWORKS = {**_LEARNED, "epochs": 200, "hidden": [200, 200], "channels": 32, "latent": None, "max_norm": None}
_GAME = {
    **_NETWORKS, "patience": None, "networks": None, "latent": 16, "loss": None, "penalty": None, "spectral_norm": None
}  # fmt: skip
_LATENT = {**_NETWORKS, "networks": "dense", "prior": "normal", "posterior": "diagonal", "components": 50}
_TEXT = {**_LEARNED, "epochs": 10, "patience": 3, "batch": 32, "rate": 3e-3, "length": None, "dropout": 0.0}

_MACHINE = {
    **_LEARNED, "epochs": 200, "patience": None, "rate": 0.1, "optimizer": "sgd", "k": 1, "chains": 100,
    "weight_decay": 0.0
}  # fmt: skip

_SETS: dict[str, Any] = {"max_norm": None, "non_negative": None}

# What an option is when it is not given. None in the signature lets us refuse one that means nothing to the model.
DEFAULTS: dict[str, dict[str, Any]] = {
    "rbm": {**_MACHINE, "visible": "bernoulli", "hidden": 128, "hidden_units": "bernoulli", **_SETS},
    "dbn": {**_MACHINE, "hidden": [128, 128]},
    "dbm": {**_MACHINE, "hidden": [128, 128]},
    "class-rbm": {**_LEARNED, "rate": 0.01, "hidden": 128, "k": 1, "chains": 100},
    "bernoulli": {"epochs": 200, "patience": None},
    "mixture": {"epochs": 200, "patience": None, "components": 20},
    "made": {**_LEARNED, "hidden": [500], "orders": 1, "max_norm": None},
    "nade": {**_LEARNED, "hidden": 500},
    "deep-nade": {**_LEARNED, "epochs": 200, "hidden": [500, 500], "orders": 8},
    "pixelcnn": _IMAGES,
    "gated-pixelcnn": _IMAGES,
    "nice": _FLOW,
    "realnvp": _FLOW,
    "maf": _FLOW,
    "nsf": _FLOW,
    **{name: {**_TEXT, "hidden": 256, "layers": 1} for name in ("rnn", "lstm", "gru", "mlstm")},
    "transformer": {**_TEXT, "rate": 1e-3, "width": 128, "heads": 4, "layers": 2},
    "vae": _LATENT,
    "iwae": {**_LATENT, "k": 5},
    "cvae": _LATENT,
    "m2": {**_LATENT, "labelled": 100},
    "autoencoder": {**_NETWORKS, "networks": "dense", "noise": 0.3, "penalty": None, "penalty_weight": None, **_SETS},
    "gan": _GAME,
    "cgan": {**_GAME, "condition": "projection"},
    "energy": {**_LEARNED, "patience": None, "hidden": [256, 256], "k": 10, "chains": 100},
}

GAMES = ("gan", "cgan")

# What an option can be that is one of a few words, and where that goes by the model.
_WORDS = {
    "visible": ("kind of visible units", ("bernoulli", "spin", "softmax", "gaussian")),
    "hidden_units": ("kind of hidden units", ("bernoulli", "spin", "gaussian")),
    "prior": ("prior", ("normal", "mixture", "vamp", "flow")),
    "posterior": ("posterior", ("diagonal", "full", "flow")),
    "networks": ("kind of networks", ("dense", "conv")),
    "loss": ("loss", ("relativistic", "minimax", "non-saturating", "least-squares", "hinge", "wasserstein")),
    "penalty": ("penalty", ("none",)),
    "condition": ("condition", ("projection", "concatenation")),
}
_OWN_WORDS = {
    ("networks", "autoencoder"): ("dense", "conv", "tied"),
    **dict.fromkeys((("networks", name) for name in GAMES), ("dense", "maxout", "conv", "resnet")),
    ("penalty", "autoencoder"): ("none", "contraction", "l1", "sparsity"),
    **dict.fromkeys((("penalty", name) for name in GAMES), ("r1-r2", "r1", "r2", "gradient", "none")),
}
_PENALTY = 0.1  # weight of an autoencoder's, in nats of the reconstruction loss
_CONVOLVED = 256  # units of the hidden layer beside convolutions

_LEFT_OUT = {
    "iaf": "an iaf scores given data one variable after the other, so training it by likelihood would take as many "
    "network passes a step as there are columns: maf is the same flow with the fast direction towards the data, and "
    "--posterior flow of a vae is an iaf",
    "semi-supervised": "a model of rows of which only some have labels is m2 here",
    **dict.fromkeys(
        ("planar", "planarflow", "planar-flow"),
        "a planar flow has one direction only, so it is trained on data or drawn from and never both: in Python it is "
        "deepgen.explicit.PlanarFlow; realnvp, maf and nsf have both",
    ),
    **dict.fromkeys(
        ("conv-vae", "conv-cvae"), "convolutions are an option of the model: train vae or cvae with --networks conv"
    ),
    "conv-autoencoder": "convolutions are an option of the model: train autoencoder with --networks conv",
    **dict.fromkeys(
        ("dcgan", "resnet-gan"), "networks are an option of the model: train gan with --networks conv or resnet"
    ),
    "conditional-gan": "a gan given labels is cgan here",
    "classrbm": "a machine with label units is class-rbm here",
    "seq2seq": "rows of tokens given rows of tokens come in pairs, which no file given here can say: in Python it is "
    "deepgen.explicit.Seq2Seq; of one text train lstm or transformer",
    **dict.fromkeys(
        ("ising", "potts"),
        "the couplings of an Ising or Potts grid are given, so there is nothing to learn from data: in Python it is "
        "deepgen.explicit.Ising or Potts; of bits train rbm",
    ),
}


_IN_PYTHON = {
    ("kind of hidden units", "softmax"): "softmax hidden units need a number of categories each: in Python "
    "deepgen.explicit.RBM(visible, Softmax(groups, categories))",
    ("kind of visible units", "product"): "a product says which columns are of which kind: in Python "
    "deepgen.explicit.RBM(Product(Bernoulli(3), Gaussian(2)), hidden)",
}


def model_name(given: str) -> str:
    """The model that ``given`` names: case and underscores do not matter."""
    name = given.lower().replace("_", "-")
    if name in _LEFT_OUT:
        raise ArgumentError(_LEFT_OUT[name])
    if name not in DEFAULTS:
        raise unknown_name("model", given, DEFAULTS)
    return name


def settle(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of ``model``, defaults filled in; those of another model are refused rather than ignored."""
    own = DEFAULTS[model]
    for name, value in given.items():
        if value is not None and name not in own:
            owners = ", ".join(m for m, options in DEFAULTS.items() if name in options)
            raise ArgumentError(f"--{name.replace('_', '-')} is an option of {owners}; {model} has no such thing")
    chosen = {name: default if given.get(name) is None else given[name] for name, default in own.items()}
    if isinstance(chosen.get("hidden"), str):
        chosen["hidden"] = _widths(model, chosen["hidden"])
    for name, (kind, words) in _WORDS.items():
        words = _OWN_WORDS.get((name, model), words)
        if chosen.get(name) is not None and chosen[name] not in words:
            raise _unknown(model, kind, chosen[name], words)
    _agree(model, chosen, given)
    check_constraint(chosen)
    if "optimizer" in own:
        check_named(model, chosen)
        if given.get("rate") is None and chosen["optimizer"] != own["optimizer"]:
            chosen["rate"] = usual_rate(model, chosen["optimizer"], own["rate"])
    if "rate" in chosen and not chosen["rate"] > 0:
        raise ArgumentError(f"--rate must be above 0, got {chosen['rate']}")
    if "noise" in chosen and not 0 <= chosen["noise"] < 1:
        raise ArgumentError(f"--noise must be from 0 to below 1, got {chosen['noise']}")
    return chosen


def extendable(source: Mapping[str, Any]) -> bool:
    """Whether no rate was planned over the epochs, so that more may be added: of ``source`` as a run keeps it.

    >>> extendable({"model": "mixture"}), extendable({"model": "vae", "schedule": "linear"})
    (True, False)
    """
    return "rate" not in DEFAULTS[source["model"]] or source.get("schedule") in OPEN


def applying(model: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``chosen`` that the model has a use for, beside one another: what is worth telling of it.

    >>> found = applying("vae", settle("vae", {"networks": "dense"}))
    >>> [name in found for name in ("hidden", "channels", "components", "latent")]
    [True, False, False, False]
    """
    idle = {name for name, value in chosen.items() if value is None}
    networks = chosen.get("networks")
    if networks in ("dense", "tied", "maxout"):
        idle.add("channels")
    elif networks is not None and model in GAMES:
        idle.add("hidden")
    if chosen.get("prior") in ("normal", "flow"):
        idle.add("components")
    return {name: value for name, value in chosen.items() if name not in idle}


def _unknown(model: str, kind: str, got: str, words: tuple[str, ...]) -> DeepgenError:
    """A word that names nothing, or something that is made in Python alone."""
    if python := _IN_PYTHON.get((kind, got)):
        return ArgumentError(f"{python}; here the {kind} of {model} is {', '.join(words[:-1])} or {words[-1]}")
    return unknown_name(kind, got, words)


def _agree(model: str, chosen: dict[str, Any], given: dict[str, Any]) -> None:
    """Options that mean nothing beside one another are refused; the hidden layer beside convolutions gets its width."""
    networks = chosen.get("networks")
    if networks in ("dense", "tied", "maxout") and given.get("channels") is not None:
        raise ArgumentError(
            f"--channels is of convolutions, and {networks} networks have none: give {model} --networks conv"
        )
    if networks in ("conv", "resnet") and model in GAMES and given.get("hidden") is not None:
        raise ArgumentError(f"--hidden is of dense networks; the size of {networks} ones is --channels")
    if networks == "conv" and model not in GAMES:
        chosen["hidden"] = [_CONVOLVED] if given.get("hidden") is None else chosen["hidden"]
        if len(chosen["hidden"]) > 1:
            raise ArgumentError(
                "--networks conv has one hidden layer beside the convolutions: give --hidden one number"
            )
    if model == "autoencoder":
        _penalised(chosen, given)
    if chosen.get("posterior") == "flow" and chosen["latent"] == 1:
        raise ArgumentError("--posterior flow couples latents with one another: give --latent 2 or more")
    if given.get("components") is not None and chosen.get("prior") in ("normal", "flow"):
        raise ArgumentError(f"--components is of --prior mixture or vamp, and this prior is {chosen['prior']}")


def _penalised(chosen: dict[str, Any], given: dict[str, Any]) -> None:
    """What an autoencoder's penalty asks of other options; its weight is settled."""
    if chosen["penalty"] in (None, "none"):
        if given.get("penalty_weight") is not None:
            raise ArgumentError("--penalty-weight is of --penalty contraction, l1 or sparsity, and there is no penalty")
        return
    if chosen["penalty"] == "sparsity" and chosen["networks"] == "conv":
        raise ArgumentError(
            "--penalty sparsity takes codes from 0 to 1, of --networks dense or tied: take l1 with conv"
        )
    if chosen["penalty_weight"] is None:
        chosen["penalty_weight"] = _PENALTY
    if not 0 < chosen["penalty_weight"] < math.inf:
        raise ArgumentError(f"--penalty-weight must be above 0, got {chosen['penalty_weight']}")


def _widths(model: str, text: str) -> int | list[int]:
    """``500,500`` as a list, or one number where the model has one hidden layer."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise ArgumentError(f"--hidden must be whole numbers of at least 1, such as 500,500, got {text!r}")
    widths = [int(word) for word in words]
    if isinstance(DEFAULTS[model]["hidden"], list):
        return widths
    if len(widths) > 1 and model in ("rbm", "class-rbm"):
        raise ArgumentError(f"an RBM has one hidden layer, so --hidden is one number, got {text!r}")
    if len(widths) > 1:
        raise ArgumentError(f"--hidden of {model} is one number, as all its layers are alike, got {text!r}")
    return widths[0]
