"""Boltzmann machines, restricted and deep, and belief networks by persistent contrastive divergence, with plain SGD."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.autoregressive import FEW
from deepgen.cli.recipes.recipe import WATCHED, Recipe
from deepgen.cli.units import coded
from deepgen.cli.values import column, kind, refused, whole
from deepgen.errors import ArgumentError, DegenerateWeights
from deepgen.evaluate import Bracket, Estimate, log_likelihood, plus_minus
from deepgen.explicit import DBM, DBN, RBM, Bernoulli, BernoulliMixture, ClassRBM, Gaussian, Softmax, Spin, Units
from deepgen.layers import sparse_
from deepgen.objectives import LayerWise, PersistentCD

if TYPE_CHECKING:
    from deepgen.data import Data

JOINED = 0.2  # share of a unit's first weights that are not 0, of a machine that may have none below 0
NARROW, SLOW = 10.0, 0.03  # precisions of gaussian units: at the start over that of the column, and their rate


def rbm(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``rbm``, with the kinds of visible and hidden units that are asked for."""
    visible, data = _visible(data, options)
    model = RBM(visible, _hidden(options), generator=options["seed"])
    x = coded(model, rows_of(data.train))
    model.initialise(x)
    if options["non_negative"]:
        begin_apart(model, options["seed"])
    monitor = partial(annealed, x) if options["patience"] else _pseudo if kind(data) == "binary" else None
    plain = options["non_negative"] or options["max_norm"] is not None  # which the centred gradient cannot have
    return Recipe(
        model=model,
        objective=PersistentCD(centred=not plain, **_chains(options)),
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=_sgd(model, options["rate"]),
        monitor=monitor,
        notes={"levels": data.levels} if options["visible"] == "softmax" else None,
    )


