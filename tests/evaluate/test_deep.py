"""Likelihoods of deep machines against brute force: what is exact, what lies below what, and what nothing proves."""

import itertools
import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, ShapeError
from deepgen.evaluate import Bracket, Estimate, hidden_sums, log_density, log_likelihood, log_partition
from deepgen.evaluate.annealed import raise_bound
from deepgen.evaluate.layered import undirected
from deepgen.evaluate.log_f import LogF, log_f, log_weights
from deepgen.evaluate.start import start
from deepgen.explicit import DBM, DBN, RBM
from deepgen.testing import Exact
from tests.evaluate.deep import DBMS, MACHINES, deep, rows, truth
from tests.evaluate.machines import exact_samples
from tests.evaluate.test_annealed import reach


@pytest.mark.parametrize(
    ("name", "listed"),
    [*itertools.product(MACHINES, ["cheapest"]), *itertools.product(DBMS, ["odd levels", "even levels"])],
)
def test_exact_is_the_sum_over_everything(name, listed, stream, monkeypatch):
    model = deep(name, stream)
    if listed != "cheapest":
        monkeypatch.setattr(hidden_sums, "_sides", lambda dbm, rows: (0, 1) if listed == "odd levels" else (1, 0))
    x = rows(model, 6, stream)
    each = truth(model, x)
    found = log_likelihood(model, x, "exact")
    assert (found.side, found.stderr) == ("exact", 0.0)
    assert found.value == pytest.approx(float(each.mean()), abs=1e-9)
    assert found.stderr_data == pytest.approx(float(each.std()) / math.sqrt(6))
    assert log_likelihood(model, x).value == pytest.approx(found.value)  # auto, as it is quick
    single = log_likelihood(model.float(), x.float(), "exact")
    assert single.value == pytest.approx(found.value, abs=1e-4)


def test_blocks_of_states_change_nothing(stream, monkeypatch):
    for name in MACHINES:
        model = deep(name, stream)
        x = rows(model, 6, stream)
        whole = hidden_sums.log_f_exactly(model, x)
        with monkeypatch.context() as small:
            small.setattr(hidden_sums, "_BLOCK", 10)
            small.setattr(hidden_sums, "_ROWS", 4)
            assert torch.allclose(hidden_sums.log_f_exactly(model, x), whole, atol=1e-10)


@pytest.mark.parametrize("name", MACHINES)
def test_the_mean_of_the_weights_is_the_density(name, stream, alpha):
    """So that importance sampling is right whatever the draws, and its logarithm lies below."""
    model = deep(name, stream, scale=0.4)
    x, part, draws = rows(model, 3, stream), undirected(model), 20_000
    weights = log_weights(model, part, x, draws, generator=stream).log_f
    exact = truth(model, x) + log_partition(model, "exact").value
    ratio = (weights - exact.unsqueeze(1)).exp()
    error = ratio.std(1) / math.sqrt(draws)
    assert bool(((ratio.mean(1) - 1).abs() < reach(alpha / 3) * error + 1e-9).all())
    assert float(error.max()) < 0.05  # a factor of two is far outside


@pytest.mark.parametrize("name", DBMS)
def test_draws_lie_between_the_mean_field_and_the_truth(name, stream, alpha):
    model = deep(name, stream)
    x, many = rows(model, 3, stream), 20_000
    field, exact = (log_f(model, x, patience=patience, generator=stream) for patience in (0.0, math.inf))
    assert (field.exact, exact.exact) == (False, True)
    assert bool((field.values <= exact.values + 1e-9).all())
    single = log_weights(model, undirected(model), x, many, generator=stream).log_f
    error = single.std(1) / math.sqrt(many)
    assert bool((single.mean(1) >= field.values - reach(alpha / 6) * error - 1e-9).all())
    assert bool((single.mean(1) <= exact.values + reach(alpha / 6) * error + 1e-9).all())


