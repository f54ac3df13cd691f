"""Completion by walks through a law that is written down, so that the weights of orders and of particles are known."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.explicit.completion import complete, walk
from deepgen.testing import chi_square, sequential


class Table:
    """Steps of binary variables: ``rates(place, values so far)`` is P(1)."""

    def __init__(self, batch, rates):
        self.rates, self.rows = rates, []
        self.zero = torch.zeros(batch, dtype=torch.float64)

    def parameters(self, d):
        return (self.zero + self.rates(d, self.rows)).logit().unsqueeze(0)

    def put(self, d, row):
        assert d == len(self.rows)
        self.rows.append(row)


def frequencies(draw, expected, alpha, stream):
    """Draws of one bit against its probability."""

    def p_values(n, g):
        ones = draw(n, g).sum()
        return [chi_square(torch.stack([n - ones, ones]), torch.tensor([1 - expected, expected]))]

    sequential(p_values, what="completion", alpha=alpha, generator=stream)


def test_an_order_is_drawn_by_its_posterior(stream, alpha):
    first, second = [0, 1, 2], [0, 2, 1]
    laws = {tuple(first): [0.9, 0.2, 0.5], tuple(second): [0.1, 0.5, 0.7]}  # P(1) place by place
    known, mask = torch.tensor([[1.0, math.nan, math.nan]]).double().nan_to_num(), torch.tensor([[True, False, False]])

    def draw(n, g):
        def walks(order, context, uniform, *clamped):
            table = Table(uniform.shape[1], lambda d, rows: laws[tuple(order)][d])
            return walk(order, table, uniform, *clamped)

        out = complete(walks, known.expand(n, -1), mask.expand(n, -1), None, [first, second], None, g)
        assert (out[:, 0] == 1).all()
        return out[:, 1]

    frequencies(draw, 0.9 * 0.2 + 0.1 * 0.7, alpha, stream)


@pytest.mark.parametrize("seen", [0, 1])
def test_a_particle_is_kept_by_its_weight(seen, stream, alpha):
    def rates(d, rows):
        return 0.5 if d == 0 else 0.1 + 0.8 * rows[0]  # the second is mostly what the first is

    known, mask = torch.tensor([[0.0, float(seen)]]).double(), torch.tensor([[False, True]])

    def draw(n, g):
        def walks(order, context, uniform, *clamped):
            return walk(order, Table(uniform.shape[1], rates), uniform, *clamped)

        out = complete(walks, known.expand(n, -1), mask.expand(n, -1), None, [[0, 1]], 1000, g)
        assert (out[:, 1] == seen).all()
        return out[:, 0]

    frequencies(draw, 0.9 if seen else 0.1, alpha, stream)  # 1000 particles are off by less than 1e-3


def test_a_walk_keeps_the_known_and_skips_what_is_not_asked(stream):
    asked = []

    def rates(d, rows):
        asked.append(d)
        return 0.5

    uniform = torch.rand(3, 4, generator=stream, dtype=torch.float64)
    known, mask = torch.ones(3, 4, dtype=torch.float64), torch.tensor([[True] * 4, [False] * 4, [True, False] * 2])
    x, log_p = walk([0, 2, 1], Table(4, rates), uniform, known, mask, skip=1)
    assert asked == [1, 2]
    assert (x[mask] == 1).all()
    assert torch.equal(x[1], (uniform[1] < 0.5).double())
    assert (log_p[0] == 0).all()
    torch.testing.assert_close(log_p[1:], torch.full((2, 4), -math.log(2), dtype=torch.float64))


def test_the_row_that_has_no_exact_draw_is_named():
    mask = torch.tensor([[True, False], [False, True]])
    with pytest.raises(ArgumentError, match="row 1"):
        complete(lambda *_: None, torch.zeros(2, 2), mask, None, [[0, 1]], None, torch.Generator())