def deep(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``dbn``, all machines of the stack at once, and ``dbm``, with Bernoulli units.

    The hidden levels of a ``dbm`` are drawn given the data: from small weights mean field would leave the higher dead.
    """
    if kind(data) != "binary":
        raise refused(f"{name} takes zeros and ones", data)
    x, features = rows_of(data.train), data.event_shape.numel()
    shared = _chains(options)
    model = (DBN if name == "dbn" else DBM)(features, options["hidden"], generator=options["seed"]).initialise(x)
    return Recipe(
        model=model,
        objective=LayerWise(PersistentCD(**shared)) if name == "dbn" else PersistentCD(posterior_steps=2, **shared),
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=torch.optim.SGD(model.parameters(), lr=options["rate"]),
        monitor=partial(annealed, x) if options["patience"] else None,
    )


def _chains(options: Mapping[str, Any]) -> dict[str, Any]:
    return {word: options[word] for word in ("k", "chains", "weight_decay")}


def begin_apart(model: RBM, seed: int) -> None:
    """Weights of 0 but for a fifth of each hidden unit's, of which half are above 0.

    From small weights everywhere a machine that may have none below 0 does not leave independence: what pixels that
    exclude one another say to a unit that sees all of them outweighs what neighbours say.
    """
    sparse_(model.weight, max(1, round(JOINED * len(model.weight))), axis=1, generator=seed)


def _visible(data: Data, options: Mapping[str, Any]) -> tuple[Units, Data]:
    """The visible units, and the data in whole levels where they are those of grey values."""
    asked, found, features = options["visible"], kind(data), data.event_shape.numel()
    if asked == "gaussian":
        if found != "real":
            raise refused("--visible gaussian is for real values", data)
        return _gaussian(data), data
    if asked == "softmax":
        if found != "grey" or data.levels is None:
            raise refused("--visible softmax is for grey levels, or whole numbers from 0 on in a .npy of bytes", data)
        if data.levels > FEW:
            raise ArgumentError(
                f"--visible softmax has a unit for each level of each value, so it takes at most {FEW} levels, and "
                f"{data.provenance['name']} has {data.levels}: make bits of them by --binarise threshold"
            )
        return Softmax(features, data.levels), whole(data)
    if found != "binary":
        raise refused(f"{asked} units take only zeros and ones{', as -1 and 1' if asked == 'spin' else ''}", data)
    if asked == "spin" and not isinstance(data.train, Tensor):
        raise ArgumentError(
            "--visible spin takes bits that stay as they are, and --binarise dynamic redraws them: give --binarise "
            "fixed or threshold, or leave --visible out, as spins have the same laws as bits"
        )
    return (Spin if asked == "spin" else Bernoulli)(features), data


def _hidden(options: Mapping[str, Any]) -> Units:
    asked, width = options["hidden_units"], options["hidden"]
    if asked == "gaussian":
        if options["visible"] == "gaussian":
            raise ArgumentError(
                "gaussian units on both sides have a law only while their weights are small, and a learning rule does "
                "not keep them so: leave --hidden-units out, or train a flow such as maf"
            )
        return Gaussian(width)
    return (Spin if asked == "spin" else Bernoulli)(width)


def _gaussian(data: Data) -> Gaussian:
    """Units that learn their precisions, and start at ten times the precisions of the columns in the training rows.

    Small weights grow as (covariance - variance of the units) W / 4: not at all for columns that are clustered but not
    correlated while the units are as wide as they, so the units start narrower.

    One rate serves all columns, so their scales must be alike; they are not rescaled here, as the numbers that
    `deepgen sample` and `evaluate` give would then be in other units than the data.
    """
    x = rows_of(data.train)
    if len(x) < 2:
        raise ArgumentError(
            f"--visible gaussian needs at least 2 training rows to see how wide the columns are, got {len(x)}"
        )
    deviation = x.double().std(0)
    apart = ((deviation < 0.3) | (deviation > 3) | (x.double().mean(0).abs() > 3)).nonzero().flatten()
    if len(apart):
        first = int(apart[0])
        raise ArgumentError(
            f"--visible gaussian needs columns near mean 0 and standard deviation 1; {column(data, first)} has mean "
            f"{float(x[:, first].mean()):.4g} and standard deviation {float(deviation[first]):.4g} "
            f"({len(apart)} of {len(deviation)} columns are far off): standardise them, (x - mean) / deviation, and "
            "leave out constant ones"
        )
    units = Gaussian(x.shape[1], learned=True)
    with torch.no_grad():
        units.log_precision.copy_(math.log(NARROW) - 2 * deviation.log())
    return units


def _sgd(model: RBM, rate: float) -> torch.optim.Optimizer:
    """Plain SGD, slow for learned precisions: the weights must find the clusters before the units widen over them."""
    precision = getattr(model.visible, "log_precision", None)
    if precision is None:
        return torch.optim.SGD(model.parameters(), lr=rate)
    others = [p for p in model.parameters() if p is not precision]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": [precision], "lr": SLOW * rate}]
    return torch.optim.SGD(groups, lr=rate)


def below_base_rates(model: nn.Module, data: Data) -> str | None:
    """Say so if an RBM of bits is worse than the base rates by more than the luck of the rows and 1 %; else None.

    Both are judged by their pseudo-likelihood, which for independent columns is the log-likelihood. It is no
    likelihood of the RBM, but a machine that loses even by this measure has learned nothing.
    """
    if not isinstance(model, RBM) or isinstance(model, ClassRBM) or kind(data) != "binary":
        return None
    split, x = ("validation", data.valid) if len(data.valid) else ("training", rows_of(data.train))
    own = _pseudo(model, coded(model, x))
    rates = BernoulliMixture(x.shape[1]).initialise(rows_of(data.train))
    base = log_likelihood(rates, x[:WATCHED])
    assert isinstance(own, Estimate)
    assert isinstance(base, Estimate)
    if not own.value < 1.01 * base.value - base.stderr_data:  # both are negative; at the start they are almost equal
        return None
    return (
        f"this model is worse than independent columns: pseudo-likelihood {own.value:.2f} nats/example on the first "
        f"{len(x[:WATCHED])} {split} rows, and {plus_minus(base.value, base.stderr_data)} (± by choice of rows) for "
        "the base rates alone"
    )


def _pseudo(model: nn.Module, x: Tensor) -> Estimate | Bracket:
    return log_likelihood(model, x[:WATCHED], method="pseudo", generator=0)


def annealed(base: Tensor | None, model: nn.Module, x: Tensor) -> Estimate | Bracket:
    """A quick AIS log-likelihood to compare epochs by, of a deep model a bound less it, of no certain side.

    Its own noise is the same for all epochs, as its seed is.

    A warning at every epoch would say no more than its ``stderr`` in the history does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWeights)
        return log_likelihood(model, x, method="ais", base=base, chains=100, temperatures=200, generator=0)
