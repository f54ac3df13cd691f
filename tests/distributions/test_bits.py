"""The log-probability of independent bits beside torch's own, its derivatives, and what it leaves to torch."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent

from deepgen.distributions import bits
from deepgen.distributions.bits import IndependentBits


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    """Small tensors are not left to torch, or there would be nothing to test."""
    monkeypatch.setattr(bits, "_FEW", 0)


def laws(logits, dims=1):
    base = Bernoulli(logits=logits, validate_args=False)
    return IndependentBits(base, dims, validate_args=False), Independent(base, dims, validate_args=False)


@pytest.mark.parametrize("event", [(7,), (8,), (3, 4), (784,)], ids=str)
@pytest.mark.parametrize("draws", [(), (5,), (2, 3)], ids=str)
def test_values_and_slopes_are_torch_s(stream, monkeypatch, event, draws):
    monkeypatch.setattr(bits, "_PART", 50)  # so that parts end within rows and within draws
    shape = (*draws, 6, *event)
    logits = (5 * torch.randn(shape, generator=stream, dtype=torch.float64)).requires_grad_()
    x = torch.bernoulli(torch.full((6, *event), 0.3, dtype=torch.float64), generator=stream)
    weight = torch.randn(shape[: len(draws) + 1], generator=stream, dtype=torch.float64)
    found = []
    for law in laws(logits, len(event)):
        value = law.log_prob(x)
        (slope,) = torch.autograd.grad((weight * value).sum(), logits)
        found.append((value, slope))
    (ours, slope), (theirs, their_slope) = found
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=1e-9)
    assert torch.allclose(slope, their_slope, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 30.0, 300.0])
def test_float32_of_any_size_is_near_float64(stream, size):
    logits = size * torch.randn(20, 4, 784, generator=stream)
    x = torch.bernoulli(torch.full((4, 784), 0.5), generator=stream)
    exact = laws(logits.double())[1].log_prob(x.double())
    error = (laws(logits)[0].log_prob(x) - exact).abs()
    assert bool((error < 1e-5 + 2e-6 * exact.abs()).all())


def test_16_bits_are_summed_in_32(stream):
    logits = (4 * torch.randn(3, 5, 784, generator=stream) - 6).bfloat16().requires_grad_()
    x = torch.bernoulli(torch.full((5, 784), 0.2), generator=stream)
    value = laws(logits)[0].log_prob(x)
    assert value.dtype == torch.float32
    assert torch.allclose(value.double(), laws(logits.double())[1].log_prob(x.double()), atol=1e-3, rtol=1e-5)
    (slope,) = torch.autograd.grad(value.sum(), logits)
    assert torch.allclose(slope.float(), x - logits.detach().float().sigmoid(), atol=4e-3)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.func's own, on its first use
def test_second_and_forward_derivatives(stream):
    logits = torch.randn(2, 3, 5, generator=stream, dtype=torch.float64).requires_grad_()
    x = torch.ones(3, 5, dtype=torch.float64)
    (slope,) = torch.autograd.grad(laws(logits)[0].log_prob(x).sum(), logits, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), logits)
    p = logits.detach().sigmoid()
    assert torch.allclose(second, -p * (1 - p))
    _, along = torch.func.jvp(lambda at: laws(at)[0].log_prob(x), (logits.detach(),), (torch.ones_like(logits),))
    assert torch.allclose(along, (1 - p).sum(-1))


def test_few_logits_are_left_to_torch_but_not_sums_of_few_digits(stream, monkeypatch):
    monkeypatch.setattr(bits, "_FEW", 2 * 3 * 5 + 1)
    logits, x = torch.randn(2, 3, 5, generator=stream).requires_grad_(), torch.eye(3, 5)
    for dims in (1, 2):
        ours, theirs = (law.log_prob(x) for law in laws(logits, dims))
        assert torch.equal(ours, theirs)
        slopes = [torch.autograd.grad(value.square().sum(), logits)[0] for value in (ours, theirs)]
        assert torch.equal(*slopes)
    assert laws(logits.bfloat16())[0].log_prob(x.bfloat16()).dtype == torch.float32


def test_odd_shapes_and_slopes_in_x_are_left_to_torch(stream):
    logits = torch.randn(3, 5, generator=stream)
    for x in (torch.ones(2, 1, 5), torch.ones(5), torch.ones(1, 5)):
        ours, theirs = (law.log_prob(x) for law in laws(logits))
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=1e-5)
    x = torch.full((3, 5), 0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(laws(logits)[0].log_prob(x).sum(), x)
    assert torch.allclose(slope, logits, atol=1e-5)


def test_checks_are_made_where_they_are_asked_for():
    law = IndependentBits(Bernoulli(logits=torch.zeros(2, 3)), 1)
    with pytest.raises(ValueError, match="support"):
        law.log_prob(torch.full((2, 3), 0.5))
    assert law.expand((4, 2)).log_prob(torch.ones(2, 3)).shape == (4, 2)
