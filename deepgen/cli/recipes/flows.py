"""NICE, RealNVP, MAF and neural spline flows: of real values as they are, of bits and grey levels by a bound.

Real values go through a fixed affine map first that gives every column of the training rows mean 0 and variance 1. It
belongs to the density, log-determinant and all, so likelihoods and samples are in the units of the data. Bits and grey
levels are dequantised: noise fills their unit cells, a logit maps these to all numbers, and the same affine map
follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.columns import caution, varying
from deepgen.cli.recipes.recipe import Recipe, by_adam, mean
from deepgen.cli.values import kind, refused, whole
from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.explicit import MAF, NICE, NSF, Dequantised, Flow, RealNVP
from deepgen.objectives import ELBO, MaximumLikelihood
from deepgen.random import generator
from deepgen.transforms import ActNorm, Chain, Logit

if TYPE_CHECKING:
    from deepgen.data import Data

FAMILIES = {"nice": NICE, "realnvp": RealNVP, "maf": MAF, "nsf": NSF}
ALPHA = 1e-2  # of the logit
STARTED = 10_000  # rows at most that the affine map is taken from
DRAWS = 2  # of noise a validation row; the same for all epochs, as the seed is


def flow(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``nice``, ``realnvp``, ``maf`` and ``nsf``."""
    if kind(data) == "text":
        raise refused(f"{name} takes bits, grey levels or real values", data)
    features = data.event_shape.numel()
    if features < 2 and name != "maf":
        raise ArgumentError(f"the couplings of {name} need 2 columns or more, and these rows have 1: train maf")
    family = FAMILIES[name](features, options["transforms"], options["hidden"], generator=options["seed"])
    found = kind(data)
    if found == "grey":
        data = whole(data)
    levels = {"binary": 2, "grey": data.levels}.get(found)
    model: nn.Module
    if levels is not None:
        x, logit = rows_of(data.train)[:STARTED], Logit(ALPHA)
        noise = torch.rand(x.shape, generator=generator(options["seed"]))
        first: list[nn.Module] = [logit, standardised(logit.encode((x + noise) / levels)[0])]
        model = Dequantised(_behind(first, family), levels)
    else:
        model = _behind([standardised(varying(name, data))], family)
    return by_adam(
        model,
        MaximumLikelihood() if levels is None else ELBO(),
        data,
        options,
        monitor=mean if levels is None else _bound,
        caution=caution(data) if levels is None else None,
        notes={"levels": levels} if found == "grey" else None,
    )


def standardised(x: Tensor) -> ActNorm:
    """The fixed affine map that gives the columns of ``x`` mean 0 and variance 1."""
    layer = ActNorm(x.shape[1]).initialise(x)
    # In the units of the data a step of Adam could be any part of the whole: the layers behind learn what is left.
    return layer.requires_grad_(False)


def _behind(first: list[nn.Module], family: Flow) -> Flow:
    return Flow(Chain([*first, family.transform]), family.base)


def _bound(model: nn.Module, x: Tensor) -> Estimate | Bracket:
    found = log_likelihood(model, x, chains=DRAWS, generator=0)
    assert isinstance(found, Estimate)
    return replace(found, method=f"bound, {DRAWS} draws")  # short, as it stands above a curve
