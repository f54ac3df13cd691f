"""Maximum likelihood by gradient and by EM, against closed forms."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.objectives import ExpectationMaximisation, MaximumLikelihood
from deepgen.typing import Objective


def two_kinds(stream, n=300):
    rates = torch.tensor([[0.9, 0.8, 0.2, 0.1, 0.5], [0.1, 0.3, 0.9, 0.7, 0.5]])
    kind = torch.randint(2, (n,), generator=stream)
    return (torch.rand(n, 5, generator=stream) < rates[kind]).double()


def em(x, components, epochs, pseudo_count, seed):
    model = dg.explicit.BernoulliMixture(x.shape[1], components).double().initialise(x, generator=seed)
    history = dg.fit(
        model,
        x,
        ExpectationMaximisation(pseudo_count),
        epochs=epochs,
        batch_size=len(x),
        progress=False,
    )
    return model, history


def test_they_are_objectives():
    assert isinstance(MaximumLikelihood(), Objective)
    assert isinstance(ExpectationMaximisation(), Objective)


def test_a_model_of_the_users_own_may_have_dropout(stream):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.dropout = nn.Parameter(torch.zeros(2)), nn.Dropout(0.5)

        def log_prob(self, x):
            return -(x - self.dropout(self.mean)).square().sum(1)

    history = dg.fit(Own(), torch.randn(20, 2, generator=stream), MaximumLikelihood(), epochs=1, progress=False)
    assert len(history) == 1


def test_the_metric_is_nats_per_example_and_the_gradient_that_of_the_mean(stream):
    x = two_kinds(stream)
    model = dg.explicit.BernoulliMixture(5, components=2).double().initialise(x, generator=stream)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    expected = torch.autograd.grad(model.log_prob(x).mean(), list(model.parameters()))
    before = model.log_prob(x).mean().item()
    objective = MaximumLikelihood()
    update = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.5))
    _, metrics = update(objective.start(model, x, generator=stream), x, generator=stream)
    assert metrics["log_likelihood"].item() == pytest.approx(before, rel=1e-12)
    for (name, p), gradient in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach() - start[name], 0.5 * gradient)  # uphill


def test_gradient_ascent_recovers_the_closed_form_of_independent_bits(stream):
    x = two_kinds(stream)
    model = dg.explicit.BernoulliMixture(5).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    dg.fit(
        model,
        x,
        MaximumLikelihood(),
        epochs=250,
        batch_size=len(x),
        optimizer=optimizer,
        schedule=lambda t: 1 - t,
        progress=False,
    )
    torch.testing.assert_close(model.logits.sigmoid()[0].detach(), x.mean(0), rtol=0, atol=1e-4)


def test_the_default_optimizer_climbs(stream, seed):
    x = two_kinds(stream)
    _, before = em(x, 2, 1, 0.0, seed)
    model = dg.explicit.BernoulliMixture(5, components=2).double().initialise(x, generator=seed)
    history = dg.fit(model, x, MaximumLikelihood(), epochs=20, progress=False)
    assert history[-1].metrics["log_likelihood"] > before[0].metrics["log_likelihood"]


def test_one_em_step_solves_one_component(stream, seed):
    x = two_kinds(stream)
    model, _ = em(x, 1, 1, 0.0, seed)
    torch.testing.assert_close(model.logits.sigmoid()[0].detach(), x.mean(0))
    model, _ = em(x, 1, 1, 2.0, seed)
    torch.testing.assert_close(model.logits.sigmoid()[0].detach(), (x.sum(0) + 2) / (len(x) + 4))


@pytest.mark.parametrize("components", [2, 3, 6])
def test_em_never_lowers_the_likelihood_and_ends_at_a_stationary_point(components, stream, seed):
    x = two_kinds(stream)
    model, history = em(x, components, 400, 0.0, seed)
    climb = torch.tensor(history["log_likelihood"], dtype=torch.float64).diff()
    assert climb.min() > -1e-9  # a rate held at 1e-7 may cost that little
    assert climb.sum() > 0
    rates = model.logits.sigmoid()
    gradient = torch.autograd.grad(model.log_prob(x).mean(), model.logits)[0]
    inside = (rates > 1e-4) & (rates < 1 - 1e-4)
    assert gradient[inside].abs().max() < 5e-3


def test_em_with_pseudo_counts_never_lowers_its_posterior(stream, seed):
    x, c = two_kinds(stream), 0.5
    model = dg.explicit.BernoulliMixture(5, components=3).double().initialise(x, generator=seed)
    objective = ExpectationMaximisation(c)
    update, state = objective.update(model, objective.optimizer(model)), objective.start(model, x, generator=stream)

    def posterior():
        logits = model.logits.detach()
        prior = nn.functional.logsigmoid(logits).sum() + nn.functional.logsigmoid(-logits).sum()
        return model.log_prob(x).sum().detach() + c * (prior + model.weight_logits.log_softmax(0).sum().detach())

    values = [posterior()]
    for _ in range(100):
        state, _ = update(state, x, generator=stream)
        values.append(posterior())
    assert torch.stack(values).diff().min() > -1e-9
    assert values[-1] > values[0]


def test_em_beats_one_component_on_two_kinds_of_data(stream, seed):
    x, new = two_kinds(stream, 2000), two_kinds(stream, 2000)
    one, two = em(x, 1, 1, 0.5, seed)[0], em(x, 2, 200, 0.5, seed)[0]
    gain = (two.log_prob(new) - one.log_prob(new)).detach()
    assert gain.mean() > 6 * gain.std() / len(new) ** 0.5


def test_em_keeps_constant_columns_finite(stream, seed):
    x = two_kinds(stream)
    x[:, 0], x[:, 1] = 0.0, 1.0
    for c in (0.0, 0.5):
        model, _ = em(x, 3, 20, c, seed)
        assert all(p.isfinite().all() for p in model.parameters())
        assert model.log_prob(x).isfinite().all()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8])
@pytest.mark.parametrize("objective", [MaximumLikelihood(), ExpectationMaximisation()], ids=str)
def test_packed_rows_train_like_float_ones(objective, kind, stream, seed):
    x = two_kinds(stream)
    models = [dg.explicit.BernoulliMixture(5, components=2).double().initialise(x, generator=seed) for _ in range(2)]
    for model, rows in zip(models, (x, x.to(kind)), strict=True):
        update = objective.update(model, objective.optimizer(model))
        update(objective.start(model, rows, generator=stream), rows, generator=stream)
    assert torch.equal(models[0].logits, models[1].logits)


def test_em_wants_all_rows_at_once_and_a_mixture(stream):
    x = two_kinds(stream)
    with pytest.raises(ArgumentError, match="all 300 rows at once"):
        dg.fit(dg.explicit.BernoulliMixture(5), x, ExpectationMaximisation(), epochs=1, progress=False)
    with pytest.raises(MissingCapability, match="for a BernoulliMixture"):
        dg.fit(dg.explicit.RBM(5, 2), x, ExpectationMaximisation(), epochs=1, progress=False)


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan"), "half", None, True])
def test_odd_pseudo_counts_are_refused(wrong):
    with pytest.raises(ArgumentError, match=f"pseudo_count must be a finite number of at least 0, got {wrong!r}"):
        ExpectationMaximisation(wrong)


def test_an_unnormalised_model_is_refused(stream):
    with pytest.raises(MissingCapability, match="RBM has no LogProb"):
        dg.fit(dg.explicit.RBM(5, 2), two_kinds(stream), MaximumLikelihood(), epochs=1, progress=False)
