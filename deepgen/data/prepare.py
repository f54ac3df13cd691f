"""From the values in a file to the tensors of a `Data`: scaling, binarisation, dequantisation, and their names.

    none       v            grey k of L levels as v = k / (L - 1) in [0, 1]
    threshold  1[v >= t]    t = 0.5 unless said otherwise; real-valued data have none, and need t in their own unit
    fixed      Bernoulli(v) drawn once under the seed (Salakhutdinov & Murray's protocol, frozen)
    dynamic    Bernoulli(v) drawn anew at each use of the training rows; valid and test as in ``fixed``
    dequantise (k + u) / L  u ~ U[0, 1), ``fixed`` once or ``dynamic``; log-density - D log L then bounds log P(k)

The four binarisations give different data: log-likelihoods under two of them cannot be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.data.redrawn import Redrawn, redraw
from deepgen.data.splits import Data, Splits, name_split
from deepgen.errors import ArgumentError, check_real
from deepgen.random import generator, spawn

Array = np.ndarray[Any, Any]
Kind = Literal["binary", "grey", "unit", "real", "codes"]
Binarise = Literal["none", "threshold", "fixed", "dynamic"]
Dequantise = Literal["fixed", "dynamic"]


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found: three arrays ``[rows, features]`` in the file's own values, and what these mean.

    Attributes:
        splits: train, valid, test.
        kind: ``binary`` {0, 1}; ``grey`` {0, ..., levels - 1}; ``unit`` [0, 1]; ``real``; ``codes``
            {0, ..., levels - 1} without an order (text).
        split: how the rows came to be split, in words.
        split_seed: of the permutation, if one was drawn.
        levels: number of grey levels or codes.
        image_shape: (height, width) or None.
        labels, lengths: per split, see `Data`.
        binarise: the set's own convention when the caller names none.
        origin: whose choice the file's values were.
        notes: further plain facts for the provenance.
    """

    splits: tuple[Array, Array, Array]
    kind: Kind
    split: str
    split_seed: int | None = None
    levels: int = 256
    image_shape: tuple[int, int] | None = None
    labels: Sequence[Array | None] | None = None
    lengths: Sequence[Array | None] | None = None
    binarise: Binarise = "none"
    origin: Literal["published", "given", "generated"] = "published"
    notes: Mapping[str, Any] = field(default_factory=dict)


def prepare(
    raw: Raw,
    *,
    name: str,
    source: str,
    binarise: Binarise | None = None,
    threshold: float | None = None,
    dequantise: Dequantise | None = None,
    seed: int = 0,
) -> Data:
    """Make a `Data` of ``raw``; see `deepgen.data.load` for the arguments."""
    _check(raw, binarise, threshold, dequantise)
    threshold = 0.5 if threshold is None else threshold
    grey = raw.kind in ("grey", "unit")
    bits: Binarise = "none" if dequantise else (binarise or (raw.binarise if grey else "none"))
    facts = {
        "name": name,
        "source": source,
        "split_rule": raw.split,
        "split_seed": raw.split_seed,
        "binarisation": _binarisation(raw, bits, threshold, seed),
        "dequantisation": _dequantisation(raw, dequantise, seed),
        "features": int(raw.splits[0].shape[1]),
        **raw.notes,
    }
    streams = spawn(generator(seed), 3)
    scaled = [_scaled(raw, x) for x in raw.splits]
    parts: list[Any] = []
    for x, g, split in zip(scaled, streams, ("train", "valid", "test"), strict=True):
        part = _drawn(x, raw.levels, bits, threshold, dequantise, g, again=split == "train")
        parts.append(name_split(part, split, facts))
    train, valid, test = parts
    return Data(
        train,
        valid,
        test,
        event_shape=torch.Size([facts["features"]]),
        support=_support(raw, bits, dequantise),
        provenance={**facts, "rows": {s: len(x) for s, x in zip(("train", "valid", "test"), parts, strict=True)}},
        image_shape=raw.image_shape,
        labels=_tensors(raw.labels),
        lengths=_tensors(raw.lengths),
        levels=raw.levels if raw.kind == "codes" or (raw.kind == "grey" and bits == "none") else None,
    )


