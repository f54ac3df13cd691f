import math

import pytest
import torch

from deepgen.data.generated import bars_and_stripes, ceiling, labelled_shifter, shifting_bar
from deepgen.errors import ArgumentError, ShapeError


@pytest.mark.parametrize(
    ("x", "rows", "distinct", "total"),
    [
        (bars_and_stripes(3), 16, 14, -(12 * math.log(16) + 4 * math.log(8))),  # -41.59
        (bars_and_stripes(4), 32, 30, -(28 * math.log(32) + 4 * math.log(16))),  # -108.13
        (bars_and_stripes(4, distinct=True), 30, 30, -30 * math.log(30)),
        (shifting_bar(9), 9, 9, -9 * math.log(9)),  # -19.78
        (shifting_bar(9, flipped=True), 9, 9, -9 * math.log(9)),
        (labelled_shifter(), 768, 768, -768 * math.log(768)),  # -6.644 a row
    ],
)
def test_pattern_sets_have_their_known_ceilings(x, rows, distinct, total):
    assert len(x) == rows
    assert len(x.unique(dim=0)) == distinct
    assert ceiling(x) * rows == pytest.approx(total)


def test_every_bar_and_stripe_is_constant_along_an_axis():
    images = bars_and_stripes(4).reshape(-1, 4, 4)
    along_rows = (images == images[:, :1]).all(-1).all(-1)
    along_columns = (images == images[:, :, :1]).all(-1).all(-1)
    assert bool((along_rows | along_columns).all())
    assert along_rows.sum() == 16 + 2  # the empty and the full stripes too


def test_the_label_tells_the_shift():
    x = labelled_shifter(5)
    for source, shifted, label in zip(x[:, :5], x[:, 5:10], x[:, 10:], strict=True):
        assert torch.equal(source.roll(int(label.argmax()) - 1), shifted)


def test_a_shifting_bar_is_one_run_of_its_length():
    x = shifting_bar(7, 3)
    assert bool((x.sum(1) == 3).all())
    assert bool(((x - x.roll(1, dims=1)).abs().sum(1) == 2).all())
    assert torch.equal(shifting_bar(7, 3, flipped=True), 1 - x)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bars_and_stripes(0),
        lambda: bars_and_stripes(2.5),
        lambda: labelled_shifter(1),
        lambda: shifting_bar(3, 3),
    ],
)
def test_impossible_sizes_are_told(call):
    with pytest.raises(ArgumentError, match="got"):
        call()


def test_no_rows_have_no_ceiling():
    with pytest.raises(ShapeError, match="at least one row"):
        ceiling(bars_and_stripes(2)[:0])
