"""Bases of flows against torch's own distributions, and their moves."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.distributions import StudentT as TorchStudentT

import deepgen as dg
from deepgen.distributions import NormalMixture, StandardLogistic, StandardNormal, StudentT
from deepgen.errors import ArgumentError
from deepgen.random import draw
from deepgen.testing import check_checkpoint, check_random, ks
from deepgen.testing.mass import grid_mass
from tests.contracts.densities import trained


def bases(stream):
    mixture = trained(NormalMixture(2, 4, generator=stream), stream)
    return [StandardNormal(2), StudentT(2, df=3.0), mixture, StandardLogistic(2)]


@pytest.fixture(params=range(4), ids=["normal", "t", "mixture", "logistic"])
def base(request, stream):
    return bases(stream)[request.param]


def test_mass_and_draws(base, stream, alpha):
    law = base.double()()
    x = draw(law, (4000,), generator=stream)
    mass = grid_mass(law.log_prob, law.support, x[:500])
    assert mass.total == pytest.approx(1, abs=1e-3)
    assert mass.p_value(x) > alpha


def test_shapes_dtypes_and_context(base):
    assert base.double()().log_prob(torch.zeros(5, 2).double()).dtype == torch.float64
    law = base.float()(torch.zeros(7, 3))  # a context that it does not use
    assert law.batch_shape == ()
    assert law.event_shape == (2,)
    assert law.log_prob(torch.zeros(5, 2)).shape == (5,)


def test_checkpoint_and_randomness(base, stream):
    check_checkpoint(base)
    check_random(lambda generator: draw(base(), (5,), generator=generator), seeds=False, generator=stream)


def test_against_torch(stream):
    x = 3 * torch.randn(50, 2, generator=stream)
    normal, t, mixture, _ = bases(stream)
    torch.testing.assert_close(normal().log_prob(x), Normal(0.0, 1.0).log_prob(x).sum(1))
    torch.testing.assert_close(t().log_prob(x), TorchStudentT(3.0).log_prob(x).sum(1))
    parts = Independent(Normal(mixture.means, mixture.log_scales.exp()), 1)
    same = MixtureSameFamily(Categorical(logits=mixture.weight_logits), parts)
    torch.testing.assert_close(mixture().log_prob(x), same.log_prob(x))


def test_reparametrisation():
    assert StandardNormal(2)().has_rsample
    assert StudentT(2)().has_rsample
    assert not NormalMixture(2, generator=0)().has_rsample


def test_one_component_is_a_gaussian(stream, alpha):
    mixture = NormalMixture(1, components=1, generator=stream)
    x = draw(mixture(), (2000,), generator=stream)[:, 0] - mixture.means.detach()[0, 0]
    assert ks(x, torch.special.ndtr) > alpha


def test_mixture_parameters_get_gradients(stream):
    mixture = NormalMixture(2, 3, generator=stream)
    mixture().log_prob(torch.randn(20, 2, generator=stream)).sum().backward()
    assert all(bool((p.grad != 0).any()) for p in mixture.parameters())


def test_tails_of_a_cauchy():
    far = torch.tensor([[1e18]])
    assert StudentT(1, df=1.0)().log_prob(far).item() == pytest.approx(-math.log(math.pi) - 36 * math.log(10), rel=1e-6)


def test_means_come_from_the_generator(stream):
    state = torch.get_rng_state()
    a, b, c = (NormalMixture(2, generator=g).means for g in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("df", [0.0, -1.0, math.inf, math.nan])
def test_degrees_of_freedom_are_checked(df):
    with pytest.raises(ArgumentError, match="df"):
        StudentT(2, df=df)


def test_sizes_are_checked():
    for build in (StandardNormal, StudentT, NormalMixture):
        with pytest.raises(ArgumentError, match="features"):
            build(0)
    with pytest.raises(ArgumentError, match="components"):
        NormalMixture(2, components=0)


def test_every_base_under_a_flow_moves_with_it(base, stream):
    flow = dg.explicit.Flow(dg.transforms.Affine(2, shift=1.0), base).double()
    assert flow.sample(3, generator=stream).dtype == torch.float64
    assert flow.log_prob(torch.zeros(3, 2, dtype=torch.float64)).dtype == torch.float64
