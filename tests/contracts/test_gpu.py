"""Machines on an accelerator: the same laws there, with a generator of that device.

Every test runs on the CPU too, unmarked, so that its body is known to be right where there is no accelerator.
"""

import math

import pytest
import torch

import deepgen as dg
from deepgen.evaluate import log_likelihood, log_partition, pseudo_likelihood
from deepgen.explicit import RBM, BernoulliMixture
from deepgen.testing import Exact, check_checkpoint, check_random, same_law
from tests.contracts.layers import PAIRS, machine

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SOME = ["bernoulli-bernoulli", "spin-softmax", "gaussian-bernoulli", "softmax-gaussian", "mixed-spin"]

pytestmark = pytest.mark.parametrize("device", DEVICES)


def two_values():
    return torch.tensor([[0.0], [1.0]]).expand(2, 9).repeat(10, 1)


@pytest.mark.parametrize("pair", PAIRS)
def test_chains_on_the_device_stay_at_their_target(pair, device, seed, alpha):
    rbm = machine(pair)
    exact, stream = Exact(rbm), dg.random.generator(seed)
    start, fresh = (exact.sample(8192, generator=stream)[0] for _ in range(2))
    rbm.to(device)
    g = dg.random.generator(seed, device)
    end = rbm.sample(8192, steps=5, start=start, generator=g)
    assert end.device.type == device
    p = same_law(end, fresh, generator=stream)
    assert len(p) * min(p) > alpha
    mask = torch.zeros(rbm.visible.width, dtype=torch.bool)
    assert rbm.conditional_sample(start, mask, steps=2, generator=g).device.type == device
    there = rbm.log_density(start.to(device)).cpu()
    assert torch.allclose(there, machine(pair).log_density(start), rtol=1e-3, atol=1e-3)


def test_randomness_on_the_device(device, seed):
    rbm = machine("bernoulli-bernoulli").to(device)

    def numbers(generator):  # check_random hands out CPU generators
        seeds = torch.randint(2**31, (1,), generator=generator)
        return rbm.sample(64, steps=2, generator=dg.random.generator(int(seeds), device))

    check_random(numbers, seeds=False, generator=seed)
    law = rbm.hidden_given(torch.zeros(16, 3, device=device))
    state = torch.cuda.get_rng_state if device == "cuda" else torch.get_rng_state
    before = state()
    one = dg.random.draw(law, (8,), generator=dg.random.generator(seed, device))
    assert torch.equal(one, dg.random.draw(law, (8,), generator=dg.random.generator(seed, device)))
    assert torch.equal(before, state())
    children = dg.random.spawn(dg.random.generator(seed, device), 3)
    assert len({torch.rand(2, device=device, generator=child).sum().item() for child in children}) == 3


@pytest.mark.parametrize("pair", SOME)
def test_log_z_on_the_device(pair, device, seed, alpha):
    rbm = machine(pair)
    exact = Exact(rbm)
    truth, samples = exact.log_z.item(), exact.sample(400, generator=dg.random.generator(seed))[0]
    rbm.to(device)
    assert log_partition(rbm, "exact").value == pytest.approx(truth, abs=1e-4)
    found = log_partition(
        rbm, "bidirectional", samples=samples, exact_samples=True, chains=400, temperatures=60,
        generator=dg.random.generator(seed, device),
    )  # fmt: skip
    for one in (found.below, found.above):
        assert one.stderr < 0.1
        low, high = one.interval(1 - alpha)
        assert low - one.stderr - 1e-3 < truth < high + one.stderr + 1e-3  # skewed weights, float32


@pytest.mark.parametrize("method", ["exact", "ais", "reverse", "raise", "pseudo"])
def test_likelihoods_on_the_device(method, device, seed):
    """Rows may still lie on the CPU; what is not drawn is as it is there."""
    rbm, g = machine("bernoulli-bernoulli"), dg.random.generator(seed, device)
    x = rbm.visible.enumerate(0, 8).float()
    expected = log_likelihood(rbm, x, method, generator=seed)
    for rows in (x, x.to(device)):
        found = log_likelihood(rbm.to(device), rows, method, generator=g)
        assert (found.side, found.method) == (expected.side, expected.method)
        assert found.value == pytest.approx(expected.value, abs=1e-5 + 8 * math.hypot(found.stderr, expected.stderr))
    some = pseudo_likelihood(rbm, x.to(device), units=2, generator=seed)
    assert abs(some.value - pseudo_likelihood(rbm, x).value) < 8 * some.stderr


OBJECTIVES = {
    "persistent": lambda: dg.objectives.PersistentCD(k=1, chains=100),
    "persistent, as products": lambda: dg.objectives.PersistentCD(k=2, chains=100, binary=False),
    "contrastive": lambda: dg.objectives.ContrastiveDivergence(k=1),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_on_the_device(objective, device, seed):
    """Rows of all zeros and all ones: fair coins give them -9 log 2 = -6.2 nats, their own law -log 2."""
    x = two_values().to(device)
    rbm = RBM(9, 12, generator=seed).to(device)
    fast = torch.optim.SGD(rbm.parameters(), lr=0.1)
    history = dg.fit(
        rbm, x, OBJECTIVES[objective](), epochs=200, batch_size=10, optimizer=fast, schedule=lambda t: 1 - t, seed=seed,
        progress=False,
    )  # fmt: skip
    assert {p.device.type for p in rbm.parameters()} == {device}
    assert len(history) == 200
    value = log_likelihood(rbm, x).value
    assert -3 < value <= -math.log(2)  # -1.7 and better over 200 seeds
    assert value == pytest.approx(log_likelihood(rbm.cpu(), x.cpu()).value, abs=1e-4)


def test_real_rows_and_normalised_models_train_on_the_device(device, seed):
    stream = dg.random.generator(seed)
    x = (torch.randn(200, 4, generator=stream) + 3).to(device)
    rbm = RBM(dg.explicit.Gaussian(4, learned=True), 3, generator=seed).to(device)
    before = log_likelihood(rbm, x).value
    dg.fit(rbm, x, dg.objectives.PersistentCD(chains=50), epochs=60, batch_size=50, seed=seed, progress=False)
    assert log_likelihood(rbm, x).value > before + 5  # means of 3 cost 4 * 9 / 2 = 18 nats where the model has none
    bits = two_values().to(device)
    mixture = BernoulliMixture(9, components=2).initialise(bits, generator=seed).to(device)
    before = log_likelihood(mixture, bits).value
    dg.fit(mixture, bits, dg.objectives.MaximumLikelihood(), epochs=20, seed=seed, progress=False)
    assert log_likelihood(mixture, bits).value > before
    assert mixture.sample(3, generator=dg.random.generator(seed, device)).device.type == device


def test_chains_are_kept_and_models_saved_from_the_device(device, seed):
    rbm = machine("bernoulli-mixed").to(device)
    g = dg.random.generator(seed, device)
    trace = dg.samplers.sample_chain(rbm.gibbs(), rbm.sample(4, steps=1, generator=g), draws=50, generator=g)
    assert trace.draws.device.type == device
    assert len(trace.summary()) == 3
    check_checkpoint(rbm)


def test_generators_of_another_device_are_refused(device):
    rbm = machine("bernoulli-bernoulli").to(device)
    if device == "cpu":  # no other device is needed to see that a CPU generator is welcome
        assert rbm.sample(2, steps=1, generator=dg.random.generator(0)).device.type == "cpu"
        return
    with pytest.raises(dg.errors.ArgumentError, match="generator lives on cpu"):
        rbm.sample(2, steps=1, generator=dg.random.generator(0))
