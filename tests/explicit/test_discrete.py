"""What MADE, NADE and DeepNADE share: mass, conditionals, draws by every method, completion, errors."""

import math

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DegenerateWeights, ShapeError, SupportError, UnknownName
from deepgen.explicit import MADE, MAF, NADE, NICE, DeepNADE, PlanarFlow, RealNVP
from deepgen.explicit.completion import log_mass, quantile
from deepgen.testing import check_random, chi_square, sequential
from deepgen.testing.gradients import check_causal
from tests.explicit.discrete_models import BUILDERS, build, everything, given, lively, number, row_of_context

every = pytest.mark.parametrize("name", BUILDERS)


@every
def test_all_states_have_mass_one(name, stream):
    model = build(name, stream)
    x, context = everything(model), row_of_context(model, stream)
    assert model.log_prob(x, *given(context, len(x))).logsumexp(0).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", [MADE, NADE, DeepNADE])
def test_ten_variables_have_mass_one(kind, stream):
    for model in (lively(kind(10, generator=stream), stream), lively(kind(10, generator=stream), stream, 20)):
        assert model.log_prob(everything(model)).logsumexp(0).item() == pytest.approx(0, abs=1e-9)
        single = model.float()
        assert single.log_prob(everything(single)).double().logsumexp(0).item() == pytest.approx(0, abs=1e-5)


@every
def test_conditionals_are_those_of_the_sums_over_states(name, stream):
    """p(x_o(d) | x_o(<d)) from probabilities of states alone: sums over all that comes after."""
    model = build(name, stream)
    x, context = everything(model), row_of_context(model, stream)
    shape = (model.categories,) * model.features
    for order in model._orders:
        part = given(context, len(x))
        log_p = model._log_prob_in(x, *(part or (None,)), [order]).view(shape).permute(order)
        logits = model.conditionals(x.t(), *(part or (None,)), order)
        for d, variable in enumerate(order):
            before = log_p.flatten(d).logsumexp(-1)  # of each state of the variables before
            upto = log_p.flatten(d + 1).logsumexp(-1) if d + 1 < model.features else log_p
            conditional = upto - before.unsqueeze(-1)
            own = torch.cat([torch.zeros_like(logits[:1, variable]), logits[:, variable]]).log_softmax(0)
            states = x[:, order[: d + 1]].long().unbind(1)
            values = own.gather(0, states[-1].unsqueeze(0)).squeeze(0)
            torch.testing.assert_close(values, conditional[states], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in BUILDERS if "categories" not in name and "context" not in name])
def test_a_variable_sees_those_before_it_and_all_of_them(name, stream):
    model = build(name, stream)
    rows = 5 * torch.randn(64, model.features, generator=stream)  # near 0 all of ten ReLUs can be off
    for order in model._orders:
        check_causal(
            lambda x, order=order: model.conditionals(x.t(), None, order)[0].t(), rows, order, what=f"{name} {order}"
        )


@every
def test_every_method_draws_the_same_rows_from_the_same_noise(name, seed, stream):
    model = build(name, stream)
    context = given(row_of_context(model, stream), 40)
    orders, d = len(model.orders), model.features
    drawn = {m: model.draw(40, *context, method=m, generator=seed) for m in ("incremental", "jacobi", "sequential")}
    for method, one in drawn.items():
        assert torch.equal(one.x, drawn["incremental"].x), method
        assert torch.equal(one.x, model.sample(40, *context, method=method, generator=seed)), method
        torch.testing.assert_close(one.log_prob, model.log_prob(one.x, *context))
    assert drawn["incremental"].sweeps == (None,) * orders
    assert drawn["sequential"].sweeps == (d,) * orders
    assert all(1 <= sweeps <= d for sweeps in drawn["jacobi"].sweeps)


@pytest.mark.parametrize(("kind", "few"), [(MADE, True), (NADE, True), (DeepNADE, False)])
def test_auto_sweeps_for_few_rows_where_a_pass_is_cheap(kind, few, stream):
    model = kind(5, generator=stream)
    assert (model.draw(2, generator=stream).sweeps[0] is not None) is few
    assert model.draw(200, generator=stream).sweeps == (None,)
    drawn = [model.double().sample(2, method=method, generator=1) for method in ("auto", "incremental", "jacobi")]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


