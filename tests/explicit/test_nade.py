"""NADE: its formula, its kernels against plain tensors, blocks, and the trap of probabilities taken for logits."""

import copy
import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import NADE, nade
from deepgen.testing import check_checkpoint
from tests.explicit.discrete_models import everything, lively


def by_hand(model, x):
    """log p(x) in loops over variables, straight from the paper's equations."""
    total = []
    w, v, b, c = (p.detach() for p in (model.weight, model.readout, model.bias, model.hidden_bias))
    order = model.orders[0].tolist()
    for row in x:
        log_p = 0.0
        for place, d in enumerate(order):
            inside = c + sum((row[i] * w[i] for i in order[:place]), torch.zeros_like(c))
            p = 1 / (1 + math.exp(-(b[d] + v[d] @ (1 / (1 + (-inside).exp()))).item()))
            log_p += math.log(p if row[d] == 1 else 1 - p)
        total.append(log_p)
    return torch.tensor(total, dtype=torch.float64)


@pytest.mark.parametrize("order", [None, [2, 0, 5, 1, 4, 3]])
def test_formula(order, stream):
    model = lively(NADE(6, 5, order=order, generator=stream), stream)
    x = torch.randint(2, (9, 6), generator=stream).double()
    torch.testing.assert_close(model.log_prob(x), by_hand(model, x))


def test_an_order_is_a_permutation_of_the_columns(stream):
    order = [2, 0, 3, 1]
    model = lively(NADE(4, 5, order=order, generator=stream), stream)
    plain = NADE(4, 5).double()
    with torch.no_grad():
        for name in ("weight", "readout", "bias"):
            getattr(plain, name).copy_(getattr(model, name)[order])
        plain.hidden_bias.copy_(model.hidden_bias)
    x = everything(model)
    torch.testing.assert_close(model.log_prob(x), plain.log_prob(x[:, order]))


# Not multiples of the kernels' blocks of 64 rows and 32 variables; dense, sparse, none, and rows that are not binary.
SHAPES = [(70, 61, 130), (33, 128, 1), (32, 200, 64), (1, 5000, 3), (97, 45, 65)]


@pytest.mark.parametrize(("features", "hidden", "batch"), SHAPES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_kernels_agree_with_tensors_in_twice_the_digits(features, hidden, batch, share, stream):
    x = (torch.rand(features, batch, generator=stream) < share).float()
    if share == 0.5:
        x *= torch.randn(features, batch, generator=stream)
    weight, readout = (torch.randn(features, hidden, generator=stream) for _ in range(2))
    parameters = weight, torch.randn(hidden, generator=stream), readout, torch.randn(features, generator=stream)
    slope = torch.randn(features, batch, generator=stream)
    single, double = (
        [p.to(kind, copy=True).requires_grad_() for p in parameters] for kind in (torch.float32, torch.float64)
    )
    got, expected = nade.Compiled.apply(x, *single), nade._by_blocks(x.double(), *double)
    scale = 1e-5 * math.sqrt(hidden * features)
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=scale)
    got.backward(slope)
    expected.backward(slope.double())
    for a, b in zip(single, double, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=0, atol=1e-5 * (1 + b.grad.abs().max().item()))


def test_large_float32_models_use_the_kernels_and_others_do_not(monkeypatch, stream):
    model = NADE(80, 70, generator=stream)
    x = model.sample(5, generator=stream)
    assert nade.worthwhile(model.weight)
    by_kernels = model.log_prob(x)
    assert not nade.worthwhile(model.weight.double())
    assert not nade.worthwhile(NADE(5, 5).weight)

    def broken():
        raise ImportError

    monkeypatch.setattr(nade, "_kernels", broken)
    assert not nade.worthwhile(model.weight)
    torch.testing.assert_close(model.log_prob(x), by_kernels, rtol=1e-5, atol=1e-3)


def test_the_gradient_with_respect_to_the_rows_is_that_of_twice_the_digits(stream):
    model = NADE(64, 64, generator=stream)
    assert nade.worthwhile(model.weight)
    x = model.sample(5, generator=stream).requires_grad_()
    twice = copy.deepcopy(model).double()
    (got,) = torch.autograd.grad(model.log_prob(x).sum(), x)
    x2 = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(twice.log_prob(x2).sum(), x2)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", [1, 30, 2**20])
def test_blocks_change_nothing(block, monkeypatch, stream):
    model = lively(NADE(5, 3, generator=stream), stream)
    x = torch.randint(2, (4, 5), generator=stream).double()
    expected = by_hand(model, x)
    monkeypatch.setattr(nade, "BLOCK", block)
    torch.testing.assert_close(model.log_prob(x), expected)
    names = [name for name, _ in model.named_parameters()]
    model.forward = model.log_prob

    def value(*parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(value, [p.detach().requires_grad_() for p in model.parameters()])
    assert torch.autograd.gradgradcheck(value, [p.detach().requires_grad_() for p in model.parameters()])


@pytest.mark.parametrize("hidden", [8, 300])
def test_all_zero_data_cost_nothing(hidden, stream):
    """Sigmoids taken for logits would stall at -20 log(1 + e^0) = -13.9 nats, here as elsewhere."""
    model = NADE(20, hidden, generator=stream)
    x = torch.zeros(100, 20)
    assert model.log_prob(x).mean().item() == pytest.approx(-20 * math.log(2), abs=8)
    adam = torch.optim.Adam(model.parameters(), 0.05)
    dg.fit(model, x, dg.objectives.MaximumLikelihood(), epochs=200, optimizer=adam, progress=False)
    assert model.log_prob(x).mean().item() > -0.5
    assert model.sample(100, generator=stream).mean() < 0.01


def test_it_learns_what_follows_from_what(stream):
    x = torch.randint(2, (600, 6), generator=stream).float()
    x[:, 3:] = torch.stack([x[:, 0] * x[:, 1], 1 - x[:, 2], x[:, 0]], 1)  # three bits, three that follow
    model = NADE(6, 40, generator=stream).initialise(x)
    adam = torch.optim.Adam(model.parameters(), 0.02)
    dg.fit(model, x, dg.objectives.MaximumLikelihood(), epochs=60, optimizer=adam, progress=False)
    assert -model.log_prob(x).mean().item() < 3 * math.log(2) + 0.1


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
def test_checkpoints(order, stream, tmp_path):
    model = NADE(3, 4, order=order, generator=stream)
    check_checkpoint(model)
    dg.save(model, tmp_path / "nade")
    assert dg.load(tmp_path / "nade").orders.tolist() == [order or [0, 1, 2]]
