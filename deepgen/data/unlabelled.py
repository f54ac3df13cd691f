"""Datasets of (example, label, ...) tuples for models that take examples alone."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset

from deepgen.errors import ArgumentError


class Unlabelled(Dataset[Any]):
    """The first entry of each example of ``dataset``: x of torchvision's (x, label), say.

    Labels are never left out unasked, as a conditional model needs them. Examples are read one at a time; for data that
    fit into memory ``torch.stack([x for x, *_ in dataset])`` is quicker to train on.

    Args:
        dataset: a map-style Dataset whose examples are tuples. For a DataLoader, wrap the Dataset that it loads.

    Raises:
        ArgumentError: something else, or an example that is no tuple.

    >>> import torch, deepgen as dg
    >>> from torch.utils.data import TensorDataset
    >>> pairs = TensorDataset(torch.eye(3), torch.arange(3))
    >>> rows = Unlabelled(pairs)
    >>> rows[1], len(rows)
    (tensor([0., 1., 0.]), 3)
    >>> len(dg.fit(dg.RBM(visible=3, hidden=2), rows, dg.objectives.PersistentCD(), epochs=2, progress=False))
    2
    """

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, DataLoader):
            raise ArgumentError("wrap the Dataset, then load it: DataLoader(Unlabelled(dataset), ...)")
        numbered = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        if isinstance(dataset, IterableDataset) or not numbered:
            raise ArgumentError(f"expected a Dataset with a length and numbered examples, got {type(dataset).__name__}")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        example = self.dataset[index]
        if not isinstance(example, (tuple, list)):
            raise ArgumentError(f"example {index} is no tuple but a {type(example).__name__}: there is nothing to drop")
        return example[0]
