"""Energy models against closed forms, grids and enumeration."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.distributions import IndependentBernoulli, MultivariateNormal
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP
from deepgen.testing import check_checkpoint, check_kernel, check_model, check_random, chi_square, ks
from tests.energies import Quadratic, binary, grid, wavy


def test_the_density_is_the_network_and_the_base():
    base = MultivariateNormal(2)
    base.mean.copy_(torch.tensor([1.0, -1.0]))
    base.factor.copy_(torch.tensor([[2.0, 0.0], [0.5, 0.3]]))
    net, x = ScalarMLP(2, [8], generator=0), torch.randn(7, 2, generator=dg.random.generator(0))
    law = torch.distributions.MultivariateNormal(base.mean, scale_tril=base.factor)
    model = EnergyModel(net, base=base)
    torch.testing.assert_close(model.log_density(x), net(x) + law.log_prob(x))
    torch.testing.assert_close(model.energy(x), -net(x) - law.log_prob(x))
    torch.testing.assert_close(EnergyModel(net).log_density(x), net(x))


def test_the_moments_of_data_become_the_base(stream):
    x = torch.randn(400, 3, 2, generator=stream) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]]) + 3
    law = MultivariateNormal(6).initialise(x, ridge=0)()
    torch.testing.assert_close(law.mean, x.flatten(1).mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(law.covariance_matrix, x.flatten(1).T.cov(), atol=1e-4, rtol=1e-4)
    bits = (torch.rand(50, 4, generator=stream) < 0.2).float()
    torch.testing.assert_close(IndependentBernoulli(4).initialise(bits)().mean, (bits.sum(0) + 0.5) / 51)
    flat = MultivariateNormal(2).initialise(torch.tensor([[0.0, 1.0], [0.0, 2.0]]))  # a column without a width
    assert flat().log_prob(torch.zeros(1, 2)).isfinite().all()


def test_rows_of_any_shape_and_a_base_of_flat_ones():
    model = EnergyModel(ScalarMLP(8, [4], generator=0), (2, 4), base=MultivariateNormal(8))
    x = model.sample(3, steps=2, step_size=0.1, generator=0)
    assert x.shape == (3, 2, 4)
    torch.testing.assert_close(model.log_density(x), model.net(x) + model.base().log_prob(x.flatten(1)))
    assert model.target().reference.event_shape == (2, 4)


@pytest.mark.parametrize("method", ["mala", "hmc"])
def test_real_kernels_keep_the_law(method, stream, alpha):
    """p is Gaussian: N(0, 1/2) of base N(0, 1) and f = -x^2 / 2, in two dimensions."""
    model = EnergyModel(Quadratic(2, 0.5), base=MultivariateNormal(2))
    kernel = model.kernel(method, step_size=1.3 if method == "mala" else 1.2)

    def draw(n, generator):
        return torch.randn(n, 2, generator=generator) * math.sqrt(0.5)

    def p_values(x):
        cdf = torch.distributions.Normal(0.0, math.sqrt(0.5)).cdf
        return [ks(column, cdf) for column in (x[:, 0], x.sum(1) / math.sqrt(2))]

    check_kernel(kernel, draw, p_values=p_values, steps=20, alpha=alpha, generator=stream)


def test_flips_keep_the_law(stream, alpha):
    model, states, log_p = binary(4)
    probabilities = log_p.exp()
    powers = 2 ** torch.arange(4)

    def draw(n, generator):
        return states[torch.multinomial(probabilities, n, True, generator=generator)].float()

    def p_values(x):
        cells = torch.bincount((x.long() * powers).sum(1), minlength=16)
        return [chi_square(cells, probabilities[(states.long() * powers).sum(1).argsort()])]

    kernel = model.kernel("flips")  # which has no step size to choose
    check_kernel(kernel, draw, p_values=p_values, steps=20, acceptance=None, alpha=alpha, generator=stream)


def test_a_bad_generator_costs_speed_and_not_truth(stream, alpha):
    """A flow that was never trained, and sits elsewhere, proposes: chains at the law stay there."""
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=1)
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.2)
    model = EnergyModel(Quadratic(2, 0.5), base=MultivariateNormal(2), proposal=flow)
    kernel = model.kernel(step_size=1.3)
    assert kernel.exactness.kind == "exact"

    def draw(n, generator):
        return torch.randn(n, 2, generator=generator) * math.sqrt(0.5)

    def p_values(x):
        cdf = torch.distributions.Normal(0.0, math.sqrt(0.5)).cdf
        return [ks(column, cdf) for column in (x[:, 0], x.sum(1) / math.sqrt(2))]

    check_kernel(kernel, draw, p_values=p_values, steps=10, reversible=False, alpha=alpha, generator=stream)


def test_samples_reach_the_law_from_the_base(stream, alpha):
    model = wavy()
    x = model.sample(4000, steps=200, generator=stream)
    _, log_p, area = grid(model)
    side = math.isqrt(len(log_p))
    mass = (log_p.exp() * area).view(side, side).sum(1)
    cells = ((x[:, 0] + 7) * side / 14).long().clamp(0, side - 1)
    assert chi_square(torch.bincount(cells, minlength=side), mass) > alpha


def test_kernels_that_find_a_scale_by_themselves_keep_it(stream):
    """`RMSpropLangevin.scale` is a method; the base's factor has no place there, and has one in ula and sgld."""
    base = MultivariateNormal(2)
    base.factor.copy_(torch.tensor([[2.0, 0.0], [0.5, 0.3]]))
    model = EnergyModel(Quadratic(2, 0.5), base=base)
    kernel = model.kernel("psgld", step_size=0.1)
    assert torch.equal(kernel.step(kernel.init(torch.zeros(3, 2)), generator=stream)[0].step, torch.ones(3).long())
    for method in ("ula", "sgld"):
        assert torch.equal(model.kernel(method, step_size=0.1).scale, base.factor)
    assert torch.equal(model.kernel("hmc", step_size=0.1).proposal.scale, base.factor)
    assert torch.equal(model.kernel("mala").kernel.proposal.scale, base.factor)


