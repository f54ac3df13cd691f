"""Laws by their moments: as torch's own where they are expanded, and of rows that have moments."""

import math

import pytest
import torch

from deepgen.distributions import IndependentBernoulli, MultivariateNormal
from deepgen.errors import SupportError


@pytest.mark.parametrize("batch", [(2,), (3,), (3, 2)])
def test_an_expanded_normal_has_torchs_density(batch, stream):
    base = MultivariateNormal(2).initialise(torch.randn(20, 2, generator=stream))
    law, x = base().expand(batch), torch.randn(5, *batch, 2, generator=stream)
    twin = torch.distributions.MultivariateNormal(base.mean, scale_tril=base.factor)
    torch.testing.assert_close(law.log_prob(x), twin.log_prob(x))
    torch.testing.assert_close(law.log_prob(x), base().log_prob(x))


@pytest.mark.parametrize("base", [MultivariateNormal(2), IndependentBernoulli(2)])
def test_rows_that_are_not_finite_have_no_moments(base):
    before = [value.clone() for value in base.buffers()]
    for value in (math.nan, math.inf):
        with pytest.raises(SupportError):
            base.initialise(torch.tensor([[0.0, value], [1.0, 0.0]]))
    with pytest.raises(SupportError, match="0 or 1; got 255"):
        IndependentBernoulli(2).initialise(torch.tensor([[0, 255], [1, 0]]))
    assert all(map(torch.equal, before, base.buffers()))
