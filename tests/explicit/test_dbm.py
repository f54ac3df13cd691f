"""The deep Boltzmann machine against sums over all its states, at one to three hidden levels of several kinds."""

import itertools
import math

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import DBM, RBM, Bernoulli, Gaussian, Product, Softmax, Spin
from deepgen.explicit.mean_field import settle
from deepgen.testing import Exact, check_checkpoint, check_kernel, chi_square
from tests.evaluate.deep import Whole

MACHINES = {
    "one": lambda: DBM(4, [3], generator=0),
    "two": lambda: DBM(4, [3, 2], generator=0),
    "three": lambda: DBM(3, [2, 3, 2], generator=0),
    "kinds": lambda: DBM(Softmax(1, 3), [Spin(2), 2, Spin(1)], generator=0),
    "real": lambda: DBM(Gaussian(2, precision=2.0, learned=True), [3, Spin(2)], generator=0),
    "joined": lambda: DBM([3, Softmax(1, 3)], [[2, Spin(1)], 2], generator=0),
    "joined at once": lambda: DBM([2, Spin(2)], [3, 2], generator=0),
}


def machine(name, dtype=torch.float64):
    return waved(MACHINES[name](), dtype)


def waved(dbm, dtype=torch.float64):
    """With parameters of moderate size, the same ones in every run."""
    dbm = dbm.to(dtype)
    with torch.no_grad():
        for shift, parameter in enumerate(dbm.parameters()):
            wave = torch.sin(torch.arange(parameter.numel()) * 2.4 + 1 + shift).reshape(parameter.shape).to(dtype)
            parameter.copy_(0.6 * wave)
    return dbm


def rows(dbm, stream, n=6):
    field = torch.randn(n, dbm.visible.width, generator=stream).to(dbm.biases[0])
    return dbm.visible.sample(field, generator=stream)


LISTED = [name for name in MACHINES if name != "real"]  # whose visible states can be listed


@pytest.fixture(params=MACHINES)
def dbm(request):
    return machine(request.param)


def test_even_and_odd_levels_are_a_machine_of_two_layers(dbm, stream):
    rbm, whole = dbm.as_rbm(), Exact(Whole(dbm))
    states = [
        units.sample(torch.randn(5, units.width, generator=stream).double(), generator=stream) for units in dbm.levels
    ]
    v, h = torch.cat(states[::2], 1), torch.cat(states[1::2], 1)
    assert torch.allclose(rbm.energy(v, h), dbm.energy(*states), rtol=1e-12)
    assert float(dg.evaluate.log_partition(rbm).value) == pytest.approx(float(whole.joint().log_z.detach()), abs=1e-9)
    before = [p.clone() for p in dbm.parameters()]
    for parameter in rbm.parameters():
        parameter.data.zero_()
    assert all(torch.equal(p, q) for p, q in zip(dbm.parameters(), before, strict=True))
    assert all(p.requires_grad for p in dbm.parameters())


def test_mean_field_is_a_bound_that_no_turn_lowers(dbm, stream):
    x = rows(dbm, stream)
    truth = Exact(Whole(dbm)).log_density(x).detach()
    bounds = [dbm.mean_field(x, turns=turns, tolerance=0.0).bound.detach() for turns in (1, 2, 4, 8, 100)]
    for lower, higher in itertools.pairwise(bounds):
        assert bool((higher >= lower - 1e-12).all())
    assert bool((bounds[-1] <= truth + 1e-9).all())
    assert float((truth - bounds[-1]).max()) < 0.5  # weights are of moderate size
    found = dbm.mean_field(x, tolerance=1e-12, turns=1000)
    states = [x, *found.means]
    for level, (field, units) in enumerate(zip(found.fields, dbm.levels[1:], strict=True), 1):
        assert torch.allclose(field, dbm.field(level, states), atol=1e-9)
        assert torch.allclose(found.means[level - 1], units.mean(field), atol=1e-12)


def test_the_bound_is_the_expected_energy_and_the_entropy(stream):
    """By brute force over q of a machine with two hidden levels."""
    dbm = machine("two")
    x, whole = rows(dbm, stream, 3), Product(*dbm.levels[1:])
    found = dbm.mean_field(x, turns=1)
    h = whole.enumerate(0, whole.states)
    log_q = (h @ torch.cat(found.fields, 1).t()).t() - whole.cumulant(torch.cat(found.fields, 1)).unsqueeze(1)
    energy = dbm.energy(x.unsqueeze(1), h[:, :3], h[:, 3:])
    assert torch.allclose((log_q.exp() * (-energy - log_q)).sum(1), found.bound, atol=1e-10)


def test_one_hidden_level_is_the_rbm(stream):
    dbm = machine("one")
    rbm, x = dbm.as_rbm(), rows(dbm, stream)
    assert torch.allclose(dbm.mean_field(x).bound, -rbm.free_energy(x), atol=1e-12)
    assert torch.allclose(dbm.transform(x), rbm.transform(x), atol=1e-12)
    assert torch.allclose(dbm.reconstruct(x), rbm.reconstruct(x))
    one, two = (model.sample(20, steps=7, generator=3) for model in (dbm, rbm))
    assert torch.equal(one, two)
    fresh, plain = DBM(4, [3], generator=5), RBM(4, 3, generator=5)
    assert torch.equal(fresh.couplings[0].blocks[0], plain.weight)


