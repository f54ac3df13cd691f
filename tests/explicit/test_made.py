"""MADE: masks for any order, mixtures over orders, categories, training."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import MADE
from deepgen.layers import MaskedNet
from deepgen.testing import check_checkpoint
from tests.explicit.discrete_models import everything, lively

ORDERS = [[0, 1, 2, 3, 4], [3, 0, 4, 1, 2], [4, 3, 2, 1, 0]]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("context", [0, 2])
def test_masks_of_an_order_are_those_of_a_network_made_for_it(residual, context, stream):
    model = MADE(5, [11, 11], orders=ORDERS, residual=residual, context=context, generator=stream)
    model = lively(model, stream)
    x, c = torch.rand(5, 7, generator=stream).double(), None
    if context:
        c = torch.randn(7, context, generator=stream, dtype=torch.float64)
    for order in ORDERS:
        other = MaskedNet(order, 1, hidden=[11, 11], residual=residual, context=context, generator=stream).double()
        other.load_state_dict(model.net.state_dict())
        torch.testing.assert_close(model.conditionals(x, c, order), other(x, c))


def test_one_hidden_layer_by_hand(stream):
    """Logits in loops: hidden unit j of degree m_j sees the first m_j variables, output d the units with m_j <= d."""
    model = lively(MADE(4, [7], generator=stream), stream)
    w, b, v, c = (p.detach() for p in (*model.net.first.parameters(), *model.net.last.parameters()))
    x = torch.randint(2, (6, 4), generator=stream).double()
    for row, log_prob in zip(x, model.log_prob(x), strict=True):
        total = 0.0
        for d in range(4):
            logit = c[d].item()
            for j in range(7):
                degree = 1 + j * 3 // 7
                if degree <= d:
                    inside = b[j] + sum(w[j, i] * row[i] for i in range(degree))
                    logit += v[d, j].item() * max(inside.item(), 0.0)
            p = 1 / (1 + math.exp(-logit))
            total += math.log(p if row[d] == 1 else 1 - p)
        assert log_prob.item() == pytest.approx(total, rel=1e-10)


def test_several_orders_are_a_mixture_of_probabilities(stream):
    model = lively(MADE(5, [16], orders=ORDERS, generator=stream), stream)
    x = everything(model)
    each = []
    for order in ORDERS:
        single = MADE(5, [16], orders=[order]).double()
        single.net.load_state_dict(model.net.state_dict())
        each.append(single.log_prob(x).exp())
    torch.testing.assert_close(model.log_prob(x).exp(), torch.stack(each).mean(0))


def test_one_order_at_a_time_lies_below_the_mixture_on_average(stream):
    model = lively(MADE(5, [16], orders=ORDERS, generator=stream), stream)
    x = everything(model)
    each = torch.stack([model._log_prob_in(x, None, [order]) for order in ORDERS])
    assert (each.mean(0) <= model.log_prob(x) + 1e-12).all()
    found = {tuple(model.order_log_prob(x, generator=stream).tolist()) for _ in range(100)}
    assert found == {tuple(row.tolist()) for row in each}  # one of three is missed once in 1e17 runs


def test_two_categories_are_bernoulli_and_more_are_one_hot(stream):
    model = lively(MADE(4, [16], categories=3, generator=stream), stream)
    x = torch.randint(3, (4, 6), generator=stream).double()
    other = x.clone()
    other[0] = (x[0] + 1) % 3
    moved = model.conditionals(x, None, range(4)) - model.conditionals(other, None, range(4))
    assert moved.shape == (2, 4, 6)
    assert (moved[:, 0] == 0).all()
    assert (moved[:, 1:] != 0).any()
    twice = 2 * x.clamp_max(1)  # the categories 0 and 2, whose distance an ordinal code would double
    torch.testing.assert_close(model._indicators(twice)[1::2], twice / 2)
    assert (model._indicators(twice)[::2] == 0).all()


def law(n, stream):
    """Rows of an even number of ones: independent in any three of the four columns, so only all together tell."""
    x = torch.randint(2, (n, 4), generator=stream)
    x[:, 3] = x[:, :3].sum(1) % 2
    return x.float()


@pytest.mark.parametrize(
    ("orders", "objective"), [(1, dg.objectives.MaximumLikelihood()), ([[0, 1, 2, 3], [2, 3, 1, 0]], None)]
)
def test_it_learns_parity(orders, objective, stream):
    model = MADE(4, [128], orders=orders, generator=stream)
    objective = objective or dg.objectives.OrderAgnostic()
    history = dg.fit(
        model, law(500, stream), objective, epochs=150, optimizer=torch.optim.Adam(model.parameters(), 0.01),
        progress=False,
    )  # fmt: skip
    entropy = 3 * math.log(2)  # of the law, in nats; without the parity it would be 4 log 2
    with torch.no_grad():
        assert -model.log_prob(law(500, stream)).mean().item() < entropy + 0.1
    (metric,) = history[-1].metrics
    assert metric == ("log_likelihood" if orders == 1 else "order_log_likelihood")


def test_orders_are_drawn_from_the_generator_and_kept(tmp_path, stream):
    model = MADE(6, [8], orders=4, generator=3)
    assert torch.equal(model.orders, MADE(6, [8], orders=4, generator=3).orders)
    assert not torch.equal(model.orders, MADE(6, [8], orders=4, generator=4).orders)
    assert (model.orders.sort(1).values == torch.arange(6)).all()
    assert MADE(6, [8]).orders.tolist() == [list(range(6))]
    x = model.sample(5, generator=stream)
    dg.save(model, tmp_path / "made")
    assert torch.equal(dg.load(tmp_path / "made").log_prob(x), model.log_prob(x))
    other = MADE(6, [8], orders=4, generator=4)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.log_prob(x), model.log_prob(x))
    assert torch.equal(other.sample(20, generator=0), model.sample(20, generator=0))


@pytest.mark.parametrize("options", [{"orders": 3}, {"orders": ORDERS}, {"categories": 3, "context": 2}])
def test_checkpoints(options, stream):
    check_checkpoint(MADE(5, [6, 6], residual=True, generator=stream, **options))


def test_weights_are_shared_by_the_orders_and_all_get_gradients(stream):
    model = lively(MADE(5, [32], orders=ORDERS, generator=stream), stream)
    one = MADE(5, [32], generator=stream)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in one.parameters())
    model.log_prob(everything(model)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_evaluation_is_exact(stream):
    model = MADE(5, [8], orders=2, generator=stream)
    estimate = dg.evaluate.log_likelihood(model, model.sample(50, generator=stream))
    assert estimate.side == "exact"