def _check(raw: Raw, binarise: Binarise | None, threshold: float | None, dequantise: Dequantise | None) -> None:
    if threshold is not None:
        check_real("threshold", threshold)
    if binarise is not None and binarise not in get_args(Binarise):
        raise ArgumentError(f"binarise must be None or one of {get_args(Binarise)}, got {binarise!r}")
    if dequantise is not None and dequantise not in get_args(Dequantise):
        raise ArgumentError(f"dequantise must be None or one of {get_args(Dequantise)}, got {dequantise!r}")
    if binarise not in (None, "none") and dequantise is not None:
        raise ArgumentError(f"binarise={binarise!r} and dequantise={dequantise!r} exclude one another: choose one")
    if binarise in ("fixed", "dynamic") and raw.kind not in ("grey", "unit"):
        raise ArgumentError(f"binarise={binarise!r} needs grey levels to read as probabilities; these are {raw.kind}")
    if binarise == "threshold" and raw.kind == "real" and threshold is None:
        raise ArgumentError(
            "real values have no natural cut: give threshold= in their own unit in a script, or write bits to a file"
        )
    if binarise == "threshold" and raw.kind in ("binary", "codes"):
        raise ArgumentError(f"there is nothing to threshold in {raw.kind} data: leave binarise out")
    if dequantise is not None and raw.kind != "grey":
        raise ArgumentError(f"dequantise needs integer grey levels; these data are {raw.kind}")


def _scaled(raw: Raw, x: Array) -> Tensor:
    if raw.kind == "codes":
        return torch.from_numpy(x.astype(np.int64))
    values = torch.from_numpy(x.astype(np.float32, order="C"))
    return values.div_(raw.levels - 1) if raw.kind == "grey" else values


def _drawn(
    x: Tensor,
    levels: int,
    bits: Binarise,
    threshold: float,
    dequantise: Dequantise | None,
    g: torch.Generator,
    *,
    again: bool,
) -> Tensor | Redrawn:
    if bits == "threshold":
        return (x >= threshold).to(x.dtype)
    noise: Literal["binary", "uniform"] = "binary" if bits != "none" else "uniform"
    if "dynamic" in (bits, dequantise) and again:
        return Redrawn(x, noise, levels=levels, generator=g)
    if bits != "none" or dequantise is not None:
        return redraw(x, noise, levels, generator=g)
    return x


def _support(raw: Raw, bits: Binarise, dequantise: Dequantise | None) -> constraints.Constraint:
    if raw.kind == "codes":
        return constraints.integer_interval(0, raw.levels - 1)
    if raw.kind == "binary" or bits != "none":
        return constraints.boolean
    if raw.kind == "real":
        return constraints.real
    return constraints.half_open_interval(0.0, 1.0) if dequantise else constraints.unit_interval


def _binarisation(raw: Raw, bits: Binarise, threshold: float, seed: int) -> str:
    if raw.kind == "binary":
        return f"as {raw.origin}"
    if bits == "threshold":
        return f"threshold {threshold:g}"
    return {"none": "none", "fixed": f"fixed, seed {seed}", "dynamic": f"dynamic (valid and test fixed, seed {seed})"}[
        bits
    ]


def _dequantisation(raw: Raw, dequantise: Dequantise | None, seed: int) -> str:
    if dequantise is None:
        return "none"
    again = " (valid and test fixed)" if dequantise == "dynamic" else ""
    return f"uniform over {raw.levels} levels, {dequantise}{again}, seed {seed}"


def _tensors(parts: Sequence[Array | None] | None) -> Splits | None:
    if parts is None:
        return None
    return Splits(*(None if x is None else torch.as_tensor(np.asarray(x)).long() for x in parts))
