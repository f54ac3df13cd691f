"""BernoulliMixture against enumeration, closed forms and its own samples."""

import copy
import math

import pytest
import torch
from scipy.stats import chi2

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError


def everything(features):
    return dg.explicit.Bernoulli(features).enumerate(0, 2**features)


def some(features, components, stream):
    model = dg.explicit.BernoulliMixture(features, components).double()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 1.5, generator=stream)
    return model


@pytest.mark.parametrize("components", [1, 2, 7])
def test_it_sums_to_one(components, stream):
    total = some(10, components, stream).log_prob(everything(10)).logsumexp(0)
    assert abs(total.item()) < 1e-12


def test_log_prob_is_the_sum_over_components_by_hand(stream):
    model, x = some(5, 3, stream), everything(5)
    rate, weight = model.logits.sigmoid(), model.weight_logits.softmax(0)
    by_hand = torch.zeros(32, dtype=torch.float64)
    for k in range(3):
        by_hand += weight[k] * torch.where(x == 1, rate[k], 1 - rate[k]).prod(-1)
    torch.testing.assert_close(model.log_prob(x), by_hand.log(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float64])
def test_rows_of_any_dtype_are_taken(kind, stream):
    model = some(5, 3, stream).float()
    assert torch.equal(model.log_prob(everything(5).to(kind)), model.log_prob(everything(5).float()))
    assert dg.evaluate.log_likelihood(model, everything(5).to(kind)).side == "exact"


def test_gradient(stream):
    model = some(4, 3, stream)

    def log_prob(logits, weights):
        return torch.func.functional_call(model, {"logits": logits, "weight_logits": weights}, (everything(4),))

    model.forward = model.log_prob
    inputs = [p.detach().clone().requires_grad_() for p in (model.logits, model.weight_logits)]
    assert torch.autograd.gradcheck(log_prob, inputs)


def test_extreme_rates_stay_finite_in_value_and_gradient():
    model = dg.explicit.BernoulliMixture(3, components=2)
    with torch.no_grad():
        model.logits.copy_(torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]]))
        model.weight_logits.copy_(torch.tensor([0.0, -100.0]))
    value = model.log_prob(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    value.sum().backward()
    # log of: 1/2; e^-100 / 2; (e^-200 + e^-100 e^-200) / 2
    torch.testing.assert_close(value.detach() + math.log(2), torch.tensor([0.0, -100.0, -200.0]), rtol=1e-6, atol=1e-4)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_large_logits_keep_the_digits_of_float64():
    model = dg.explicit.BernoulliMixture(1).double()
    with torch.no_grad():
        model.logits.fill_(20.5)  # beyond 20 torch's softplus leaves log(1 + e^-x) out, 1e-9
        assert abs(float(model.log_prob(torch.tensor([[0.0], [1.0]])).logsumexp(0))) < 1e-14


@pytest.mark.parametrize("components", [1, 4])
def test_samples_follow_the_density(components, stream, alpha):
    model, n = some(4, components, stream), 20_000
    x = model.sample(n, generator=stream)
    assert x.shape == (n, 4)
    counts = torch.bincount((x @ torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=x.dtype)).long(), minlength=16).double()
    expected = n * model.log_prob(everything(4)).exp().detach()
    rare = expected < 5  # too few for the chi-square law: pooled
    observed, predicted = (torch.cat([c[~rare], c[rare].sum(0, keepdim=True)]) for c in (counts, expected))
    if predicted[-1] < 5:
        observed, predicted = observed[:-1], predicted[:-1]
    statistic = ((observed - predicted).square() / predicted).sum().item()
    assert statistic < chi2.isf(alpha, len(observed) - 1) + 1e-9


def test_sampling_takes_its_generator_and_leaves_the_global_stream(stream):
    model, before = some(6, 3, stream), torch.get_rng_state()
    assert torch.equal(model.sample(50, generator=7), model.sample(50, generator=7))
    assert not torch.equal(model.sample(50, generator=7), model.sample(50, generator=8))
    assert torch.equal(before, torch.get_rng_state())


def test_one_component_from_data_is_the_smoothed_closed_form(stream):
    x = (torch.rand(200, 8, generator=stream) < 0.3).float()
    x[:, 0] = 1.0
    model = dg.explicit.BernoulliMixture(8).initialise(x)
    rate = (x.double().sum(0) + 0.5) / 201
    closed = (x.double() * rate.log() + (1 - x.double()) * (1 - rate).log()).sum(-1)
    torch.testing.assert_close(model.log_prob(x).detach().double(), closed, rtol=1e-5, atol=1e-5)


def test_components_start_apart_and_around_the_base_rates(stream):
    x = (torch.rand(400, 6, generator=stream) < torch.linspace(0.2, 0.8, 6)).float()
    model = dg.explicit.BernoulliMixture(6, components=5).initialise(x, generator=3)
    rates = model.logits.sigmoid()
    assert len(rates.unique(dim=0)) > 1
    assert ((rates - x.mean(0)).abs() <= 0.25).all()
    again = dg.explicit.BernoulliMixture(6, components=5).initialise(x, generator=3)
    assert torch.equal(model.logits, again.logits)
    few = dg.explicit.BernoulliMixture(6, components=5).initialise(x[:2], generator=3)  # fewer rows than components
    assert few.logits.isfinite().all()


def test_initialise_draws_from_the_constructors_generator_like_an_rbm(stream, seed):
    x = (torch.rand(40, 6, generator=stream) < 0.4).float()
    new = dg.explicit.BernoulliMixture
    by_seed = new(6, 3, generator=seed).initialise(x)
    for same in (
        new(6, 3).initialise(x, generator=seed),
        new(6, 3, generator=seed + 1).initialise(x, generator=seed),
        new(6, 3, generator=dg.random.generator(seed)).initialise(x),
        copy.deepcopy(new(6, 3, generator=dg.random.generator(seed))).initialise(x),
    ):
        assert torch.equal(by_seed.logits, same.logits)
    assert not torch.equal(by_seed.logits, new(6, 3).initialise(x).logits)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: dg.explicit.BernoulliMixture(0), ArgumentError),
        (lambda: dg.explicit.BernoulliMixture(3, components=0), ArgumentError),
        (lambda: dg.explicit.BernoulliMixture(True), ArgumentError),
        (lambda: dg.explicit.BernoulliMixture(3, generator="0"), ArgumentError),
        (lambda: dg.explicit.BernoulliMixture(3).sample(0), ArgumentError),
        (lambda: dg.explicit.BernoulliMixture(3).log_prob(torch.zeros(2, 4)), ShapeError),
        (lambda: dg.explicit.BernoulliMixture(3).initialise(torch.full((2, 3), 0.5)), SupportError),
        (lambda: dg.explicit.BernoulliMixture(3).check(torch.full((2, 3), math.nan)), SupportError),
        (lambda: dg.explicit.BernoulliMixture(3).check(torch.zeros(0, 3)), ShapeError),
    ],
)
def test_bad_arguments_are_typed_errors(call, error):
    with pytest.raises(error):
        call()


def test_it_has_the_protocols():
    model = dg.explicit.BernoulliMixture(3)
    assert isinstance(model, dg.typing.LogProb)
    assert isinstance(model, dg.typing.Samples)
    assert isinstance(model, dg.typing.Rebuilt)
