"""Where each picture of a row stands, and which pixels are coloured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deepgen.errors import ShapeError
from deepgen.plot import completions, mosaic
from deepgen.plot.figures import MISSING, SERIES


def colours(picture: torch.Tensor) -> list[list[str]]:
    return [["#" + bytes(pixel).hex() for pixel in row] for row in picture[..., :3].tolist()]


@pytest.mark.parametrize("shaped", [False, True])
def test_original_known_and_completions_stand_side_by_side(shaped: bool) -> None:
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]])
    mask = torch.tensor([True, True, False, False])
    drawn = torch.tensor([[[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]]])
    if shaped:
        x, mask, drawn = x.view(2, 2, 2), mask.view(2, 2), drawn.view(2, 2, 2, 2)
    shown = torch.as_tensor(completions(x, mask, drawn, (2, 2)).axes[0].images[0].get_array())
    shown = shown[2:]  # below the heading
    paper, ink, blue = "#f2f2f2", "#000000", SERIES[0]
    tiles = [[colours(shown[3 * r : 3 * r + 2, c : c + 2]) for c in (0, 5, 10, 13)] for r in range(2)]
    assert tiles[0][0] == [[ink, paper], [paper, ink]]
    assert tiles[0][1] == [[ink, paper], [MISSING, MISSING]]
    assert tiles[0][2][0] == [ink, paper]
    assert tiles[0][2][1][0] == blue
    assert tiles[0][3][1][0] == tiles[0][2][1][1] not in (paper, blue)  # paper with a breath of blue
    assert tiles[1][3] == [[paper, ink], [blue, blue]]


def test_a_mask_for_each_row() -> None:
    x, masks = torch.zeros(2, 4), torch.tensor([[True, False, True, True], [True, True, True, False]])
    shown = torch.as_tensor(completions(x, masks, x.unsqueeze(1), (2, 2)).axes[0].images[0].get_array())[2:]
    known = [colours(shown[top : top + 2, 5:7]) for top in (0, 3)]
    assert known[0][0][1] == known[1][1][1] == MISSING
    assert sum(colour == MISSING for tile in known for row in tile for colour in row) == 2


def test_colour_images_keep_their_colours(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    figure = completions(x, torch.zeros(3, 2, 2).bool(), x.unsqueeze(1), (3, 2, 2), path=tmp_path / "a.png")
    shown = torch.as_tensor(figure.axes[0].images[0].get_array())[2:]
    assert torch.equal(shown[:2, 10:12], mosaic(x, ink=False)[..., :])
    assert (tmp_path / "a.png").exists()


def test_shapes_that_do_not_fit() -> None:
    x, mask = torch.zeros(3, 4), torch.ones(4).bool()
    with pytest.raises(ShapeError, match="copies"):
        completions(x, mask, torch.zeros(2, 5, 4))
    with pytest.raises(ShapeError, match="copies"):
        completions(x, mask, x)
    with pytest.raises(ShapeError, match="mask"):
        completions(x, mask.float(), torch.zeros(3, 5, 4))
    with pytest.raises(ShapeError, match="mask"):
        completions(x, mask[:3], torch.zeros(3, 5, 4))
