"""Which class a rule gives to each place of the plane, with the rows that it was learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.plot.figures import PALETTE, SERIES, save, series
from deepgen.plot.lines import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARGIN = 0.15  # round the rows, as a part of their range
_MARKS = "osD^vP*XhH"  # classes differ by shape too, for the colour-blind


def boundaries(
    rules: Mapping[str, tuple[Callable[[Tensor], Any], Tensor, Tensor]],
    *,
    resolution: int = 200,
    title: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw the regions in which rules see each class, one panel for each rule; rows that it gets wrong are filled ink.

    Args:
        rules: by the name of the panel (``classify``, ``x``, ``labels``): a function from ``[n, 2]`` to classes
            ``[n]``, such as ``unit.predict``; rows ``[rows, 2]``; and their classes ``[rows]``, integers from 0 to 9.
        resolution: cells along each axis at whose middles ``classify`` is asked.
        title: a line above all panels.
        path: write the figure there too.

    Raises:
        ArgumentError: no rules.
        ShapeError: rows that are not ``[rows, 2]``, or labels that do not fit them.
        SupportError: a row that is NaN or infinite.

    >>> x, y = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    >>> figure = boundaries({"right of 0": (lambda x: x[:, 0] > 0, x, y)}, resolution=10)
    >>> figure.axes[0].images[0].get_array()[0].tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """
    from matplotlib.colors import ListedColormap

    if not rules:
        raise ArgumentError("boundaries need at least one rule, got none")
    for name, (_, x, labels) in rules.items():
        if x.ndim != 2 or x.shape[1] != 2 or labels.shape != x.shape[:1]:
            raise ShapeError(
                f"rows must be [rows, 2] with a label each, got {list(x.shape)} and {list(labels.shape)} for {name!r}"
            )
        if not bool(x.isfinite().all()):
            raise SupportError(f"rows must be finite to have a place, and some of {name!r} are NaN or infinite")
        if len(labels) == 0 or not 0 <= int(labels.min()) <= int(labels.max()) < len(SERIES):
            raise ShapeError(f"labels must be integers from 0 to {len(SERIES) - 1}, one at least, for {name!r}")
    check_count(resolution=resolution)
    figure, axes = panels(len(rules), title)
    for ax, (name, (classify, rows, given)) in zip(axes, rules.items(), strict=True):
        x, labels = rows.detach().cpu(), given.cpu()
        low, high = x.amin(0), x.amax(0)
        room = ((high - low) * _MARGIN).clamp_min(1e-6)
        (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
        share = (torch.arange(resolution, dtype=x.dtype) + 0.5) / resolution
        across, up = left + share * (right - left), bottom + share * (top - bottom)
        places = torch.cartesian_prod(up, across).flip(1)  # row by row from below
        found = _classes(classify, places).reshape(resolution, resolution)
        ax.imshow(
            found.numpy(),
            cmap=ListedColormap(SERIES),
            vmin=-0.5,
            vmax=len(SERIES) - 0.5,
            origin="lower",
            extent=(left, right, bottom, top),
            aspect="auto",
            alpha=0.22,
            interpolation="nearest",
        )
        wrong = _classes(classify, x) != labels
        for label in labels.unique().tolist():
            for part, colour in ((~wrong, series(label)), (wrong, PALETTE["ink"])):
                chosen = x[part & (labels == label)]
                ax.scatter(chosen[:, 0], chosen[:, 1], s=14, marker=_MARKS[label], color=colour, linewidths=0)
        ax.grid(visible=False)
        ax.set_xlim(left, right)
        ax.set_ylim(bottom, top)
        ax.set_title(name, fontsize=9, color=PALETTE["ink"], loc="left")
    if path is not None:
        save(figure, path)
    return figure


@torch.no_grad()
def _classes(classify: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    return torch.as_tensor(classify(x)).cpu().long()