@pytest.mark.parametrize("k", [2, 10])
def test_more_draws_are_closer(k, stream, alpha):
    model = deep("two levels", stream)
    x = rows(model, 4, stream)
    exact = truth(model, x) + log_partition(model, "exact").value
    single = log_weights(model, model.top, x, 20_000, generator=stream).log_f
    groups = single.view(4, -1, k).logsumexp(2) - math.log(k)
    gain = groups - single.view(4, -1, k).mean(2)
    assert bool((gain >= -1e-12).all())  # Jensen, draw by draw
    error = groups.std(1) / math.sqrt(groups.shape[1])
    assert bool((groups.mean(1) <= exact + reach(alpha / 4) * error).all())


@pytest.mark.parametrize("temperatures", [2, 3])
@pytest.mark.parametrize("name", ["two", "three", "kinds", "joined", "two levels", "untied", "kinds of levels"])
def test_raise_weights_average_to_the_annealed_law(name, temperatures, stream, alpha):
    """With few temperatures p_ann is a product of small matrices: the base, and a Gibbs move at each."""
    model = deep(name, stream, scale=0.4)
    base = rows(model, 5, stream)
    path, plan, _, _ = start(model, base, 2, temperatures, stream)
    part, draws = undirected(model), 20_000
    v, h = part.visible.enumerate(0, part.visible.states), part.hidden.enumerate(0, part.hidden.states)
    law = (v @ path.base - part.visible.energy(v)).softmax(0)
    for beta in plan.betas[1:].tolist():
        up = (beta * part.hidden_field(v) @ h.t() - part.hidden.energy(h)).softmax(1)
        field = (1 - beta) * path.base + beta * part.visible_field(h)
        law = law @ up @ (field @ v.t() - part.visible.energy(v)).softmax(1)
    states = model.visible.enumerate(0, model.visible.states)[:4]
    if isinstance(model, DBM):
        same = (v[:, : model.visible.width] == states.unsqueeze(1)).all(-1).double()
        p = same @ law
    else:
        top = DBN.from_rbms(model.rbms[:-1])  # any undirected top: its law is put in place of it
        given = conditional(top, states, v)
        p = given @ law
    x, density = log_weights(model, part, states, draws, generator=stream)
    bounds, found = raise_bound(path, plan, x, density, chains=draws, generator=stream)
    assert found.side == "below"
    ratio = (bounds - p.log()).exp()
    error = found.stderr * len(states)  # the root of the summed variances: no less than that of any row
    assert bool(((ratio - 1).abs() < reach(alpha / 4) * error + 1e-9).all())
    assert error < 0.15


def conditional(dbn, x, top):
    """p(x | state of the level below the top) ``[rows, states]``, all levels between summed out."""
    law = torch.eye(len(top), dtype=torch.float64)
    above = top
    for rbm in reversed(dbn.rbms[1:]):
        below = rbm.visible.enumerate(0, rbm.visible.states)
        law = rbm.visible_given(above.unsqueeze(1)).log_prob(below).exp().t() @ law
        above = below
    return dbn.rbms[0].visible_given(above).log_prob(x.unsqueeze(1)).exp() @ law


@pytest.mark.parametrize("name", ["two", "joined", "two levels", "untied"])
def test_raise_lies_below_the_annealed_law_and_close(name, stream, alpha):
    model = deep(name, stream, scale=0.4)
    x = rows(model, 20, stream)
    found = log_likelihood(model, x, "raise", temperatures=200, chains=50, generator=stream)
    exact = float(truth(model, x).mean())
    assert found.side == "below"
    assert "annealed model" in found.method
    assert abs(found.value - exact) < 0.1 + reach(alpha) * found.stderr  # and p_ann is near p at 200 temperatures


