"""Ways through a latent space, and what a model puts at their places.

    linear       (1 - t) a + t b
    spherical    (sin((1 - t) w) a + sin(t w) b) / sin w,     cos w = a.b / |a| |b|        (Shoemake 1985; White 2016)

Between two draws of a standard normal in many dimensions the middle of the linear way has 0.7 of their length, where
such a law has next to no mass; the spherical one keeps the length. Codes of an autoencoder have no such law, and of
them the linear way is the plain choice.

What stands at a place z is the mean of p(x | z) of a model with a likelihood (`VAE`, `Decoder`, a `CVAE` given its
context), ``decode(z)`` of an `Autoencoder`, ``generate(z)`` of a `GAN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count, is_whole
from deepgen.explicit.units import check_support, require_tensor
from deepgen.implicit.latent import check_codes
from deepgen.rest import at_rest


def lerp(a: Tensor, b: Tensor, steps: int = 9) -> Tensor:
    """The linear way from ``a`` to ``b``, both ends on it: ``[*batch, latent] -> [steps, *batch, latent]``.

    Raises:
        ShapeError, ArgumentError, SupportError: the ends are no finite codes of one shape; fewer than two steps.

    >>> lerp(torch.zeros(1), torch.ones(1), 3).flatten()
    tensor([0.0000, 0.5000, 1.0000])
    """
    a, b, t = _ends(a, b, steps)
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, steps: int = 9) -> Tensor:
    """The spherical way: by equal angles from ``a`` to ``b``, ``[*batch, latent] -> [steps, *batch, latent]``.

    Lengths that differ go over into one another. Where the ends lie in one direction it is the linear way.

    Raises:
        ArgumentError: ends in opposite directions, between which no way is the shortest, or an end at 0.
        ShapeError, ArgumentError, SupportError: as of `lerp`.

    >>> slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)[1]
    tensor([0.7071, 0.7071])
    """
    a, b, t = _ends(a, b, steps)
    lengths = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    if any(bool((length == 0).any()) for length in lengths):
        raise ArgumentError("an end of a spherical way is 0, which has no direction: use the linear one")
    one, other = a / lengths[0], b / lengths[1]
    # by both chords: the arc cosine is lost to rounding near 0 and pi
    angle = 2 * torch.atan2((one - other).norm(dim=-1, keepdim=True), (one + other).norm(dim=-1, keepdim=True))
    sine, tiny = angle.sin(), torch.finfo(a.dtype).eps ** 0.5
    if bool((angle > torch.pi - tiny).any()):
        raise ArgumentError("the ends of a spherical way lie in opposite directions: go by a third place between them")
    near = angle < tiny
    sine = torch.where(near, torch.ones_like(sine), sine)
    weights = torch.where(near, 1 - t, ((1 - t) * angle).sin() / sine), torch.where(near, t, (t * angle).sin() / sine)
    return weights[0] * a + weights[1] * b


def _ends(a: Tensor, b: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    check_count(2, steps=steps)
    check_codes(a, "a")
    check_codes(b, "b")
    if a.shape != b.shape:
        raise ShapeError(f"both ends must be [*batch, latent], got {list(a.shape)} and {list(b.shape)}")
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device).view(-1, *(1,) * a.ndim)
    return a, b, t


def interpolate(model: Any, a: Tensor, b: Tensor, steps: int = 9, *, spherical: bool = False) -> Tensor:
    """What ``model`` puts along the way from codes ``a`` to codes ``b``.

    Args:
        model: see `at_places`.
        a, b: codes ``[*batch, latent]``, such as ``model.encode(x)``.
        steps: places on the way, both ends among them.
        spherical: by `slerp` instead of `lerp`.

    Returns:
        ``[steps, *batch, *event]``.

    Raises:
        ShapeError, ArgumentError, SupportError, MissingCapability: as of `slerp` or `lerp` and `at_places`.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=0)
    >>> z = vae.encode(torch.eye(6))
    >>> interpolate(vae, z[:2], z[2:4], steps=5, spherical=True).shape
    torch.Size([5, 2, 6])
    """
    return at_places(model, (slerp if spherical else lerp)(a, b, steps))


def traverse(model: Any, z: Tensor, values: Tensor, units: Sequence[int] | None = None) -> Tensor:
    """What ``model`` puts where one number of the code ``z`` takes ``values`` and the others stay.

    Args:
        model: see `at_places`.
        z: one code ``[latent]``.
        values: ``[steps]``, in the units of z.
        units: which numbers are moved, one after the other; all by default.

    Returns:
        ``[units, steps, *event]``.

    Raises:
        ShapeError, ArgumentError, SupportError: no finite code and values, or ``units`` that it has not.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=3, generator=0)
    >>> traverse(vae, torch.zeros(3), torch.linspace(-3, 3, 5), units=[0, 2]).shape
    torch.Size([2, 5, 6])
    """
    check_codes(z)
    require_tensor(values, "values")
    if z.ndim != 1 or values.ndim != 1:
        raise ShapeError(f"z must be one code [latent] and values [steps], got {list(z.shape)}, {list(values.shape)}")
    check_support(values, values.isfinite(), "finite in values")
    if units is not None and not isinstance(units, Sequence):
        raise ArgumentError(f"units must be several numbers, such as [0, 2], got {units!r}")
    moved = list(range(len(z))) if units is None else list(units)
    if not moved or not all(is_whole(unit) and -len(z) <= unit < len(z) for unit in moved):
        raise ArgumentError(f"units must be numbers from {-len(z)} to {len(z) - 1}, got {units}")
    places = z.repeat(len(moved), len(values), 1)
    for row, unit in enumerate(moved):
        places[row, :, unit] = values.to(z)
    return at_places(model, places)


@torch.no_grad()
def at_places(model: Any, z: Tensor) -> Tensor:
    """What ``model`` puts at codes: ``[*batch, latent] -> [*batch, *event]``. Networks rest in eval mode meanwhile.

    Args:
        model: what has ``decode(z)``, ``likelihood(z)`` or ``generate(z)``. Of a `CVAE` or a conditional `GAN` that is
            ``model(context)`` with one context.

    Raises:
        MissingCapability: it has none of them.
        ArgumentError: it takes a context, and none was filled in.
        ShapeError, ArgumentError, SupportError: ``z`` are no finite codes.

    >>> import deepgen as dg
    >>> gan = dg.implicit.GAN(dg.implicit.Dense(2, [8], 6), dg.implicit.Dense(6, [8], ()), latent=2)
    >>> at_places(gan, torch.zeros(3, 4, 2)).shape
    torch.Size([3, 4, 6])
    """
    if getattr(model, "context", 0):
        raise ArgumentError(f"this {type(model).__name__} takes a context: hand in model(context), with one for all")
    check_codes(z)
    rows = z.reshape(-1, z.shape[-1])
    with at_rest(model) as resting:
        if hasattr(model, "decode"):
            x = resting.decode(rows)
        elif hasattr(model, "likelihood"):
            x = resting.likelihood(rows).mean
        elif hasattr(model, "generate"):
            x = resting.generate(rows)
        else:
            raise MissingCapability(
                f"{type(model).__name__} has no decode(z), likelihood(z) or generate(z): nothing stands at a code"
            )
    found: Tensor = x.reshape(*z.shape[:-1], *x.shape[1:])
    return found