@pytest.mark.parametrize("dbm", LISTED, indirect=True)
def test_its_chain_leaves_the_joint_law_alone(dbm, alpha):
    exact = Exact(dbm.as_rbm())
    check_kernel(
        dbm.gibbs(),
        lambda n, generator: exact.sample(n, generator=generator)[0],
        p_values=exact.visible_law().p_values,
        reversible=True,
        acceptance=None,
        alpha=alpha,
    )


@pytest.mark.parametrize("dbm", LISTED, indirect=True)
def test_draws_and_completions_follow_the_law(dbm, stream, alpha):
    states = dbm.visible.enumerate(0, dbm.visible.states)
    p = Exact(Whole(dbm)).log_density(states).detach().softmax(0)
    drawn = dbm.sample(4000, steps=40, generator=stream)
    assert drawn.shape == (4000, dbm.visible.width)
    assert chi_square((drawn.unsqueeze(1) == states).all(-1).sum(0), p) > alpha
    mask = torch.zeros(dbm.visible.width, dtype=torch.bool)
    mask[: 3 if isinstance(dbm.levels[0], Product) else 1] = True
    if isinstance(dbm.visible, Softmax):
        return  # its entries are known together or not at all
    known = drawn[:1].where(mask, torch.nan)
    completed = dbm.conditional_sample(known.expand(4000, -1), mask, steps=40, generator=stream)
    fits = (states == known).logical_or(~mask).all(-1)
    assert torch.equal(completed[:, mask], known[:, mask].expand(4000, -1))
    assert chi_square((completed.unsqueeze(1) == states[fits]).all(-1).sum(0), p[fits] / p[fits].sum()) > alpha


@pytest.mark.parametrize("name", ["two", "joined", "real"])
def test_it_comes_back_from_a_file(name):
    check_checkpoint(machine(name, torch.float32))


def test_parts_are_joined_only_where_they_meet():
    dbm = machine("joined")
    assert (dbm.couplings[0].dense() == 0).tolist() == [[False] * 2 + [True]] * 3 + [[True] * 2 + [False]] * 3
    assert len(dbm.couplings[1].blocks) == 1
    assert isinstance(DBM([3, 2], [4, 2]).as_rbm().visible, Bernoulli)


def test_base_rates_are_where_it_starts(stream):
    dbm = DBM(3, [2, 2], generator=0)
    x = (torch.rand(50, 3, generator=stream) < 0.2).float()
    rate = (x.sum(0) + 0.5) / 51
    assert torch.allclose(dbm.initialise(x).biases[0].sigmoid(), rate)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match=r"hidden must be a list of levels.*got 3"):
        DBM(4, 3)
    with pytest.raises(ArgumentError, match=r"hidden\[0\] has 2 parts over 3"):
        DBM([1, 2, 3], [[4, 5]])
    with pytest.raises(ArgumentError, match=r"hidden\[0\] is an empty list"):
        DBM(4, [[]])
    dbm = DBM(4, [3, 2], generator=0)
    with pytest.raises(SupportError, match="0 or 1"):
        dbm.transform(torch.full((1, 4), 0.5))
    with pytest.raises(SupportError, match="nan"):
        dbm.check(torch.full((1, 4), math.nan))
    with pytest.raises(ShapeError, match=r"\[rows, 4\]"):
        dbm.conditional_sample(torch.zeros(2, 3), torch.ones(3, dtype=torch.bool))
    for mask in (torch.ones(4), torch.ones(1, 4, dtype=torch.bool), torch.ones(3, 4, dtype=torch.bool), [True] * 4):
        with pytest.raises(ShapeError, match=r"mask must be (boolean, \[4\] or \[2, 4\]|a tensor)"):
            dbm.conditional_sample(torch.zeros(2, 4), mask)
    with pytest.raises(ShapeError, match=r"known must be \[rows, 4\] with at least one row"):
        dbm.conditional_sample(torch.zeros(0, 4), torch.ones(4, dtype=torch.bool))
    with pytest.raises(ShapeError, match="3 levels"):
        dbm.energy(torch.zeros(1, 4), torch.zeros(1, 3))


