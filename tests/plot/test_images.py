"""Where each pixel goes, what colour it gets, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import filters, image_grid, mosaic, nearest, neighbours
from deepgen.plot.figures import MISSING, render
from deepgen.plot.images import filter_mosaic, strongest


def pixels(figure) -> np.ndarray:
    """The figure as its PNG shows it: [height, width, 4] in 0..255."""
    return np.round(imread(io.BytesIO(render(figure, "png"))) * 255).astype(int)


def bits(n: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(2, (n, width), generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize(("n", "columns", "gap"), [(1, None, 1), (7, 3, 1), (12, 4, 0), (5, 9, 2), (100, None, 1)])
def test_mosaic_places_image_k_in_reading_order(n: int, columns: int | None, gap: int) -> None:
    x = torch.rand(n, 6, generator=torch.Generator().manual_seed(n))
    grid = mosaic(x, (2, 3), columns=columns, gap=gap, limits=(0, 1), ink=False)
    across = min(n, columns or round(n**0.5 + 0.49))
    for k in range(n):
        top, left = (k // across) * (2 + gap), (k % across) * (3 + gap)
        tile = grid[top : top + 2, left : left + 3]
        expected = (x[k].reshape(2, 3) * 255).round()
        assert torch.equal(tile[..., 0].float(), expected)
        assert bool((tile[..., 3] == 255).all())
    assert int((grid[..., 3] == 255).sum()) == n * 6  # all the rest is transparent


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 50, 64, 100])
@pytest.mark.parametrize("side", [3, 8, 28])
def test_a_written_grid_shows_every_pixel_as_a_whole_block(n: int, side: int) -> None:
    x = bits(n, side * side, seed=n)
    grid = mosaic(x).numpy().astype(int)
    seen = pixels(image_grid(x))
    assert seen.shape[0] % grid.shape[0] == 0
    block = seen.shape[0] // grid.shape[0]
    assert seen.shape[1] == grid.shape[1] * block
    opaque = grid.repeat(block, 0).repeat(block, 1)
    white = np.where(opaque[..., 3:] == 255, opaque, 255)  # gaps take the figure's white
    assert np.array_equal(seen[..., :3], white[..., :3])


def test_scale_is_shared_and_follows_the_values() -> None:
    def grey(x, **options):
        return mosaic(x, (1, 2), gap=0, **options)[..., 0].flatten().tolist()

    assert grey(torch.tensor([[0.0, 0.2]])) == [0, 51]  # inside [0, 1]: that is the scale
    assert grey(torch.tensor([[-2.0, 2.0], [0.0, 1.0]])) == [0, 255, 128, 191]  # one scale for both images
    assert grey(torch.tensor([[0.0, 1.0]])) == [242, 0]  # binary: ink on paper
    assert grey(torch.tensor([[0.0, 1.0]]), ink=False) == [0, 255]
    assert grey(torch.tensor([[3.0, 3.0]]), limits=(1, 5)) == [128, 128]
    assert grey(torch.tensor([[3.0, 3.0]])) == [0, 0]  # constant: no division by zero


def test_channels_come_first_and_stay_colours() -> None:
    x = torch.tensor([1.0, 0.0, 0.5]).reshape(1, 3, 1, 1)
    assert mosaic(x, ink=False).flatten().tolist() == [255, 0, 128, 255]


def test_missing_pixels_are_orange_and_infinite_ones_refused() -> None:
    grid = mosaic(torch.tensor([[0.0, float("nan"), 1.0, 0.0]]))
    assert "#" + bytes(grid[0, 1, :3].tolist()).hex() == MISSING
    assert grid[0, 0, :3].tolist() == [242, 242, 242]
    with pytest.raises(SupportError, match="infinite"):
        mosaic(torch.tensor([[0.0, float("inf"), 1.0, 0.0]]))
    with pytest.raises(SupportError, match="infinite"):
        mosaic(torch.tensor([[0.0, -float("inf"), 1.0, 0.0]]), limits=(0, 1))


@pytest.mark.parametrize(
    ("x", "shape", "words"),
    [
        (torch.zeros(3, 10), None, "image_shape"),
        (torch.zeros(3, 10), (3, 3), "product 10"),
        (torch.zeros(3, 8), (2, 2, 2), "1 or 3"),
        (torch.zeros(0, 16), None, "at least one row"),
        (torch.zeros(3, 0), None, "at least one"),
        (torch.zeros(16), None, "n, features"),
    ],
)
def test_shapes_that_are_no_images_are_refused(x: torch.Tensor, shape: tuple[int, ...] | None, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        image_grid(x, shape)


def test_columns_must_be_positive() -> None:
    with pytest.raises(ArgumentError, match="columns"):
        image_grid(torch.zeros(3, 16), columns=0)


def test_a_filter_picture_is_the_weight_column() -> None:
    w = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    grid = filter_mosaic(w, (2, 3), units=[4, 1], columns=2)
    limit = w[:, [4, 1]].abs().max()
    for place, unit in enumerate((4, 1)):
        tile = grid[0:2, place * 4 : place * 4 + 3].float()
        level = (w[:, unit] / limit).reshape(2, 3)
        red, blue = tile[..., 0], tile[..., 2]
        # each channel fades linearly from paper: recover |w| from the one that fades most
        strength = torch.where(level > 0, (242 - red) / (242 * 0.92), (242 - blue) / (242 * 0.87))
        assert torch.allclose(strength, level.abs(), atol=0.006)


def test_filters_reads_a_machine_and_orders_by_norm() -> None:
    rbm = dg.explicit.RBM(visible=9, hidden=4, generator=0)
    with torch.no_grad():
        rbm.weight.mul_(torch.tensor([1.0, 100.0, 0.1, 10.0]))
    assert strongest(rbm, 3) == [1, 3, 0]
    shown = filters(rbm).axes[0].images[0].get_array()
    assert np.array_equal(shown, filter_mosaic(rbm.weight).numpy())


def test_filters_refuses_what_is_no_weight() -> None:
    with pytest.raises(ShapeError, match="weight"):
        filters(torch.zeros(3))
    with pytest.raises(ShapeError, match="weight"):
        filters(torch.nn.ReLU())
    with pytest.raises(SupportError, match="finite"):
        filters(torch.full((4, 2), float("nan")))
    assert bool((filter_mosaic(torch.zeros(4, 1))[..., :3] == 242).all())  # zero weights are paper, not NaN


def test_neighbours_against_the_whole_table_of_distances() -> None:
    x, train = bits(9, 12, 1), bits(40, 12, 2)
    found = neighbours(x, train)
    table = (x[:, None] != train[None]).sum(-1).float()
    assert found.metric == "hamming"
    assert torch.equal(found.distance, table.min(1).values)
    assert torch.equal(table[torch.arange(9), found.row], found.distance)
    real = neighbours(x + 0.25, train)
    assert real.metric == "euclidean"
    assert torch.allclose(real.distance, torch.cdist(x + 0.25, train).min(1).values, atol=1e-5)


def test_neighbours_of_training_rows_are_themselves() -> None:
    train = torch.arange(16).unsqueeze(1) // 2 ** torch.arange(4) % 2  # all 16 patterns, no duplicates
    found = neighbours(train[[3, 7]].float(), train.float())
    assert found.row.tolist() == [3, 7]
    assert found.distance.tolist() == [0, 0]


def test_nearest_draws_sample_above_neighbour_with_their_distance() -> None:
    train = torch.eye(9)
    samples = torch.stack([train[4], torch.zeros(9), train[2] + train[3] + train[5]])
    figure = nearest(samples, train, columns=2)
    assert [t.get_text() for t in figure.axes[0].texts] == ["0", "1", "2"]
    grid = torch.as_tensor(np.asarray(figure.axes[0].images[0].get_array()))
    dark = (grid[..., 0] == 0) & (grid[..., 3] == 255)
    assert torch.equal(dark[0:3, 0:3].flatten(), train[4].bool())
    assert torch.equal(dark[3:6, 0:3].flatten(), train[4].bool())
    assert int(dark[0:3, 4:7].sum()) == 0
    assert int(dark[3:6, 4:7].sum()) == 1
    gap = len(grid) // 2
    assert torch.equal(dark[gap : gap + 3, 0:3].flatten(), samples[2].bool())


@pytest.mark.parametrize(
    ("samples", "train", "metric", "error"),
    [
        (torch.zeros(2, 4), torch.zeros(3, 9), None, ShapeError),
        (torch.zeros(0, 4), torch.zeros(3, 4), None, ShapeError),
        (torch.zeros(2, 4), torch.zeros(0, 4), None, ShapeError),
        (torch.full((2, 4), float("nan")), torch.zeros(3, 4), None, SupportError),
        (torch.zeros(2, 4), torch.zeros(3, 4), "cosine", ArgumentError),
    ],
)
def test_distances_that_mean_nothing_are_refused(samples, train, metric, error) -> None:
    with pytest.raises(error):
        nearest(samples, train, metric=metric)


def test_drawing_into_ones_own_axes() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert image_grid(torch.zeros(4, 9), ax=right) is figure
    assert len(right.images) == 1
    assert len(left.images) == 0
