"""Kernels over binary values and over replicas, each with defects that can be planted in it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from deepgen.random import normal, uniform
from deepgen.samplers import EXACT
from deepgen.samplers.metropolis import Moved
from deepgen.testing import chi_square
from tests.testing.mutants import banana, banana_law, draw_banana


class Spins(NamedTuple):
    position: torch.Tensor


class Grid:
    """An Ising model of width x width spins in {0, 1}, enumerated: log f = J sum of s s' over edges + field."""

    def __init__(self, width=3, coupling=0.6, torus=False):
        n = width * width
        self.width, self.neighbours = width, torch.zeros(n, n)
        for i in range(width):
            for j in range(width):
                for a, b in ((i + 1, j), (i, j + 1)):
                    if torus or (a < width and b < width):
                        here, there = i * width + j, a % width * width + b % width
                        self.neighbours[here, there] = self.neighbours[there, here] = coupling
        self.field = 0.3 * torch.sin(torch.arange(n) * 2.4 + 1)
        self.states = (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).float()
        self.p = self(self.states).double().softmax(0)
        self.columns = 2 ** torch.arange(n)

    def __call__(self, x):
        s = 2 * x - 1
        return (s @ self.neighbours * s).sum(1) / 2 + s @ self.field

    def gradient(self, x):
        """d log f / dx at x in {0, 1}."""
        return 2 * ((2 * x - 1) @ self.neighbours + self.field)

    def draw(self, n, *, generator):
        return self.states[torch.multinomial(self.p.float(), n, True, generator=generator)]

    def law(self, x):
        return [chi_square(torch.bincount((x.long() @ self.columns), minlength=len(self.p)), self.p)]


@dataclass(frozen=True)
class Checkerboard:
    """Heat bath of one colour, then of the other."""

    grid: Grid
    defect: str = ""
    exactness = EXACT

    def init(self, position):
        return Spins(position)

    def step(self, state, *, generator):
        x, width = state.position, self.grid.width
        index = torch.arange(width**2)
        colour = (index // width + index % width) % 2 == 0
        if self.defect == "stripes for a checkerboard":
            colour = index % width % 2 == 0
        if self.defect == "all spins at once":
            colour = torch.ones_like(colour)
        for part in (colour, ~colour):
            fresh = (uniform(x.shape, generator=generator) < self.grid.gradient(x).sigmoid()).float()
            x = torch.where(part, fresh, x)
        return Spins(x), None


@dataclass(frozen=True)
class Informed:
    """Gibbs with gradients (``many=False``, one flip) and discrete Langevin with its correction (``many=True``)."""

    grid: Grid
    many: bool
    defect: str = ""
    size: float = 0.8
    exactness = EXACT

    def init(self, position):
        return Spins(position)

    def logits(self, x):
        gain = (1 - 2 * x) * self.grid.gradient(x) / 2
        return gain - 1 / (2 * self.size) if self.many else gain

    def step(self, state, *, generator):
        x = state.position
        there = self.logits(x)
        u = uniform(x.shape, generator=generator)
        if self.many:
            flip = u < there.sigmoid()
        else:
            noise = 0 if self.defect == "the best flip" else -(-u.log()).log()
            flip = torch.nn.functional.one_hot((there + noise).argmax(1), x.shape[1]).bool()
        new = torch.where(flip, 1 - x, x)
        back = self.logits(new)

        def log_q(logits):
            if self.many:
                return torch.nn.functional.logsigmoid(torch.where(flip, logits, -logits)).sum(1)
            return (logits.log_softmax(1) * flip).sum(1)

        ratio = self.grid(new) - self.grid(x) + log_q(back) - log_q(there)
        if self.defect == "no reverse probability":
            ratio = self.grid(new) - self.grid(x)
        if self.defect == "never rejects":
            ratio = torch.zeros_like(ratio)
        taken = uniform(ratio.shape, generator=generator).log() < ratio
        moved = Spins(torch.where(taken[:, None], new, x))
        return moved, Moved(ratio.exp().clamp_max(1), taken, ratio.isnan())


BETAS = torch.tensor([1.0, 0.3])


class Exchanged(NamedTuple):
    acceptance: torch.Tensor  # a mean over three decisions
    nan: torch.Tensor


@dataclass(frozen=True)
class Exchange:
    """A random walk of both replicas ``[chains, 2, 2]`` at temperatures `BETAS`, then their exchange."""

    defect: str = ""
    exactness = EXACT

    def init(self, position):
        return Spins(position)

    def step(self, state, *, generator):
        x, d = state.position, self.defect
        new = x + BETAS.reshape(2, 1) ** -0.5 * normal(x.shape, generator=generator)
        f, f_new = (banana(v.flatten(0, 1)).reshape(-1, 2) for v in (x, new))
        moved = uniform(f.shape, generator=generator).log() < BETAS * (f_new - f)
        x, f = torch.where(moved[:, :, None], new, x), torch.where(moved, f_new, f)
        ratio = (BETAS[0] - BETAS[1]) * (f[:, 1] - f[:, 0])
        if d == "sign of the exchange":
            ratio = -ratio
        if d == "exchange always taken":
            ratio = torch.zeros_like(ratio)
        if d == "exchange by the cold replica alone":
            ratio = BETAS[0] * (f[:, 1] - f[:, 0])
        swap = uniform(ratio.shape, generator=generator).log() < ratio
        chance = (ratio.exp().clamp_max(1) + moved.double().sum(1)) / 3
        return Spins(torch.where(swap[:, None, None], x.flip(1), x)), Exchanged(chance, ratio.isnan())


def draw_replicas(n, *, generator):
    return torch.stack([draw_banana(n, generator=generator, width=float(b) ** -0.5) for b in BETAS], 1)


def replicas_law(x):
    return banana_law(x[:, 0]) + banana_law(x[:, 1], float(BETAS[1]) ** -0.5)