@pytest.mark.parametrize("name", MACHINES)
def test_log_z_of_all_kinds_is_bracketed(name, stream, alpha):
    model = deep(name, stream, scale=0.4)
    exact = log_partition(model, "exact")
    draws = exact_samples(undirected(model), 400, stream)
    found = log_partition(
        model, "bidirectional", base=rows(model, 20, stream), samples=draws, exact_samples=True, chains=400,
        temperatures=60, generator=stream,
    )  # fmt: skip
    assert (found.below.side, found.above.side) == ("below", "above")
    for estimate in (found.below, found.above):
        assert estimate.stderr < 0.1
        assert abs(estimate.value - exact.value) < reach(alpha) * estimate.stderr + 1e-4


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("name", ["two", "three", "kinds", "real", "untied", "real data"])
def test_reverse_chains_start_where_they_are_told(name, stream):
    model = deep(name, stream)
    part = undirected(model)
    x = rows(model, 10, stream)
    draws = exact_samples(part, 10, stream)
    for promised, side in ((True, "above"), (False, "undetermined")):
        found = log_partition(model, "reverse", samples=draws, exact_samples=promised, temperatures=5, generator=stream)
        assert found.side == side
    assert log_partition(model, "reverse", temperatures=5, chains=10, generator=stream).side == "undetermined"
    if part.visible.width != x.shape[1]:
        with pytest.raises(ShapeError, match="a draw of the visible level alone is none"):
            log_partition(model, "reverse", samples=x, temperatures=5, generator=stream)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("make", [lambda: RBM(16, 4, generator=0), lambda: DBM(16, [4], generator=0),
                                  lambda: DBN(16, [4], generator=0)], ids=["RBM", "DBM", "DBN"])  # fmt: skip
def test_a_reverse_chain_from_data_proves_nothing_and_says_so(make):
    """Whether the rows still know that they are data or not: slices, copies and other dtypes forget it."""
    model, x = make(), dg.data.load("bars_and_stripes").train
    knows, forgot = "from data (no bound)", "from samples handed in (a bound if they are exact draws)"
    cases = [(x, knows), (x[:9], forgot), (x.clone(), forgot), (x.double(), forgot), (x[[0, 1, 2]], forgot)]
    for given, says in cases:
        settings = {"samples": given, "temperatures": 5, "generator": 0}
        found = log_partition(model, "reverse", **settings)
        assert (found.side, found.method) == ("undetermined", f"reverse AIS {says}")
        assert "on the caller's word" not in found.settings["samples"]
        for both in (
            log_partition(model, "bidirectional", chains=9, **settings),
            -log_likelihood(model, x, "bidirectional", chains=9, **settings),
        ):
            assert (both.below.side, both.above.side) == ("below", "undetermined")
        assert log_likelihood(model, x, "reverse", **settings).side == "undetermined"


def test_a_word_that_draws_are_exact_is_taken_and_one_that_cannot_be_true_is_not(stream):
    model, data = RBM(16, 4, generator=0), dg.data.load("bars_and_stripes").train
    draws = exact_samples(model, 20, stream)
    settings = {"samples": draws, "exact_samples": True, "temperatures": 50, "generator": stream}
    found = log_partition(model, "reverse", **settings)
    assert (found.side, found.method) == ("above", "reverse AIS")
    assert "on the caller's word" in found.settings["samples"]
    assert log_likelihood(model, data, "reverse", **settings).side == "below"
    assert log_likelihood(model, data, "bidirectional", chains=20, **settings).below.side == "below"
    for given, says in (
        ({"samples": data, "exact_samples": True}, "but they are rows of data"),
        ({"exact_samples": True}, "hand over the draws"),
        ({"samples": draws, "exact_samples": draws}, "exact_samples must be True or False"),
        ({"samples": draws, "exact_samples": 1}, "exact_samples must be True or False, got 1"),
    ):
        for method in ("auto", "reverse", "bidirectional"):
            with pytest.raises(ArgumentError, match=says):
                log_partition(model, method, **given)
            with pytest.raises(ArgumentError, match=says):
                log_likelihood(model, data, method, **given)


EXACT = LogF(torch.zeros(3).double(), torch.zeros(3).double(), True, "", 0, {})
BOUND = LogF(torch.zeros(3).double(), torch.full((3,), 0.03).double(), False, "bound", 5, {"draws per row": 5})


@pytest.mark.parametrize(
    ("log_z", "of_exact", "of_bound"),
    [
        ("exact", "exact", "below"),
        ("below", "above", "undetermined"),
        ("above", "below", "below"),
        ("undetermined", "undetermined", "undetermined"),
    ],
)
def test_sides_follow_from_both(log_z, of_exact, of_bound):
    error = 0.0 if log_z == "exact" else 0.2
    given = Estimate(2.0, error, log_z, "by hand", 0 if log_z == "exact" else 7)
    exact, bound = EXACT.over(given), BOUND.over(given)
    assert (exact.side, bound.side) == (of_exact, of_bound)
    assert (exact.value, exact.stderr, exact.method, exact.unit) == (-2.0, error, "by hand", "nats/example")
    assert bound.stderr == pytest.approx(math.hypot(error, 0.1))  # sqrt(3 * 0.03) / 3
    assert bound.method == "bound; log Z: by hand"
    assert bound.n == (15 if log_z == "exact" else 7)
    assert bound.settings["draws per row"] == 5


