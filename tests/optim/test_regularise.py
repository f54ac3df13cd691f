"""Penalties and clipping as hooks: with any optimizer and objective, on weights and not on biases."""

import math

import pytest
import torch
from torch import nn
from torch.func import grad
from torch.optim.lr_scheduler import ExponentialLR, LinearLR, StepLR

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError
from deepgen.optim import Clip, ElasticNet, InverseTimeLR, weights


def test_weights_are_no_biases_and_no_scales():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.LSTM(2, 3))
    names = [name for name, p in net.named_parameters() if any(p is w for w in weights(net))]
    assert names == ["0.weight", "3.weight", "4.weight_ih_l0", "4.weight_hh_l0"]
    net[3].requires_grad_(False)
    assert len(weights(net)) == 3
    assert [list(w.shape) for w in weights(dg.RBM(visible=4, hidden=3))] == [[4, 3]]


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
def test_the_hook_adds_the_gradient_of_the_penalty_and_nothing_to_biases(l1, l2, stream):
    net = nn.Linear(3, 2).double()
    penalty = ElasticNet(weights(net), l1=l1, l2=l2)
    w, b = net.weight.detach().clone(), net.bias.detach().clone()
    assert float(penalty().detach()) == pytest.approx(float(l1 * w.abs().sum() + l2 / 2 * (w**2).sum()))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    optimizer.register_step_pre_hook(penalty)
    net.weight.grad = torch.randn(2, 3, generator=stream, dtype=torch.float64)
    net.bias.grad = torch.zeros(2, dtype=torch.float64)
    before = net.weight.grad.clone()
    optimizer.step()
    expected = before + grad(lambda w: l1 * w.abs().sum() + l2 / 2 * w.square().sum())(w)
    assert torch.allclose(net.weight, w - expected)
    assert torch.equal(net.bias, b)


def test_as_a_loss_and_as_a_hook_it_is_the_same_path(stream):
    x, paths = torch.randn(20, 3, generator=stream), []
    for hooked in (False, True):
        net = dg.layers.linear(3, 1, generator=dg.random.generator(0))
        penalty, optimizer = ElasticNet(weights(net), l1=0.1, l2=0.2), torch.optim.Adam(net.parameters(), 0.05)
        if hooked:
            optimizer.register_step_pre_hook(penalty)
        for _ in range(20):
            optimizer.zero_grad()
            loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
            (loss if hooked else loss + penalty()).backward()
            optimizer.step()
        paths.append(net.weight.detach())
    assert torch.allclose(*paths, atol=1e-5)


def test_ridge_and_lasso_reach_their_closed_forms(stream):
    """Orthonormal columns: ridge divides by 1 + l2, lasso takes l1 away; zeros are met within a step lr (l1 + 0.05)."""
    x = torch.linalg.qr(torch.randn(50, 4, generator=stream, dtype=torch.float64)).Q * 50**0.5
    truth = torch.tensor([[2.0, -1.0, 0.5, 0.05]], dtype=torch.float64)
    for l1, l2, expected in ((0.0, 0.5, truth / 1.5), (0.2, 0.0, truth.sign() * (truth.abs() - 0.2).clamp_min(0))):
        net = nn.Linear(4, 1, bias=False).double()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        optimizer.register_step_pre_hook(ElasticNet(weights(net), l1=l1, l2=l2))
        for _ in range(2000):
            optimizer.zero_grad()
            ((net(x) - x @ truth.mT) ** 2 / 2).mean().backward()
            optimizer.step()
        assert torch.allclose(net.weight, expected, atol=(0.01 * (l1 + 0.05) if l1 else 0) + 1e-6)


@pytest.mark.parametrize(("how", "expected"), [
    ({"norm": 1.0}, [0.6, -0.8]), ({"norm": 9.0}, [3.0, -4.0]), ({"value": 3.5}, [3.0, -3.5])
])  # fmt: skip
def test_clipping(how, expected):
    w = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1.0)
    optimizer.register_step_pre_hook(Clip(**how))
    w.grad = torch.tensor([3.0, -4.0])
    optimizer.step()
    assert torch.allclose(-w, torch.tensor(expected), atol=1e-5)


def rbm_fit(hooks, out=None, epochs=2):
    rbm = dg.RBM(visible=64, hidden=5, generator=0)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.1)
    for hook in hooks(rbm):
        optimizer.register_step_pre_hook(hook)
    x = dg.data.load("digits").train[:200]
    dg.fit(rbm, x, dg.objectives.PersistentCD(chains=20), epochs=epochs, optimizer=optimizer, seed=0, out=out,
           progress=False)  # fmt: skip
    return rbm


def test_an_objective_with_gradients_written_by_hand_obeys_them_and_a_resumed_fit_asks_for_the_same(tmp_path):
    free = rbm_fit(lambda rbm: [])
    small = rbm_fit(lambda rbm: [ElasticNet(weights(rbm), l2=2.0), Clip(norm=50.0)], tmp_path)
    assert weights(small)[0].norm() < 0.8 * weights(free)[0].norm()
    still = rbm_fit(lambda rbm: [Clip(norm=1e-12)])
    start = dg.RBM(visible=64, hidden=5, generator=0)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(still.parameters(), start.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="l2"):
        rbm_fit(lambda rbm: [ElasticNet(weights(rbm), l2=1.0), Clip(norm=50.0)], tmp_path, 3)
    with pytest.raises(CheckpointError, match="other settings"):
        rbm_fit(lambda rbm: [], tmp_path, 3)
    rbm_fit(lambda rbm: [ElasticNet(weights(rbm), l2=2.0), Clip(norm=50.0)], tmp_path, 3)


