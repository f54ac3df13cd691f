"""One contract of randomness for everything that draws."""

import pytest
import torch

import deepgen as dg
from deepgen.testing import check_random
from tests.contracts.layers import PAIRS, machine

CALLS = {
    "sample": lambda rbm, x, g: rbm.sample(8, steps=2, generator=g),
    "conditional_sample": lambda rbm, x, g: rbm.conditional_sample(
        x, torch.arange(x.shape[1]) < 0, steps=2, generator=g
    ),
    "sample_chain": lambda rbm, x, g: dg.samplers.sample_chain(rbm.gibbs(0.5), x, draws=2, generator=g).draws,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("pair", [f"{kind}-{kind}" for kind in ("bernoulli", "spin", "softmax", "gaussian", "mixed")])
def test_machines(call, pair, stream):
    rbm = machine(pair)
    x = rbm.sample(16, steps=1, generator=0)
    check_random(lambda generator: CALLS[call](rbm, x, generator), generator=stream)


@pytest.mark.parametrize("pair", PAIRS)
def test_steps_and_conditionals(pair, stream):
    rbm = machine(pair)
    kernel = rbm.gibbs()
    x = rbm.sample(16, steps=1, generator=0)
    state = kernel.init(x)
    check_random(lambda generator: kernel.step(state, generator=generator), seeds=False, generator=stream)
    law = rbm.hidden_given(x)
    check_random(lambda generator: dg.random.draw(law, (4,), generator=generator), seeds=False, generator=stream)


@pytest.mark.parametrize("method", ["ais", "reverse", "bidirectional", "raise"])
def test_estimators(method, stream):
    rbm = machine("bernoulli-mixed")
    x = rbm.visible.enumerate(0, 8).float()

    def estimate(generator):
        found = dg.evaluate.log_likelihood(rbm, x, method, chains=8, temperatures=10, generator=generator)
        ends = (found.below, found.above) if isinstance(found, dg.evaluate.Bracket) else (found,)
        return [(one.value, one.stderr) for one in ends]

    check_random(estimate, generator=stream)


OBJECTIVES = {
    "persistent": dg.objectives.PersistentCD(k=1, chains=10),
    "contrastive": dg.objectives.ContrastiveDivergence(k=1),
    "persistent, sparse": dg.objectives.PersistentCD(k=2, chains=10, binary=True),
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fits(objective, stream):
    x = (torch.rand(50, 12, generator=stream) < 0.2).float()

    def train(seed):
        rbm = dg.RBM(12, 4, generator=0)
        history = dg.fit(rbm, x, OBJECTIVES[objective], epochs=2, batch_size=20, seed=seed, progress=False)
        assert len(history) == 2
        return rbm

    one, two = (int(s) for s in torch.randint(2**31, (2,), generator=stream))
    before = torch.get_rng_state()
    first = train(one)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)  # elsewhere in the program
    assert torch.equal(first.weight, train(one).weight)
    assert not torch.equal(first.weight, train(two).weight)
    torch.set_rng_state(before)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_single_updates(objective, stream):
    x = (torch.rand(50, 12, generator=stream) < 0.2).float()

    def update(generator):
        g = dg.random.resolve(generator)
        rbm = dg.RBM(12, 4, generator=0)
        method = OBJECTIVES[objective]
        step = method.update(rbm, method.optimizer(rbm))
        state, _metrics = step(method.start(rbm, x, generator=g), x, generator=g)
        return rbm, state

    check_random(update, generator=stream)
