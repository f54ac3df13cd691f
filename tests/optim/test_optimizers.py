"""Optimizers that sample: the same numbers as the kernels, and a state that holds the random stream."""

import copy
import pickle

import pytest
import torch
from torch.distributions import Normal
from torch.optim.lr_scheduler import LambdaLR

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError
from deepgen.layers.linear import linear
from deepgen.optim import PSGLD, SGHMC, SGLD
from deepgen.streams import Streams
from tests.optim.problems import check_closure

PAIRS = {
    "SGLD": (SGLD, dg.samplers.sgld, {}),
    "PSGLD": (PSGLD, dg.samplers.psgld, {"decay": 0.9, "floor": 2.0}),
    "SGHMC": (SGHMC, dg.samplers.sghmc, {"friction": 0.3, "gradient_noise": 5.0}),
}


def mean_loss(mean, y):
    return (y - mean.squeeze(-1)).square() / 2


@pytest.mark.parametrize("name", PAIRS)
def test_mean_loss_and_weight_decay_are_the_posterior_of_the_kernel(name, stream):
    optimizer_of, kernel_of, settings = PAIRS[name]
    x = torch.randn(50, 3, generator=stream)
    y, net, decay = x.sum(1), linear(3, 1, bias=False, generator=stream), 0.02
    prior = Normal(0.0, (50 * decay) ** -0.5)
    posterior = dg.samplers.NetworkPosterior(net, lambda mean, y: -mean_loss(mean, y), x, y, prior=prior)
    kernel = kernel_of(posterior, 1e-2, **settings)
    state = kernel.init(posterior.flatten(net.state_dict())[None])
    optimizer = optimizer_of(net.parameters(), 1e-2, rows=50, weight_decay=decay, generator=3, **settings)
    g = dg.random.generator(3)
    for _ in range(10):
        state, _info = kernel.step(state, generator=g)
        optimizer.zero_grad()
        mean_loss(net(x), y).mean().backward()
        optimizer.step()
        assert torch.allclose(net.weight.detach(), state.position, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_parameters_without_axes_move_as_vectors_of_one(name):
    optimizer_of, _kernel_of, settings = PAIRS[name]
    number, vector = torch.tensor(0.5, requires_grad=True), torch.tensor([0.5], requires_grad=True)
    for w in (number, vector):
        optimizer = optimizer_of([w], 0.1, weight_decay=1.0, generator=3, **settings)
        for _ in range(3):
            w.grad = torch.zeros_like(w)
            optimizer.step()
    assert torch.equal(number, vector[0])
    assert number != 0.5


@pytest.mark.parametrize("name", ["SGLD", "SGHMC"])
def test_weight_decay_alone_is_the_prior(name, stream):
    optimizer_of, kernel_of, settings = PAIRS[name]
    settings = {**settings, "gradient_noise": 0.0} if name == "SGHMC" else settings
    w = torch.randn(100_000, generator=stream).requires_grad_()
    optimizer = optimizer_of([w], 0.2, rows=10, weight_decay=0.4, generator=stream, **settings)  # precision 4
    for _ in range(80):
        w.grad = torch.zeros_like(w)
        optimizer.step()
    own = kernel_of(lambda x: -2 * x.square().sum(-1), 0.2, **settings).stationary(torch.tensor([[4.0]]))
    assert abs(float(w.detach().var() / own) - 1) < 5.5 * (2 / 100_000) ** 0.5


def run(optimizer_of, settings, steps, saved=None):
    net = linear(3, 2, generator=dg.random.generator(0))
    optimizer = optimizer_of(net.parameters(), 1e-2, rows=20, weight_decay=0.1, generator=5, **settings)
    if saved is not None:
        net.load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
    x = torch.ones(4, 3)
    for _ in range(steps):
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("name", PAIRS)
def test_a_stopped_run_goes_on_bit_for_bit(name, tmp_path):
    optimizer_of, _kernel_of, settings = PAIRS[name]
    whole, _ = run(optimizer_of, settings, 9)
    net, optimizer = run(optimizer_of, settings, 4)
    torch.save((net.state_dict(), optimizer.state_dict()), tmp_path / "half.pt")
    saved = torch.load(tmp_path / "half.pt", weights_only=True)
    untouched = copy.deepcopy(saved)
    for _ in range(2):  # loading leaves what is loaded alone
        second, _ = run(optimizer_of, settings, 5, saved)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))
    for key, values in saved[1]["state"].items():
        for field, value in values.items():
            same = untouched[1]["state"][key][field]
            assert torch.equal(value, same) if isinstance(value, torch.Tensor) else value == same


