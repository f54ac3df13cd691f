"""The smallest game there is: data at 0, a generator that draws theta, D(x) = psi x + b.

Its field is linearised where it stands still, and the eigenvalues are compared with the closed form of Mescheder,
Geiger & Nowozin 2018: lambda^2 + g lambda + c^2 = 0 for (theta, psi), g the sum of the penalties' gammas, and one more
for b.
"""

import cmath

import numpy as np
import pytest
import torch
from torch import nn

from deepgen.implicit import GAN
from deepgen.objectives import (
    R1,
    R2,
    Adversarial,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from deepgen.random import generator

pytestmark = pytest.mark.usefixtures("float64")

# loss: (c, the eigenvalue of b, b where nothing moves)
LOSSES = {
    Minimax(): (0.5, -0.5, 0.0),
    NonSaturating(): (0.5, -0.5, 0.0),
    LeastSquares(): (0.5, -2.0, 0.5),
    Hinge(): (1.0, 0.0, 0.0),
    Wasserstein(): (1.0, 0.0, 0.0),
    Relativistic(): (0.5, 0.0, 0.0),
}
PENALTIES = {
    "none": ((), 0.0),
    "R1": (R1(0.6), 0.6),
    "R2": (R2(0.8), 0.8),
    "both": ((R1(0.6), R2(0.8)), 1.4),
    "overdamped": (R1(3.0), 3.0),
}


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        return self.theta.expand(len(z), 1)


def dirac(theta=0.0, psi=0.0, b=0.0):
    gan = GAN(Point(), nn.Linear(1, 1), latent=1, average=None)
    with torch.no_grad():
        gan.generator.theta.fill_(theta)
        gan.discriminator.weight.fill_(psi)
        gan.discriminator.bias.fill_(b)
    return gan


def place(gan):
    return torch.cat([p.detach().flatten() for p in gan.parameters()]).numpy().copy()


def groups(gan, one, other):
    return torch.optim.SGD(
        [{"params": gan.generator.parameters(), "lr": one}, {"params": gan.discriminator.parameters(), "lr": other}]
    )


def field(objective, point):
    """Where each network would go from ``point``, while the other stands still."""
    moves = []
    for rates in ((1.0, 0.0), (0.0, 1.0)):
        gan = dirac(*point)
        x, g = torch.zeros(3, 1), generator(0)
        update = objective.update(gan, groups(gan, *rates))
        update(objective.start(gan, x, generator=g), x, generator=g)
        moves.append(place(gan) - np.array(point))
    return moves[0] + moves[1]


def jacobian(objective, point, h=1e-5):
    columns = []
    for i in range(3):
        ahead, behind = list(point), list(point)
        ahead[i] += h
        behind[i] -= h
        columns.append((field(objective, ahead) - field(objective, behind)) / (2 * h))
    return np.stack(columns, 1)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_eigenvalues_are_those_of_the_closed_form(loss, penalty):
    (c, of_b, b), (given, g) = LOSSES[loss], PENALTIES[penalty]
    objective, rest = Adversarial(loss, given), (0.0, 0.0, b)
    assert np.abs(field(objective, rest)).max() < 1e-12
    root = cmath.sqrt(g**2 / 4 - c**2)
    expected = np.poly([-g / 2 + root, -g / 2 - root, of_b])
    assert np.allclose(np.poly(jacobian(objective, rest)), expected, atol=1e-6)
    values = np.linalg.eigvals(jacobian(objective, rest))
    pair = sorted(values, key=lambda v: abs(v - of_b))[1:]
    if g == 0:  # purely imaginary: it goes round for ever
        assert max(abs(v.real) for v in pair) < 1e-6
    else:
        assert max(v.real for v in pair) < -0.05


def test_the_gradient_penalty_does_not_let_the_solution_stand_still():
    """D = 0 has slope 0 and not 1: on either side of it the discriminator is pushed away, by 2 weight."""
    objective = Adversarial(NonSaturating(), GradientPenalty(10.0))
    for psi in (1e-6, -1e-6):
        assert field(objective, (0.0, psi, 0.0))[1] == pytest.approx(np.sign(psi) * 20.0, rel=1e-4)


@pytest.mark.parametrize(("penalty", "shrinks"), [((), False), (R1(1.0), True), ((R1(0.5), R2(0.5)), True)])
def test_training_goes_there_or_round(penalty, shrinks):
    gan, x, g = dirac(0.5, 0.5), torch.zeros(1, 1), generator(0)
    objective = Adversarial(NonSaturating(), penalty)
    update, state = objective.update(gan, groups(gan, 0.1, 0.1)), objective.start(gan, x, generator=g)
    for _ in range(300):
        state, _ = update(state, x, generator=g)
    distance = np.linalg.norm(place(gan)[:2])
    assert (distance < 1e-3) if shrinks else (distance > 0.3)
