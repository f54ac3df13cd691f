"""Independence Metropolis: right for any q, however its candidates are drawn; its weights and its streams."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

import deepgen as dg
from deepgen.distributions import NormalMixture, StandardLogistic, StudentT
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.random import streams
from deepgen.samplers import Independence, heaviest, independence, metropolis, sample_chain
from deepgen.samplers.candidates import candidates, own_draws
from deepgen.samplers.independence import IndependenceKernel, Scored
from deepgen.streams import Streams
from deepgen.testing import CheckFailed, check_kernel, same_law
from deepgen.testing.targets import banana

WIDE = MultivariateNormal(torch.tensor([0.2, 0.3]), torch.tensor([[2.0, 0.5], [0.5, 1.5]]))


def flow(base=None, seed=0, scale=1.0):
    """RealNVP with random networks of some effect; an untrained one would be the identity."""
    made = dg.explicit.RealNVP(2, transforms=3, hidden=[8], base=base, generator=seed)
    stream = dg.random.generator(seed + 1)
    with torch.no_grad():
        for name, weight in made.transform.named_parameters():
            if "last" in name:
                weight.copy_(scale * 0.3 * torch.randn(weight.shape, generator=stream))
    return made.requires_grad_(False)


def lumps():
    base = NormalMixture(2, components=3, generator=0)
    with torch.no_grad():
        base.means.mul_(0.5)
    return base


SHARE = (0.25, 0.8)  # accepted by these q, where mistakes show; there is no step size to choose


def draw(n, generator):
    return banana().sample(n, generator=generator)


@pytest.mark.parametrize("ahead", [1, 3, 16])
@pytest.mark.parametrize("model", ["gaussian", "flow", "t flow", "mixture flow", "common stream"])
def test_stays_at_the_target(model, ahead, seed, alpha):
    q = {
        "gaussian": lambda: WIDE,
        "flow": flow,
        "t flow": lambda: flow(StudentT(2, df=4.0)),
        "mixture flow": lambda: flow(lumps()),
        "common stream": lambda: Independent(torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1),
    }[model]()
    kernel = independence(banana(), q, ahead=ahead)
    check_kernel(kernel, draw, steps=20, reversible=True, acceptance=SHARE, alpha=alpha, generator=seed)


def test_the_proposal_alone_stays_too(seed, alpha):
    kernel = metropolis(banana(), Independence(flow()))
    check_kernel(kernel, draw, steps=20, reversible=True, acceptance=SHARE, alpha=alpha, generator=seed)


@dataclass(frozen=True)
class Planted(Independence):
    """One line wrong."""

    defect: str = ""

    def draw(self, target, chains, ahead, *, generator):
        x, log_q = candidates(self.model, chains, ahead, generator=generator)
        if self.defect == "q-ratio dropped":
            log_q = 0 * log_q
        if self.defect == "q-ratio upside down":
            log_q = -log_q
        if self.defect == "scores of the neighbour":
            log_q = log_q.roll(1, 1)
        return Scored(x, target.value(x.flatten(0, 1)).view(chains, ahead), log_q)

    def init(self, target, position):
        start = super().init(target, position)
        sign = {"q-ratio dropped": 0.0, "q-ratio upside down": -1.0}.get(self.defect, 1.0)
        return start._replace(log_q=sign * start.log_q)


@pytest.mark.parametrize("defect", ["q-ratio dropped", "q-ratio upside down", "scores of the neighbour"])
def test_planted_defects_are_caught(defect, seed):
    kernel = IndependenceKernel(banana(), Planted(flow(), defect), ahead=4)
    with pytest.raises(CheckFailed):
        check_kernel(kernel, draw, steps=20, generator=seed)


@pytest.mark.parametrize("base", [None, StudentT(2, df=4.0), lumps()])
def test_a_chain_has_its_own_numbers(base):
    kernel = independence(banana(), flow(base), ahead=4)
    start = draw(10, dg.random.generator(0))
    together = sample_chain(kernel, start, draws=11, generator=Streams(5)).draws
    apart = sample_chain(kernel, start[6:], draws=11, generator=Streams(5, first=6)).draws
    torch.testing.assert_close(apart, together[:, 6:])


def test_a_chain_goes_on_as_if_never_stopped():
    for q in (WIDE, Independent(torch.distributions.Laplace(torch.zeros(2), torch.ones(2)), 1)):
        kernel = independence(banana(), q, ahead=4)
        whole = sample_chain(kernel, torch.zeros(5, 2), draws=11, generator=Streams(5))
        first = sample_chain(kernel, torch.zeros(5, 2), draws=6, generator=Streams(5))
        second = sample_chain(kernel, first.state, draws=5, generator=first.generator.copy())
        assert torch.equal(torch.cat([first.draws, second.draws]), whole.draws)


@pytest.mark.parametrize(
    "law",
    [
        Independent(Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])), 1),
        WIDE,
        StudentT(2, df=5.0)(),
        StudentT(2, df=1.5)(),
        StandardLogistic(2)(),
        lumps()(),
    ],
)
def test_draws_from_streams_have_the_law(law, stream, alpha):
    with torch.no_grad():
        ours = own_draws(law, (2000, 3), generator=streams(stream)).flatten(0, 1)
        theirs = dg.random.draw(law, (6000,), generator=stream)
        p = same_law(ours, theirs, generator=stream)
        assert len(p) * min(p) > alpha


def test_the_acceptance_is_the_known_one(stream):
    # N(0, 1) from N(0, s^2): E min(1, w'/w) = 2 E_f[P_q(w' > w)] = 1 - (2/pi) arctan((s^2 - 1) / (2 s)) for s > 1
    s = 2.0
    target = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    kernel = independence(target, Independent(Normal(torch.zeros(1), s * torch.ones(1)), 1))
    chance = sample_chain(kernel, torch.randn(5000, 1, generator=stream), draws=10, generator=stream).info["acceptance"]
    expected = 1 - 2 / torch.pi * torch.tensor((s * s - 1) / (2 * s)).arctan()
    assert float((chance.mean() - expected).abs()) < 5 * float(chance.mean(0).std()) / 5000**0.5


def test_heaviest_sees_light_tails(stream):
    target = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    found = {}
    for name, scale in (("wide", 2.0), ("narrow", 0.5)):
        kernel = independence(target, Independent(Normal(torch.zeros(1), scale * torch.ones(1)), 1))
        found[name] = heaviest(sample_chain(kernel, torch.zeros(1000, 1), draws=50, generator=stream).info)
    assert found["wide"] == pytest.approx(2.0, rel=0.05)  # the greatest ratio of the densities
    assert found["narrow"] > 20


def test_heaviest_sees_a_chain_that_is_held():
    target = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    kernel = independence(target, Independent(Normal(torch.zeros(1), 0.5 * torch.ones(1)), 1))
    start = torch.zeros(100, 1)
    start[7] = 4.0
    trace = sample_chain(kernel, start, draws=50, generator=0)
    assert not bool(trace.info["accepted"][:, 7].any())
    assert heaviest(trace.info) > 1e8
    assert heaviest({**trace.info, "held": trace.info["held"][:, 8:]}) < 1e6


def test_what_waits_stays_when_another_kernel_moves_the_chains():
    kernel = independence(banana(), WIDE, ahead=4)
    state, _info = kernel.step(kernel.init(torch.zeros(5, 2)), generator=streams(0))
    moved = kernel.enter(state, kernel.init(torch.ones(5, 2)))
    assert moved.waiting is state.waiting
    torch.testing.assert_close(moved.log_q, WIDE.log_prob(torch.ones(5, 2)))
    torch.testing.assert_close(moved.log_density, banana().log_density(torch.ones(5, 2)))


def test_discrete_models_propose_for_discrete_targets(seed, alpha):
    q, p = (dg.explicit.MADE(4, hidden=[8], generator=i).requires_grad_(False) for i in (0, 1))
    stream = dg.random.generator(0)
    for weight in (*q.parameters(), *p.parameters()):
        weight.normal_(0, 0.5, generator=stream)  # as they are made they are all but uniform, and q is p
    kernel = independence(p, q, ahead=4)
    check_kernel(
        kernel, lambda n, generator: p.sample(n, generator=generator).float(), steps=5, alpha=alpha, generator=seed
    )


def test_tempering_keeps_the_state(seed, alpha):
    cold = independence(lambda x: -x.square().sum(-1), WIDE).at(0.5)  # at beta = 1/2, N(0, 1)
    check_kernel(
        cold,
        lambda n, generator: torch.randn(n, 2, generator=generator),
        steps=20,
        acceptance=SHARE,
        alpha=alpha,
        generator=seed,
    )


def test_what_cannot_propose_is_refused():
    with pytest.raises(MissingCapability, match="got Linear"):
        independence(banana(), torch.nn.Linear(2, 1))
    with pytest.raises(MissingCapability, match="got RBM"):
        independence(banana(), dg.RBM(2, 2))
    with pytest.raises(ArgumentError, match="ahead"):
        independence(banana(), WIDE, ahead=0)
    with pytest.raises(ShapeError, match="Independent"):
        independence(banana(), Normal(0.0, 1.0)).init(torch.zeros(3, 2))


@pytest.mark.parametrize("make", [independence, lambda f, q: metropolis(f, Independence(q))])
def test_laws_over_other_events_are_refused(make):
    def f(x):
        return -x.square().sum(-1)

    for law in (Normal(0.0, 1.0), Normal(torch.zeros(2), 1.0)):
        with pytest.raises(ShapeError, match=r"must be \[5\], got \[5, 2\]"):
            make(f, law).init(torch.zeros(5, 2))
    for size in (1, 3):  # one number would be taken for all coordinates
        with pytest.raises(ShapeError, match=rf"over events \[{size}\]"):
            make(f, Independent(Normal(torch.zeros(size), 1.0), 1)).init(torch.zeros(5, 2))


class HalfNormal(torch.distributions.Normal):
    """Only its own methods know that it is one."""

    def sample(self, sample_shape=()):
        return super().sample(sample_shape).abs()

    def log_prob(self, value):
        return torch.where(value >= 0, super().log_prob(value) + math.log(2), -torch.inf)


def test_subclasses_are_drawn_by_their_own_methods(stream):
    one = torch.distributions.Independent(HalfNormal(torch.zeros(1), 1.0), 1)
    x, log_q = candidates(one, 100, 5, generator=dg.random.streams(stream))
    assert (x >= 0).all()
    assert log_q.isfinite().all()