@every
def test_draws_follow_log_prob(name, stream, alpha):
    model = build(name, stream)
    x, context = everything(model), row_of_context(model, stream)
    p = model.log_prob(x, *given(context, len(x))).exp().detach()

    def p_values(n, g):
        drawn = model.sample(n, *given(context, n), generator=g)
        return [chi_square(torch.bincount(number(model, drawn), minlength=len(p)), p)]

    sequential(p_values, what=name, alpha=alpha, generator=stream)


@every
def test_its_numbers_are_the_generators(name, stream):
    model = build(name, stream)
    n = 64  # many enough that two seeds differ even for one variable
    context = given(row_of_context(model, stream), n)
    check_random(lambda generator: model.sample(n, *context, generator=generator), generator=stream)
    nothing = torch.zeros(model.features, dtype=torch.bool)
    known = torch.full((n, model.features), math.nan, dtype=torch.float64)
    check_random(
        lambda generator: model.conditional_sample(known, nothing, *context, generator=generator), generator=stream
    )


def law_given(model, row, mask, context=()):
    """p(x | what is known of ``row``) of every state, by the states' probabilities alone."""
    x = everything(model)
    p = model.log_prob(x, *given(context, len(x))).exp().detach()
    p = p * (x[:, mask] == row[mask]).all(1)
    return p / p.sum()


@pytest.mark.parametrize("name", ["made", "made, its own order", "made, context", "nade", "nade, order", "deep nade"])
def test_completion_is_exact_where_the_known_come_first(name, stream, alpha):
    model = build(name, stream)
    context, order = row_of_context(model, stream), model._orders[0]
    row = model.sample(1, *context, generator=stream)[0]
    masks = torch.zeros(2, model.features, dtype=torch.bool)
    masks[0, order[:2]] = True
    masks[1, order[:3]] = True
    laws = [law_given(model, row, mask, context) for mask in masks]

    def p_values(n, g):  # rows with one mask and rows with another, in one call
        known = torch.where(masks, row, math.nan).repeat(n, 1)
        drawn = model.conditional_sample(known, masks.repeat(n, 1), *given(context, 2 * n), generator=g)
        assert (drawn == row)[masks.repeat(n, 1)].all()
        count = len(laws[0])
        return [
            chi_square(torch.bincount(number(model, drawn[i::2]), minlength=count), law) for i, law in enumerate(laws)
        ]

    sequential(p_values, what=name, alpha=alpha, generator=stream)


@pytest.mark.parametrize("name", ["made", "made, its own order", "made, context", "nade", "nade, order", "deep nade"])
def test_the_density_of_a_completion(name, stream):
    model = build(name, stream)
    context, order = row_of_context(model, stream), model._orders[0]
    row, x = model.sample(1, *context, generator=stream)[0], everything(model)
    masks = torch.zeros(2, model.features, dtype=torch.bool)
    masks[0, order[:2]] = True
    masks[1, order[:3]] = True
    x = torch.cat([x[(x[:, mask] == row[mask]).all(1)] for mask in masks])  # the completions under each mask
    each = model.categories ** (model.features - 2)
    both = masks.repeat_interleave(torch.tensor([each, len(x) - each]), 0)
    laws = torch.cat([law[law > 0] for law in (law_given(model, row, mask, context) for mask in masks)])
    value = model.conditional_log_prob(x, both, *given(context, len(x)))
    torch.testing.assert_close(value, laws.log())
    all_known, context = torch.ones(model.features, dtype=torch.bool), given(context, len(x))
    torch.testing.assert_close(model.conditional_log_prob(x, ~all_known, *context), model.log_prob(x, *context))
    assert not model.conditional_log_prob(x, all_known, *context).any()
    value.sum().backward()
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters())


