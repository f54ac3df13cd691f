"""The maps from rows to features in which samples are judged: the built-in ones, and the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, DeepgenError, ShapeError, SupportError, not_by_name
from deepgen.evaluate.features import digit_features
from deepgen.evaluate.latent_rows import devices_of
from deepgen.rest import at_rest

LEAST = 100  # rows of each sample: below, no figure says much
_BATCH = 1000  # rows through the map at a time

Features = Callable[[Tensor], Tensor]


def default_features(real: Tensor) -> Features:
    """The features that `sample_quality` takes when none are given; see there.

    >>> name_of(default_features(torch.zeros(3, 28, 28))), name_of(default_features(torch.zeros(3, 7)))
    ('digit network 28x28, 64 features', 'raw values')
    >>> name_of(default_features(torch.full((3, 28, 28), 255.0)))
    'raw values, outside [0, 1]'
    """
    shape = tuple(real.shape[1:])
    for side in (8, 28):
        if shape in ((side**2,), (side, side), (1, side, side)):
            inside = float(real.min()) >= 0 and float(real.max()) <= 1
            return digit_features(side).to(real.device) if inside else outside_values
    return raw_values


def raw_values(x: Tensor) -> Tensor:
    """Rows flattened: ``[n, *event] -> [n, d]``."""
    return x.flatten(1)


def outside_values(x: Tensor) -> Tensor:
    """`raw_values`, of rows that have the shape of digits and not their values; results tell by the name."""
    return raw_values(x)


_NAMES = ((raw_values, "raw values"), (outside_values, "raw values, outside [0, 1]"))


def name_of(features: Features) -> str:
    """What a feature map is called in results.

    >>> name_of(raw_values), name_of(torch.nn.Flatten())
    ('raw values', 'Flatten')
    """
    for one, name in _NAMES:
        if features is one:
            return name
    given = getattr(features, "name", None)
    return given if isinstance(given, str) else getattr(features, "__name__", type(features).__name__)


def check_rows(given: Mapping[str, Tensor]) -> None:
    """Raise unless all are finite rows of one shape on one device."""
    for name, rows in given.items():
        if not isinstance(rows, Tensor):
            raise ShapeError(f"{name} must be a tensor, got {type(rows).__name__}; torch.as_tensor(x) makes one")
        if rows.dim() < 2 or rows.numel() == 0:
            raise ShapeError(f"{name} must be rows [n, *event], n at least {LEAST}, got {list(rows.shape)}")
        if rows.shape[1:] != given["real"].shape[1:]:
            raise ShapeError(
                f"{name} must have rows as real has, {list(given['real'].shape[1:])}, got {list(rows.shape[1:])}"
            )
        if rows.device != given["real"].device:
            raise ArgumentError(f"real is on {given['real'].device} and {name} on {rows.device}: move one by .to()")
        if not bool(rows.isfinite().all()):
            raise SupportError(f"{name} holds NaN or infinite values: a generator that diverged, or missing data")


def mapped(features: Features, rows: Tensor, name: str) -> Tensor:
    """The features ``[n, d]`` of ``rows``, some at a time."""
    if isinstance(features, str):
        raise not_by_name("features", features, ["deepgen.evaluate.digit_features"])
    if not callable(features):
        raise ArgumentError(f"features must be a callable from rows to features [rows, d], got {features!r}")
    with at_rest(features), _elsewhere(features, rows, name):
        found = [features(part) for part in rows.split(_BATCH)]
    if not all(isinstance(part, Tensor) and part.dim() == 2 for part in found):
        raise ShapeError(f"{name_of(features)} must return features [rows, d]; wrap it so that it flattens")
    whole = torch.cat(found)
    if len(whole) != len(rows):
        raise ShapeError(f"{name_of(features)} made {len(whole)} rows of features from {len(rows)} of {name}")
    return whole


@contextmanager
def _elsewhere(features: Any, rows: Tensor, name: str) -> Iterator[None]:
    """A typed error where a network on another device than the rows fails; one that moves them itself may work."""
    try:
        yield
    except RuntimeError as error:
        places = devices_of(getattr(features, "__self__", features))
        if isinstance(error, DeepgenError) or not places or str(rows.device) in places:
            raise
        raise ArgumentError(
            f"{name_of(features)} is on {', '.join(places)} and {name} on {rows.device}: move one by .to()"
        ) from error


def classes_of(features: Any, rows: Tensor, name: str) -> Tensor:
    """The classes ``[n]`` that the map's own ``classes`` sees in ``rows``, some at a time."""
    with at_rest(features), _elsewhere(features, rows, name):
        found = [features.classes(part) for part in rows.split(_BATCH)]
    kinds = torch.cat(found).cpu() if all(isinstance(part, Tensor) and part.dim() == 1 for part in found) else None
    if kinds is None or len(kinds) != len(rows) or kinds.is_floating_point():
        raise ShapeError(f"classes of {name_of(features)} must give one integer a row, [{len(rows)}] for {name}")
    return kinds.long()
