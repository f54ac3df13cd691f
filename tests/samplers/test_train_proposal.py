"""Training on running chains: the masses come right, what comes back is frozen and exact, costs add up."""

import math
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.objectives import AdversarialMixing
from deepgen.samplers import (
    EXACT,
    BreakEven,
    Involution,
    RandomWalk,
    Reversible,
    cycle,
    independence,
    mala,
    metropolis,
    mixture,
    sample_chain,
    train_proposal,
    ula,
    velocity_couplings,
)
from deepgen.testing import check_kernel
from deepgen.testing.targets import banana, mog2, unequal_mixture
from deepgen.transforms import Shift


class Place(NamedTuple):
    position: torch.Tensor


class Still:
    """A kernel that stays, and reports nothing."""

    exactness = EXACT

    def init(self, position):
        return Place(position)

    def step(self, state, *, generator):
        return state, None


def train(target, model, kernel, seed, spread=5.0, rate=3e-3, step=0.1, **options):
    start = spread * torch.randn(128, 2, generator=dg.random.generator(seed))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    sizes = {"rounds": 6, "steps": 30, "updates": 50} | options
    return train_proposal(model, kernel, mala(target, step), start, optimizer=optimizer, generator=seed, **sizes)


@pytest.mark.parametrize("kind", ["independence", "reflection"])
def test_masses_of_unequal_modes_come_right(kind, seed):
    target = unequal_mixture()
    base = dg.distributions.NormalMixture(2, components=6, generator=seed) if kind == "independence" else None
    flow = dg.explicit.RealNVP(2, transforms=4, hidden=[32, 32], base=base, generator=seed)
    trained = train(target, flow, lambda q: independence(target, q, ahead=1), seed)
    if kind == "independence":
        kernel = independence(target, trained.model)
    else:
        kernel = metropolis(target, Involution(trained.model, angle=1.2))
    chains = target.sample(1000, generator=seed)
    chains = chains[chains[:, 0] > 0][:400]  # all on the narrow side
    kernel = cycle(kernel, mala(target, 0.1))  # or a chain where q is far too small is held there beyond the run
    trace = sample_chain(kernel, chains, draws=200, warmup=200, generator=seed)
    right = (trace.draws[..., 0] > 0).double().mean(0)
    exact = 0.5 * (1 + math.erfc(5 / math.sqrt(6)) / 2)
    assert abs(float(right.mean()) - exact) < 5 * float(right.std()) / len(right) ** 0.5


def test_a_trained_proposal_is_exact(seed, alpha):
    target = banana(bend=1.0)
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[4], generator=seed)
    trained = train(target, flow, lambda q: independence(target, q, ahead=1), seed, spread=1.0, rounds=3, updates=30)

    def draw(n, generator):
        return target.sample(n, generator=generator)

    kernel = independence(target, trained.model, ahead=4)
    accepted = sample_chain(kernel, draw(1000, dg.random.generator(seed)), draws=5, generator=seed).info["accepted"]
    assert 0.2 < float(accepted.float().mean()) < 0.9
    for made in (kernel, metropolis(target, Involution(trained.model, angle=0.8))):  # with what training made of them
        check_kernel(made, draw, steps=20, reversible=made is kernel, acceptance=None, alpha=alpha, generator=seed)


def test_an_adversarial_proposal_is_exact_and_moves(seed, alpha):
    target = mog2()
    f = velocity_couplings(2, Shift, hidden=[64], generator=seed)
    objective = AdversarialMixing(2, critic=(32, 32), noise=3.0, generator=seed)
    trained = train(
        target,
        f,
        lambda q: metropolis(target, Reversible(q)),
        seed,
        rate=5e-4,
        objective=objective,
        rounds=3,
        updates=30,
        batch_size=32,
    )
    kernel = metropolis(target, Reversible(trained.model))
    check_kernel(  # its acceptance is what training made of it
        kernel,
        lambda n, generator: target.sample(n, generator=generator),
        steps=20,
        acceptance=None,
        alpha=alpha,
        generator=seed,
    )
    assert set(trained.history) == {"acceptance", "critic", "velocity"}


