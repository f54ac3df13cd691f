"""Samples beside the training rows nearest to them: what shows a model that copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot.figures import PALETTE, save
from deepgen.plot.images import as_images, draw, is_binary, mosaic, value_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Neighbours(NamedTuple):
    """row: of the training set ``[n]``; distance: to it ``[n]``; metric: ``hamming`` or ``euclidean``."""

    row: Tensor
    distance: Tensor
    metric: str


def neighbours(x: Tensor, train: Tensor, metric: str | None = None) -> Neighbours:
    """Find for every row of ``x`` the nearest row of ``train`` (the first of several equally near).

    Args:
        x: ``[n, features]``.
        train: ``[rows, features]``.
        metric: ``hamming`` (how many entries differ), ``euclidean``, or None for Hamming when all is binary.

    >>> neighbours(torch.tensor([[1., 1., 0.]]), torch.tensor([[0., 0., 0.], [1., 1., 1.]]))
    Neighbours(row=tensor([1]), distance=tensor([1.]), metric='hamming')
    """
    if x.ndim < 2 or train.ndim < 2 or len(x) == 0 or len(train) == 0 or x[0].numel() != train[0].numel():
        raise ShapeError(
            f"samples and training rows must be [n, features] of one width with at least one row each, "
            f"got {list(x.shape)} and {list(train.shape)}"
        )
    x, train = x.detach().cpu().flatten(1).float(), train.detach().cpu().flatten(1).float()
    if not bool(x.isfinite().all()) or not bool(train.isfinite().all()):
        raise SupportError("a distance needs finite values; samples or training rows hold NaN or infinite ones")
    if metric is None:
        metric = "hamming" if is_binary(x) and is_binary(train) else "euclidean"
    if metric not in ("hamming", "euclidean"):
        raise ArgumentError(f"metric must be 'hamming' or 'euclidean', got {metric!r}")
    nearest = []
    for row in x:  # one row at a time keeps the memory at one copy of the training set
        far = (train != row).sum(1).float() if metric == "hamming" else (train - row).square().sum(1).sqrt()
        nearest.append(far.min(0))
    return Neighbours(torch.stack([m.indices for m in nearest]), torch.stack([m.values for m in nearest]), metric)


def distance(value: float, metric: str) -> str:
    """A distance in as many digits as it deserves."""
    return f"{value:.0f}" if metric == "hamming" else f"{value:.2g}"


def nearest(
    samples: Tensor,
    train: Tensor,
    image_shape: Sequence[int] | None = None,
    *,
    metric: str | None = None,
    columns: int = 10,
    ink: bool | None = None,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw each sample above its nearest training image, with their distance: copies betray memorising.

    Args:
        samples: ``[n, features]``.
        train: ``[rows, features]``, what the model was fitted to.
        image_shape, ink, title, path: as in `image_grid`.
        metric: as in `neighbours`.
        columns: pairs per row.

    >>> figure = nearest(torch.eye(4)[:2], torch.eye(4))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0', '0']
    """
    found = neighbours(samples, train, metric)
    shown, matches = as_images(samples, image_shape), as_images(train, image_shape)[found.row]
    height, width = shown.shape[2:]
    pairs = torch.cat([shown, matches.to(shown)], 2)  # the sample on top of its neighbour
    limits, columns = value_limits(pairs), min(columns, len(pairs))
    dark = is_binary(pairs) if ink is None else ink
    gap = max(2, round(0.45 * height))  # room for the distance below each pair
    figure = draw(_with_row_gap(pairs, columns, limits, dark, gap), title, None, None)
    ax = figure.axes[0]
    for k, apart in enumerate(found.distance.tolist()):
        top, left = (k // columns) * (2 * height + gap), (k % columns) * (width + 1)
        ax.text(
            left + width / 2 - 0.5,
            top + 2 * height - 0.5 + gap / 2,
            distance(apart, found.metric),
            ha="center",
            va="center",
            fontsize=8,
            color=PALETTE["muted"],
        )
    if path is not None:
        save(figure, path)
    return figure


def _with_row_gap(pairs: Tensor, columns: int, limits: tuple[float, float], ink: bool, gap: int) -> Tensor:
    """A mosaic whose rows of images stand ``gap`` pixels apart, and whose last row has that room below it too."""
    n, channels, height, width = pairs.shape
    taller = torch.zeros(n, channels, height + gap, width)
    taller[:, :, :height] = pairs
    grid = mosaic(taller, (channels, height + gap, width), columns=columns, limits=limits, ink=ink, gap=1)
    row = torch.arange(len(grid)) % (height + gap + 1)
    grid = grid[row != height + gap]  # mosaic's own gap row
    grid[torch.arange(len(grid)) % (height + gap) >= height] = 0
    return grid
