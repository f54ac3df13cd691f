"""Neural spline flows: a density that integrates to one, both directions, and two lumps from a Gaussian."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.explicit import NSF

EPS = torch.finfo(torch.float64).eps
KINDS = [{}, {"autoregressive": True}, {"residual": True}, {"linear": True}, {"autoregressive": True, "linear": True}]


@pytest.fixture(params=KINDS, ids=lambda kind: "-".join(kind) or "coupling")
def kind(request):
    return request.param


def bent(features, stream, scale=0.5, **kind):
    """A flow some way from its start: N(0, scale^2) added to all weights."""
    flow = NSF(features, transforms=2, hidden=[16, 16], bins=5, **kind, generator=stream)
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(scale * torch.randn(p.shape, generator=stream))
    return flow


def test_starts_close_to_its_base(kind, stream):
    flow, x = NSF(3, hidden=[16], **kind, generator=stream), torch.randn(500, 3, generator=stream)
    assert float((flow.log_prob(x) - flow.base().log_prob(x)).abs().detach().mean()) < 0.1


def test_log_determinant_is_that_of_the_jacobian(kind, stream):
    """But for rounding, which a flow that is steep here and flat there makes larger by the Jacobian's condition."""
    flow = bent(4, stream, context=2, **kind).double()
    x, context = (torch.randn(6, n, generator=stream, dtype=torch.float64) for n in (4, 2))
    x[0, 0] = 7.0  # outside the box
    for f in (flow.encode, flow.decode):
        _, log_det = f(x, context)
        for i in range(6):
            row, given = x[i : i + 1], context[i : i + 1]
            jacobian = torch.autograd.functional.jacobian(lambda row, c=given, f=f: f(row, c)[0], row)
            expected = torch.linalg.slogdet(jacobian[0, :, 0]).logabsdet
            rounding = EPS * float(torch.linalg.cond(jacobian[0, :, 0]))  # measured: up to 45 times
            assert abs(float((log_det[i] - expected).detach())) < 1000 * rounding


def test_density_integrates_to_one(kind, stream):
    flow = bent(2, stream, scale=0.1, **kind).double()
    line = torch.linspace(-8, 8, 401, dtype=torch.float64)
    with torch.no_grad():
        total = flow.log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    assert abs(float(total) - 1) < 1e-3


def test_same_noise_same_sample_by_every_method(stream):
    flow = bent(6, stream, scale=0.1, autoregressive=True)
    draws = [flow.draw(70, method=m, generator=3) for m in ("incremental", "jacobi", "sequential", "auto")]
    for x, log_prob, _ in draws:
        torch.testing.assert_close(x, draws[0].x, rtol=0, atol=1e-3)
        torch.testing.assert_close(log_prob, draws[0].log_prob, rtol=0, atol=1e-2)


def test_draws_know_their_density(kind, stream):
    flow = bent(5, stream, scale=0.1, **kind)
    x, log_prob, _ = flow.draw(500, generator=stream)
    torch.testing.assert_close(flow.log_prob(x), log_prob, rtol=0, atol=1e-2)


def test_saved_and_loaded(kind, tmp_path, stream):
    flow, x = bent(3, stream, **kind, box=4.0), torch.randn(10, 3, generator=stream)
    dg.save(flow, tmp_path / "flow")
    assert torch.equal(dg.load(tmp_path / "flow").log_prob(x), flow.log_prob(x))


@pytest.mark.parametrize("autoregressive", [False, True])
def test_learns_two_lumps_in_each_variable(autoregressive, stream):
    """Four lumps of known density: what the flow lacks of it, in nats, is a KL divergence that training takes to 0."""

    def data(n):
        signs = 2.0 * torch.randint(2, (n, 2), generator=stream) - 1
        return 2 * signs + 0.5 * torch.randn(n, 2, generator=stream)

    def truth(x):
        lumps = torch.stack([-2 * ((x - m) ** 2) for m in (-2, 2)]).logsumexp(0)
        return (lumps - math.log(2 * 0.5 * math.sqrt(2 * math.pi))).sum(1)

    flow = NSF(2, transforms=2, hidden=[32], autoregressive=autoregressive, generator=stream)
    optimiser = torch.optim.Adam(flow.parameters(), 5e-3)
    for _ in range(300):
        optimiser.zero_grad()
        flow.log_prob(data(256)).mean().neg().backward()
        optimiser.step()
    x = data(4096)
    with torch.no_grad():
        lack = truth(x) - flow.log_prob(x)
    error = float(lack.std()) / math.sqrt(len(x))
    assert -5 * error < float(lack.mean()) < 0.1 + 5 * error  # a Gaussian lacks 1.6


def test_arguments_are_checked():
    with pytest.raises(ArgumentError, match="features"):
        NSF(1)
    assert NSF(1, autoregressive=True, hidden=[8], generator=0).sample(3, generator=0).shape == (3, 1)
    with pytest.raises(ArgumentError, match="bins"):
        NSF(3, bins=1)
