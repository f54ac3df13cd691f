"""MADE, NADE, deep NADE and the two PixelCNNs: bits, or grey levels as categories where these are few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.cli.asking import rows_of
from deepgen.cli.recipes.recipe import Recipe, by_adam, mean
from deepgen.cli.values import kind, refused, whole
from deepgen.errors import ArgumentError
from deepgen.evaluate import Bracket, Estimate
from deepgen.evaluate.error_bars import standard_error
from deepgen.explicit import MADE, NADE, DeepNADE, GatedPixelCNN, PixelCNN
from deepgen.objectives import MaximumLikelihood, OrderAgnostic

if TYPE_CHECKING:
    from deepgen.data import Data

BINARY = ("nade", "deep-nade")
PIXELS = {"pixelcnn": PixelCNN, "gated-pixelcnn": GatedPixelCNN}
DRAWN = 2000  # rows, each with known variables of its own, by which a deep NADE is watched
FEW = 32  # categories of a value: each has logits of its own, for which 256 would be far too many


def autoregressive(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """``made``, ``nade``, ``deep-nade``, ``pixelcnn`` and ``gated-pixelcnn``."""
    grey = kind(data) == "grey" and name not in BINARY
    if not grey and kind(data) != "binary":
        raise refused(f"{name} takes zeros and ones{'' if name in BINARY else ', or grey levels'}", data)
    categories = (data.levels or 2) if grey else 2
    if categories > FEW:
        raise ArgumentError(
            f"{name} has a probability for each grey level of each pixel, so it takes at most {FEW} levels, and "
            f"{data.provenance['name']} has {categories}: make bits of them by --binarise threshold (or fixed, or "
            "dynamic), or train a flow such as realnvp"
        )
    data = whole(data) if grey else data
    model = _model(name, data, options, categories)
    model.initialise(rows_of(data.train))
    agnostic = name == "deep-nade" or options.get("orders", 1) > 1
    return by_adam(
        model,
        OrderAgnostic() if agnostic else MaximumLikelihood(),
        data,
        options,
        monitor=_over_orders if name == "deep-nade" else mean,
        notes={"levels": categories} if grey else None,
    )


def _model(name: str, data: Data, options: Mapping[str, Any], categories: int) -> Any:
    features, seed = data.event_shape.numel(), options["seed"]
    if name == "made":
        return MADE(features, options["hidden"], orders=options["orders"], categories=categories, generator=seed)
    if name == "nade":
        return NADE(features, options["hidden"], generator=seed)
    if name == "deep-nade":
        return DeepNADE(features, options["hidden"], orders=options["orders"], generator=seed)
    if data.image_shape is None:
        raise ArgumentError(
            f"{name} takes images, and the rows of {data.provenance['name']} have no height and width (those of a .npy "
            "file [rows, height, width] have): train made or nade"
        )
    return PIXELS[name](data.image_shape, options["channels"], options["layers"], categories=categories, generator=seed)


@torch.no_grad()
def _over_orders(model: Any, x: Tensor) -> Estimate | Bracket:
    """The mean over all orders, at the cost of a step: the likelihood takes a pass for each variable and order."""
    draws = x.repeat(max(1, DRAWN // len(x)), 1)
    each = model.order_log_prob(draws, generator=0).double()
    error = standard_error(each)
    return Estimate(float(each.mean()), error, "below", "mean over orders", n=len(each), unit="nats/example")
