"""What `deepgen.fit` is fed: rows, rows with their labels, or each epoch so many rows drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from deepgen.data import Redrawn
from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.data import Data


class Feed(Dataset[Any]):
    """Rows, or pairs of a row and its label, by number; with ``drawn`` that many of them an epoch, at random.

    `deepgen.data.batches` lends torch's stream, seeded by seed, epoch and batch, while a batch is made: what is drawn
    from it here is repeatable, and outside nothing moves.
    """

    def __init__(self, rows: Tensor | Redrawn, labels: Tensor | None = None, drawn: int | None = None) -> None:
        self.rows, self.labels, self.drawn = rows, labels, drawn
        self.provenance = dict(getattr(rows, "provenance", {}))

    def __len__(self) -> int:
        return len(self.rows) if self.drawn is None else self.drawn

    @property
    def passes(self) -> float | None:
        """How many passes over the rows an epoch is, for `deepgen.fit`; None where it is one."""
        return None if self.drawn is None else self.drawn / len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, index: Sequence[int]) -> list[Any]:
        at = torch.as_tensor(index) if self.drawn is None else torch.randint(len(self.rows), (len(index),))
        if isinstance(self.rows, Tensor):
            x = self.rows.index_select(0, at)
        else:
            x = self.rows.draw(at, generator=torch.default_generator)
        return [*x.unbind()] if self.labels is None else [*zip(x.unbind(), self.labels[at].unbind(), strict=True)]


def labels_of(data: Data, split: str) -> Tensor:
    """The labels of a split as whole numbers from 0 on, or an error that says that there are none."""
    found = None if data.labels is None else getattr(data.labels, split)
    name = data.provenance["name"]
    if found is None:
        where = "" if data.labels is None else f" for its {split} rows"
        raise ArgumentError(
            f"cvae, cgan, m2 and class-rbm are of rows with labels, and {name} has none{where}: take data with labels, "
            "such as a .npz with arrays x and y, or a model of rows alone (vae, gan, rbm)"
        )
    labels = torch.as_tensor(found).long()
    if len(labels) and int(labels.min()) < 0:
        raise ArgumentError(f"labels must be whole numbers from 0 on, and {name} has {int(labels.min())}")
    return labels


def classes_of(data: Data, least: int = 1) -> int:
    """One more than the largest label of the training and validation rows, as labels are numbered from 0 on."""
    found = 1 + int(max(labels_of(data, split).max() for split in ("train", "valid") if len(getattr(data, split))))
    if found < least:
        raise ArgumentError(f"all rows of {data.provenance['name']} have label 0: there is nothing to tell apart")
    return found


def labelled(data: Data, split: str, known: Tensor | None = None) -> Any:
    """The rows of a split with their labels, as pairs; -1 in the place of those that are not ``known``."""
    rows, labels = getattr(data, split), labels_of(data, split)
    labels = labels if known is None else torch.where(known, labels, -1)
    return TensorDataset(rows, labels) if isinstance(rows, Tensor) else Feed(rows, labels)


def sliced(data: Any, rows: int) -> Any:
    """``data`` as an epoch of about ``rows`` rows: so many drawn at random of more, or all of fewer several times."""
    if isinstance(data, Feed):
        return Feed(data.rows, data.labels, rows)
    tensors = data.tensors if isinstance(data, TensorDataset) else (data,)
    if rows < len(data) or not all(isinstance(x, Tensor) for x in tensors):
        return Feed(tensors[0], tensors[1] if len(tensors) > 1 else None, rows)
    room = max(1, 2**26 // sum(x.numel() for x in tensors))
    times = max(1, min(round(rows / len(data)), room))
    several = tuple(x.repeat(times, *(1,) * (x.ndim - 1)) for x in tensors)
    fed: Any = several[0] if len(several) == 1 else TensorDataset(*several)
    fed.passes = float(times)
    return fed
