"""The logistic distribution against SciPy and against its own draws."""

import math

import pytest
import torch
from scipy import stats

from deepgen.distributions import Logistic
from deepgen.random import draw
from deepgen.testing import ks


@pytest.fixture
def law():
    return Logistic(torch.tensor([0.0, -3.0]).double(), torch.tensor([1.0, 0.2]).double())


def test_against_scipy(law):
    x = torch.linspace(-40, 40, 81).double().unsqueeze(1)
    twin = stats.logistic(law.loc.numpy(), law.scale.numpy())
    torch.testing.assert_close(law.log_prob(x), torch.from_numpy(twin.logpdf(x.numpy())))
    torch.testing.assert_close(law.cdf(x), torch.from_numpy(twin.cdf(x.numpy())))
    q = torch.tensor([[0.01], [0.5], [0.9]]).double()
    torch.testing.assert_close(law.icdf(q), torch.from_numpy(twin.ppf(q.numpy())))
    torch.testing.assert_close(law.entropy(), torch.from_numpy(twin.entropy()))
    torch.testing.assert_close(law.mean, torch.from_numpy(twin.mean()))
    torch.testing.assert_close(law.variance, torch.from_numpy(twin.var()))


def test_draws_follow_the_density(law, stream, alpha):
    x = draw(law, (4000,), generator=stream)
    assert all(ks(x[:, i], lambda v, i=i: law.cdf(v.unsqueeze(-1))[..., i]) > alpha / 2 for i in range(2))


def test_reparametrised_gradients(stream):
    loc, scale = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    x = draw(Logistic(loc, scale), (5,), generator=stream, reparametrised=True)
    x.sum().backward()
    torch.testing.assert_close(loc.grad, torch.tensor(5.0))
    torch.testing.assert_close(scale.grad, ((x - 1) / 2).sum().detach())


def test_edges_and_arguments():
    far = Logistic(0.0, 1.0).log_prob(torch.tensor([-1e4, 1e4]))
    torch.testing.assert_close(far, torch.tensor([-1e4, -1e4]))
    assert Logistic(0.0, 1.0).expand([3, 2]).batch_shape == (3, 2)
    assert Logistic(0.0, 1.0).log_prob(torch.zeros(())).item() == pytest.approx(-2 * math.log(2))
    with pytest.raises(ValueError, match="scale"):
        Logistic(0.0, -1.0)


def test_the_least_uniform_number_gives_no_outlier(monkeypatch):
    """rand is 0 once in 2^24 draws: that one lies half a step below the next, and not where no other can."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **kind: torch.tensor([0.0, 2.0**-24], dtype=kind["dtype"]))
    least, next_one = Logistic(torch.zeros(2), 1.0).sample().tolist()
    assert least == pytest.approx(next_one - math.log(2), abs=1e-4)
