"""Colour by colour: stationary on grids with even and odd sides, at any temperature, chain by chain."""

from dataclasses import dataclass

import pytest
import torch

from deepgen.errors import ShapeError
from deepgen.random import Streams
from deepgen.samplers import Checkerboard, advance
from deepgen.samplers.checkerboard import Sites, Swept
from deepgen.testing import CheckFailed, check_kernel, check_random
from tests.grids import draws_of, fit_of, ising, potts


@pytest.mark.parametrize(
    "model",
    [
        ising(),
        ising((3, 3)),
        ising((3, 4), periodic=False),
        ising((1, 5)),
        potts(),
        potts((2, 3), periodic=True),
        potts((3, 2), 4),
    ],
    ids=["4x4 torus", "odd torus", "free", "odd ring", "potts", "potts odd torus", "four states"],
)
def test_it_stays_at_the_law(model, stream, alpha):
    check_kernel(model.gibbs(), draws_of(model), p_values=fit_of(model), alpha=alpha, generator=stream)


@pytest.mark.parametrize("make", [ising, potts])
def test_temperatures_are_one_a_chain(make, stream, alpha):
    model = make((2, 3))
    for beta in (0.0, 0.4, 2.0):
        kernel = model.gibbs().at(beta)
        check_kernel(kernel, draws_of(model, beta), p_values=fit_of(model, beta), alpha=alpha, generator=stream)
    betas = torch.tensor([0.3, 2.0]).repeat(8_000)
    kernel = model.gibbs(betas)
    warm, cold = (draws_of(model, beta)(8_000, generator=stream) for beta in (0.3, 2.0))
    start = torch.stack([warm, cold], 1).flatten(0, 1)  # 40 sweeps are too few for the cold grid to forget another one
    ends = advance(kernel, kernel.init(start), 40, generator=stream).position
    for beta, x in ((0.3, ends[::2]), (2.0, ends[1::2])):
        assert min(fit_of(model, beta)(x)) > 1e-6


def test_the_ratio_of_temperatures_is_that_of_the_law(stream):
    model = ising((2, 3))
    x = draws_of(model)(7, generator=stream)
    kernel = model.gibbs()
    found = kernel.log_ratio(kernel.init(x), 0.3, torch.full((7,), 0.8))
    assert torch.allclose(found, 0.5 * model.log_density(x).detach(), atol=1e-6)


def test_streams_keep_chains_apart(seed, stream):
    for model in (ising(), potts()):
        kernel, start = model.gibbs(), draws_of(model)(6, generator=stream)
        whole = advance(kernel, kernel.init(start), 5, generator=Streams(seed)).position
        part = advance(kernel, kernel.init(start[4:]), 5, generator=Streams(seed, first=4)).position
        assert torch.equal(whole[4:], part)
        check_random(lambda generator, k=kernel, x=start: k.step(k.init(x), generator=generator), seeds=False)


def test_nan_is_counted(stream):
    model = ising()
    with torch.no_grad():
        model.field[0, 0] = torch.nan
    kernel = model.gibbs()
    assert kernel.step(kernel.init(torch.ones(3, 4, 4)), generator=stream)[1].nan.all()


def test_large_fields_are_no_nan(stream):
    for model in (ising(coupling=1e30), potts(coupling=1e30)):
        kernel = model.gibbs()
        start = draws_of(potts() if model.trailing else ising())(5, generator=stream)
        state, info = kernel.step(kernel.init(start), generator=stream)
        assert not info.nan.any()
        assert state.position.isfinite().all()


@dataclass(frozen=True)
class Planted(Checkerboard):
    defect: str = ""

    @torch.no_grad()
    def step(self, state, *, generator):
        x, model = state.position, self.model
        colours = model.colours
        if self.defect == "all at once":
            colours = torch.ones_like(colours[:1])
        if self.defect == "two colours on an odd torus":
            colours = torch.stack([colours[0], ~colours[0]])
        for colour in colours:
            local = model.local_field(x) * (1.1 if self.defect == "wrong temperature" else 1.0)
            if self.defect == "one neighbour missing":
                local = local - model.bonds()[0] * x.roll(-1, 1)
            x = torch.where(colour, model.values_given(local, generator=generator), x)
        return Sites(x), Swept(x.flatten(1).isnan().any(1))


@pytest.mark.parametrize(
    "defect", ["all at once", "two colours on an odd torus", "wrong temperature", "one neighbour missing"]
)
def test_planted_defects_are_caught(defect, stream):
    model = ising((3, 3))
    with pytest.raises(CheckFailed):
        check_kernel(Planted(model, defect=defect), draws_of(model), p_values=fit_of(model), n=65536, generator=stream)


def test_odd_starts_are_refused():
    with pytest.raises(ShapeError, match=r"position must be a tensor \[chains, 4, 4\] .*, got \[4, 4\]"):
        ising().gibbs().init(torch.ones(4, 4))
