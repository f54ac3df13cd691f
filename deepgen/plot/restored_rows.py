"""Completed images beside what they were completed from: one row for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.plot.figures import PALETTE, save, series
from deepgen.plot.images import as_images, draw, is_binary, mosaic, value_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_APART = 2  # further pixels between the three parts of a row


def completions(
    x: Tensor,
    mask: Tensor,
    drawn: Tensor,
    image_shape: Sequence[int] | None = None,
    *,
    ink: bool | None = None,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw in each row an image, what is known of it, and its completions, whose drawn pixels are blue.

    Args:
        x: the whole images, ``[n, *event]`` or flat rows.
        mask: boolean, of the shape of ``x`` or of one image, True where the pixel is known. Others are orange in the
            second picture of a row.
        drawn: ``[n, copies, *event]`` or with flat rows.
        image_shape, ink, title, path: as in `image_grid`. Colour images keep their colours.

    Raises:
        ShapeError: the three do not fit together.

    >>> x, mask = torch.eye(4).reshape(1, 16), torch.arange(16) < 8
    >>> completions(x, mask, x.expand(1, 3, 16)).axes[0].images[0].get_size()  # five pictures of 4 x 4 and a heading
    (6, 28)
    """
    if x.ndim < 2 or len(x) == 0:
        raise ShapeError(f"x must be images [n, *event], at least one, got {list(x.shape)}")
    if drawn.ndim < 3 or drawn.shape[0] != len(x) or drawn[0, 0].numel() != x[0].numel():
        raise ShapeError(f"drawn must be [{len(x)}, copies, {x[0].numel()}] for these images, got {list(drawn.shape)}")
    if mask.dtype != torch.bool or mask.numel() not in (x[0].numel(), x.numel()):
        raise ShapeError(
            f"mask must be boolean, of the shape of x or of one image, got {mask.dtype} {list(mask.shape)}"
        )
    whole = as_images(x, image_shape)
    n, copies, shape = len(whole), drawn.shape[1], whole.shape[1:]
    known = mask.detach().cpu().reshape(-1, *shape).expand(whole.shape)
    each = drawn.detach().cpu().float().reshape(n, copies, *shape)
    rows = torch.cat([whole.unsqueeze(1), whole.masked_fill(~known, torch.nan).unsqueeze(1), each], 1).flatten(0, 1)
    new = torch.cat([torch.zeros(n, 2, *shape), (~known).float().unsqueeze(1).expand(each.shape)], 1).flatten(0, 1)
    columns, dark = 2 + copies, is_binary(rows) if ink is None else ink
    grid = mosaic(rows, columns=columns, limits=value_limits(rows), ink=dark)
    if shape[0] == 1:
        grid = _blue(grid, mosaic(new, columns=columns, limits=(0, 1), ink=False)[..., 0] > 0, dark)
    grid, starts = _with_room(grid, shape[2] + 1)
    head = max(2, round(len(grid) / 24))
    figure = draw(torch.cat([torch.zeros(head, *grid.shape[1:], dtype=grid.dtype), grid]), title, None, None)
    for start, name in zip(starts, ("original", "known", "completions"), strict=True):
        figure.axes[0].text(start - 0.5, head - 1, name, fontsize=8, color=PALETTE["muted"], va="bottom")
    if path is not None:
        save(figure, path, scale=2)
    return figure


def _blue(grid: Tensor, where: Tensor, dark: bool) -> Tensor:
    """Grey pixels with blue for black, or on a dark ground for white."""
    colour = torch.tensor(list(bytes.fromhex(series(0)[1:])), dtype=torch.float32)
    level = grid[..., :1].float() / 255
    blue = colour + level * (255 - colour) if dark else level * (colour + 255) / 2
    return torch.where(where.unsqueeze(-1), torch.cat([blue.round().to(grid), grid[..., 3:]], -1), grid)


def _with_room(grid: Tensor, step: int) -> tuple[Tensor, list[int]]:
    """The grid with room after its first and its second column, and where the three parts start."""
    room = torch.zeros(len(grid), _APART, 4, dtype=grid.dtype)
    parts = [grid[:, :step], room, grid[:, step : 2 * step], room, grid[:, 2 * step :]]
    return torch.cat(parts, 1), [0, step + _APART, 2 * (step + _APART)]