def test_fit_stops_and_goes_on_with_it(tmp_path):
    data = dg.data.load("digits").train[:200]

    def fitted(epochs, out):
        rbm = dg.RBM(visible=64, hidden=5, generator=0)
        optimizer = SGLD(rbm.parameters(), 1e-5, rows=200, generator=1)
        dg.fit(rbm, data, dg.objectives.PersistentCD(chains=10), epochs=epochs, optimizer=optimizer, seed=0, out=out,
               progress=False)  # fmt: skip
        return rbm

    whole = fitted(4, tmp_path / "whole")
    fitted(2, tmp_path / "half")
    again = fitted(4, tmp_path / "half")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_the_global_stream_is_left_alone_and_seeds_differ():
    before = torch.get_rng_state()
    first, again = (run(SGLD, {}, 2)[0] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.weight, again.weight)
    net = linear(3, 2, generator=dg.random.generator(0))
    optimizer = SGLD(net.parameters(), 1e-2, generator=6)
    net(torch.ones(4, 3)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(net.weight, first.weight)


def test_schedules_of_torch_set_the_step():
    w = torch.zeros(3, requires_grad=True)
    optimizer = SGLD([w], 0.1, generator=0)
    schedule = LambdaLR(optimizer, lambda t: (1 + t / 10) ** -0.55)
    expected = dg.samplers.Polynomial(0.1 * 10**0.55, 10.0, 0.55)
    for t in range(5):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected(t))
        w.grad = torch.zeros_like(w)
        optimizer.step()
        schedule.step()


def test_a_closure_gives_the_loss_and_parameters_without_gradient_stay():
    check_closure(lambda parameters: SGHMC(parameters, 1e-2, generator=0))


GROUPS = [
    (PSGLD, {"decay": 2.0}, "decay"), (PSGLD, {"floor": 0.0}, "floor"), (SGHMC, {"friction": 0.0}, "friction"),
    (SGHMC, {"gradient_noise": -1.0}, "gradient_noise"),
    (SGHMC, {"gradient_noise": 100.0}, "friction must be at least"),
    (SGLD, {"lr": 0.0}, "lr"), (SGLD, {"lr": "x"}, "lr"),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer_of", "setting", "match"), GROUPS)
def test_settings_of_each_group_are_checked(optimizer_of, setting, match):
    w, other = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=match):
        optimizer_of([{"params": [w], **setting}], 0.1, generator=0)
    optimizer = optimizer_of([w], 0.1, generator=0)
    with pytest.raises(ArgumentError, match=match):
        optimizer.add_param_group({"params": [other], **setting})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [other]})


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_goes_on_by_itself(name, copied):
    optimizer_of, _kernel_of, settings = PAIRS[name]

    def on(w, optimizer):
        for _ in range(3):
            w.grad = torch.zeros_like(w)
            optimizer.step()
        return w.detach().clone()

    w = torch.ones(3, requires_grad=True)
    optimizer = optimizer_of([w], 0.1, weight_decay=1.0, generator=3, **settings)
    on(w, optimizer)
    other, twin = copied((w, optimizer))
    ended = on(other, twin)
    assert not torch.equal(ended, w)
    assert torch.equal(ended, on(w, optimizer))


def test_what_is_refused():
    w = [torch.ones(3, requires_grad=True)]
    for wrong in ({"lr": 0.0}, {"lr": 0.1, "rows": 0}, {"lr": 0.1, "weight_decay": -1.0}):
        with pytest.raises(ArgumentError):
            SGLD(w, generator=0, **wrong)
    with pytest.raises(ArgumentError, match="rows"):
        SGLD([{"params": w, "rows": -1}], 0.1, generator=0)
    with pytest.raises(ArgumentError, match="friction"):
        SGHMC(w, 0.1, friction=0.0, generator=0)
    with pytest.raises(ArgumentError, match="decay"):
        PSGLD(w, 0.1, decay=1.0, generator=0)
    with pytest.raises(ArgumentError, match=r"friction must be at least .* = 25, got 0.1"):
        SGHMC(w, 1.0, friction=0.1, gradient_noise=100.0, generator=0)
    with pytest.raises(ArgumentError, match="no Streams"):
        SGLD(w, 0.1, generator=Streams(0))
    for optimizer in (SGLD, PSGLD, SGHMC):
        for none in ([], [{"params": []}], (p for p in ())):
            with pytest.raises(ArgumentError, match="nothing to train"):
                optimizer(none, 0.1)
        with pytest.raises(ArgumentError, match=r"pass \[w\]"):
            optimizer(w[0], 0.1)
        assert optimizer([{"params": []}, {"params": w}], 0.1, generator=0).generator.device.type == "cpu"
    with pytest.raises(CheckpointError, match="no random stream"):
        SGLD(w, 0.1, generator=0).load_state_dict(torch.optim.SGD(w, 0.1).state_dict())