def test_steps_that_compute_their_own_gradient_are_refused():
    w = torch.ones(2, requires_grad=True)
    for hook in (Clip(norm=1.0), ElasticNet([w], l2=1.0)):
        optimizer = torch.optim.LBFGS([w])
        optimizer.register_step_pre_hook(hook)
        with pytest.raises(ArgumentError, match="closure"):
            optimizer.step(lambda: w.square().sum())


def test_what_is_refused():
    w = torch.ones(2, requires_grad=True)
    for wrong in ({"l1": -1.0}, {"l2": -1.0}, {"l2": float("nan")}):
        with pytest.raises(ArgumentError, match=r"l[12] must"):
            ElasticNet([w], **wrong)
    with pytest.raises(ArgumentError, match="no weights"):
        ElasticNet(weights(nn.BatchNorm1d(2)), l2=1.0)
    with pytest.raises(ArgumentError, match=r"pass \[w\]"):
        ElasticNet(w, l2=1.0)
    with pytest.raises(ArgumentError, match="computed from others"):
        ElasticNet([w, 2 * w], l2=1.0)
    with pytest.raises(ArgumentError, match="Module"):
        weights([w])
    for wrong in ({}, {"norm": 1.0, "value": 1.0}, {"norm": 0.0}, {"value": -1.0}):
        with pytest.raises(ArgumentError, match=r"norm|value"):
            Clip(**wrong)


T = 7
SCHEDULES = {
    "linear until tau": (lambda o: LinearLR(o, 1.0, 0.1, total_iters=4), lambda t: 1 + min(t / 4, 1) * (0.1 - 1)),
    "steps": (lambda o: StepLR(o, step_size=3, gamma=0.5), lambda t: 0.5 ** (t // 3)),
    "exponential": (lambda o: ExponentialLR(o, gamma=math.exp(-0.3)), lambda t: math.exp(-0.3 * t)),
    "1/t": (lambda o: InverseTimeLR(o, k=0.3), lambda t: 1 / (1 + 0.3 * t)),
    "1/sqrt(t)": (lambda o: InverseTimeLR(o, k=0.3, power=0.5), lambda t: (1 + 0.3 * t) ** -0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_their_formulas_for_every_group_and_go_on_from_a_state(name):
    make, formula = SCHEDULES[name]

    def fresh():
        groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in (0.5, 2.0)]
        return torch.optim.SGD(groups, lr=1.0)

    optimizer, half = fresh(), None
    schedule = make(optimizer)
    for t in range(T):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.5 * formula(t), 2.0 * formula(t)], rel=1e-12)
        optimizer.step()
        schedule.step()
        if t == 3:
            half = schedule.state_dict(), optimizer.state_dict()
    again = fresh()
    second = make(again)
    second.load_state_dict(half[0])
    again.load_state_dict(half[1])
    for _ in range(4, T):
        again.step()
        second.step()
    assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in optimizer.param_groups]


def test_sgd_at_one_over_t_converges_where_a_constant_rate_does_not(stream):
    """Robbins & Monro: at rate 1/(1 + t) on a noisy quadratic theta_t is a mean, with variance 1/t."""
    w = torch.zeros(4000, dtype=torch.float64, requires_grad=True)  # as many runs
    optimizer = torch.optim.SGD([w], lr=1.0)
    schedule = InverseTimeLR(optimizer, k=1.0)
    for _ in range(200):
        w.grad = w.detach() - torch.randn(4000, generator=stream, dtype=torch.float64)
        optimizer.step()
        schedule.step()
    assert abs(float(w.detach().var()) * 200 - 1) < 5.5 * (2 / 4000) ** 0.5


def test_a_fit_steps_it_and_a_resumed_one_asks_for_the_same(tmp_path):
    def fitted(k, epochs, out):
        mixture = dg.explicit.BernoulliMixture(3, components=2, generator=0)
        schedule = InverseTimeLR(torch.optim.SGD(mixture.parameters(), lr=0.5), k=k)
        dg.fit(mixture, torch.eye(3), dg.objectives.MaximumLikelihood(), epochs=epochs, schedule=schedule, out=out,
               progress=False)  # fmt: skip
        return mixture, schedule

    whole, schedule = fitted(0.5, 6, tmp_path / "whole")
    assert schedule.get_last_lr() == [0.5 / (1 + 0.5 * 6)]
    fitted(0.5, 3, tmp_path / "half")
    with pytest.raises(CheckpointError, match="k"):
        fitted(0.4, 6, tmp_path / "half")
    again, _ = fitted(0.5, 6, tmp_path / "half")
    assert torch.equal(whole.logits, again.logits)


def test_a_schedule_with_wrong_numbers_is_refused():
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    for wrong in ({"k": -1.0}, {"k": 1.0, "power": -1.0}, {"k": float("inf")}):
        with pytest.raises(ArgumentError, match=r"k|power"):
            InverseTimeLR(optimizer, **wrong)
    with pytest.raises(ArgumentError, match="optimizer"):
        InverseTimeLR(None, 1.0)
