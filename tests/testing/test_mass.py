"""Grids and lists of states against laws that are known."""

import math

import pytest
import torch
from torch.distributions import Beta, Cauchy, Independent, Laplace, MultivariateNormal, Normal, constraints

from deepgen.errors import ArgumentError
from deepgen.random import draw
from deepgen.testing.mass import discrete_mass, grid_mass, states, values_of

REAL = constraints.independent(constraints.real, 1)


def laws():
    double = torch.float64
    tilt = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=double)
    one, two = torch.ones(1, dtype=double), torch.ones(2, dtype=double)
    return {
        "normal": (Independent(Normal(3 * one, 0.01 * one), 1), REAL),
        "cauchy": (Independent(Cauchy(-5 * one, one), 1), REAL),
        "laplace": (Independent(Laplace(0 * two, two), 1), REAL),
        "tilted": (MultivariateNormal(100 * two, tilt), REAL),
        "beta": (Independent(Beta(2 * two, 3 * two), 1), constraints.independent(constraints.unit_interval, 1)),
    }


@pytest.mark.parametrize("name", laws())
def test_known_integrals_and_draws(name, stream, alpha):
    law, support = laws()[name]
    x = draw(law, (4096,), generator=stream)
    mass = grid_mass(law.log_prob, support, x[:500])
    assert mass.total == pytest.approx(1, abs=1e-3)
    assert mass.p_value(x) > alpha
    assert mass.p_value(x.median(0).values + 0.7 * (x - x.median(0).values)) < 1e-6
    half = grid_mass(lambda v: law.log_prob(v) - math.log(2), support, x[:500])
    assert half.total == pytest.approx(0.5, abs=1e-3)


def test_values_outside_an_interval_have_no_cell():
    law, support = laws()["beta"]
    mass = grid_mass(law.log_prob, support, torch.rand(10, 2))
    assert mass.p_value(torch.tensor([[0.5, 0.5], [0.5, 1.5]])) == 0
    assert mass.p_value(torch.tensor([[0.5, torch.nan]])) == 0


def test_grids_that_do_not_exist():
    with pytest.raises(ArgumentError, match="3 variables"):
        grid_mass(lambda x: x.sum(1), REAL, torch.zeros(5, 3))
    with pytest.raises(ArgumentError, match="no grid"):
        grid_mass(lambda x: x.sum(1), constraints.independent(constraints.positive, 1), torch.zeros(5, 1))


def test_values_of_supports():
    assert values_of(constraints.independent(constraints.integer_interval(2, 4), 3)).tolist() == [2, 3, 4]
    assert values_of(constraints.independent(constraints.real, 1)) is None
    with pytest.raises(ArgumentError, match="integer_interval"):
        values_of(constraints.nonnegative_integer)


def test_states_and_their_mass(stream, alpha):
    rows = states(torch.tensor([1, 2, 3]), torch.Size([2, 2]))
    assert rows.shape == (81, 2, 2)
    assert len(rows.flatten(1).unique(dim=0)) == 81
    logits = torch.randn(4, 3, generator=stream, dtype=torch.float64).log_softmax(1)

    def log_prob(x):
        return logits[torch.arange(4), x.flatten(1) - 1].sum(1)

    mass = discrete_mass(log_prob, rows, torch.tensor([1, 2, 3]))
    assert mass.total == pytest.approx(1, abs=1e-12)
    assert torch.equal(mass.cell(rows), torch.arange(81))
    drawn = torch.stack([torch.multinomial(row.exp(), 5000, replacement=True, generator=stream) for row in logits], 1)
    assert mass.p_value((drawn + 1).reshape(-1, 2, 2)) > alpha
    assert mass.p_value(drawn.reshape(-1, 2, 2)) == 0
    assert mass.p_value(drawn.reshape(-1, 2, 2) + 0.5) == 0
