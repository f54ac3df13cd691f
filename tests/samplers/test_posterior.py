"""Posteriors over the weights of networks: every chain is the network that one would have by hand."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

import deepgen as dg
from deepgen.errors import MissingCapability, ShapeError
from deepgen.layers.linear import linear
from deepgen.samplers import NetworkPosterior


def normal_likelihood(mean, y):
    return -(y - mean.squeeze(-1)).square() / 2 / 0.5**2


def network(stream):
    return nn.Sequential(linear(3, 5, generator=stream), nn.Tanh(), linear(5, 1, generator=stream))


def small(stream, **settings):
    net = network(stream)
    x = torch.randn(20, 3, generator=stream)
    return net, x, NetworkPosterior(net, normal_likelihood, x, x.sum(1), **settings)


def test_density_and_gradient_are_those_of_each_network_alone(stream):
    net, x, posterior = small(stream)
    positions = posterior.begin(4, generator=stream)
    value, gradient = posterior.slope(positions)
    for chain in range(4):
        net.load_state_dict(posterior.unflatten(positions[chain]))
        net.zero_grad()
        prior = sum(Normal(0.0, 1.0).log_prob(p).sum() for p in net.parameters())
        alone = prior + normal_likelihood(net(x), x.sum(1)).sum()
        alone.backward()
        assert torch.allclose(value[chain], alone.detach(), rtol=1e-5)
        by_hand = torch.cat([p.grad.flatten() for p in net.parameters()])
        assert torch.allclose(gradient[chain], by_hand, rtol=1e-4, atol=1e-3)


def test_a_minibatch_of_own_rows_is_that_of_each_network(stream):
    net, x, posterior = small(stream)
    positions, rows = posterior.begin(4, generator=stream), torch.randint(20, (4, 6), generator=stream)
    batches = posterior.minibatches(6)
    value, _ = batches.estimate_on(positions, (x[rows], x.sum(1)[rows]))
    for chain in range(4):
        net.load_state_dict(posterior.unflatten(positions[chain]))
        likelihood = normal_likelihood(net(x[rows[chain]]), x.sum(1)[rows[chain]]).sum().detach()
        alone = posterior.log_prior(positions[chain : chain + 1])[0] + 20 / 6 * likelihood
        assert torch.allclose(value[chain], alone, rtol=1e-5)
    one = batches.estimate_on(positions, (x[None, :6], x.sum(1)[None, :6]))
    each = batches.estimate_on(positions, (x[:6].expand(4, 6, 3), x.sum(1)[:6].expand(4, 6)))
    assert torch.allclose(one[1], each[1], rtol=1e-4, atol=1e-4)


def test_a_linear_network_has_the_posterior_of_linear_regression(stream, alpha):
    x = torch.randn(40, 2, generator=stream)
    y = x @ torch.tensor([1.0, -2.0]) + 0.5 * torch.randn(40, generator=stream)
    posterior = NetworkPosterior(linear(2, 1, bias=False, generator=stream), normal_likelihood, x, y)
    precision = torch.eye(2) + x.mT @ x / 0.5**2
    law = MultivariateNormal(torch.linalg.solve(precision, x.mT @ y / 0.5**2), precision_matrix=precision)
    draw = lambda n, generator: dg.random.draw(law, (n,), generator=generator)  # noqa: E731
    kernel = dg.samplers.mala(posterior, 2.0, covariance=law.covariance_matrix)  # as of N(0, I), whatever x is
    dg.testing.check_kernel(kernel, draw, n=1024, alpha=alpha, generator=stream)


@pytest.mark.parametrize("prior", [None, "vector"])
def test_starts_are_drawn_where_the_weights_are(prior, monkeypatch, seed):
    seen = []
    monkeypatch.setattr("deepgen.samplers.posterior.resolve", lambda source, device="cpu": seen.append(device))
    monkeypatch.setattr(NetworkPosterior, "start", lambda self, chains, *, generator: None)
    vector = Normal(torch.zeros(2, device="meta"), torch.ones(2, device="meta"), validate_args=False)
    law = None if prior is None else Independent(vector, 1, validate_args=False)
    net = nn.Linear(2, 1, bias=False, device="meta")
    x = torch.zeros(5, 2, device="meta")
    NetworkPosterior(net, normal_likelihood, x, x.sum(1), prior=law).begin(3, generator=seed)
    assert seen == [torch.device("meta")]


def test_positions_and_weights_by_name_are_one_another(stream):
    net, x, posterior = small(stream)
    positions = torch.randn(2, 4, posterior.size, generator=stream)
    named = posterior.unflatten(positions)
    assert named["0.weight"].shape == (2, 4, 5, 3)
    assert torch.equal(posterior.flatten(named), positions)
    assert torch.equal(posterior.flatten(net.state_dict()), torch.cat([p.detach().flatten() for p in net.parameters()]))
    predicted = posterior.predict(positions, x, chunk=3)
    assert predicted.shape == (2, 4, 20, 1)
    net.load_state_dict(posterior.unflatten(positions[1, 2]))
    assert torch.allclose(predicted[1, 2], net(x).detach(), atol=1e-6)


def test_outputs_may_be_several_and_some_weights_may_be_fixed(stream):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.fixed = linear(3, 1, generator=stream), linear(3, 3, generator=stream).requires_grad_(False)
            self.log_scale = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return self.mean(self.fixed(x)).squeeze(-1), self.log_scale.exp()

    x = torch.randn(20, 3, generator=stream)

    def log_likelihood(output, y):
        mean, scale = output
        return -((y - mean) / scale.unsqueeze(-1)).square() / 2 - scale.log().unsqueeze(-1)

    posterior = NetworkPosterior(Scaled(), log_likelihood, x, x.sum(1), prior=Normal(0.0, 3.0))
    assert posterior.size == 5
    trace = dg.samplers.sample_chain(dg.samplers.sghmc(posterior.minibatches(5), 1e-3), torch.zeros(3, 5), draws=2)
    mean, scale = posterior.predict(trace.draws, x[:7])
    assert (mean.shape, scale.shape) == ((2, 3, 7), (2, 3))


def test_priors_of_every_form(stream):
    scale = torch.linspace(0.5, 2, 26)
    whole = torch.distributions.Independent(Normal(torch.zeros(26), scale), 1)
    positions = torch.randn(3, 26, generator=stream)
    for prior in (whole, lambda w: Normal(torch.zeros(26), scale).log_prob(w).sum(1)):
        posterior = small(stream, prior=prior)[2]
        assert torch.allclose(posterior.log_prior(positions), whole.log_prob(positions))
    each = small(stream, prior=Normal(0.0, 2.0))[2]
    assert torch.allclose(each.log_prior(positions), Normal(0.0, 2.0).log_prob(positions).sum(1))
    starts = each.begin(4000, generator=stream)
    assert abs(float(starts.std()) - 2) < 0.05
    with pytest.raises(MissingCapability, match="reference"):
        posterior.begin(3, generator=0)


def test_what_is_refused(stream):
    net, x, posterior = small(stream)
    y = x.sum(1)
    with pytest.raises(ShapeError, match="one number of rows"):
        NetworkPosterior(net, normal_likelihood, x, y[:10])
    with pytest.raises(ShapeError, match="one number a row"):
        NetworkPosterior(net, lambda mean, y: (y.unsqueeze(-1) - mean).square(), x, y)
    with pytest.raises(MissingCapability, match="no parameters"):
        NetworkPosterior(nn.Tanh(), normal_likelihood, x, y)
    with pytest.raises(MissingCapability, match=r"module\.eval\(\)"):
        NetworkPosterior(nn.Sequential(net, nn.Dropout(0.5)), normal_likelihood, x, y)
    NetworkPosterior(nn.Sequential(net, nn.Dropout(0.5)).eval(), normal_likelihood, x, y)
    with pytest.raises(ShapeError, match=r"\[\.\.\., 26\]"):
        posterior.unflatten(torch.zeros(3, 25))
    with pytest.raises(ShapeError, match=r"0\.bias must be"):
        posterior.flatten({"0.weight": torch.zeros(5, 3)})
