"""Rows that are no images: histograms, tables and heat maps show the very rows."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch.distributions import constraints

import deepgen as dg
from deepgen.data import Data
from deepgen.plot import Entry, report
from deepgen.plot.rows import _shares as rows_shares

from .test_report import data, full_entry, written


def test_rows_of_few_columns_are_compared_column_by_column(tmp_path: Path) -> None:
    rows = data(image_shape=None)
    rows.provenance["columns"] = [f"<{c}>" for c in "abcdefghi"]
    entry = full_entry()
    _, page = written(tmp_path, entry, data=rows)
    sections = {a["id"] for tag, a in page.tags if tag == "section"}
    assert sections == {"results", "samples", "nearest", "curves", "chains", "details"}
    assert not [tag for tag, _ in page.tags if tag == "img"]
    text = "".join(page.text)
    assert all(text.count(f"<{c}>") == 3 for c in "abcdefghi")  # the provenance, a histogram, the table
    table = [row for row in page.rows if row[0].startswith(("sample ", "nearest"))]
    assert len(table) == 12
    for k, (mine, near) in enumerate(zip(table[::2], table[1::2], strict=True)):
        assert [float(v) for v in mine[1:10]] == entry.samples[k].tolist()
        away = (rows.train != entry.samples[k]).sum(1)
        assert float(near[10]) == float(away.min())
        assert [float(v) for v in near[1:10]] == rows.train[away.argmin()].tolist()


def test_histograms_count_all_rows_and_put_outliers_in_the_last_bars() -> None:
    bins = torch.linspace(0, 1, 5)
    shares = rows_shares(torch.tensor([-9.0, 0.1, 0.3, 0.3, 0.9, 1.0, 9.0, float("nan")]), bins)
    assert (shares * 7).tolist() == pytest.approx([2, 2, 0, 3])


def test_rows_of_many_columns_are_a_heat_map_on_one_scale(tmp_path: Path) -> None:
    stream = torch.Generator().manual_seed(3)
    x = torch.randn(40, 20, generator=stream) * torch.logspace(-2, 3, 20)
    tall = Data(x, x[:0], x, torch.Size([20]), constraints.real, {"name": "wide"})
    _, page = written(tmp_path, Entry("twin", samples=x), Entry("zeros", samples=torch.zeros(40, 20)), data=tall)
    images = {a["alt"]: a["src"] for tag, a in page.tags if tag == "img"}
    assert set(images) == {"40 rows of held-out data", "40 samples of twin", "40 samples of zeros"}
    assert images["40 rows of held-out data"] == images["40 samples of twin"]
    raw = base64.b64decode(images["40 samples of twin"].split(",", 1)[1])
    seen = imread(io.BytesIO(raw))[..., 0]
    block = len(seen) // 40
    level = (x - x.amin(0)) / (x.amax(0) - x.amin(0))  # dark is high, every column on its own scale
    assert np.allclose(seen[::block, ::block], 242 / 255 * (1 - level.numpy()), atol=0.004)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_the_nearest_row_does_not_depend_on_the_units_of_a_column(tmp_path: Path, unit: float) -> None:
    """Of the rows (+-1, +-2 unit), with spreads 1 and 2 unit, (0.5, -1.2 unit) is (0.5, 0.4) spreads from (1, -2)."""
    train = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-2.0, 2.0])) * torch.tensor([1.0, unit])
    x = torch.tensor([[0.5, -1.2 * unit], [-1.0, 2.0 * unit]])
    held_out = train + torch.tensor([0.0, 0.6 * unit])
    table = Data(train, train[:0], held_out, torch.Size([2]), constraints.real, {"name": "units"})
    _, page = written(tmp_path, Entry("model", samples=x), data=table)
    near = [row for row in page.rows if row[0] == "nearest"]
    assert [float(v.replace(",", "").replace("−", "-")) for v in near[0][1:]] == [1.0, -2 * unit, 0.64]
    assert float(near[1][3]) == 0
    text = "".join(page.text)
    assert "counted in standard deviations of the training rows" in text
    assert "of held-out data 0.3." in text
    assert "Exact copies: 1 of 2" in text


def test_samples_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(dg.errors.ShapeError, match=r"samples of narrow must be \[n, 9\], got \[3, 4\]"):
        report(tmp_path / "x.html", [Entry("narrow", samples=torch.zeros(3, 4))], data(image_shape=None))
