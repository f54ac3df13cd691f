"""Small grid models, skewed and uneven, and their laws by enumeration of ``log_density`` alone."""

import torch

from deepgen.explicit import Ising, Potts
from deepgen.explicit.units import digits
from deepgen.testing import integrate


def uneven(*shape, scale):
    """Numbers that differ from place to place, so that a mixed-up axis or neighbour is seen."""
    count = torch.Size(shape).numel()
    return scale * torch.sin(torch.arange(count) * 2.4 + 1).reshape(shape)


def ising(shape=(4, 4), coupling=0.3, periodic=True):
    return Ising(shape, coupling + uneven(2, *shape, scale=0.15), uneven(*shape, scale=0.3), periodic=periodic)


def potts(shape=(3, 3), states=3, coupling=0.5, periodic=False):
    field = uneven(*shape, states, scale=0.4)
    return Potts(shape, states, coupling + uneven(2, *shape, scale=0.2), field, periodic=periodic)


@torch.no_grad()
def law_of(model, beta=1.0):
    """p_beta over flattened grids."""
    width = model.shape[0] * model.shape[1]
    rows = digits(0, model.states**width, model.states, width).double()
    if isinstance(model, Ising):
        rows = rows * 2 - 1
    return integrate(lambda z: -beta * model.log_density(z.reshape(-1, *model.shape)).double(), rows, [])


def draws_of(model, beta=1.0):
    law = law_of(model, beta)

    def draw(n, generator):
        return law.sample(n, generator=generator).reshape(n, *model.shape).float()

    return draw


def fit_of(model, beta=1.0):
    law = law_of(model, beta)
    return lambda x: law.p_values(x.flatten(1))
