"""Kernels over real numbers, each with defects that can be planted in it, and exact draws of what they should keep.

``defect=""`` is the kernel as it should be. Every case is at an acceptance of 0.4 to 0.7.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from deepgen.random import normal, uniform
from deepgen.samplers import EXACT, Hamiltonian, Langevin, Metropolis, RandomWalk
from deepgen.samplers.metropolis import Moved, Slope
from deepgen.samplers.scale import inwards, outwards
from deepgen.streams import Streams
from deepgen.testing import ks

LOWER = torch.tensor([[1.0, 0.0], [0.8, 0.6]])


def banana(x):
    """x_1 and (x_2 - x_1^2 / 2) / 0.7 are standard normal."""
    return -(x[:, 0].square() + ((x[:, 1] - x[:, 0].square() / 2) / 0.7).square()) / 2


def draw_banana(n, *, generator, width=1.0):
    z = width * torch.randn(n, 2, generator=generator)
    return torch.stack([z[:, 0], 0.7 * z[:, 1] + z[:, 0].square() / 2], 1)


def banana_law(x, width=1.0):
    """Rosenblatt's transform: p-values of the two normals, of their radius and of their angle."""
    z = torch.stack([x[:, 0], (x[:, 1] - x[:, 0].square() / 2) / 0.7], 1).double() / width
    angle = torch.atan2(z[:, 0], z[:, 1]) / (2 * torch.pi) + 0.5
    return [
        *(ks(column, torch.special.ndtr) for column in z.T),
        ks(z.square().sum(1), lambda r: 1 - (-r / 2).exp()),
        ks(angle, lambda u: u),
    ]


@dataclass(frozen=True)
class Drift(Langevin):
    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        x, root, d = state.position, self.step_size**0.5, self.defect
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        step = noise * 1.1 if d == "noise times 1.1" else noise
        uphill = inwards(self.scale, target.tempered_gradient(x, state.gradient, beta))
        if d == "whole gradient in the drift, half in the ratio":
            step = step + root / 2 * uphill
        new = self.init(target, x + outwards(self.scale, root * (step + root / 2 * uphill)))
        cold = 1.0 if d == "way back not tempered" else beta
        turn = outwards if d == "L for L' on the way back" else inwards
        back = noise + root / 2 * (
            uphill + turn(self.scale, target.tempered_gradient(new.position, new.gradient, cold))
        )
        ratio = (noise.square() - back.square()).flatten(1).sum(1) / 2
        return new, torch.zeros_like(ratio) if d == "no reverse density" else ratio


@dataclass(frozen=True)
class Leaping(Hamiltonian):
    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        x, d = state.position, self.defect
        wide = 1 + self.jitter * (2 * uniform((len(x), 1), generator=generator, dtype=x.dtype) - 1)
        step = self.step_size * wide
        if d == "step size depends on the position":
            step = step / (0.5 + x.square().sum(1, keepdim=True)).sqrt()
        start = normal(x.shape, generator=generator, dtype=x.dtype)
        point, v, last = state, start + step / 2 * state.gradient, 0.5
        if d == "full last kick":
            last = 1.0
        for index in range(self.leaps):
            point = self.init(target, point.position + step * v)
            kick = self.step_size if d == "jitter in half of the leaps" and index >= self.leaps // 2 else step
            v = v + (1.0 if index < self.leaps - 1 else last) * kick * point.gradient
        ratio = (start.square() - v.square()).sum(1) / 2
        return point, torch.zeros_like(ratio) if d == "no kinetic energy" else ratio


