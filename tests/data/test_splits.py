import pytest
import torch
from torch.utils.data import DataLoader, Subset

import deepgen as dg
from deepgen.data.splits import cuts, provenance, split_rows
from deepgen.errors import ArgumentError


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 10, 1797])
def test_every_row_is_in_exactly_one_split_and_train_is_never_empty(rows):
    parts = split_rows(rows, (0.6, 0.2, 0.2))
    assert torch.cat(parts).sort().values.tolist() == list(range(rows))
    assert len(parts[0]) >= 1
    assert all(torch.equal(a, b) for a, b in zip(parts, split_rows(rows, (0.6, 0.2, 0.2)), strict=True))


def test_fractions_are_kept():
    assert [len(p) for p in split_rows(1000, (0.8, 0.1, 0.1))] == [800, 100, 100]
    assert [len(p) for p in split_rows(7, (1.0, 0.0, 0.0))] == [7, 0, 0]
    assert cuts(10, (0.7, 0.1, 0.2)) == (7, 8)


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (0.0, 0.5, 0.5), (1.2, -0.2, 0.0), (0.5, 0.5)])
def test_fractions_that_are_none_are_told(fractions):
    with pytest.raises(ArgumentError, match="three fractions"):
        cuts(10, fractions)


def test_provenance_is_found_through_subsets_and_loaders():
    x = dg.data.load("bars_and_stripes").train
    assert provenance(x)["name"] == "bars_and_stripes"
    assert provenance(DataLoader(x))["split"] == "train"
    assert provenance(Subset(x, [0]))["split"] == "train"
    assert provenance(x[:3]) == {"data": "unnamed tensor", "rows": 3}
    assert provenance(dg.data.Redrawn(x, "binary")) == {"data": "unnamed Redrawn", "rows": 32}
    assert provenance(object()) == {"data": "unnamed object", "rows": None}
