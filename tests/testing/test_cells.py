"""Numbers of distinct rows against torch.unique, which sorts rows."""

import pytest
import torch

from deepgen.testing import cells as module
from deepgen.testing.cells import cells


def same_partition(cell, other):
    pairs = torch.unique(torch.stack([cell, other], 1), dim=0)
    return len(pairs) == len(cell.unique()) == len(other.unique()) == int(cell.max()) + 1


ROWS = {
    "bits": lambda g: (torch.rand(3000, 12, generator=g) < 0.4).float(),
    "bool": lambda g: torch.rand(500, 5, generator=g) < 0.5,
    "spins of a grid": lambda g: torch.randint(2, (2000, 3, 3), generator=g) * 2.0 - 1,
    "categories": lambda g: torch.randint(5, (2000, 4), generator=g),
    "all different": lambda g: torch.randn(2000, 3, generator=g, dtype=torch.float64),
    "signed": lambda g: torch.randint(-5, 6, (2000, 3), generator=g),
    "half": lambda g: torch.randint(-3, 4, (500, 2), generator=g).half(),
    "every other column": lambda g: torch.randint(3, (500, 6), generator=g)[:, ::2],
    "no columns": lambda g: torch.zeros(4, 0),
    "far apart in the last bit": lambda g: 2**60 + torch.randint(3, (500, 2), generator=g),
    "zeros of both signs": lambda g: torch.randint(2, (300, 3), generator=g) * torch.tensor([1.0, -1.0, -0.0]),
    "one row": lambda g: torch.randn(1, 4, generator=g),
    "one value each": lambda g: torch.randint(7, (400,), generator=g).double(),
}


def by_sorting(rows):
    return torch.unique(rows.reshape(len(rows), -1), dim=0, return_inverse=True)[1]


@pytest.mark.parametrize("name", ROWS)
def test_they_are_those_of_unique_and_no_rows_are_sorted(name, stream, monkeypatch):
    rows, unique = ROWS[name](stream), torch.unique
    expected = by_sorting(rows) if rows.numel() else torch.zeros(len(rows), dtype=torch.long)
    monkeypatch.setattr(torch, "unique", lambda x, return_inverse: unique(x, return_inverse=return_inverse))
    found = cells(rows)
    monkeypatch.undo()
    assert same_partition(found, expected)


def test_rows_of_one_hash_are_told_apart(stream, monkeypatch):
    rows = torch.randint(3, (500, 2), generator=stream)
    monkeypatch.setattr(module, "_ODD", 0)  # all hashes are 0
    assert same_partition(cells(rows), by_sorting(rows))


def test_wide_rows(stream):
    wide = torch.randint(2, (4, 300), generator=stream)[torch.randint(4, (50,), generator=stream)]
    assert same_partition(cells(wide), by_sorting(wide))
