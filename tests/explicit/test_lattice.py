"""Grid models against enumeration, closed forms and autograd."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import Ising, Potts
from deepgen.testing import check_checkpoint, check_random, sequential
from tests.grids import draws_of, fit_of, ising, law_of, potts, uneven

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (2, 3), (3, 2), (3, 3), (4, 3)]


@torch.no_grad()
def naive(model, x):
    """log f by a loop over sites and neighbours, of one grid."""
    height, width = model.shape
    equal = (lambda a, b: float(a * b)) if isinstance(model, Ising) else (lambda a, b: float(a == b))
    total = 0.0
    for r in range(height):
        for c in range(width):
            total += float(model.field[r, c] * x[r, c] if isinstance(model, Ising) else model.field[r, c, int(x[r, c])])
            for kind, (r2, c2) in enumerate(((r + 1, c), (r, c + 1))):
                if (r2 < height and c2 < width) or (model.periodic and model.shape[kind] > 1):
                    total += float(model.coupling[kind, r, c]) * equal(x[r, c], x[r2 % height, c2 % width])
    return total


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("make", [ising, potts])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_density_is_the_sum_over_pairs(shape, make, periodic, stream):
    model = make(shape, periodic=periodic).double()
    x = (torch.rand(5, *shape, generator=stream) < 0.5) * 2.0 - 1
    x = x if make is ising else torch.randint(3, (5, *shape), generator=stream)
    expected = torch.tensor([naive(model, row) for row in x], dtype=torch.float64)
    assert torch.allclose(model.log_density(x), expected, atol=1e-12)
    assert torch.allclose(model.value_and_gradient(x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("make", [ising, potts])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_partition_is_the_sum_over_states(shape, make, periodic):
    if make is potts and shape == (4, 3):
        shape = (4, 2)
    model = make(shape, periodic=periodic).double()
    assert model.log_partition().item() == pytest.approx(law_of(model).log_z.item(), abs=1e-10)


def test_a_ring_has_a_closed_form():
    for n in (3, 8):
        z = (2 * math.cosh(0.7)) ** n + (2 * math.sinh(0.7)) ** n
        assert Ising((1, n), 0.7).double().log_partition().item() == pytest.approx(math.log(z), abs=1e-6)


def test_strong_couplings_do_not_overflow():
    model = Ising((6, 4), 200.0, 0.5)  # all up, or all down: 48 bonds, 24 sites
    assert model.log_partition().item() == pytest.approx(200 * 48 + 12 + math.log1p(math.exp(-24)), rel=1e-12)
    assert bool((model.sample(50, generator=0) == 1).all())


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("coupling", [100.0, 300.0])
def test_strong_couplings_have_a_gradient(coupling, periodic):
    model = Ising((4, 4), coupling, periodic=periodic)  # all spins alike
    model.log_partition().backward()
    torch.testing.assert_close(model.coupling.grad, model.joined.float())
    torch.testing.assert_close(model.field.grad, torch.zeros(4, 4))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("make", [ising, potts])
def test_the_gradient_of_log_partition_is_the_mean_of_what_it_multiplies(make, periodic):
    model = make((3, 2), periodic=periodic).double()
    model.log_partition().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    law = law_of(model)
    (model.log_density(law.rows.reshape(-1, 3, 2)) * law.probabilities).sum().backward()
    for name, p in model.named_parameters():
        assert torch.allclose(found[name], p.grad, atol=1e-12), name


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("make", [ising, potts])
def test_exact_draws_follow_the_law(make, periodic, stream, alpha):
    for shape in ((4, 2), (2, 3)):
        model = make(shape, periodic=periodic)
        fit = fit_of(model)
        sequential(
            lambda n, g, m=model, fit=fit: fit(m.sample(n, generator=g)), what="draws", alpha=alpha, generator=stream
        )
    check_random(lambda generator: model.sample(4, generator=generator), generator=stream)


def test_ten_by_ten_at_the_transition_is_exact(stream):
    """E[sum of neighbours' products] = d log Z / dJ, by independent draws."""
    model = Ising((10, 10), 0.4407)
    model.log_partition().backward()
    total = float(model.coupling.grad.sum())
    with torch.no_grad():
        seen = model.log_density(model.sample(2000, generator=stream)) / 0.4407
    assert abs(float(seen.mean()) - total) < 5 * float(seen.std()) / 2000**0.5


@pytest.mark.parametrize("make", [ising, potts])
def test_the_local_field_tells_every_change_exactly(make, stream):
    model = make((3, 4)).double()
    x = draws_of(make((3, 4)))(1, generator=stream) if make is ising else torch.randint(3, (1, 3, 4), generator=stream)
    local = model.value_and_gradient(x)[1]
    before = model.log_density(x)
    for value in (-1.0, 1.0) if make is ising else range(3):
        for r, c in ((0, 0), (2, 3), (1, 2)):
            moved = x.clone()
            moved[0, r, c] = value
            if make is ising:
                gain = (value - x[0, r, c]) * local[0, r, c]
            else:
                gain = local[0, r, c, value] - local[0, r, c, int(x[0, r, c])]
            assert torch.allclose(model.log_density(moved) - before, gain, atol=1e-12)


def test_the_local_field_of_spins_is_the_gradient(stream):
    model, x = ising((3, 4)), torch.randn(5, 3, 4, generator=stream)
    found = dg.samplers.target.slope_of(model.log_density, x)
    for a, b in zip(found, model.value_and_gradient(x), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (3, 3), (4, 4), (4, 5), (5, 4), (5, 7), (2, 3)])
