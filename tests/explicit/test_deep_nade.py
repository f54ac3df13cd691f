"""Deep orderless NADE: conditionals by single passes, the training estimate against all orders, completion."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.explicit import DeepNADE, deep_nade, nade
from deepgen.testing import check_checkpoint, chi_square, sequential
from tests.explicit.discrete_models import everything, lively, number


def logits(model, x, known):
    """One pass: the logits of all variables from ``x`` where ``known``."""
    mask = known.double().expand_as(x)
    h = torch.cat([x * mask, mask], 1)
    for layer in (model.first, *model.inner):
        h = F.relu(h @ layer.weight.t() + layer.bias)
    return h @ model.last.weight.t() + model.last.bias


def log_prob_in(model, x, order):
    """log p_o(x) from D passes."""
    total, known = torch.zeros(len(x), dtype=torch.float64), torch.zeros(model.features, dtype=torch.bool)
    for variable in order:
        logit = logits(model, x, known)[:, variable]
        total += torch.where(x[:, variable] == 1, logit, -logit).sigmoid().log()  # 1 - p would lose what a small one is
        known[variable] = True
    return total


@pytest.mark.parametrize("hidden", [[9], [9, 8], [6, 7, 8]])
@pytest.mark.parametrize("block", [1, 50, 2**20])
def test_conditionals_are_single_passes(hidden, block, monkeypatch, stream):
    monkeypatch.setattr(nade, "BLOCK", block)
    monkeypatch.setattr(deep_nade, "ROWS", 3)
    model = lively(DeepNADE(5, hidden, orders=[[3, 0, 4, 1, 2]], generator=stream), stream)
    x = torch.randint(2, (7, 5), generator=stream).double()
    torch.testing.assert_close(model.log_prob(x), log_prob_in(model, x, [3, 0, 4, 1, 2]))


def test_gradient_through_blocks(monkeypatch, stream):
    monkeypatch.setattr(nade, "BLOCK", 60)
    model = lively(DeepNADE(4, [5, 5], orders=2, generator=stream), stream)
    x = torch.randint(2, (3, 4), generator=stream).double()
    got = torch.autograd.grad(model.log_prob(x).sum(), list(model.parameters()))
    direct = torch.stack([log_prob_in(model, x, order) for order in model.orders.tolist()])
    expected = torch.autograd.grad((direct.logsumexp(0) - math.log(2)).sum(), list(model.parameters()))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_training_estimate_is_unbiased_for_the_mean_over_all_orders(stream, alpha):
    model = lively(DeepNADE(3, [8], generator=stream), stream)
    row = torch.randint(2, (1, 3), generator=stream).double()
    orders = list(itertools.permutations(range(3)))
    expected = torch.stack([log_prob_in(model, row, order) for order in orders]).mean()

    def p_values(n, g):
        batches = torch.stack([model.order_log_prob(row.expand(10, -1), generator=g).mean() for _ in range(n // 10)])
        error = batches.std() / math.sqrt(len(batches))
        return [math.erfc(((batches.mean() - expected).abs() / error / math.sqrt(2)).item())]

    with torch.no_grad():
        sequential(p_values, what="order_log_prob", n=20_000, alpha=alpha, generator=stream)


def test_every_set_of_known_variables_is_as_likely_as_its_size_says(stream, alpha):
    """Sizes 0 .. D equally probable and sets of one size too, as the factor (D + 1) / (D - d) supposes."""
    model, seen = DeepNADE(3, [4], generator=stream), []
    model.first.register_forward_pre_hook(lambda _, args: seen.append(args[0][:, 3:]))
    with torch.no_grad():
        for _ in range(4000):
            model.order_log_prob(torch.ones(2, 3), generator=stream)
    picked = (torch.cat(seen)[::2] @ torch.tensor([1.0, 2.0, 4.0])).long()  # one row of each batch: independent
    sizes = torch.tensor([bin(i).count("1") for i in range(8)])
    p = torch.tensor([1 / 4 / math.comb(3, int(s)) for s in sizes], dtype=torch.float64)
    assert chi_square(torch.bincount(picked, minlength=8), p) > alpha


def test_an_ensemble_of_all_orders_beats_the_mean_of_their_logarithms(stream):
    model = lively(DeepNADE(4, [16], generator=stream), stream)
    x, orders = everything(model), list(itertools.permutations(range(4)))
    each = torch.stack([log_prob_in(model, x, order) for order in orders])
    assert model.reorder(orders) is model
    torch.testing.assert_close(model.log_prob(x), each.logsumexp(0) - math.log(24))
    assert (model.log_prob(x) >= each.mean(0)).all()
    model.reorder(3, generator=1)
    assert model.orders.shape == (3, 4)
    assert torch.equal(model.orders, DeepNADE(4, [16]).reorder(3, generator=1).orders)
    assert model.arguments()["orders"] == 3


@pytest.mark.parametrize("known", [[], [1], [4, 2], [0, 1, 3, 4], [0, 1, 2, 3, 4]])
def test_completion_is_exact_whatever_is_known(known, stream, alpha):
    model = lively(DeepNADE(5, [16, 16], orders=[[2, 0, 4, 1, 3]], generator=stream), stream)
    row, mask = torch.randint(2, (5,), generator=stream).double(), torch.zeros(5, dtype=torch.bool)
    mask[known] = True
    order = [v for v in [2, 0, 4, 1, 3] if v in known] + [v for v in [2, 0, 4, 1, 3] if v not in known]
    x = everything(model)
    law = log_prob_in(model, x, order).exp() * (x[:, mask] == row[mask]).all(1)
    law = (law / law.sum()).detach()

    def p_values(n, g):
        drawn = model.conditional_sample(torch.where(mask, row, math.nan).expand(n, -1), mask, generator=g)
        return [chi_square(torch.bincount(number(model, drawn), minlength=32), law)]

    sequential(p_values, what="completion", alpha=alpha, generator=stream)


def test_the_density_of_a_completion_is_that_of_the_moved_orders(stream):
    """By summing the joint of the moved orders over what is unknown; the mixture of ``log_prob`` has another one."""
    orders = [[2, 0, 4, 1, 3], [0, 1, 2, 3, 4]]
    model = lively(DeepNADE(5, [16, 16], orders=orders, generator=stream), stream)
    mask, row, x = torch.tensor([False, True, False, True, False]), torch.ones(5).double(), everything(model)
    x = x[(x[:, mask] == row[mask]).all(1)]
    value, stated = model.conditional_log_prob(x, mask).detach(), model.log_prob(x).detach()
    moved = torch.stack([log_prob_in(model, x, [1, 3, *rest]) for rest in ([2, 0, 4], [0, 2, 4])])
    moved = moved.logsumexp(0).detach()
    torch.testing.assert_close(value, moved - moved.logsumexp(0))
    assert float((value - (stated - stated.logsumexp(0))).abs().max()) > 1e-3


def test_rows_with_masks_of_their_own(stream):
    model = lively(DeepNADE(6, [8], orders=2, generator=stream), stream)
    known = torch.randint(2, (40, 6), generator=stream).double()
    mask = torch.rand(40, 6, generator=stream) < 0.5
    drawn = model.conditional_sample(known.masked_fill(~mask, math.nan), mask, generator=stream)
    assert torch.equal(drawn[mask], known[mask])
    assert ((drawn == 0) | (drawn == 1)).all()


def test_it_learns_all_orders_at_once(stream):
    x = torch.randint(2, (800, 4), generator=stream).float()
    x[:, 2:] = torch.stack([1 - x[:, 0], x[:, 1]], 1)  # two bits, two that follow
    model = DeepNADE(4, [64], orders=[[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 1, 3]], generator=stream).initialise(x)
    adam = torch.optim.Adam(model.parameters(), 0.01)
    history = dg.fit(model, x, dg.objectives.OrderAgnostic(), epochs=80, optimizer=adam, progress=False)
    entropy = 2 * math.log(2)
    for order in model._orders:
        assert -model._log_prob_in(x, None, [order]).mean().item() < entropy + 0.2
    assert history[-1].metrics["order_log_likelihood"] == pytest.approx(-entropy, abs=0.5)


def test_checkpoints(stream, tmp_path):
    model = DeepNADE(5, [6, 7], generator=stream)
    check_checkpoint(model)
    check_checkpoint(model.reorder(3, generator=stream))
    x = torch.randint(2, (4, 5), generator=stream).float()
    dg.save(model, tmp_path / "deep")
    assert torch.equal(dg.load(tmp_path / "deep").log_prob(x), model.log_prob(x))


def test_it_takes_no_context(stream):
    with pytest.raises(ArgumentError, match="context"):
        DeepNADE(3, [4], generator=stream).order_log_prob(torch.zeros(2, 3), torch.zeros(2, 1))
