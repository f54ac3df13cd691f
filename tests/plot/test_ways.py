"""Ways over level lines: where lines and places stand, and what is refused."""

import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import paths

BOX = ((-2.0, 2.0), (-1.0, 3.0))


def test_ways_keep_their_places_and_axes_their_sides(tmp_path):
    ways = {"one": torch.tensor([[-1.0, 2.0], [0.5, 0.0]]), "two": torch.zeros(1, 2)}
    figure = paths(lambda x: x[:, 1], ways, box=BOX, levels=3, resolution=101, path=tmp_path / "a.png")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "two"]
    ax = figure.axes[0]
    line, ring, dot = ax.get_lines()
    assert list(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True)) == [(-1.0, 2.0), (0.5, 0.0)]
    assert (ring.get_xdata().item(), dot.get_xdata().item()) == (-1.0, 0.5)
    assert (ax.get_xlim(), ax.get_ylim()) == BOX
    lines = [part for part in ax.collections[0].get_paths() if len(part)]
    heights = [part.vertices[:, 1].mean() for part in lines]
    assert heights == pytest.approx([0.0, 1.0, 2.0], abs=0.05)  # equal shares of the box, level lines of the second
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("function", "ways", "error"),
    [
        (lambda x: x[:, 0], {}, ArgumentError),
        (lambda x: x[:, 0], {"a": torch.zeros(2, 3)}, ShapeError),
        (lambda x: x[:, 0], {"a": torch.zeros(0, 2)}, ShapeError),
        (lambda x: x[:, 0].log(), {"a": torch.zeros(2, 2)}, SupportError),
    ],
)
def test_what_does_not_fit_is_refused(function, ways, error):
    with pytest.raises(error):
        paths(function, ways, box=BOX)