def test_rows_that_settle_are_taken_out_and_come_back_in_their_order(stream):
    dbm = DBM(12, [8, 8, 6], generator=stream).double()
    with torch.no_grad():
        for coupling in dbm.couplings:
            for p in coupling.parameters():
                p.copy_(2.0 * torch.randn(p.shape, generator=stream))
    x = (torch.rand(60, 12, generator=stream) < 0.5).double()
    alone = [dbm.mean_field(row.unsqueeze(0), tolerance=1e-10, turns=2000) for row in x]
    turns = sorted(each.turns for each in alone)
    assert turns[-1] > turns[len(turns) // 2]  # so that rows are taken out
    together = dbm.mean_field(x, tolerance=1e-10, turns=2000)
    assert together.turns == turns[-1]
    for level, means in enumerate(together.means):
        torch.testing.assert_close(means, torch.cat([each.means[level] for each in alone]), rtol=0, atol=1e-6)
    torch.testing.assert_close(together.bound, torch.cat([each.bound for each in alone]), rtol=0, atol=1e-6)


def test_what_is_no_number_never_settles(stream):
    """A row that is NaN is not at rest, whatever the others do; they settle as they would without it."""
    dbm, x = machine("two"), torch.ones(3, 4).double()
    x[1] = torch.nan
    fields, means, turns = settle(dbm, x, tolerance=1e-6, turns=50)
    assert turns == 50
    assert bool(fields[2][1].isnan().all())
    others = dbm.mean_field(x[::2], tolerance=1e-6, turns=50)
    assert others.turns < 50
    for found, alone in zip(means[1:], others.means, strict=True):
        torch.testing.assert_close(found[::2], alone)
    with torch.no_grad():
        dbm.biases[2][0] = torch.nan
    assert dbm.mean_field(x[::2], turns=50).turns == 50


ZEROS = [torch.zeros(2, width) for width in (4, 3, 2)]
BAD = [
    (lambda dbm: dbm.mean_field(torch.full((2, 4), math.nan)), SupportError, "finite; got nan at .*missing values"),
    (lambda dbm: dbm.mean_field(torch.full((2, 4), math.inf)), SupportError, "finite; got inf"),
    (lambda dbm: dbm.mean_field(torch.zeros(2, 5)), ShapeError, r"v must be \[\.\.\., 4\], got \[2, 5\]"),
    (lambda dbm: dbm.mean_field(torch.zeros(4)), ShapeError, r"v must be \[rows, 4\], got \[4\]"),
    (lambda dbm: dbm.mean_field([0, 0, 0, 0]), ShapeError, "v must be a tensor, got list"),
    (lambda dbm: dbm.mean_field(ZEROS[0], start=ZEROS[1:2]), ShapeError, "2 hidden levels, lowest first, got 1"),
    (lambda dbm: dbm.mean_field(ZEROS[0], start=ZEROS[:2]), ShapeError, r"start\[0\] must be \[\.\.\., 3\]"),
    (lambda dbm: dbm.mean_field(ZEROS[0], start=[torch.zeros(5, 3), ZEROS[2]]), ShapeError, r"got \[5, 3\]"),
    (lambda dbm: dbm.mean_field(ZEROS[0], start=[ZEROS[1], ZEROS[2] / 0]), SupportError, "finite; got nan"),
    (lambda dbm: dbm.energy(*ZEROS[:2]), ShapeError, "energy takes 3 levels"),
    (lambda dbm: dbm.energy(*ZEROS[:2], ZEROS[0]), ShapeError, r"level 2 must be \[\.\.\., 2\], got \[2, 4\]"),
    (lambda dbm: dbm.energy(*ZEROS[:2], [[0, 0]]), ShapeError, "level 2 must be a tensor, got list"),
    (lambda dbm: dbm.field(3, ZEROS), ArgumentError, r"level must be from 0 \(visible\) to 2, got 3"),
    (lambda dbm: dbm.field(-1, ZEROS), ArgumentError, "got -1"),
    (lambda dbm: dbm.field(1, ZEROS[:2]), ShapeError, "each of 3 levels, visible first, got 2"),
    (lambda dbm: dbm.field(1, ZEROS[::-1]), ShapeError, r"level 0 must be \[\.\.\., 4\], got \[2, 2\]"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "says"), BAD, ids=range(len(BAD)))
def test_levels_of_other_shapes_and_what_is_no_number_are_told(call, error, says):
    with pytest.raises(error, match=says):
        call(DBM(4, [3, 2], generator=0))


def test_levels_are_taken_in_any_dtype():
    dbm, states = DBM(4, [3, 2], generator=0), [torch.ones(2, width) for width in (4, 3, 2)]
    assert torch.equal(dbm.energy(*(x.bool() for x in states)), dbm.energy(*states))
    assert torch.equal(dbm.mean_field(states[0].bool()).bound, dbm.mean_field(states[0]).bound)
    start = [means / 2 for means in states[1:]]
    twice = dbm.mean_field(states[0], start=[means.double() for means in start]).bound
    assert torch.equal(twice, dbm.mean_field(states[0], start=start).bound)
    assert torch.equal(dbm.field(1, [states[0], None, states[2]]), dbm.field(1, states))  # its own is not looked at


def test_an_array_gives_an_array():
    x = torch.eye(4)
    for model in (DBM(4, [3, 2], generator=0), dg.explicit.DBN(4, [3, 2], generator=0)):
        found = model.transform(x.double().numpy())
        assert isinstance(found, np.ndarray)
        assert np.array_equal(found, model.transform(x).numpy())
    assert np.array_equal(model.transform(x.numpy(), level=1), model.transform(x, level=1).numpy())