def test_what_comes_back_is_a_frozen_copy():
    target = mog2()
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    before = torch.get_rng_state()
    trained = train(target, flow, lambda q: independence(target, q, ahead=1), 0, rounds=2, updates=3)
    again = train(
        target,
        dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0),
        lambda q: independence(target, q, ahead=1),
        0,
        rounds=2,
        updates=3,
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(trained.position, again.position)
    assert trained.model is not flow
    assert not any(p.requires_grad for p in trained.model.parameters())
    assert trained.seconds > 0
    assert trained.history["log_likelihood"].shape == (2,)
    assert "CPU s" in repr(trained)


@pytest.mark.parametrize("kind", ["cycle", "mixture", "mixture with a kernel that reports nothing", "thin"])
def test_neural_kernels_may_be_compositions(kind, seed):
    """Steps of no length are accepted, steps of a million never: half of the moves, whichever of the two run."""
    target, flow = mog2(), dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=seed)
    short, long = (metropolis(target, RandomWalk(size)) for size in (1e-6, 1e6))
    kernel = {
        "cycle": cycle(short, long),
        "mixture": mixture(short, long),
        "mixture with a kernel that reports nothing": mixture({short: 1, long: 1, Still(): 2}),
        "thin": dg.samplers.thin(cycle(short, long), 2),
    }[kind]
    trained = train(target, flow, lambda q: kernel, seed, rounds=2, steps=800, updates=1)
    first, second = trained.history["acceptance"].tolist()
    assert math.isnan(first)
    assert abs(second - 0.5) < (5.5 * 0.5 / 200**0.5 if "mixture" in kind else 0.01)  # of 400 neural steps


def test_kernels_without_an_acceptance_have_none_in_the_history(seed):
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=seed)
    trained = train(mog2(), flow, lambda q: Still(), seed, rounds=2, updates=1)
    assert trained.history["acceptance"].isnan().all()


def test_break_even():
    gain = BreakEven(training=10.0, neural=1e-3, reference=3e-3)
    assert gain.draws == pytest.approx(5000)
    assert "from 5,000 effective draws on" in repr(gain)
    assert replace(gain, reference=1e-4).draws == math.inf
    assert "never ahead" in repr(replace(gain, reference=1e-4))


def test_biased_kernels_are_refused():
    target = mog2()
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    with pytest.raises(MissingCapability, match="biased"):
        train_proposal(flow, lambda q: independence(target, q), ula(target, 0.1), torch.zeros(5, 2), generator=0)


class Aged(NamedTuple):
    position: torch.Tensor
    age: torch.Tensor


class Ageing(Still):
    """Remembers how many steps it has made: what begins anew would forget."""

    def __init__(self):
        self.begun, self.oldest = 0, 0

    def init(self, position):
        self.begun += 1
        return Aged(position, torch.zeros(len(position)))

    def enter(self, own, other):
        return own._replace(position=other.position)

    def step(self, state, *, generator):
        self.oldest = int(state.age.max()) + 1
        return state._replace(age=state.age + 1), None


def test_the_local_kernel_goes_on_as_a_chain(seed):
    """Replicas at other temperatures must not be forgotten, nor the gradient at a point be taken twice."""
    target, local = unequal_mixture(), Ageing()
    train_proposal(
        dg.explicit.RealNVP(2, hidden=[4], generator=seed), lambda q: independence(target, q, ahead=1), local,
        torch.zeros(5, 2), rounds=3, steps=10, updates=1, generator=seed,
    )  # fmt: skip
    assert (local.begun, local.oldest) == (1, 20)  # ten steps, and every other one of twenty

    calls = []

    def density(x):
        calls.append(len(x))
        return -x.square().sum(1)

    train_proposal(
        dg.explicit.RealNVP(2, hidden=[4], generator=seed), lambda q: Still(), mala(density, 0.1), torch.zeros(5, 2),
        rounds=1, steps=10, updates=1, generator=seed,
    )  # fmt: skip
    assert len(calls) == 12  # two at the start, of which one is its check


def test_what_training_cannot_begin_with_is_refused():
    target, flow = unequal_mixture(), dg.explicit.RealNVP(2, hidden=[4])
    for wrong in (-1, 3, math.nan, "half"):
        with pytest.raises(ArgumentError, match="forget must be a finite number from 0 to 1"):
            train_proposal(flow, lambda q: Still(), mala(target, 0.1), torch.zeros(5, 2), forget=wrong)
    with pytest.raises(SupportError, match=r"chain 0 .* starts at a NaN"):
        train_proposal(flow, lambda q: Still(), mala(target, 0.1), torch.full((5, 2), math.nan))
