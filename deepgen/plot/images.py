"""Pictures of rows of data: grids of images, the weights of hidden units, and samples beside their nearest data.

A grid is filled row by row: image ``k`` stands in row ``k // columns`` and column ``k % columns``. Values map to grey
on one scale for the whole grid, so that two images can be compared. NaN pixels are drawn in orange (a missing value is
something to see, not an error); infinite ones are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_real
from deepgen.plot.figures import MISSING, PALETTE, PAPER, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def mosaic(
    x: Tensor,
    image_shape: Sequence[int] | None = None,
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ink: bool | None = None,
    gap: int = 1,
) -> Tensor:
    """Lay images out on a grid, one array element per pixel: ``[rows of pixels, columns of pixels, 4]``, uint8 RGBA.

    Args:
        x: ``[n, features]``, ``[n, height, width]`` or ``[n, channels, height, width]`` with 1 or 3 channels.
        image_shape: ``(height, width)`` or ``(channels, height, width)``; a square when None.
        columns: images per row of the grid; about the square root of n when None.
        limits: the values drawn as the two ends of the scale; when None (0, 1) if all values lie there, and otherwise
            the smallest and largest of them.
        ink: draw high values dark on light, as on paper; when None, so for binary images only.
        gap: transparent pixels between images.

    Raises:
        ShapeError, SupportError: rows that make no images of that shape, or hold infinite values.
        ArgumentError: ``limits`` that are no two finite numbers, the lower first.

    >>> mosaic(torch.zeros(6, 16), columns=3).shape  # 2 rows of 3 images of 4 x 4, and gaps of 1
    torch.Size([9, 14, 4])
    """
    if limits is not None:
        _check_limits(limits)
    images = as_images(x, image_shape)
    n, _channels, height, width = images.shape
    columns = _columns(n, columns)
    rows = math.ceil(n / columns)
    grid = torch.zeros(rows * (height + gap) - gap, columns * (width + gap) - gap, 4, dtype=torch.uint8)
    pixels = _rgba(images, limits or value_limits(images), is_binary(images) if ink is None else ink)
    for k in range(n):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        grid[top : top + height, left : left + width] = pixels[k]
    return grid


def image_grid(
    x: Tensor,
    image_shape: Sequence[int] | None = None,
    *,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    ink: bool | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw rows of ``x`` as a grid of images; see `mosaic` for the arguments it shares and for the order.

    Args:
        x, image_shape, columns, limits, ink: as in `mosaic`.
        title: a line above the grid.
        path: write the figure there too (`save`).
        ax: draw into these axes rather than a figure of its own.

    Returns:
        The figure.

    Raises:
        ShapeError: no rows, or a width that is no square while ``image_shape`` is None, or does not fit it.
        SupportError: an infinite value.

    >>> image_grid(torch.rand(10, 64, generator=torch.Generator().manual_seed(0)), (8, 8)).axes[0].images[0].get_size()
    (26, 35)
    """
    return draw(mosaic(x, image_shape, columns=columns, limits=limits, ink=ink), title, path, ax)


