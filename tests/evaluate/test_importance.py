"""Log means of weights against closed forms."""

import math

import pytest
import torch

from deepgen.errors import ArgumentError, DegenerateWeights, DivergenceError
from deepgen.evaluate.importance import log_mean_exp, row_log_mean_exp


def test_value_error_and_ess_by_hand():
    w = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
    mean = log_mean_exp(w.log() + 1000.0)
    assert mean.value == pytest.approx(math.log(3.0) + 1000.0)
    assert mean.stderr == pytest.approx(float(w.std()) / 3.0 / 2.0)
    assert mean.ess == pytest.approx(144 / 50)


def test_error_is_the_spread_of_repeated_means(stream):
    draws = 0.5 * torch.randn(2000, 200, generator=stream, dtype=torch.float64)
    means = [log_mean_exp(row) for row in draws]
    values = torch.tensor([m.value for m in means])
    claimed = math.sqrt(sum(m.stderr**2 for m in means) / len(means))
    assert claimed == pytest.approx(float(values.std()), rel=0.12)  # 7 standard errors of a standard deviation
    assert float(values.mean()) == pytest.approx(0.125, abs=0.01)  # log E exp(N(0, 1/4)); a factor of two is 0.69


def test_jackknife_agrees_with_the_delta_method_row_by_row(stream):
    draws = 0.3 * torch.randn(5, 5000, generator=stream, dtype=torch.float64)
    values, variances = row_log_mean_exp(draws)
    for row, value, variance in zip(draws, values.tolist(), variances.tolist(), strict=True):
        mean = log_mean_exp(row)
        assert value == pytest.approx(mean.value, abs=1e-12)
        assert math.sqrt(variance) == pytest.approx(mean.stderr, rel=0.05)


def test_degenerate_and_broken_weights():
    with pytest.warns(DegenerateWeights, match=r"only 1\.0 of 100 .*: draw more"):
        log_mean_exp(torch.linspace(0, 1e4, 100))
    with pytest.raises(DivergenceError, match="1 of 2 log weights"):
        log_mean_exp(torch.tensor([0.0, math.nan]))
    with pytest.raises(DivergenceError, match="zero"):
        log_mean_exp(torch.tensor([-math.inf, -math.inf]))
    with pytest.raises(DivergenceError, match=r"all weights of 1 of 2 rows are zero, first of row 1: .*double"):
        row_log_mean_exp(torch.tensor([[0.0, -math.inf], [-math.inf, -math.inf]]))
    with pytest.raises(DivergenceError, match="1 of 4 log weights"):
        row_log_mean_exp(torch.tensor([[0.0, math.inf], [0.0, 0.0]]))
    values, variances = row_log_mean_exp(torch.tensor([[0.0, -math.inf]]))  # one of two is zero: log 1/2
    assert values.tolist() == [pytest.approx(-math.log(2))]
    assert bool(variances.isfinite().all())
    with pytest.raises(ArgumentError, match="at least 2"):
        log_mean_exp(torch.zeros(1))
