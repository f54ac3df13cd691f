"""Reversible maps and reflections: undone by themselves, with the determinant of autograd, and exact however random."""

import math
from dataclasses import dataclass

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.samplers import Involution, Reversible, metropolis, sample_chain, velocity_couplings
from deepgen.streams import Streams
from deepgen.testing import CheckFailed, check_kernel
from deepgen.testing.targets import banana
from deepgen.transforms import Scale, Shift


def randomised(module, size, seed=0):
    """A network with some effect: a new one is the identity."""
    stream = dg.random.generator(seed)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "last" in name:
                weight.copy_(size * torch.randn(weight.shape, generator=stream))
    return module.requires_grad_(False)


def reversible(univariate, velocity=2, size=0.4):
    return Reversible(
        randomised(velocity_couplings(2, univariate, velocity=velocity, hidden=[16], generator=1), size), velocity
    )


def involution(angle, size=0.05):
    return Involution(randomised(dg.explicit.RealNVP(2, transforms=3, hidden=[16], generator=2), size), angle)


PROPOSALS = {
    "NICE": lambda: reversible(Shift, size=0.17),
    "NICE, wide v": lambda: reversible(Shift, velocity=3, size=0.25),
    "RealNVP": lambda: reversible(Scale, size=0.1),
    "reflection": lambda: involution(1.0),
    "reflection to noise": lambda: involution(math.pi / 2),
}


def draw(n, generator):
    return banana().sample(n, generator=generator)


@pytest.mark.parametrize("name", PROPOSALS)
def test_stays_at_the_target(name, seed, alpha):
    kernel = metropolis(banana(), PROPOSALS[name]())
    trace = sample_chain(kernel, draw(2000, dg.random.generator(seed)), draws=5, generator=seed)
    assert 0.3 < trace.info["accepted"].float().mean() < 0.8  # where mistakes show
    check_kernel(kernel, draw, steps=20, reversible=True, acceptance=(0.3, 0.8), alpha=alpha, generator=seed)


def test_tempered_ones_stay_at_theirs(seed, alpha):
    for proposal in (reversible(Scale, size=0.1), involution(1.0, size=0.12)):
        kernel = metropolis(lambda x: -x.square().sum(-1), proposal).at(0.5)  # at beta = 1/2, N(0, 1)
        check_kernel(
            kernel, lambda n, generator: torch.randn(n, 2, generator=generator), steps=20, alpha=alpha, generator=seed
        )


@dataclass(frozen=True)
class NoDeterminant:
    """The transform of a `Reversible`, its determinant dropped."""

    transform: torch.nn.Module

    def encode(self, z):
        moved, log_det = self.transform.encode(z)
        return moved, 0 * log_det

    def decode(self, z):
        moved, log_det = self.transform.decode(z)
        return moved, 0 * log_det


@dataclass(frozen=True)
class Forward(Reversible):
    """f alone: no way back."""

    def propose(self, target, state, beta, *, generator):
        v = torch.randn(state.position.shape, generator=generator)
        moved, log_det = self.transform.encode(torch.cat([state.position, v], 1))
        x, new_v = moved.chunk(2, 1)
        return self.init(target, x), log_det + (v.square() - new_v.square()).sum(1) / 2


@dataclass(frozen=True)
class Planted(Involution):
    """One term of the ratio wrong."""

    defect: str = ""

    def propose(self, target, state, beta, *, generator):
        new, ratio = super().propose(target, state, beta, generator=generator)
        if self.defect == "log-det dropped":
            ratio = ratio - state.log_det + new.log_det
        if self.defect == "log-det upside down":
            ratio = ratio - 2 * (state.log_det - new.log_det)
        if self.defect == "velocity dropped":
            ratio = state.log_det - new.log_det
        return new, ratio


def a_law_and_a_flow_near_it():
    """Determinants that vary much and yet a good acceptance: a flow's own law, its weights disturbed a little."""
    law = involution(1.0, size=0.3).flow
    near = involution(1.0, size=0.3).flow
    stream = dg.random.generator(3)
    for weight in near.parameters():
        weight.add_(0.1 * torch.randn(weight.shape, generator=stream))
    return law, near


@pytest.mark.parametrize("angle", [1.0, math.pi / 2])
def test_a_good_flow_stays_at_the_target(angle, seed, alpha):
    law, near = a_law_and_a_flow_near_it()
    kernel = metropolis(law, Involution(near, angle))
    trace = sample_chain(kernel, law.sample(2000, generator=seed), draws=5, generator=seed)
    assert 0.4 < trace.info["accepted"].float().mean() < 0.8
    check_kernel(kernel, lambda n, generator: law.sample(n, generator=generator), steps=20, alpha=alpha, generator=seed)


@pytest.mark.parametrize("defect", ["log-det dropped", "log-det upside down", "velocity dropped"])
def test_planted_defects_of_reflections_are_caught(defect, seed):
    law, near = a_law_and_a_flow_near_it()
    kernel = metropolis(law, Planted(near, 1.0, defect))
    with pytest.raises(CheckFailed):
        check_kernel(kernel, lambda n, generator: law.sample(n, generator=generator), steps=20, generator=seed)


