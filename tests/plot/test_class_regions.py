"""Regions of classes on the plane: which cell has which colour, which rows are ink, and what is refused."""

import pytest
import torch
from matplotlib.colors import to_hex

from deepgen.errors import ArgumentError, ShapeError
from deepgen.plot import boundaries
from deepgen.plot.figures import PALETTE, series

X = torch.tensor([[-1.0, -2.0], [1.0, -1.0], [1.0, 2.0]])


def above(x):
    return x[:, 1] > 0


def test_cells_stand_where_the_rule_was_asked(tmp_path):
    figure = boundaries({"above": (above, X, torch.tensor([0, 0, 1]))}, resolution=20, path=tmp_path / "a.png")
    ax = figure.axes[0]
    cells = torch.as_tensor(ax.images[0].get_array())
    left, right, bottom, top = ax.images[0].get_extent()
    middle = bottom + (torch.arange(20) + 0.5) / 20 * (top - bottom)
    assert left < -1 < 1 < right
    assert bottom < -2 < 2 < top
    assert torch.equal(cells, (middle > 0).long().unsqueeze(1).expand(20, 20))  # up is not across
    assert (tmp_path / "a.png").stat().st_size > 0


def test_rows_that_are_wrong_are_ink_and_others_have_the_colour_of_their_class():
    figure = boundaries({"above": (above, X, torch.tensor([0, 1, 1]))})
    drawn = {
        tuple(place): to_hex(dots.get_facecolors()[0])
        for dots in figure.axes[0].collections
        for place in dots.get_offsets().tolist()
    }
    assert drawn == {(-1.0, -2.0): series(0), (1.0, -1.0): PALETTE["ink"], (1.0, 2.0): series(1)}


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ({}, ArgumentError),
        ({"a": (above, torch.zeros(3, 3), torch.zeros(3))}, ShapeError),
        ({"a": (above, X, torch.zeros(2))}, ShapeError),
        ({"a": (above, X, torch.tensor([0, 1, 10]))}, ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(rules, error):
    with pytest.raises(error):
        boundaries(rules)