def filters(
    weights: Any,
    image_shape: Sequence[int] | None = None,
    *,
    units: Sequence[int] | None = None,
    columns: int | None = None,
    limit: float | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the weights of hidden units as images: paper is zero, blue positive, red negative, one scale for all.

    Args:
        weights: an RBM, or ``[visible, hidden]``: column j is the image of hidden unit j.
        image_shape: of the visible layer; a square when None.
        units: the hidden units to show, in this order; all when None. See `strongest`.
        columns: images per row.
        limit: the absolute weight drawn in full colour; the largest shown when None.
        title, path, ax: as in `image_grid`.

    >>> import deepgen as dg
    >>> filters(dg.explicit.RBM(visible=16, hidden=9, generator=0)).axes[0].images[0].get_size()
    (14, 14)
    """
    return draw(filter_mosaic(weights, image_shape, units=units, columns=columns, limit=limit), title, path, ax)


def filter_mosaic(
    weights: Any,
    image_shape: Sequence[int] | None = None,
    *,
    units: Sequence[int] | None = None,
    columns: int | None = None,
    limit: float | None = None,
) -> Tensor:
    """The picture of `filters` as ``[height, width, 4]`` uint8 RGBA."""
    w = weight_matrix(weights)
    if units is not None:
        if not units or not all(-w.shape[1] <= unit < w.shape[1] for unit in units):
            raise ArgumentError(f"units must be numbers from 0 to {w.shape[1] - 1}, one at least, got {list(units)}")
        w = w[:, list(units)]
    images = as_images(w.t(), image_shape)
    if not bool(images.isfinite().all()):
        raise SupportError("weights must be finite to be drawn; the model holds NaN or infinite ones")
    limit = float(images.abs().max()) if limit is None else limit
    return mosaic(PAPER * _diverging(images / (limit or 1.0)), columns=columns, limits=(0, 1), ink=False)


def strongest(weights: Any, count: int) -> list[int]:
    """The ``count`` hidden units with the largest weight norms, strongest first."""
    norms = weight_matrix(weights).norm(dim=0)
    order: list[int] = norms.argsort(descending=True, stable=True)[:count].tolist()
    return order


def as_images(x: Tensor, image_shape: Sequence[int] | None) -> Tensor:
    """``[n, channels, height, width]`` float32 on the CPU, or a `ShapeError` that says what is missing."""
    if x.ndim < 2 or x.numel() == 0:
        raise ShapeError(f"images must be [n, features] with at least one row and one feature, got {list(x.shape)}")
    if image_shape is None:
        image_shape = _guess_shape(x)
    shape = tuple(image_shape)
    shape = (1, *shape) if len(shape) == 2 else shape
    if len(shape) != 3 or shape[0] not in (1, 3) or math.prod(shape) != x[0].numel():
        raise ShapeError(
            f"image_shape must be (height, width) or (1 or 3, height, width) with product {x[0].numel()}, "
            f"got {tuple(image_shape)}"
        )
    return x.detach().cpu().float().reshape(len(x), *shape)


def is_binary(x: Tensor) -> bool:
    """Whether all values are 0 or 1, NaN aside."""
    return bool(((x == 0) | (x == 1) | x.isnan()).all())


def weight_matrix(weights: Any) -> Tensor:
    """``[visible, hidden]`` of a machine or of a matrix itself."""
    w = getattr(weights, "weight", weights)
    if not isinstance(w, Tensor) or w.ndim != 2 or w.numel() == 0:
        raise ShapeError(f"filters need a model with a weight [visible, hidden], or that matrix; got {type(weights)}")
    return w.detach().cpu().float()


def _guess_shape(x: Tensor) -> tuple[int, ...]:
    if x.ndim > 2:
        return tuple(x.shape[1:])
    side = math.isqrt(x.shape[1])
    if side * side != x.shape[1]:
        raise ShapeError(f"rows of width {x.shape[1]} are no square image: say image_shape=(height, width)")
    return side, side


def _columns(n: int, columns: int | None) -> int:
    if columns is not None and columns < 1:
        raise ArgumentError(f"columns must be at least 1, got {columns}")
    return min(n, columns or math.ceil(math.sqrt(n)))


def value_limits(images: Tensor) -> tuple[float, float]:
    """The values drawn as the ends of the grey scale, unless the caller names others."""
    seen = images[~images.isnan()]
    if not bool(seen.isfinite().all()):
        raise SupportError("images must be finite (NaN is drawn as missing); got infinite values")
    if seen.numel() == 0 or (float(seen.min()) >= 0 and float(seen.max()) <= 1):
        return 0.0, 1.0
    return float(seen.min()), float(seen.max())


def _check_limits(limits: object) -> None:
    if not isinstance(limits, (tuple, list)) or len(limits) != 2:
        raise ArgumentError(f"limits must be two numbers, the lower first, got {limits!r}")
    for end in limits:
        check_real("each of limits", end)
    if not limits[0] < limits[1]:
        raise ArgumentError(f"limits must be two numbers, the lower first, got {limits!r}")


def _rgba(images: Tensor, limits: tuple[float, float], ink: bool) -> Tensor:
    """``[n, channels, height, width]`` to ``[n, height, width, 4]`` uint8."""
    if bool(images.isinf().any()):
        raise SupportError("images must be finite (NaN is drawn as missing); got infinite values")
    low, high = limits
    level = ((images - low) / ((high - low) or 1.0)).clamp(0, 1)
    missing = images.isnan().any(1)
    level = PAPER * (1 - level) if ink else level
    rgb = (level.nan_to_num() * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).clone()
    rgb[missing] = torch.tensor(list(bytes.fromhex(MISSING[1:])), dtype=torch.uint8)
    return torch.cat([rgb, torch.full_like(rgb[..., :1], 255)], -1)


def _diverging(level: Tensor) -> Tensor:
    """[-1, 1] as RGB: red, white at zero, blue; ``[n, 1, h, w] -> [n, 3, h, w]``."""
    level = level.clamp(-1, 1)
    blue, red = torch.tensor([0.08, 0.32, 0.58]), torch.tensor([0.70, 0.15, 0.13])
    end = torch.where(level >= 0, blue.reshape(1, 3, 1, 1), red.reshape(1, 3, 1, 1))
    return 1 - level.abs() * (1 - end)


def draw(grid: Tensor, title: str | None, path: str | Path | None, ax: Axes | None) -> Figure:
    """A figure of ``grid`` alone, in whole pixels, or ``grid`` in the caller's axes."""
    height, width = grid.shape[:2]
    scale = max(1, round(600 / max(width, 1)))
    if ax is None:
        head = 34 if title else 0
        figure = new_figure(width * scale, height * scale + head)
        ax = figure.add_axes((0.0, 0.0, 1.0, height * scale / (height * scale + head)))
    ax.imshow(grid.numpy(), interpolation="nearest", aspect="equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=10, color=PALETTE["ink"], pad=8)
    return finished(ax, None, path)