def test_planted_defects_of_reversible_maps_are_caught(seed):
    f = reversible(Scale, size=0.1).transform
    for wrong in (Reversible(NoDeterminant(f)), Forward(f)):
        with pytest.raises(CheckFailed):
            check_kernel(metropolis(banana(), wrong), draw, steps=20, generator=seed)


@pytest.mark.parametrize("name", ["NICE", "RealNVP"])
def test_both_ways_and_determinant(name, float64):
    f = PROPOSALS[name]().transform.double()
    z = torch.randn(5, 4, generator=dg.random.generator(0))
    there, log_det = f.encode(z)
    back, back_det = f.decode(there)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(back_det, -log_det)
    for row in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda one: f.encode(one[None])[0][0], z[row])
        torch.testing.assert_close(jacobian.det().abs().log(), log_det[row])


@pytest.mark.parametrize("angle", [0.3, math.pi / 2])
def test_a_reflection_undoes_itself(angle, float64):
    flow = involution(angle).flow.double()
    c, s = math.cos(angle), math.sin(angle)

    def involute(z):
        x, v = z.chunk(2, -1)
        u = flow.encode(x)[0]
        return torch.cat([flow.decode(c * u + s * v)[0], s * u - c * v], -1)

    z = torch.randn(5, 4, generator=dg.random.generator(0))
    torch.testing.assert_close(involute(involute(z)), z)
    for row in range(5):  # the ratio that propose gives, less that of N(v), is the determinant
        jacobian = torch.autograd.functional.jacobian(lambda one: involute(one[None])[0], z[row])
        x, moved = z[row : row + 1, :2], involute(z[row : row + 1])[:, :2]
        stated = flow.encode(x)[1] - flow.encode(moved)[1]
        torch.testing.assert_close(jacobian.det().abs().log(), stated[0])


def test_the_reflection_to_noise_is_the_independence_sampler(float64, stream):
    flow = involution(math.pi / 2).flow.double()
    target, position = banana(), draw(50, stream).double()
    state = Involution(flow).init(target, position)
    new, ratio = Involution(flow).propose(target, state, 1.0, generator=stream)
    torch.testing.assert_close(ratio, flow.log_prob(position) - flow.log_prob(new.position))


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_chain_has_its_own_numbers(name):
    kernel = metropolis(banana(), PROPOSALS[name]())
    start = draw(10, dg.random.generator(0))
    together = sample_chain(kernel, start, draws=9, generator=Streams(5)).draws
    apart = sample_chain(kernel, start[6:], draws=9, generator=Streams(5, first=6)).draws
    torch.testing.assert_close(apart, together[:, 6:])


def test_events_that_are_numbers_move_as_vectors_of_one(seed):
    f = randomised(velocity_couplings(1, Scale, hidden=[8], generator=0), 0.3)
    start = torch.linspace(-2, 2, 9)
    numbers = metropolis(lambda x: -x.square() / 2, Reversible(f))
    vectors = metropolis(lambda x: -x.square().squeeze(1) / 2, Reversible(f))
    drawn = sample_chain(numbers, start, draws=5, generator=seed).draws
    assert drawn.shape == (5, 9)
    assert torch.equal(sample_chain(vectors, start[:, None], draws=5, generator=seed).draws.squeeze(-1), drawn)


@pytest.mark.parametrize(("velocity", "features"), [(None, 3), (None, 1), (3, 2), (1, 2), (2, 1)])
def test_a_map_of_another_width_is_refused(velocity, features):
    f = velocity_couplings(2, Scale, hidden=[8], generator=0)
    kernel = metropolis(lambda x: -x.square().sum(-1) / 2, Reversible(f, velocity))
    with pytest.raises(ShapeError, match="it has 4"):
        kernel.init(torch.zeros(5, features))


def test_odd_arguments_are_refused():
    flow = dg.explicit.RealNVP(2, hidden=[8], base=dg.distributions.StudentT(2), generator=0)
    with pytest.raises(ArgumentError, match="standard Gaussian base"):
        Involution(flow)
    with pytest.raises(ArgumentError, match="angle"):
        involution(2.0)
    with pytest.raises(MissingCapability, match=r"encode and decode, .* got Linear"):
        Reversible(torch.nn.Linear(4, 4))
    with pytest.raises(ArgumentError, match="velocity"):
        Reversible(flow.transform, velocity=0)
    with pytest.raises(ArgumentError, match="transforms"):
        velocity_couplings(2, Shift, transforms=1)


def test_maps_that_do_not_fit_are_refused(stream):
    with pytest.raises(MissingCapability, match="encode"):
        Reversible(torch.nn.Linear(4, 4))
    for features, velocity in ((1, 1), (4, 4), (2, 3)):
        f = velocity_couplings(features, Shift, velocity=velocity, hidden=[4], generator=0)
        with pytest.raises(ShapeError, match=f"4 numbers for x .2.; it has {features + velocity}"):
            metropolis(banana(), Reversible(f)).init(torch.zeros(5, 2))

    class Narrow:
        encode = decode = staticmethod(lambda z: (z[:, 1:], torch.zeros(len(z))))

    kernel = metropolis(banana(), Reversible(Narrow()))
    with pytest.raises(ShapeError, match=r"got \[5, 3\] and \[5\]"):
        kernel.step(kernel.init(torch.zeros(5, 2)), generator=stream)
