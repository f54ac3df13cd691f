"""Reversible neural proposals: an invertible network and its inverse, so that every move has its way back.

`Reversible`, of (x, v) with an auxiliary velocity v ~ N(0, 1), drawn anew in every step (A-NICE-MC):

    (x', v') = f(x, v) or f^-1(x, v), each with probability 1/2

    accepted with probability  min(1, p(x') N(v') |det| / (p(x) N(v)))

Each move's way back is the other direction of the same f, so Q(x' | x) has its reverse whatever f is. Additive
couplings (NICE) keep volume, |det| = 1: a chain then only finds points of like density, and modes of unequal height
are a wall. Affine couplings (RealNVP) learn a determinant and go from a wide mode to a narrow one.

`Involution` undoes itself, T T = 1, by a reflection in the codes u = g(x) of a flow g:

    u' = u cos a + v sin a,   v' = u sin a - v cos a,   x' = g^-1(u'),     v ~ N(0, 1)

    accepted with probability  min(1, p(x') N(v') |det g^-1(u')| / (p(x) N(v) |det g^-1(u)|))

At angle pi/2 it is the independence sampler of the flow; smaller ones are local moves along the flow's own shape
(preconditioned Crank-Nicolson in its codes), which hold up where the flow's tails are too light to be drawn from.

Sources: Song, Zhao & Ermon 2017, "A-NICE-MC"; Neklyudov et al. 2020, "Involutive MCMC"; Cotter et al. 2013.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.distributions.base import StandardNormal
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count, check_real
from deepgen.explicit.flow import Flow
from deepgen.random import normal, resolve, uniform
from deepgen.samplers.metropolis import Point
from deepgen.samplers.target import Beta, Target, over_reals
from deepgen.transforms import Chain, Coupling, Univariate


def velocity_couplings(
    features: int,
    univariate: type[Univariate],
    *,
    transforms: int = 3,
    velocity: int | None = None,
    hidden: Sequence[int] = (128,),
    generator: torch.Generator | int | None = None,
) -> Chain:
    """Couplings of (x, v) that map v given x and x given v in turn: the networks of A-NICE-MC.

    Args:
        features: width of x.
        univariate: `deepgen.transforms.Shift` to keep volume, `deepgen.transforms.Scale` for a learned determinant.
        transforms: number of couplings; the first maps v, so at least 2, for x to move by what depends on it.
        velocity: width of v, that of x by default.
        hidden: widths of each network's hidden layers.
        generator: source of the initial weights; the new map is close to the identity.

    >>> from deepgen.transforms import Shift
    >>> f = velocity_couplings(2, Shift, hidden=[8], generator=0)
    >>> f.encode(torch.zeros(5, 4))[1]
    tensor([0., 0., 0., 0., 0.])
    """
    check_count(2, transforms=transforms)
    width = features if velocity is None else velocity
    check_count(features=features, velocity=width)
    stream, is_velocity = resolve(generator), torch.arange(features + width) >= features
    return Chain(
        Coupling(
            features + width,
            mask=~is_velocity if i % 2 else is_velocity,
            univariate=univariate(),
            hidden=hidden,
            generator=stream,
        )
        for i in range(transforms)
    )


@dataclass(frozen=True)
class Reversible:
    """f or f^-1 of (x, v), by a coin for each chain; both are computed for all, so that no step waits for the device.

    Attributes:
        transform: f, with ``encode`` and ``decode``, of rows of width x's and ``velocity`` together.
        velocity: width of v; that of x by default.

    >>> import deepgen as dg
    >>> f = velocity_couplings(2, dg.transforms.Scale, hidden=[8], generator=0)
    >>> for weight in f.parameters():  # a map that nobody trained
    ...     _ = weight.data.normal_(0, 0.3, generator=dg.random.generator(1))
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Reversible(f))
    >>> start = torch.randn(4000, 2, generator=dg.random.generator(0))  # draws of the target, and they stay that
    >>> x = dg.samplers.sample_chain(kernel, start, draws=20, generator=0).draws[-1]
    >>> bool(x.mean(0).abs().max() < 0.1), bool((x.var(0) - 1).abs().max() < 0.15)
    (True, True)
    >>> bool((x != start).any(1).float().mean() > 0.9)
    True
    """

    transform: Any
    velocity: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.transform, type) or not all(hasattr(self.transform, way) for way in ("encode", "decode")):
            raise MissingCapability(
                "a Reversible proposal takes a map with encode and decode, such as velocity_couplings(...); got "
                f"{getattr(self.transform, '__name__', type(self.transform).__name__)}"
            )
        if self.velocity is not None:
            check_count(velocity=self.velocity)

    def init(self, target: Target, position: Tensor) -> Point:
        features, known = math.prod(position.shape[1:]), _width(self.transform)
        width = features + (features if self.velocity is None else self.velocity)
        if known is not None and known != width:  # an index out of range, in a coupling
            raise ShapeError(
                f"the map must be of x and v together, {width} numbers for x {list(position.shape[1:])}; it has {known}"
            )
        return Point(position, over_reals(target, "Reversible").value(position))

    @torch.no_grad()
    def propose(self, target: Target, state: Point, beta: Beta, *, generator: torch.Generator) -> tuple[Point, Tensor]:
        x = state.position.reshape(len(state.position), -1)
        chains, features = x.shape
        width = features if self.velocity is None else self.velocity
        v = normal((chains, width), generator=generator, dtype=x.dtype)
        forward = uniform((chains, 1), generator=generator, dtype=x.dtype) < 0.5
        z = torch.cat([x, v], 1)
        there, log_det = self.transform.encode(z)
        back, back_det = self.transform.decode(z)
        if (there.shape, log_det.shape) != (z.shape, z.shape[:1]):
            raise ShapeError(
                f"the map must give x and v {list(z.shape)} and log |det| [{chains}], got {list(there.shape)} and "
                f"{list(log_det.shape)}"
            )
        moved, new_v = torch.where(forward, there, back).split([features, width], 1)
        ratio = torch.where(forward.squeeze(1), log_det, back_det) + (v.square() - new_v.square()).sum(1) / 2
        return self.init(target, moved.reshape(state.position.shape)), ratio


class Coded(NamedTuple):
    """position ``[chains, *event]``, log f ``[chains]``, code ``[chains, *event]``, log |det du/dx| ``[chains]``."""

    position: Tensor
    log_density: Tensor
    code: Tensor
    log_det: Tensor


@dataclass(frozen=True)
class Involution:
    """A reflection in the codes of a flow whose base is a standard Gaussian; one pass of the flow a step.

    Attributes:
        flow: trained by maximum likelihood, say, so that its codes of draws from the target are nearly N(0, 1).
        angle: a, above 0 and at most pi/2, where the new code is all noise.

    >>> import deepgen as dg
    >>> flow = dg.explicit.RealNVP(2, hidden=[8], generator=0)
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Involution(flow, angle=0.5))
    >>> _, info = kernel.step(kernel.init(torch.zeros(5, 2)), generator=dg.random.generator(0))
    >>> bool((info.acceptance > 0.9).all())  # a new flow is nearly the identity, and the target N(0, 1)
    True
    """

    flow: Flow
    angle: float = math.pi / 2

    def __post_init__(self) -> None:
        check_real("angle", self.angle, 0.0, math.pi / 2)
        base = getattr(self.flow, "base", None)
        if self.angle == 0 or not isinstance(base, StandardNormal):
            raise ArgumentError(
                "an Involution takes an angle above 0 and a flow with a standard Gaussian base, got angle "
                f"{self.angle} and {type(self.flow).__name__} on {type(base).__name__}"
            )

    @torch.no_grad()
    def init(self, target: Target, position: Tensor) -> Coded:
        return Coded(position, over_reals(target, "Involution").value(position), *self.flow.encode(position))

    @torch.no_grad()
    def propose(self, target: Target, state: Coded, beta: Beta, *, generator: torch.Generator) -> tuple[Coded, Tensor]:
        u, c, s = state.code, math.cos(self.angle), math.sin(self.angle)
        v = normal(u.shape, generator=generator, dtype=u.dtype)
        moved, noise = c * u + s * v, s * u - c * v
        x, log_det = self.flow.decode(moved)
        new = Coded(x, target.value(x), moved, -log_det)
        kinetic = (v.square() - noise.square()).reshape(len(v), -1).sum(1) / 2
        return new, state.log_det - new.log_det + kinetic


def _width(transform: Any) -> int | None:
    """How wide the rows of a transform are, where it or a link of the chain that it is says so."""
    links: Any = transform.transforms if isinstance(transform, Chain) else (transform,)
    return next((link.features for link in links if hasattr(link, "features")), None)