@dataclass(frozen=True)
class Careless(Metropolis):
    """Metropolis with a wrong decision."""

    defect: str = ""

    def step(self, state, *, generator):
        d, beta = self.defect, self.beta
        new, log_q = self.proposal.propose(self.target, state, beta, generator=generator)
        old = self.target.tempered(state, 1.0 if d == "current state not tempered" else beta)
        ratio = self.target.tempered(new, beta) - old + log_q
        u = uniform(ratio.shape, generator=generator, dtype=ratio.dtype)
        if d == "one uniform for all chains":
            u = u[:1]
        accepted = ~(u.log() >= ratio) if d == "NaN is accepted" else u.log() < ratio
        if d == "uniform not in logarithms":
            accepted = u < ratio
        if d == "Barker's rule above, Metropolis' below":
            accepted = u < torch.where(ratio > 0, ratio.sigmoid(), ratio.exp())
        fields = {
            name: torch.where(accepted.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
            for name, a, b in zip(state._fields, new, state, strict=True)
        }
        if d == "stale gradient after a rejection":
            fields["gradient"] = new.gradient
        if d == "stale log density after a rejection":
            fields["log_density"] = new.log_density
        return type(state)(**fields), Moved(ratio.exp().clamp_max(1).nan_to_num(0), accepted, ratio.isnan())


@dataclass(frozen=True)
class Independent:
    """Candidates from N(0, 1.5^2), whatever the state."""

    defect: str = ""
    width: float = 1.5

    def init(self, target, position):
        return Slope(position, target.value(position), torch.zeros_like(position))

    def propose(self, target, state, beta, *, generator):
        new = self.width * normal(state.position.shape, generator=generator)
        gap = (new.square() - state.position.square()).sum(1) / (2 * self.width**2)
        if self.defect == "no ratio of proposals":
            gap = torch.zeros_like(gap)
        return self.init(target, new), -gap if self.defect == "ratio of proposals upside down" else gap


@dataclass(frozen=True)
class Stretch(Independent):
    """(x, v) -> (x e^v, -v), an involution of log-determinant sum v."""

    width: float = 0.65

    def propose(self, target, state, beta, *, generator):
        v = self.width * normal(state.position.shape, generator=generator)
        new = self.init(target, state.position * v.exp())
        return new, torch.zeros(len(v)) if self.defect == "no log-determinant" else v.sum(1)


class Carrying(NamedTuple):
    position: torch.Tensor
    log_density: torch.Tensor
    gradient: torch.Tensor
    carried: torch.Tensor


@dataclass(frozen=True)
class Restless:
    """A Metropolis kernel whose state carries more than it may."""

    kernel: Metropolis
    defect: str
    exactness = EXACT

    def init(self, position):
        extra = position if "start" in self.defect else torch.zeros_like(position)
        return Carrying(*self.kernel.init(position), extra)

    def step(self, state, *, generator):
        slope, carried, kernel = Slope(*state[:3]), state.carried, self.kernel
        if self.defect == "momentum not refreshed":
            proposal = kernel.proposal
            new, v = proposal.leap(kernel.target, slope, carried, proposal.step_size, 1.0)
            ratio = new.log_density - slope.log_density + (carried.square() - v.square()).sum(1) / 2
            taken = uniform(ratio.shape, generator=generator).log() < ratio
            out = [torch.where(taken.reshape(-1, *(1,) * (a.ndim - 1)), a, b) for a, b in zip(new, slope, strict=True)]
            return Carrying(*out, torch.where(taken[:, None], v, carried)), Moved(
                ratio.exp().clamp_max(1), taken, taken
            )
        if self.defect == "every chain adapts its step for ever":
            size = kernel.proposal.step_size * carried[:, 0].exp()
            kernel = replace(kernel, proposal=replace(kernel.proposal, step_size=size))
        if self.defect == "all chains adapt one step for ever":
            size = kernel.proposal.step_size * carried[0, 0].exp()
            kernel = replace(kernel, proposal=replace(kernel.proposal, step_size=size))
        new, info = kernel.step(slope, generator=generator)
        if "adapt" in self.defect:
            rate = info.acceptance if "every" in self.defect else info.acceptance.mean()
            carried = carried + (rate.reshape(-1, 1) - 0.57)
        if self.defect == "a rejection returns to the start":
            new = Slope(torch.where(info.accepted[:, None], new.position, carried), *new[1:])
            new = kernel.init(new.position)
        return Carrying(*new, carried), info


@dataclass
class Hidden:
    """A kernel that counts its own steps and grows its step size."""

    kernel: Metropolis
    exactness = EXACT

    def init(self, position):
        return self.kernel.init(position)

    def step(self, state, *, generator):
        out = self.kernel.step(state, generator=generator)
        grown = replace(self.kernel.proposal, step_size=self.kernel.proposal.step_size * 1.03)
        self.kernel = replace(self.kernel, proposal=grown)
        return out


class Narrow(Streams):
    """Box and Muller with sqrt(-log u) for sqrt(-2 log u)."""

    def normal(self, shape, dtype=torch.float32):
        return super().normal(shape, dtype) * 0.5**0.5


@dataclass(frozen=True)
class Drawing:
    """A kernel that draws from streams with a defect."""

    kernel: Any
    exactness = EXACT

    def init(self, position):
        return self.kernel.init(position)

    def step(self, state, *, generator):
        narrow = Narrow(generator.seed_key, first=generator.first, calls=generator.calls)
        out = self.kernel.step(state, generator=narrow)
        generator.calls = narrow.calls
        return out


@dataclass(frozen=True)
class Multiply(RandomWalk):
    """x' = x e^(h xi) of positive x."""

    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        noise = self.step_size * normal(state.position.shape, generator=generator)
        new = self.init(target, state.position * noise.exp())
        return new, torch.zeros(len(noise)) if self.defect == "no Jacobian of the logarithm" else noise.sum(1)


def normal10(x):
    return -x.square().sum(1) / 2


def draw_normal10(n, *, generator):
    return torch.randn(n, 10, generator=generator)


def normal10_law(x):
    """p-values of the columns and of the radius."""
    radius = ks(x.double().square().sum(1), lambda r: torch.special.gammainc(torch.full_like(r, 5.0), r / 2))
    return [radius, *(ks(column, torch.special.ndtr) for column in x.double().T)]


def gamma2(x):
    """log x - x: NaN below 0."""
    return (x.log() - x).sum(-1)


def draw_gamma2(n, *, generator):
    return -torch.rand(n, 1, 2, generator=generator).clamp_min(1e-30).log().sum(-1)


def gamma2_law(x):
    return [ks(x[:, 0], lambda t: torch.special.gammainc(torch.tensor(2.0, dtype=t.dtype), t.clamp_min(0)))]


class Langevin1(NamedTuple):
    position: torch.Tensor


@dataclass(frozen=True)
class Stochastic:
    """Langevin with a noisy gradient g = -x + s xi on N(0, 1) and no rejection: x' = x + h/2 g + sqrt(h) xi'.

    Its own law is normal of variance (h + h^2 s^2 / 4) / (1 - (1 - h/2)^2).
    """

    defect: str = ""
    h: float = 0.5
    s: float = 1.0
    exactness = EXACT

    def init(self, position):
        return Langevin1(position)

    def step(self, state, *, generator):
        x, h, d = state.position, self.h, self.defect
        gradient = self.s * normal(x.shape, generator=generator) - x
        size = h if d == "noise of deviation h" else (2 * h) ** 0.5 if d == "noise of variance 2 h" else h**0.5
        return Langevin1(x + h / 2 * gradient + size * normal(x.shape, generator=generator)), None

    def draw(self, n, *, generator):
        variance = (self.h + self.h**2 * self.s**2 / 4) / (1 - (1 - self.h / 2) ** 2)
        return variance**0.5 * torch.randn(n, 2, generator=generator)
