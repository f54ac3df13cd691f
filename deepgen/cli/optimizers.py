"""``--optimizer`` and ``--schedule`` of ``deepgen train``: what there is, at which rate, and how it is made.

    sgd, momentum, nesterov     a step is a multiple of the gradient, so the rate that suits goes by the loss
    all others                  a step is about as long as the rate says, so that one rate suits most networks

so of a network the first three need ``--rate``, and the others start from the family's rate for Adam times `factor`.
Boltzmann machines have gradients of the order of 1, and start from 0.1 for SGD, 0.001 for Adam. Momentum is 0.9: it
makes steps ten times as long in the end, and rates are a tenth.

Schedules are factors of the rate, of the share t of all steps that is done, but for the last three, which do not know
when the run ends: it may be made longer.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from deepgen.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    import torch

    from deepgen.cli.recipes.recipe import Recipe

MACHINES = ("rbm", "dbn", "dbm")
LAYERED = ("vae", "iwae", "cvae", "autoencoder")  # networks of plain layers, as K-FAC needs
MOMENTUM = 0.9
MACHINE_ADAM = 1e-3
# Of --schedule plateau: its factor, and epochs without a best before it where no --patience ends the run.
HALVING, WAITING = 0.5, 5


class Method(NamedTuple):
    """made: module and name of what makes it; factor: its usual rate over that of Adam, or of SGD if by_gradient."""

    made: str
    factor: float
    settings: Mapping[str, Any] = {}
    by_gradient: bool = False  # the length of its steps goes by that of the gradient


OPTIMIZERS = {
    "sgd": Method("torch.optim.SGD", 1.0, by_gradient=True),
    "momentum": Method("torch.optim.SGD", 1 - MOMENTUM, {"momentum": MOMENTUM}, by_gradient=True),
    "nesterov": Method("torch.optim.SGD", 1 - MOMENTUM, {"momentum": MOMENTUM, "nesterov": True}, by_gradient=True),
    "adagrad": Method("torch.optim.Adagrad", 10.0, {"eps": 1e-7}),
    "rmsprop": Method("torch.optim.RMSprop", 1.0),
    "rmsprop-nesterov": Method("deepgen.optim.RMSpropNesterov", 1 - MOMENTUM, {"momentum": MOMENTUM}),
    "adam": Method("deepgen.objectives.adam.adam", 1.0),
    "adamw": Method("torch.optim.AdamW", 1.0),
    "adamax": Method("torch.optim.Adamax", 2.0),
    "nadam": Method("torch.optim.NAdam", 1.0),
    "radam": Method("torch.optim.RAdam", 1.0),
    # With its own damping, 0.01, steps on factors of 50 rows threw weights away in 4 runs of 12, with 1 in none.
    "kfac": Method("deepgen.optim.KFAC", 100.0, {"damping": 1.0}),
}

_SAMPLING = "samples weights instead of settling, and a run would keep one draw: in Python it is deepgen.optim.{}"
_LEFT_OUT = {
    "lbfgs": "takes a loss that it can ask for again on the same rows: in Python call torch.optim.LBFGS in a loop",
    "rprop": "takes signs of gradients of all rows, and these of a batch mislead it: take rmsprop",
    "muon": "takes matrices only, and these models have biases and convolutions: in Python it is torch.optim.Muon",
    **{name: _SAMPLING.format(name.upper()) for name in ("sgld", "psgld", "sghmc")},
}


def fall(done: float) -> float:
    """In a straight line to zero, which ends the noise of the steps (Robbins & Monro 1951)."""
    return 1.0 - done


def _cosine(done: float) -> float:
    """Half a cosine to zero (Loshchilov & Hutter 2017)."""
    return (1.0 + math.cos(math.pi * done)) / 2


def _steps(done: float) -> float:
    """A tenth after each third."""
    return 0.1 ** min(int(3 * done), 2)


def _exponential(done: float) -> float:
    """By equal shares to a hundredth."""
    return 0.01**done


def _inverse_time(optimizer: torch.optim.Optimizer, options: Mapping[str, Any]) -> Any:
    from deepgen.optim import InverseTimeLR

    return InverseTimeLR(optimizer, k=0.1)


def _plateau(optimizer: torch.optim.Optimizer, options: Mapping[str, Any]) -> Any:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    patience = options.get("patience")
    waits = patience // 4 if patience else WAITING
    return ReduceLROnPlateau(optimizer, mode="max", threshold_mode="abs", factor=HALVING, patience=waits)


PLANNED: dict[str, Callable[[float], float]] = {
    "linear": fall,
    "cosine": _cosine,
    "step": _steps,
    "exponential": _exponential,
}
OPEN: dict[str, Callable[..., Any]] = {
    "constant": lambda optimizer, options: None,
    "inverse-time": _inverse_time,
    "plateau": _plateau,
}
SCHEDULES = (*PLANNED, *OPEN)


def usual_rate(model: str, name: str, own: float) -> float:
    """The rate of the optimizer ``name`` where none was given; ``own`` is that of the family's own optimizer.

    >>> usual_rate("rbm", "momentum", 0.1), usual_rate("vae", "adagrad", 1e-3)
    (0.01, 0.01)
    """
    method = OPTIMIZERS[name]
    if method.by_gradient and model not in MACHINES:
        raise ArgumentError(
            f"the steps of {name} are as long as the gradients of {model}, so no rate suits all data: give --rate, "
            f"such as {0.01 * method.factor:g}, and ten times less where training diverges (adam goes without)"
        )
    if model in MACHINES and not method.by_gradient:
        own = MACHINE_ADAM  # theirs is of SGD
    return float(f"{method.factor * own:.6g}")


def check_named(model: str, chosen: Mapping[str, Any]) -> None:
    """Refuse names that are none, and an optimizer or a schedule that does not go with the model or another option."""
    name, schedule = chosen["optimizer"], chosen["schedule"]
    if name in _LEFT_OUT:
        raise ArgumentError(f"{name} {_LEFT_OUT[name]}")
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    if schedule not in SCHEDULES:
        raise unknown_name("schedule", schedule, SCHEDULES)
    if name == "kfac" and not _layered(model, chosen):
        raise ArgumentError(
            f"--optimizer kfac is of dense layers alone, those of {', '.join(LAYERED)} with their usual networks, "
            "prior and posterior, and this model has other parameters: take adam"
        )
    if name == "adamw" and chosen.get("weight_decay"):
        raise ArgumentError(
            "--weight-decay would come on top of the decay by 0.01 that adamw has: take --optimizer adam with it"
        )
    if schedule == "plateau" and chosen.get("patience") == 1:
        raise ArgumentError(
            "--schedule plateau halves the rate when an epoch was not the best, and --patience 1 ends the run there: "
            "give --patience 2 or more, or 0 for none"
        )


def _layered(model: str, chosen: Mapping[str, Any]) -> bool:
    """Whether all that is learned is the weights and biases of dense layers."""
    usual = {"networks": ("dense",), "prior": ("normal",), "posterior": ("diagonal", "full")}
    return model in LAYERED and all(chosen.get(option, words[0]) in words for option, words in usual.items())


def stepped(model: str, recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    """``recipe`` with the schedule of ``options``, and their optimizer where it is not the family's own.

    Groups of parameters and the ratios of their rates are kept. An exact step, which takes neither, is left alone.
    """
    from deepgen.cli.options import DEFAULTS

    if recipe.optimizer is None:
        return recipe
    name, schedule = options["optimizer"], options["schedule"]
    if name != DEFAULTS[model]["optimizer"]:
        recipe = replace(recipe, optimizer=_made(name, recipe, options["rate"]))
    if schedule in PLANNED:
        return replace(recipe, schedule=PLANNED[schedule])
    if schedule == "plateau" and recipe.valid is None:
        raise ArgumentError(
            "--schedule plateau needs something to watch on validation rows, and here is nothing cheap: give "
            "--patience, which has a quick estimate, or another schedule"
        )
    return replace(recipe, schedule=OPEN[schedule](recipe.optimizer, options))


def _made(name: str, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    method = OPTIMIZERS[name]
    home, _, word = method.made.rpartition(".")
    make = getattr(importlib.import_module(home), word)
    if name == "kfac":
        return make(recipe.model, lr=rate, **method.settings)
    assert recipe.optimizer is not None
    groups = [{"params": group["params"], "lr": group["lr"]} for group in recipe.optimizer.param_groups]
    return make(groups, lr=rate, **method.settings)
