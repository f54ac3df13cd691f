"""Labels are left out when asked, and only then."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from deepgen.data import Unlabelled, batches, provenance
from deepgen.errors import ArgumentError

X = torch.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    "dataset", [TensorDataset(X, torch.arange(4)), [(x, "label", 3) for x in X], [[x, 0] for x in X]]
)
def test_examples_come_alone(dataset):
    rows = Unlabelled(dataset)
    assert len(rows) == 4
    assert torch.equal(torch.stack([rows[i] for i in range(4)]), X)
    seen = torch.cat(list(batches(rows, 3, seed=1, epoch=0)))
    assert torch.equal(seen, torch.cat(list(batches(X, 3, seed=1, epoch=0))))
    assert torch.equal(torch.cat(list(DataLoader(rows, batch_size=3))), X)


def test_provenance_is_that_of_the_dataset():
    dataset = TensorDataset(X, X)
    dataset.provenance = {"name": "pairs"}
    assert provenance(Unlabelled(dataset)) == {"name": "pairs"}


def test_what_has_no_numbered_tuples_is_refused():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter([(X[0], 0)])

    with pytest.raises(ArgumentError, match=r"DataLoader\(Unlabelled\(dataset\), ...\)"):
        Unlabelled(DataLoader(TensorDataset(X)))
    for wrong in (Endless(), 3, iter(())):
        with pytest.raises(ArgumentError, match="expected a Dataset with a length"):
            Unlabelled(wrong)
    with pytest.raises(ArgumentError, match="example 2 is no tuple but a Tensor"):
        Unlabelled(X)[2]