def test_the_density_of_a_completion_by_a_mixture(stream):
    model = lively(MADE(5, [40], orders=[[0, 1, 2, 3, 4], [1, 0, 4, 3, 2]], generator=stream), stream, 3)
    row, mask = model.sample(1, generator=stream)[0], torch.tensor([True, True, False, False, False])
    x, law = everything(model), law_given(model, row, mask)
    torch.testing.assert_close(model.conditional_log_prob(x[law > 0], mask), law[law > 0].log())
    with pytest.raises(ArgumentError, match="comes after an unknown one"):
        model.conditional_log_prob(x, torch.tensor([True, True, True, False, False]))  # not first in the second order
    with pytest.raises(ShapeError, match="mask"):
        model.conditional_log_prob(x, torch.ones(4, dtype=torch.bool))


def test_completion_by_a_mixture_draws_the_order_by_its_posterior(stream, alpha):
    orders = [[0, 1, 2, 3, 4], [1, 0, 4, 3, 2]]
    model = lively(MADE(5, [40], orders=orders, generator=stream), stream, 3)
    row = model.sample(1, generator=stream)[0]
    mask = torch.tensor([True, True, False, False, False])
    law = law_given(model, row, mask)

    def p_values(n, g):
        drawn = model.conditional_sample(row.expand(n, -1), mask, generator=g)
        return [chi_square(torch.bincount(number(model, drawn), minlength=32), law)]

    sequential(p_values, what="completion", alpha=alpha, generator=stream)


@pytest.mark.parametrize("name", ["made", "made, orders", "nade"])
def test_weighted_particles_complete_any_mask(name, stream, alpha):
    model = lively(BUILDERS[name](stream), stream, 0.3)
    row = model.sample(1, generator=stream)[0]
    mask = torch.tensor([False, True, False, False, True])
    law = law_given(model, row, mask)
    with pytest.raises(ArgumentError, match=r"row 0.*particles="):
        model.conditional_sample(row.expand(2, -1), mask)

    def p_values(n, g):  # the bias falls as 1 / particles and is far below what so many draws can see
        drawn = model.conditional_sample(row.expand(n, -1), mask, particles=200, generator=g)
        return [chi_square(torch.bincount(number(model, drawn), minlength=32), law)]

    sequential(p_values, what=name, n=500, stages=1, alpha=alpha, generator=stream)


def test_particles_that_do_not_count_are_told(stream):
    model = lively(NADE(60, 30, generator=stream), stream, 3)  # weights over thirty known variables differ by factors
    with torch.no_grad():
        model.readout[:30], model.bias[:30] = 0.0, 0.0  # and the unknown are fair coins
    with pytest.warns(DegenerateWeights, match="give more particles"):
        model.conditional_sample(torch.zeros(20, 60), torch.arange(60) >= 30, particles=4, generator=stream)


@pytest.mark.parametrize("name", ["made", "made, categories", "nade, order", "deep nade"])
def test_initial_biases_are_base_rates(name, stream):
    model = BUILDERS[name](stream).double()
    n, k = 40, model.categories
    x = torch.randint(k, (n, model.features), generator=stream).double()
    x[:, 0] = 0  # a constant column stays finite
    model.initialise(x)
    for parameter in (p for p in model.parameters() if p.ndim > 1):
        torch.nn.init.zeros_(parameter)
    if isinstance(model, MADE):
        hidden = model.net.first.bias
        torch.nn.init.zeros_(hidden)
    rates = torch.stack([(x == v).double().sum(0) for v in range(k)]).add(1 / k) / (n + 1)
    own = torch.stack([x[0], x[-1]])
    expected = rates.gather(0, own.long()).log().sum(1)
    torch.testing.assert_close(model.log_prob(own), expected)


@pytest.mark.parametrize("categories", [2, 5])
def test_a_draw_is_the_inverse_of_the_distribution_function(categories, stream):
    logits = 2 * torch.randn(categories - 1, 6, generator=stream, dtype=torch.float64)
    p = torch.cat([torch.zeros(1, 6, dtype=torch.float64), logits]).softmax(0)
    n = 4000
    uniform = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).unsqueeze(1).expand(n, 6)
    x = quantile(logits.unsqueeze(1).expand(-1, n, -1), uniform)
    shares = torch.stack([(x == v).double().mean(0) for v in range(categories)])
    torch.testing.assert_close(shares, p, rtol=0, atol=1.5 / n)
    assert (x.diff(dim=0) <= 0).all()
    for v in range(categories):
        torch.testing.assert_close(log_mass(logits, torch.full((6,), float(v))), p[v].log())


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[200.0, -200.0]])
    assert log_mass(logits, torch.tensor([1.0, 0.0])).tolist() == [0.0, 0.0]
    assert log_mass(logits, torch.tensor([0.0, 1.0])).tolist() == [-200.0, -200.0]