def test_what_a_wide_machine_is_told():
    dbm = DBM(20, [30, 40], generator=0)
    x = torch.tensor([[0.0], [1.0], [0.0], [1.0]]).expand(-1, 20)  # so that paths start near the model
    found = log_likelihood(dbm, x, temperatures=20, chains=10, generator=3)
    assert isinstance(found, Bracket)
    assert (found.below.side, found.above.side) == ("undetermined", "undetermined")
    assert found.above.method == "mean-field bound; log Z: AIS"
    assert found.below.settings["mean-field turns"] >= 1
    assert found.below.settings["seed"] == 3
    drawn = log_likelihood(dbm, x, "ais", samples=10, temperatures=20, chains=10, generator=3)
    assert drawn.side == "undetermined"
    assert drawn.settings["draws per row"] == 10
    assert drawn.method.startswith("importance-weighted bound, k = 10")
    again = log_likelihood(dbm, x, "ais", samples=10, temperatures=20, chains=10, generator=3)
    assert drawn.value == again.value
    draws = torch.zeros(5, 60)
    below = log_likelihood(dbm, x, "reverse", samples=draws, exact_samples=True, temperatures=20, generator=3)
    assert below.side == "below"
    dbn = DBN(20, [30, 10], generator=0)
    known = log_likelihood(dbn, x, "exact", generator=3)
    assert (known.side, known.settings["draws per row"], known.n) == ("below", 50, 200)
    assert known.method == "importance-weighted bound, k = 50; log Z: enumeration of 10 top units"
    one = log_likelihood(dbn, x, "exact", samples=1, generator=3)
    assert one.stderr == pytest.approx(one.stderr_data)
    assert log_partition(DBM(20, [10, 40]), "exact").method == "enumeration of 10 odd-level units"


def test_it_is_refused_in_words(stream):
    dbm, x = DBM(20, [30, 40], generator=0), torch.zeros(4, 20)
    with pytest.raises(ArgumentError, match="up to 25 bits"):
        log_likelihood(dbm, x, "exact")
    with pytest.raises(ArgumentError, match="the draws of raise are its chains"):
        log_likelihood(dbm, x, "raise", samples=5)
    with pytest.raises(ArgumentError, match="samples must be"):
        log_likelihood(dbm, x, samples=0)
    with pytest.raises(MissingCapability, match="pseudo-likelihood is of"):
        log_likelihood(dbm, x, "pseudo")
    with pytest.raises(MissingCapability, match="log_likelihood bounds it"):
        log_density(dbm, x)
    with pytest.raises(ShapeError):
        log_likelihood(dbm, torch.zeros(4, 21))
    with torch.no_grad():
        dbm.biases[1][0] = math.nan
    with pytest.raises(DivergenceError, match=r"biases\.1 holds NaN"):
        log_likelihood(dbm, x)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_one_hidden_level_is_the_rbm(stream):
    dbm, dbn = DBM(6, [4], generator=0), DBN(6, [4], generator=0)
    with torch.no_grad():
        for p in dbm.parameters():
            p.normal_(generator=stream)
    dbn = DBN.from_rbms([dbm.as_rbm()])
    x = rows(dbm, 9, stream)
    for method, more in (("exact", {}), ("ais", {"temperatures": 9}), ("raise", {"temperatures": 9})):
        three = [log_likelihood(m, x, method, generator=4, **more) for m in (dbm.as_rbm(), dbm, dbn)]
        assert three[1].value == pytest.approx(three[0].value, abs=1e-5)
        assert three[2].value == pytest.approx(three[0].value, abs=1e-5)
        assert len({found.side for found in three}) == 1


def test_exact_draws_of_a_dbn_level_are_those_of_its_top(stream):
    dbn = deep("untied", stream)
    assert Exact(dbn.top).log_z.item() == pytest.approx(log_partition(dbn, "exact").value, abs=1e-9)