def test_a_reversible_proposal_without_a_base_starts_from_normal_numbers(stream):
    """Such a map cannot be drawn from; chains reach N(0, 1/2) from N(0, 1)."""
    f = dg.samplers.velocity_couplings(2, dg.transforms.Scale, hidden=[8], generator=0)
    model = EnergyModel(Quadratic(2, 1.0), 2, proposal=f)
    start = model.start(4000, generator=stream)
    assert abs(float(start.var()) - 1) < 5.5 * (2 / start.numel()) ** 0.5
    x = model.sample(4000, steps=20, step_size=0.7, generator=stream)
    assert abs(float(x.var()) - 0.5) < 5.5 * 0.5 * (2 / x.numel()) ** 0.5


def test_ula_is_named_biased_and_refused_where_exactness_is_needed():
    model = wavy()
    kernel = model.kernel("ula", step_size=0.1)
    assert kernel.exactness.kind == "biased"
    with pytest.raises(MissingCapability, match="biased"):
        dg.samplers.require_exact(kernel, "annealed importance sampling")
    mixed = EnergyModel(Quadratic(2, 0.5), (2,), proposal=dg.explicit.MAF(2, transforms=1, hidden=[8], generator=0))
    assert mixed.kernel("ula", step_size=0.1).exactness.kind == "biased"


def test_the_contract_of_models(stream):
    x = torch.randn(6, 2, generator=stream)
    assert check_model(wavy(), x, generator=stream) == ["LogDensity", "Samples", "Rebuilt"]


@pytest.mark.parametrize("make", [lambda: binary(4)[0], wavy, lambda: EnergyModel(ScalarMLP(3, [4]), (3,))])
def test_randomness(make, stream):
    model = make()
    check_random(lambda generator: model.sample(5, steps=50, generator=generator), generator=stream)


def test_saved_and_loaded(tmp_path):
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    model = EnergyModel(ScalarMLP(2, [8], generator=0), base=MultivariateNormal(2), proposal=flow)
    x = torch.randn(9, 2, generator=dg.random.generator(1)) * 3
    model.initialise(x)
    check_checkpoint(model)
    dg.save(model, tmp_path / "own")
    torch.testing.assert_close(dg.load(tmp_path / "own").log_density(x), model.log_density(x), atol=0, rtol=0)


def test_a_network_of_the_users_own_comes_back_by_its_weights(tmp_path):
    def make():
        return EnergyModel(nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1)), (2,))

    torch.manual_seed(0)
    one, other, x = make(), make(), torch.ones(3, 2)
    dg.save(one, tmp_path)
    with pytest.raises(dg.errors.CheckpointError, match="load_weights"):
        dg.load(tmp_path)
    dg.load_weights(other, tmp_path)
    assert torch.equal(one.log_density(x), other.log_density(x))


def test_what_is_refused():
    net = ScalarMLP(2, [4], generator=0)
    model = EnergyModel(net, base=MultivariateNormal(2))
    with pytest.raises(ShapeError, match=r"\[rows, 2\]"):
        model.check(torch.zeros(3, 4))
    with pytest.raises(SupportError, match="finite"):
        model.check(torch.tensor([[0.0, math.nan]]))
    with pytest.raises(SupportError, match="0 or 1"):
        EnergyModel(net, 2, support="binary").check(torch.full((1, 2), 0.5))
    with pytest.raises(ShapeError, match="one number a row"):
        EnergyModel(nn.Linear(2, 3), 2).log_density(torch.zeros(4, 2))
    with pytest.raises(ArgumentError, match="'real' or 'binary'"):
        EnergyModel(net, 2, support="words")
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        EnergyModel(lambda x: x.sum(1))
    with pytest.raises(ShapeError, match="base"):
        EnergyModel(net, (3,), base=MultivariateNormal(2))
    with pytest.raises(ArgumentError, match="did you mean 'mala'"):
        model.kernel("malaa")
    for other in ("sample_chain", "Target", "as_target", "heaviest", "Langevin"):  # of deepgen.samplers, but no kernels
        with pytest.raises(ArgumentError, match=f"no kernel '{other}'"):
            model.kernel(other)
    with pytest.raises(ArgumentError, match="gave a Target"):
        model.kernel(dg.samplers.as_target)
    with pytest.raises(ArgumentError, match="binary"):
        binary(3)[0].kernel("mala", step_size=0.1)
    with pytest.raises(ArgumentError, match="40 steps"):
        model.sample(3, steps=10, generator=0)
    late = EnergyModel(net)
    for wrong in (torch.zeros(0, 7), torch.full((3, 5), torch.nan)):
        with pytest.raises((ShapeError, SupportError)):
            late.check(wrong)
    late.check(torch.zeros(3, 2))  # rows that did not pass have not fixed the shape
    for shape in (-1, 0, (2, -1), 2.0):
        with pytest.raises(ArgumentError, match="event_shape must be"):
            EnergyModel(net, shape)
    assert EnergyModel(net, np.int64(2)).event_shape == (2,)
    with pytest.raises(ShapeError, match="not known"):
        EnergyModel(net).sample(3, generator=0)
    with pytest.raises(MissingCapability, match=r"LogProb|log_prob"):
        EnergyModel(net, 2, proposal=nn.Linear(2, 2))
