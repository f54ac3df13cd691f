"""Small energy models whose log Z is known by closed form, grid or enumeration."""

import math

import torch
from torch import nn

from deepgen.distributions import IndependentBernoulli, MultivariateNormal
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP


class Quadratic(nn.Module):
    """f(x) = -w |x - centre|^2, with w and the centre to learn."""

    def __init__(self, features, weight, centre=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))
        self.centre = nn.Parameter(torch.full((features,), float(centre)))

    def forward(self, x):
        return -self.weight * (x - self.centre).square().sum(1)


class Waves(nn.Module):
    """Skewed, with several modes, and bounded."""

    def __init__(self):
        super().__init__()
        self.amplitude = nn.Parameter(torch.tensor([2.0, 1.0]))

    def forward(self, x):
        return (self.amplitude * torch.stack([(2 * x[:, 0] + x[:, 1]).sin(), (3 * x[:, 1]).cos()], 1)).sum(1)


def wavy():
    model = EnergyModel(ScalarMLP(2, [16], generator=5), base=MultivariateNormal(2))
    with torch.no_grad():
        model.net.last.weight.mul_(300.0)
    return model


def waves():
    return EnergyModel(Waves(), base=MultivariateNormal(2))


@torch.no_grad()
def grid(model, reach=7.0, points=400):
    """Midpoints ``[points^2, 2]``, log p there in float64, and the area of a cell."""
    edges = torch.linspace(-reach, reach, points + 1, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    x = torch.cartesian_prod(middle, middle)
    log_f, area = model.log_density(x.float()).double(), float(edges[1] - edges[0]) ** 2
    return x.float(), log_f - (log_f.logsumexp(0) + math.log(area)), area


def grid_log_z(model, **options):
    x, log_p, _ = grid(model, **options)
    with torch.no_grad():
        return float((model.log_density(x).double() - log_p)[0])


class Pairs(nn.Module):
    """f(x) = sum coupling (2 x_i - 1)(2 x_(i + 1) - 1), and a term of all, so that no sign is symmetric."""

    def __init__(self, coupling):
        super().__init__()
        self.coupling = nn.Parameter(torch.tensor(coupling))

    def forward(self, x):
        spin = 2 * x - 1
        return (self.coupling * spin[:, 1:] * spin[:, :-1]).sum(1) + spin.prod(1) / 2


def binary(features):
    """A model of bits, all of its states and their log probabilities."""
    base = IndependentBernoulli(features)
    base.logits.copy_(torch.linspace(-1, 1, features))
    model = EnergyModel(Pairs(0.8), support="binary", base=base)
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * features)
    with torch.no_grad():
        return model, states, model.log_density(states).double().log_softmax(0)