@every
def test_what_does_not_fit_is_refused(name, stream):
    model = build(name, stream)
    d, context = model.features, row_of_context(model, stream)
    good = torch.zeros(1, d)
    model.check((good, *context) if context else good)
    with pytest.raises(ShapeError, match=rf"\[rows, {d}\]"):
        model.log_prob(torch.zeros(2, d + 1), *given(context, 2))
    with pytest.raises(ShapeError, match="tensor"):
        model.log_prob([[0.0] * d], *context)
    with pytest.raises(SupportError):
        model.check((good + 0.5, *context) if context else good + 0.5)
    with pytest.raises(SupportError):
        model.check((good * math.nan, *context) if context else good * math.nan)
    for wrong in (0.5, float(model.categories), -1.0, math.nan):
        one = good.clone()
        one[0, -1] = wrong
        every, mask = given(context, 1), torch.arange(d) < d - 1
        asked = [
            lambda x, c=every: model.log_prob(x, *c),
            lambda x, c=every, m=mask: model.conditional_log_prob(x, m, *c),
        ]
        if hasattr(model, "order_log_prob"):
            asked.append(lambda x, c=every: model.order_log_prob(x, *c, generator=0))
        for ask in asked:
            with pytest.raises(SupportError):
                ask(one)
    with pytest.raises(UnknownName, match="jacobi"):
        model.sample(1, *context, method="jakobi")
    with pytest.raises(ArgumentError, match="n must be"):
        model.sample(0, *context)
    with pytest.raises(ShapeError, match="boolean"):
        model.conditional_sample(good, torch.ones(d), *context)
    with pytest.raises(SupportError):
        model.conditional_sample(good + 9, torch.ones(d, dtype=torch.bool), *context)
    wrong = torch.zeros(1, 3)
    with pytest.raises(ShapeError if context else ArgumentError, match="context"):
        model.log_prob(good, wrong)
    if context:
        with pytest.raises(ArgumentError, match="context"):
            model.sample(1)


@every
def test_rows_of_any_dtype_are_taken(name, stream):
    model = build(name, stream)
    x = model.sample(3, *given(row_of_context(model, stream), 3), generator=stream)
    context = given(row_of_context(model, stream), 3)
    assert torch.equal(model.log_prob(x.to(torch.uint8), *context), model.log_prob(x, *context))


@every
def test_repr_says_what_each_direction_costs(name, stream):
    text = repr(build(name, stream))
    assert "log_prob: " in text
    assert "sample: " in text


@pytest.mark.parametrize("orders", [0, [], [[0, 1]], [[0, 1, 1]], [[0, 1, 3]]])
def test_orders_are_permutations(orders):
    with pytest.raises(ArgumentError, match="order"):
        MADE(3, [4], orders=orders)


@pytest.mark.parametrize("flat", [[2, 1, 0], torch.tensor([2, 1, 0]), np.array([2, 1, 0])])
def test_one_order_without_its_list_is_told(flat):
    for ask in (lambda: MADE(3, [4], orders=flat), lambda: DeepNADE(3, [4]).reorder(flat)):
        with pytest.raises(ArgumentError, match=r"give \[\[2, 1, 0\]\]"):
            ask()


@pytest.mark.parametrize("build", [MADE, NADE, DeepNADE, MAF, RealNVP, NICE, PlanarFlow])
def test_a_number_of_numpy_is_a_number_of_variables(build, tmp_path):
    model = build(np.int64(3), **({"orders": np.int64(2)} if build in (MADE, DeepNADE) else {}))
    dg.save(model, tmp_path)
    assert dg.load(tmp_path).event_shape == model.event_shape == (3,)
