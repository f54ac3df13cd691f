"""Pictures of a latent space: the plane of two latents, one latent at a time, and codes with their labels.

The plane of a standard normal prior is laid out by its quantiles, so that every picture on it stands for the same mass
of the prior: z_i = Phi^-1((i + 1/2) / side). Codes of an autoencoder have no prior, and their own quantiles serve.
Source: Kingma & Welling 2014, figure 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count, check_real, is_whole
from deepgen.explicit.contexts import check_labels
from deepgen.plot.figures import PALETTE, axes_of, finished, quiet
from deepgen.plot.images import draw, mosaic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def manifold(
    model: Any,
    image_shape: Sequence[int] | None = None,
    *,
    side: int = 16,
    z: Tensor | None = None,
    units: tuple[int, int] = (0, 1),
    codes: Tensor | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw what a model puts on the plane of two latents, the first to the right and the second upwards.

    Args:
        model: see `deepgen.implicit.paths.at_places`.
        image_shape: of a row, as in `image_grid`.
        side: pictures along each axis.
        z: the code ``[latent]`` whose two ``units`` are moved; by default 0, of two latents, or the mean of ``codes``.
        units: which two.
        codes: ``[rows, latent]`` whose quantiles along both axes are the grid; those of a standard normal by default.
        limits: the ends of the grey scale; (0, 1) if all values lie there.
        title, path, ax: as in `image_grid`.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(16, [8], latent=2, generator=0)
    >>> manifold(vae, side=5).axes[0].images[0].get_size()
    (24, 24)
    """
    from deepgen.implicit.paths import at_places

    latent = getattr(model, "latent", 2)
    if z is None and codes is None and isinstance(latent, int) and latent != 2:
        raise ShapeError(
            f"a plane is of two latents, the model has {latent}: give z=, a code whose two units= are moved, or codes="
        )
    x = at_places(model, plane_codes(side, z, units, codes, _like(model)))
    return draw(mosaic(x.flatten(0, 1), image_shape, columns=side, limits=limits), title, path, ax)


def plane_codes(
    side: int,
    z: Tensor | None = None,
    units: tuple[int, int] = (0, 1),
    codes: Tensor | None = None,
    like: Tensor | None = None,
) -> Tensor:
    """The codes of `manifold`, row by row from the top: ``[side, side, latent]``.

    >>> plane_codes(3)[0, :, 1]  # the top row: the second latent at the quantile 5/6
    tensor([0.9674, 0.9674, 0.9674])
    """
    from deepgen.implicit.latent import check_codes

    check_count(side=side)
    for name, given in (("z", z), ("codes", codes)):
        if given is not None:
            check_codes(given, name)
    if codes is not None and (codes.ndim != 2 or len(codes) == 0):
        raise ShapeError(f"codes must be [rows, latent], at least one, got {list(codes.shape)}")
    if z is None:
        width = 2 if codes is None else codes.shape[1]
        z = torch.zeros(width) if codes is None else codes.mean(0)
    if z.ndim != 1 or (codes is not None and codes.shape[1:] != z.shape):
        raise ShapeError(f"z must be one code [latent], got {list(z.shape)}")
    if (
        not isinstance(units, Sequence)
        or len(units) != 2
        or units[0] == units[1]
        or not all(is_whole(unit) and 0 <= unit < len(z) for unit in units)
    ):
        raise ArgumentError(f"units must be two numbers from 0 to {len(z) - 1}, got {units}")
    z = z if like is None else z.to(like)
    share = ((torch.arange(side) + 0.5) / side).to(z)
    if codes is None:
        across = up = torch.special.ndtri(share)
    else:
        across, up = (codes.to(z)[:, unit].quantile(share) for unit in units)
    found = z.repeat(side, side, 1)
    found[:, :, units[0]] = across
    found[:, :, units[1]] = up.flip(0).unsqueeze(1)
    return found


def traversals(
    model: Any,
    z: Tensor,
    image_shape: Sequence[int] | None = None,
    *,
    units: Sequence[int] | None = None,
    steps: int = 9,
    reach: float = 3.0,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw what a model puts where one latent at a time goes from ``-reach`` to ``reach``, a row for each.

    Args:
        model: see `deepgen.implicit.paths.at_places`.
        z: the code ``[latent]`` to start from; the other latents stay at it.
        image_shape: of a row, as in `image_grid`.
        units: which latents, from the top; all by default. The most used ones come first by
            ``active_units(model, x).variances.argsort(descending=True)``.
        steps: pictures in a row.
        reach: in the units of z.
        limits: the ends of the grey scale; (0, 1) if all values lie there.
        title, path, ax: as in `image_grid`.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(16, [8], latent=3, generator=0)
    >>> traversals(vae, torch.zeros(3), steps=5).axes[0].images[0].get_size()
    (14, 24)
    """
    from deepgen.implicit.latent import check_codes
    from deepgen.implicit.paths import traverse

    check_codes(z)
    check_count(2, steps=steps)
    check_real("reach", reach, 1e-12)
    values = torch.linspace(-reach, reach, steps)
    x = traverse(model, z.to(_like(model)), values, None if units is None else [int(unit) for unit in units])
    return draw(mosaic(x.flatten(0, 1), image_shape, columns=steps, limits=limits), title, path, ax)


def code_map(
    codes: Tensor,
    labels: Tensor | None = None,
    *,
    title: str | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw codes of two latents as points, coloured by label.

    Args:
        codes: ``[rows, 2]``.
        labels: integers ``[rows]`` from 0 on, at most 20 classes.
        title, path, ax: as in `image_grid`.

    >>> figure = code_map(torch.eye(2), torch.tensor([0, 1]))
    >>> figure.axes[0].get_xlabel(), [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ('z1', ['0', '1'])
    """
    from deepgen.implicit.latent import check_codes

    check_codes(codes, "codes")
    if codes.ndim != 2 or codes.shape[1] != 2 or len(codes) == 0:
        raise ShapeError(f"a map is of codes [rows, 2], at least one, got {list(codes.shape)}: choose two columns")
    if labels is not None:
        check_labels(labels, 20)
        if labels.shape != codes.shape[:1]:
            raise ShapeError(f"labels must be [{len(codes)}], one for each code, got {list(labels.shape)}")
    ax = axes_of(560, 520, ax)
    codes = codes.detach().cpu()
    if labels is None:
        ax.scatter(codes[:, 0], codes[:, 1], s=12, color=PALETTE["s0"], linewidths=0)
    else:
        from matplotlib import colormaps

        colours = colormaps["tab20" if int(labels.max()) > 9 else "tab10"]
        for label in labels.unique().tolist():
            part = codes[labels.cpu() == label]
            ax.scatter(part[:, 0], part[:, 1], s=12, color=colours(label), linewidths=0, label=str(label))
        ax.legend(fontsize=8, frameon=False, markerscale=1.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
    quiet(ax)
    ax.set(xlabel="z1", ylabel="z2", aspect="equal")
    if title:
        ax.set_title(title, fontsize=10, color=PALETTE["ink"])
    return finished(ax, None, path)


def _like(model: Any) -> Tensor:
    """A tensor on the device and in the dtype of a model's parameters."""
    parameters = getattr(getattr(model, "model", model), "parameters", None)
    found: Tensor = next(parameters(), torch.zeros(0)) if parameters is not None else torch.zeros(0)
    return found
