"""check_kernel passes what is right and catches every defect planted here: its mutation score."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest
import torch

import deepgen as dg
from deepgen.explicit import Gaussian, Product
from deepgen.samplers import EXACT, BlockGibbs, accept
from deepgen.samplers.block_gibbs import GibbsInfo, GibbsState
from deepgen.testing import CheckFailed, Exact, check_kernel
from tests.machines import machine


@dataclass(frozen=True)
class Planted(BlockGibbs):
    """Block Gibbs with one line wrong."""

    defect: str = ""

    @torch.no_grad()
    def step(self, state, *, generator):
        m, d, v = self.model, self.defect, state.position
        field = self.beta * m.hidden_field(v)
        if d == "hidden bias missing":
            field = v @ m.weight
        if d == "weights doubled":
            field = field + v @ m.weight
        h = m.hidden.sample(field, generator=generator)
        if d == "hidden mean for a sample":
            h = m.hidden.mean(field)
        if d == "chains exchange hidden layers":
            h = h[torch.randperm(len(h), generator=generator)]
        if d == "neighbour's hidden layer":
            h = h.roll(1, 0)
        back = self.beta * m.visible_field(h)
        if d == "wrong beta":
            back = 0.8 * back
        if d == "visible bias missing":
            back = h @ m.weight.T
        if d == "visible sign":
            back = -back
        if d == "first unit without bias":
            back = back.clone()
            back[:, 0] -= m.visible_bias[0]
        v_new = m.visible.sample(back, generator=generator)
        if d == "sampler of p^0.9":
            v_new = m.visible.sample(0.9 * back, generator=generator)
        if d == "uniforms shared by chains":
            u = torch.rand(1, v.shape[1], generator=generator)
            v_new = (u < back.sigmoid()).to(v)
        if d == "uniforms shared by units":
            u = torch.rand(len(v), 1, generator=generator)
            v_new = (u < back.sigmoid()).to(v)
        if d == "visible mean for a sample":
            v_new = back.sigmoid()
        if d == "one unit never updated":
            v_new[:, 0] = v[:, 0]
        if d == "state changed in place":
            state.position.copy_(v_new)
            v_new = state.position
        if d == "does not move":
            v_new = v
        if d == "dtype":
            v_new = v_new.double()
        if d == "drifts to ones":
            v_new = torch.where(torch.rand(v.shape, generator=generator) < 0.05, 1.0, v_new)
        if d == "nan":
            v_new = torch.where(torch.rand(v.shape, generator=generator) < 0.001, torch.nan, v_new)
        return GibbsState(v_new), GibbsInfo(h, back.isnan().any(-1))


def draws_of(rbm, beta=1.0):
    exact = Exact(rbm, beta)
    return lambda n, generator: exact.sample(n, generator=generator)[0]


def test_block_gibbs_passes_both_ways(stream, alpha):
    rbm = machine(4, 3)
    law = Exact(rbm).visible_law().p_values
    check_kernel(rbm.gibbs(), draws_of(rbm), p_values=law, reversible=True, alpha=alpha, generator=stream)
    check_kernel(rbm.gibbs(), draws_of(rbm), reversible=True, alpha=alpha, generator=stream)


DEFECTS = [
    "hidden bias missing",
    "weights doubled",
    "hidden mean for a sample",
    "chains exchange hidden layers",
    "neighbour's hidden layer",
    "wrong beta",
    "visible bias missing",
    "visible sign",
    "first unit without bias",
    "sampler of p^0.9",
    "uniforms shared by chains",
    "uniforms shared by units",
    "visible mean for a sample",
    "state changed in place",
    "does not move",
    "dtype",
    "drifts to ones",
    "nan",
]


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("known_law", [True, False], ids=["law", "fresh draws"])
def test_planted_defects_are_caught(defect, known_law, stream):
    rbm = machine(4, 3, scale=1.3)
    law = Exact(rbm).visible_law().p_values if known_law else None
    with pytest.raises(CheckFailed):
        check_kernel(Planted(rbm, defect=defect), draws_of(rbm), p_values=law, n=65536, generator=stream)


def test_a_unit_left_alone_is_still_invariant(stream, alpha):
    """What the check does not promise: a chain that cannot reach everything stays at its target."""
    rbm = machine(4, 3)
    check_kernel(Planted(rbm, defect="one unit never updated"), draws_of(rbm), alpha=alpha, generator=stream)


@pytest.mark.parametrize("hidden", [2, Product(1, Gaussian(1))], ids=["binary", "mixed"])
def test_gaussian_visibles(hidden, stream, alpha):
    rbm = machine(Gaussian(2, 2.0), hidden, 0.4)
    check_kernel(rbm.gibbs(), draws_of(rbm), reversible=True, alpha=alpha, generator=stream)
    with pytest.raises(CheckFailed):
        check_kernel(Planted(rbm, defect="wrong beta"), draws_of(rbm), n=131072, generator=stream)


class Point(NamedTuple):
    position: torch.Tensor


@dataclass(frozen=True)
class Walk:
    """Metropolis on a skewed density, log p = x - e^x (a log-exponential), with defects."""

    defect: str = ""
    width: float = 3.0
    exactness = EXACT

    def init(self, position):
        return Point(position)

    def step(self, state, *, generator):
        x = state.position
        new = x + self.width * torch.randn(x.shape, generator=generator)
        ratio = (new - new.exp() - x + x.exp()).squeeze(-1)
        if self.defect == "ratio upside down":
            ratio = -ratio
        if self.defect == "half the ratio":
            ratio = ratio / 2
        if self.defect == "always accepts":
            ratio = ratio * 0
        if self.defect == "drift without correction":
            new = new + 0.3
            ratio = (new - new.exp() - x + x.exp()).squeeze(-1)
        result = accept(ratio, Point(new), state, generator=generator)
        if self.defect == "rejected chains restart at 0":
            return Point(torch.where(result.accepted.unsqueeze(-1), new, 0.0)), None
        return result.value, None


def exponential(n, generator):
    return torch.empty(n, 1).exponential_(generator=generator).clamp_min_(1e-30).log_()


def test_metropolis_passes(stream, alpha):
    check_kernel(Walk(), exponential, steps=20, reversible=True, alpha=alpha, generator=stream)


@pytest.mark.parametrize(
    "defect",
    [
        "ratio upside down",
        "half the ratio",
        "always accepts",
        "drift without correction",
        "rejected chains restart at 0",
    ],
)
def test_metropolis_defects_are_caught(defect, stream):
    with pytest.raises(CheckFailed, match="drifts"):
        check_kernel(Walk(defect), exponential, steps=20, n=16384, generator=stream)


@dataclass(frozen=True)
class Rotation:
    """Uniform on a ring of cells; turns one way three times in four: invariant, and not reversible."""

    cells: int = 5
    forward: float = 0.75
    noise: float = 0.0
    exactness = EXACT

    def init(self, position):
        return Point(position)

    def step(self, state, *, generator):
        x = state.position
        ahead = torch.rand(x.shape, generator=generator) < self.forward
        return Point((x + torch.where(ahead, 1.0, self.cells - 1.0)) % self.cells), None


def test_reversibility_is_a_claim_of_its_own(stream, alpha):
    def ring(n, generator):
        return torch.randint(5, (n, 1), generator=generator).float()

    check_kernel(Rotation(), ring, alpha=alpha, generator=stream)
    check_kernel(Rotation(forward=0.5), ring, reversible=True, alpha=alpha, generator=stream)
    with pytest.raises(CheckFailed):
        check_kernel(Rotation(), ring, reversible=True, generator=stream)


def test_reversibility_of_a_continuous_kernel(stream, alpha):
    def circle(n, generator):
        return torch.rand(n, 1, generator=generator)

    @dataclass(frozen=True)
    class Turn(Rotation):
        cells: int = 1

        def step(self, state, *, generator):
            x = state.position
            return Point((x + self.forward * torch.rand(x.shape, generator=generator)) % 1), None

    check_kernel(Turn(), circle, alpha=alpha, generator=stream)
    with pytest.raises(CheckFailed):
        check_kernel(Turn(), circle, reversible=True, n=65536, generator=stream)


def test_many_cells_are_coarsened_for_reversibility(stream, alpha):
    rbm = machine(8, 4, 0.5)
    check_kernel(rbm.gibbs(), draws_of(rbm), reversible=True, alpha=alpha, generator=stream)


def test_rate_of_false_alarms(stream):
    """200 checks at a level of 5 % each: the mean is at most 10, and 30 a chance of 2e-7."""
    rbm, alarms = machine(3, 2), 0
    law = Exact(rbm).visible_law().p_values
    for _ in range(200):
        try:
            check_kernel(
                replace(rbm.gibbs()), draws_of(rbm), p_values=law, steps=2, n=1024, alpha=0.05, generator=stream
            )
        except CheckFailed:
            alarms += 1
    assert alarms < 30


@pytest.mark.parametrize("size", [1e-4, 2.0, 10.0])
def test_decisions_are_coins_at_any_acceptance(size, stream, alpha):
    """Chances near 1 and near 0 as well, where a sum of few rejections is not normal."""
    kernel = dg.samplers.metropolis(lambda x: -x.square().sum(1) / 2, dg.samplers.RandomWalk(size))
    draw = lambda n, generator: torch.randn(n, 2, generator=generator)  # noqa: E731
    check_kernel(kernel, draw, acceptance=None, n=16384, alpha=alpha, generator=stream)


def test_one_coin_for_all_is_no_coin():
    from deepgen.samplers.metropolis import Moved
    from deepgen.testing.kernels import _check_coins

    chance, none = torch.full((1000,), 0.5), torch.zeros(1000, dtype=torch.bool)
    with pytest.raises(CheckFailed, match=r"1000 accepted, where .* 500.0 .* 15.8: are the uniforms"):
        _check_coins(Moved(chance, ~none, none), 1e-7, "K")
    _check_coins(Moved(chance, torch.arange(1000) % 2 == 0, none), 1e-7, "K")
    _check_coins(Moved(chance.round() * 0 + 1, ~none, none), 1e-7, "K")  # certain to be accepted, and so it was