def test_no_neighbours_share_a_colour(shape, periodic):
    model = Ising(shape, periodic=periodic)
    assert torch.equal(model.colours.sum(0), torch.ones(shape, dtype=torch.int64))
    odd = periodic and any(side % 2 and side > 1 for side in shape)
    assert len(model.colours) == (3 if odd else 2)
    for axis in (0, 1):
        both = model.colours & model.colours.roll(-1, axis + 1)
        assert not bool((both & model.joined[axis]).any())


def test_it_can_be_learned(stream):
    """Exact maximum likelihood of a uniform coupling, from exact draws."""
    x = Ising((3, 3), 0.35, periodic=False).sample(4000, generator=stream)
    model = Ising((3, 3), 0.0, periodic=False)
    optimizer = torch.optim.LBFGS([model.coupling], max_iter=50)

    def loss():
        optimizer.zero_grad()
        value = model.log_partition() - model.log_density(x).double().mean()
        value.backward()
        return value

    optimizer.step(loss)
    found = model.coupling[model.joined]
    # at most 1 / (variance of s s' given the rest) of Fisher information is lost; 0.02 is the error of one coupling
    assert abs(float(found.mean().detach()) - 0.35) < 0.04


@pytest.mark.parametrize("model", [ising((3, 4)), potts((2, 3))], ids=["ising", "potts"])
def test_it_is_saved_and_loaded(model):
    check_checkpoint(model)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match=r"2\^11: run the chain of gibbs"):
        Ising((11, 20)).log_partition()
    with pytest.raises(ArgumentError, match="states must be"):
        Potts((2, 2), 1)
    with pytest.raises(ShapeError, match="shape must be"):
        Ising((2, 2, 2))
    with pytest.raises(ShapeError, match=r"coupling must be a number or \[2, 4, 4\], got \[4, 3\]"):
        Ising((4, 4), uneven(4, 3, scale=1.0))
    with pytest.raises(ShapeError, match=r"x must be \[..., 4, 4\], got \[3, 16\]"):
        ising().log_density(torch.ones(3, 16))
    with pytest.raises(SupportError, match="-1 or \\+1; got 0"):
        ising().gibbs().init(torch.zeros(2, 4, 4))
    with pytest.raises(SupportError, match="whole numbers from 0 to 2; got 3"):
        potts().gibbs().init(torch.full((2, 3, 3), 3))
    for model in (ising(), potts()):
        for wrong in ([[0, 1], [1, 0]], torch.zeros(3)):
            with pytest.raises(ShapeError, match="x must be"):
                model.check(wrong)
    potts().check(torch.ones(2, 3, 3, dtype=torch.bool))
    for wrong in (3, -1):
        with pytest.raises(SupportError, match=f"whole numbers from 0 to 2; got {wrong}"):
            potts().log_density(torch.full((2, 3, 3), wrong))
