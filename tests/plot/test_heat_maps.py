"""A matrix of scores by shade: which cell is how dark, where names and lines stand, and what is refused."""

import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import heat_map


def test_larger_scores_are_darker_and_what_is_no_number_is_left_grey(stream, tmp_path):
    scores = torch.rand(6, 6, generator=stream).fill_diagonal_(float("nan"))
    figure = heat_map(scores, list("abcdef"), title="t", path=tmp_path / "map.png")
    image = figure.axes[0].images[0]
    shades = torch.as_tensor(image.to_rgba(image.get_array()))
    off = ~torch.eye(6, dtype=torch.bool)
    light = shades[..., :3].sum(-1)[off]
    assert (light[scores[off].argsort()].diff() <= 1e-9).all()
    assert light[scores[off].argmin()] - light[scores[off].argmax()] > 1
    assert (shades.diagonal()[3] == 0).all()  # nothing is drawn there
    assert image.get_clim() == pytest.approx((float(scores[off].min()), float(scores[off].max())))
    assert heat_map(scores, list("abcdef"), low=-1.0).axes[0].images[0].get_clim()[0] == -1.0
    assert (tmp_path / "map.png").stat().st_size > 0


def test_names_stand_at_their_rows_and_lines_before_theirs():
    ax = heat_map(torch.eye(6), ["x", "y"], breaks=[3]).axes[0]
    assert ax.get_xticks().tolist() == ax.get_yticks().tolist() == [1.0, 4.0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["x", "y"]
    across, up = ax.get_lines()
    assert list(across.get_ydata()) == list(up.get_xdata()) == [2.5, 2.5]


def test_two_maps_share_a_figure():
    first = heat_map(torch.eye(2), ["a", "b"])
    left, right = first.add_subplot(), first.add_subplot()
    assert heat_map(torch.eye(3), list("abc"), ax=left) is heat_map(torch.eye(3), list("abc"), ax=right) is first


@pytest.mark.parametrize(
    ("scores", "names", "breaks", "error"),
    [
        (torch.zeros(2, 3), ["a", "b"], [], ShapeError),
        (torch.zeros(0, 0), ["a"], [], ShapeError),
        (torch.eye(4), ["a", "b", "c"], [], ShapeError),
        (torch.eye(4), [], [], ShapeError),
        (torch.tensor([[float("inf")]]), ["a"], [], SupportError),
        (torch.tensor([[float("nan")]]), ["a"], [], SupportError),
        (torch.eye(2), ["a", "b"], [2], ArgumentError),
        (torch.eye(2), ["a", "b"], [0], ArgumentError),
    ],
)
def test_what_is_no_map_is_told(scores, names, breaks, error):
    with pytest.raises(error):
        heat_map(scores, names, breaks=breaks)
