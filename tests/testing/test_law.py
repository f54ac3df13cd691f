"""The oracle itself, against closed forms that it does not use."""

import itertools
import math

import pytest
import torch

import deepgen as dg
import deepgen.testing as dt
from deepgen.errors import MissingCapability
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin


def random_machine(visible, hidden, stream, scale=0.7):
    rbm = RBM(visible, hidden, generator=stream).double()
    with torch.no_grad():
        for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias):
            p.copy_(scale * torch.randn(p.shape, generator=stream))
    return rbm


def test_log_z_by_loops(stream):
    rbm = random_machine(3, 2, stream)
    w, a, b = rbm.weight.tolist(), rbm.visible_bias.tolist(), rbm.hidden_bias.tolist()
    total = 0.0
    for v in itertools.product((0, 1), repeat=3):
        for h in itertools.product((0, 1), repeat=2):
            bias = sum(x * y for x, y in zip(a, v, strict=True)) + sum(x * y for x, y in zip(b, h, strict=True))
            total += math.exp(bias + sum(v[i] * w[i][j] * h[j] for i in range(3) for j in range(2)))
    assert dt.Exact(rbm).log_z.item() == pytest.approx(math.log(total), rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_two_gaussian_layers_have_a_determinant(beta, stream):
    rbm = random_machine(Gaussian(2, 4.0), Gaussian(3, 9.0), stream, scale=0.5)
    bias = beta * torch.cat([rbm.visible_bias, rbm.hidden_bias])
    lam = torch.cat([rbm.visible.precision(rbm.weight), rbm.hidden.precision(rbm.weight)])
    precision = torch.diag(lam)
    precision[:2, 2:] = -beta * rbm.weight
    precision[2:, :2] = -beta * rbm.weight.T
    expected = 0.5 * bias @ torch.linalg.solve(precision, bias) + 2.5 * math.log(2 * math.pi)
    expected = expected - 0.5 * torch.logdet(precision)
    assert dt.Exact(rbm, beta).log_z.item() == pytest.approx(expected.item(), rel=1e-10)


def test_what_cannot_be_normalised_is_infinite(stream):
    rbm = RBM(Gaussian(1), Gaussian(1), generator=stream)
    with torch.no_grad():
        rbm.weight.fill_(1.5)  # beyond sqrt(precision * precision) = 1
    assert dt.Exact(rbm).log_z == math.inf
    assert dt.Exact(rbm, beta=0.5).log_z.isfinite()


def test_likelihoods_sum_to_one_and_integrate_to_one(stream):
    rbm = random_machine(Product(Spin(1), Softmax(1, 3)), Product(Bernoulli(2), Gaussian(1)), stream)
    exact = dt.Exact(rbm)
    states = rbm.visible.enumerate(0, 6)
    assert exact.log_likelihood(states).exp().sum().item() == pytest.approx(1, rel=1e-12)
    assert torch.allclose(exact.visible_law().probabilities, exact.log_likelihood(states).exp(), rtol=1e-10)
    real = random_machine(Gaussian(1), Spin(2), stream)
    grid = torch.linspace(-30, 30, 6001, dtype=torch.float64).unsqueeze(1)
    assert (dt.Exact(real).log_likelihood(grid).exp().sum() * 0.01).item() == pytest.approx(1, rel=1e-9)


def test_gradient_by_finite_differences(stream):
    rbm = random_machine(Product(Bernoulli(2), Gaussian(1, learned=True)), Spin(2), stream)
    x = torch.tensor([[1.0, 0.0, 0.4], [0.0, 0.0, -1.0]], dtype=torch.float64)
    gradient = dt.Exact(rbm).gradient(x)
    assert "visible.parts.1.log_precision" in gradient
    for name, parameter in rbm.named_parameters():
        with torch.no_grad():
            parameter.view(-1)[0] += 1e-5
            up = dt.Exact(rbm).log_likelihood(x).mean()
            parameter.view(-1)[0] -= 2e-5
            down = dt.Exact(rbm).log_likelihood(x).mean()
            parameter.view(-1)[0] += 1e-5
        assert gradient[name].view(-1)[0].item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-5, abs=1e-8)


def test_exact_draws_have_the_joint_law(stream, alpha):
    rbm = random_machine(Product(Bernoulli(2), Gaussian(2)), Product(Spin(1), Gaussian(1, 3.0)), stream, 0.4)
    exact = dt.Exact(rbm)
    joint = exact.joint()
    dt.sequential(
        lambda n, g: joint.p_values(torch.cat(exact.sample(n, generator=g), 1)),
        what="Exact.sample",
        alpha=alpha,
        generator=stream,
    )
    means = torch.cat(exact.sample(100_000, generator=stream), 1).mean(0)
    grads = exact.gradient(rbm.visible.sample(torch.zeros(5, 4, dtype=torch.float64), generator=stream))
    assert all(g.isfinite().all() for g in grads.values())
    expected = joint.probabilities @ joint.rows
    expected[joint.real] = joint.probabilities @ joint.mean
    assert torch.allclose(means, expected.detach(), atol=0.05)


def test_goodness_of_fit_sees_a_wrong_covariance(stream):
    wrong = dt.integrate(lambda z: (z.square().sum(-1) + z[..., 0] * z[..., 1]) / 2, torch.zeros(1, 2).double(), [0, 1])
    independent = torch.randn(20_000, 2, generator=stream)
    assert min(wrong.p_values(independent)) < 1e-9
    assert min(wrong.p_values(wrong.sample(20_000, generator=stream))) > 1e-7


def test_draws_take_a_seed():
    exact = dt.Exact(RBM(3, 2, generator=0))
    assert torch.equal(exact.sample(5, generator=3)[0], exact.sample(5, generator=dg.random.generator(3))[0])
    assert exact.joint().sample(2).shape == (2, 5)


def test_the_model_is_left_alone():
    rbm = RBM(3, 2, generator=0)
    before = {name: value.clone() for name, value in rbm.state_dict().items()}
    dt.Exact(rbm).gradient(torch.eye(3))
    assert all(torch.equal(value, before[name]) for name, value in rbm.state_dict().items())
    assert rbm.weight.grad is None
    assert rbm.weight.dtype == torch.float32


def test_real_layers_have_no_list_of_states():
    with pytest.raises(MissingCapability, match="real units"):
        dt.Exact(dg.RBM(Gaussian(2), 2)).visible_law()
