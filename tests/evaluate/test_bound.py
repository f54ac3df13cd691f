"""Bounds by drawing against sums over all noise: a model of two levels whose cells a flow's density fills."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.transforms import Affine, Chain, Logit


@pytest.fixture
def model(stream):
    unit = Chain([Logit(alpha=0.0), Affine(1, shift=0.4, log_scale=0.3)])
    return dg.explicit.Dequantised(dg.explicit.Flow(unit, base=1), levels=3).double()


def exact(model):
    """log P of each level: the normal mass between the codes of its cell's ends."""
    edges = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0], dtype=torch.float64)
    codes = (torch.logit(edges) - 0.4) * math.exp(-0.3)
    return torch.special.ndtr(codes).diff().log()


def test_many_draws_reach_the_exact_log_probability(model, stream, alpha):
    x = torch.tensor([[0.0], [1.0], [2.0], [2.0]], dtype=torch.float64)
    found = dg.evaluate.log_likelihood(model, x, chains=4000, generator=stream)
    truth = float(exact(model)[x.long().squeeze(1)].mean())
    low, high = found.interval(1 - alpha)
    assert found.side == "below"
    assert found.stderr < 0.02
    assert low < truth < high


def test_few_draws_lie_below_and_more_lie_higher(model, stream):
    x = torch.arange(3.0, dtype=torch.float64).repeat(3000).unsqueeze(1)
    one, many = (model.bound(x, samples=k, generator=stream).detach() for k in (1, 20))
    truth = exact(model)[x.long().squeeze(1)]
    for value in (one, many):
        gap = truth - value
        assert float(gap.mean()) > -4 * float(gap.std()) / len(x) ** 0.5
    assert float(many.mean()) > float(one.mean())


def test_the_probabilities_of_the_levels_sum_to_one(model):
    assert float(exact(model).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_noise_from_a_flow_gives_the_same_limit(model, stream, alpha):
    """Noise as dense at a cell's ends as inside: normal codes would be so rare there that weights have no variance."""
    noise = dg.explicit.Flow(
        Chain([Logit(alpha=0.0), dg.transforms.Autoregressive(1, context=1, hidden=[8], generator=stream)]),
        base=dg.distributions.StandardLogistic(1),
        context=1,
    )
    other = dg.explicit.Dequantised(model.flow, levels=3, noise=noise.double())
    x = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    found = dg.evaluate.log_likelihood(other, x, chains=4000, generator=stream)
    low, high = found.interval(1 - alpha)
    assert low < float(exact(model).mean()) < high


def test_other_methods_are_refused(model):
    with pytest.raises(dg.errors.ArgumentError, match="has a bound"):
        dg.evaluate.log_likelihood(model, torch.zeros(2, 1), method="ais")


def test_samples_have_the_probabilities(model, stream, alpha):
    x = model.sample(20_000, generator=stream).squeeze(1).long()
    counts = torch.bincount(x, minlength=3)
    assert dg.testing.goodness.chi_square(counts, exact(model).exp()) > alpha


def test_rows_of_integers_have_the_bound_of_the_same_floats():
    model = dg.explicit.Dequantised(dg.explicit.Flow(dg.transforms.Logit(), base=2), levels=4)
    rows = torch.tensor([[0, 3], [2, 1]])
    assert torch.equal(model.bound(rows, generator=0), model.bound(rows.float(), generator=0))


def test_draws_of_a_row_have_two_names_and_other_options_are_refused(model):
    x = torch.zeros(2, 1)
    for options in ({"samples": 7}, {"chains": 7}, {"samples": 7, "method": "bound"}):
        found = dg.evaluate.log_likelihood(model, x, generator=0, **options)
        assert found.n == 14
        assert found.method == "importance-weighted bound, k = 7"
    for options in ({"temperatures": 7}, {"tolerance": 0.1}, {"samples": 7, "chains": 7}, {"samples": 1}):
        with pytest.raises(dg.errors.ArgumentError):
            dg.evaluate.log_likelihood(model, x, **options)


def test_what_has_no_bound_and_what_are_no_rows_is_refused(model):
    with pytest.raises(dg.errors.MissingCapability):
        dg.evaluate.importance_bound(dg.RBM(3, 2), torch.zeros(2, 3))
    for x in (torch.zeros(0, 1), [[0.0]]):
        with pytest.raises(dg.errors.ShapeError):
            dg.evaluate.importance_bound(model, x)
    with pytest.raises(dg.errors.SupportError):
        dg.evaluate.importance_bound(model, torch.full((2, 1), 0.5))


def test_contexts_go_with_their_rows(monkeypatch):
    cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    x, y = (torch.arange(30).view(5, 6) % 2).float(), torch.arange(5) % 3
    whole = dg.evaluate.importance_bound(cvae, x, 50, context=y, generator=0)
    monkeypatch.setattr(dg.evaluate.bound, "_ROWS", 2)
    filled, pair = (
        dg.evaluate.importance_bound(cvae(y), x, 50, generator=0),
        dg.evaluate.log_likelihood(cvae, (x, y), "bound", generator=0),
    )
    assert filled.value == pair.value
    assert filled.value == pytest.approx(whole.value, abs=6 * math.hypot(whole.stderr, filled.stderr))


def test_the_topmost_cell_stays_below_one(stream):
    model = dg.explicit.Dequantised(dg.explicit.Flow(Logit(alpha=0.0), base=784), levels=256)
    rows = torch.full((4000, 784), 255.0)  # 255 + u rounds to 256 with p = 8e-6 a value: 24 of these
    assert bool(model.bound(rows, generator=stream).isfinite().all())


@pytest.mark.parametrize("end", [-40.0, 40.0])
def test_noise_that_saturates_stays_inside_its_cell(end, stream):
    noise = dg.explicit.Flow(Chain([Logit(alpha=0.0), Affine(2, shift=end)]), base=2, context=2)
    unit = dg.explicit.Flow(Logit(alpha=0.0), base=2)
    model = dg.explicit.Dequantised(unit, levels=4, noise=noise)
    assert bool(model.bound(torch.tensor([[0.0, 3.0]]), generator=stream).isfinite().all())


def test_rows_of_bools_are_checked_and_no_rows_are_refused(model):
    model.check(torch.tensor([[True], [False]]))
    with pytest.raises(dg.errors.ShapeError, match="at least one row"):
        model.check(torch.ones(0, 1))
