"""What a data set is once loaded: three splits, what their values may be, and where they come from.

A number about data means little without the split and the binarisation beside it, so every split carries a plain
``provenance`` dict, which `deepgen.evaluate` puts into each Estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.errors import ArgumentError
from deepgen.random import generator

if TYPE_CHECKING:
    from deepgen.data.redrawn import Redrawn


SPLIT_SEED = 0  # of every permutation that splits rows; never the caller's seed, so that figures compare


class Splits(NamedTuple):
    """One tensor per split; None where a split has none (the test labels of fixed binarised MNIST, say).

    >>> import deepgen as dg
    >>> [len(part) for part in dg.data.load("digits").labels]
    [1078, 359, 360]
    """

    train: Tensor | None
    valid: Tensor | None
    test: Tensor | None


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in memory.

    Attributes:
        train: ``[rows, features]`` float32 (integer codes for text); under ``binarise="dynamic"`` or
            ``dequantise="dynamic"`` a `Redrawn` data set, whose rows are drawn anew each time they are used.
        valid, test: tensors ``[rows, features]``, never redrawn.
        event_shape: ``torch.Size([features])``.
        support: the constraint that every value satisfies; ``data.support.check(x)`` tells entry by entry.
        provenance: plain JSON values: name, source, split, binarisation, dequantisation, rows.
        image_shape: (height, width) of a row seen as an image, or None.
        labels: class numbers per split, or None.
        lengths: for sets of sequences, the rows of each sequence in order (they add up to the split's rows), or None.
        levels: how many values a grey level or a code of text can have; None for all other data, bits among them.

    >>> import deepgen as dg
    >>> data = dg.data.load("digits")
    >>> data.train.shape, data.image_shape, data.provenance["binarisation"]
    (torch.Size([1078, 64]), (8, 8), 'threshold 0.5')
    """

    train: Tensor | Redrawn
    valid: Tensor
    test: Tensor
    event_shape: torch.Size
    support: constraints.Constraint
    provenance: dict[str, Any]
    image_shape: tuple[int, int] | None = None
    labels: Splits | None = None
    lengths: Splits | None = field(default=None)
    levels: int | None = None

    @property
    def binarised(self) -> bool:
        """Whether bits were made of grey levels."""
        return str(self.provenance.get("binarisation")).partition(" ")[0] in ("threshold", "fixed", "dynamic")

    def __repr__(self) -> str:
        rows = "/".join(str(len(x)) for x in (self.train, self.valid, self.test))
        name, binarisation = self.provenance.get("name"), self.provenance.get("binarisation")
        return f"Data({name!r}, rows {rows}, features {list(self.event_shape)}, binarisation {binarisation!r})"


def provenance(x: object) -> dict[str, Any]:
    """Return where the rows ``x`` (a tensor, an array, a Dataset or a DataLoader) come from, as plain JSON values.

    Slicing or converting a tensor makes a new one, which no longer knows: then only its rows are told.

    >>> provenance(torch.zeros(3, 2))
    {'data': 'unnamed tensor', 'rows': 3}
    """
    known = getattr(x, "provenance", None)
    if known is None:
        known = getattr(getattr(x, "dataset", None), "provenance", None)  # a DataLoader or a Subset
    if isinstance(known, Mapping) and known:
        return dict(known)
    kind = "tensor" if isinstance(x, Tensor) else type(x).__name__
    rows = getattr(x, "dataset", x)  # a DataLoader's length counts batches
    return {"data": f"unnamed {kind}", "rows": len(rows) if hasattr(rows, "__len__") else None}


def name_split(x: Any, split: str, facts: Mapping[str, Any]) -> Any:
    """Give ``x`` its attribute ``provenance``: the set's ``facts``, this split and its rows."""
    x.provenance = {**facts, "split": split, "rows": len(x)}
    return x


def split_rows(
    rows: int, fractions: tuple[float, float, float], seed: int = SPLIT_SEED
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the row numbers of train, valid and test: a seeded permutation cut at ``fractions``.

    Train gets ``floor(f0 * rows)`` rows but at least one, valid ``floor((f0 + f1) * rows)`` less those, test the rest:
    of a single row valid and test get nothing.

    >>> [len(part) for part in split_rows(1797, (0.6, 0.2, 0.2))]
    [1078, 359, 360]
    """
    order = torch.randperm(rows, generator=generator(seed))
    first, second = cuts(rows, fractions)
    return order[:first], order[first:second], order[second:]


def cuts(rows: int, fractions: tuple[float, float, float]) -> tuple[int, int]:
    """Return where valid and test begin among ``rows`` rows."""
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or fractions[0] == 0:
        raise ArgumentError(f"split must be three fractions that add up to 1, the first above 0, got {fractions}")
    first = max(1, int(fractions[0] * rows + 1e-9))
    return first, max(first, int((fractions[0] + fractions[1]) * rows + 1e-9))
