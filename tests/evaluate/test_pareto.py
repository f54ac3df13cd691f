"""The fitted tail of importance weights: laws whose shape is known, and the corners."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.evaluate.pareto import tail_length


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9, 1.5])
def test_a_pareto_law_has_its_own_shape(stream, shape):
    rows, draws = 40, 20_000
    u = torch.rand(rows, draws, generator=stream, dtype=torch.float64)
    found = dg.evaluate.pareto_k(-shape * u.log())
    tail = tail_length(draws)
    expected = (tail * shape + 5) / (tail + 10)  # what the prior of ten weights leaves of it
    error = float(found.std()) / math.sqrt(rows)
    assert abs(float(found.mean()) - expected) < 5 * error + 0.02  # the profile's own bias is of order 1 / tail
    assert float(found.std()) < 2 * (1 + shape) / math.sqrt(tail)  # (1 + k) / sqrt(tail), of maximum likelihood


def test_bounded_weights_have_a_negative_shape(stream):
    u = torch.rand(20, 20_000, generator=stream, dtype=torch.float64)
    assert float(dg.evaluate.pareto_k(u.log()).mean()) == pytest.approx(-1.0, abs=0.2)  # uniform: shape -1


def test_a_constant_factor_of_a_row_does_not_matter(stream):
    lw = torch.randn(5, 1000, generator=stream, dtype=torch.float64)
    assert torch.allclose(dg.evaluate.pareto_k(lw), dg.evaluate.pareto_k(lw - 1e4 * torch.rand(5, 1, generator=stream)))


def test_corners():
    assert bool(dg.evaluate.pareto_k(torch.zeros(2, 24)).isnan().all())
    assert dg.evaluate.pareto_k(torch.zeros(2, 100)).tolist() == [-math.inf, -math.inf]
    assert dg.evaluate.pareto_k(torch.full((1, 100), math.nan)).tolist() == [math.inf]  # nothing to be believed
    assert dg.evaluate.pareto_k(torch.full((1, 100), -math.inf)).tolist() == [math.inf]
    alone = torch.full((1, 100), -1e4)
    alone[0, 0] = 0.0
    assert float(dg.evaluate.pareto_k(alone)) > 0.7
    with pytest.raises(dg.errors.ShapeError, match="rows, draws"):
        dg.evaluate.pareto_k(torch.zeros(5))
