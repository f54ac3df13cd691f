"""A handful of rows learned by heart, or not; and rates that rise until all is lost."""

import copy
import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.train import find_rate, overfit_tiny
from tests.train.runs import MLE, equal, machine, rows


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.02)


def made(width=64):
    return dg.explicit.MADE(9, hidden=[width], generator=0)


def test_a_rich_model_reaches_the_ceiling_and_a_poor_one_does_not():
    x = dg.data.bars_and_stripes(3)
    found = overfit_tiny(made(), x, MLE(), rows=8, steps=400, optimizer=adam)
    assert found.optimum == pytest.approx(-math.log(8))
    assert found.reached is True
    assert found.start < found.end <= found.optimum + 1e-6
    assert str(found).startswith("reached: on 8 rows")
    poor = overfit_tiny(
        dg.explicit.BernoulliMixture(9), x, MLE(), rows=8, steps=400, optimizer=adam
    )  # independent pixels
    assert poor.reached is False
    assert "not reached" in str(poor)


def test_a_fault_is_found():
    class Wrong(MLE):
        def update(self, model, optimizer):
            step = super().update(model, optimizer)
            for p in [*model.parameters()][-2:]:
                p.requires_grad_(False)
                p.zero_()  # the last layer has no say
            return step

    assert (
        overfit_tiny(made(), dg.data.bars_and_stripes(3), Wrong(), rows=8, steps=300, optimizer=adam).reached is False
    )


def test_a_machine_is_judged_by_its_exact_likelihood():
    found = overfit_tiny(machine(), rows(), dg.objectives.PersistentCD(chains=50), rows=2, steps=300)
    assert found.reached in (True, False)
    assert found.start < found.end < found.optimum


def test_a_density_over_real_rows_has_no_optimum():
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[16], generator=0)
    x = torch.randn(50, 2, generator=dg.random.generator(0))
    found = overfit_tiny(flow, x, MLE(), steps=50)
    assert found.reached is None
    assert str(found).startswith("no optimum known")
    assert overfit_tiny(flow, x, MLE(), steps=50, optimum=-1e9).reached is False


@pytest.mark.parametrize(
    ("likelihood", "top"), [(dg.implicit.Bernoulli(), 1), (dg.implicit.Categorical(4), 3), (dg.implicit.Gaussian(), 1)]
)
def test_a_vae_over_discrete_rows_has_an_optimum(likelihood, top):
    model = dg.implicit.mlp_vae(6, [16], latent=2, likelihood=likelihood, generator=0)
    x = top * torch.eye(6)
    found = overfit_tiny(model, x, dg.objectives.ELBO(), rows=4, steps=20)
    assert found.optimum == (None if isinstance(likelihood, dg.implicit.Gaussian) else pytest.approx(-math.log(4)))


def test_without_a_likelihood_a_measure_is_asked_for():
    model = dg.implicit.mlp_autoencoder(6, [], latent=4, last="sigmoid", generator=0)
    objective = dg.objectives.Reconstruction()
    with pytest.raises(MissingCapability, match="measure="):
        overfit_tiny(model, rows(), objective, steps=5)

    def error(m, x):
        with torch.no_grad():
            return float(objective.loss(m, x, generator=dg.random.generator(0))[0])

    found = overfit_tiny(model, rows(), objective, rows=3, steps=200, measure=error, optimum=0.0, within=100.0)
    assert found.end < found.start


@pytest.mark.parametrize("look", [overfit_tiny, find_rate])
def test_neither_model_nor_any_stream_is_touched(look):
    model, x = made(), dg.data.bars_and_stripes(3)
    before, state = copy.deepcopy(model), torch.get_rng_state()
    model.eval()
    first, second = (str(look(model, x, MLE(), steps=20)) for _ in range(2))
    assert first == second
    assert equal(model, before)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_too_few_rows():
    with pytest.raises(ShapeError, match="at least as many"):
        overfit_tiny(made(), dg.data.bars_and_stripes(3)[:5], MLE(), rows=6)


def test_an_objective_without_a_rate_is_refused():
    mixture = dg.explicit.BernoulliMixture(6, components=2).initialise(rows(), generator=0)
    with pytest.raises(MissingCapability, match="no step of the optimizer"):
        find_rate(mixture, rows(), dg.objectives.ExpectationMaximisation(), batch_size=70)


class Quadratic(torch.nn.Module):
    """log p(x) = -c w^2 / 2 - 1: gradient descent converges below the rate 2 / c, and diverges above."""

    def __init__(self, c):
        super().__init__()
        self.c, self.w = c, torch.nn.Parameter(torch.tensor(3.0))

    def log_prob(self, x):
        return (-0.5 * self.c * self.w**2 - 1).expand(len(x))


@pytest.mark.parametrize("c", [1.0, 100.0])
def test_the_rate_at_which_descent_diverges_is_that_of_theory(c):
    found = find_rate(
        Quadratic(c),
        rows(),
        MLE(),
        low=1e-3 / c,
        high=100 / c,
        optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=1.0),
    )
    assert found.suggested < 2 / c < found.diverged < 20 / c  # a step or two of growth are needed to see it
    assert found.suggested > 1e-2 / c
    assert len(found.rates) == len(found.values) < 200
    assert found.rates[1] / found.rates[0] == pytest.approx((1e5) ** (1 / 199))
    assert f"{found.suggested:.2g}" in str(found)
    assert "diverges at" in str(found)


def test_weights_that_are_lost_at_the_last_rate_are_a_divergence():
    class Last(MLE):
        def update(self, model, optimizer):
            step, left = super().update(model, optimizer), iter(range(19, -1, -1))

            def last(state, batch, *, generator):
                found = step(state, batch, generator=generator)
                if next(left) == 0:
                    model.w.data.fill_(math.inf)
                return found

            return last

    found = find_rate(Quadratic(1.0), rows(), Last(), low=1e-4, high=1e-3, steps=20)
    assert len(found.rates) == 20
    assert found.diverged == found.rates[-1] == pytest.approx(1e-3)


def test_a_rate_that_is_never_too_high():
    found = find_rate(made(), dg.data.bars_and_stripes(3), MLE(), low=1e-5, high=1e-3, steps=50)
    assert found.diverged is None
    assert "did not diverge" in str(found)


def test_contrastive_training_has_no_such_metric():
    with pytest.raises(MissingCapability, match=r"moment_gap.*metric="):
        find_rate(machine(), rows(), dg.objectives.PersistentCD(chains=10))
    found = find_rate(
        machine(), rows(), dg.objectives.PersistentCD(chains=10), steps=20, metric="moment_gap", higher=False
    )
    assert found.metric == "moment_gap"


@pytest.mark.parametrize("options", [{"low": 1.0, "high": 0.1}, {"low": 1.0, "high": 1.0}, {"steps": 3}, {"low": 0.0}])
def test_rates_that_are_none(options):
    with pytest.raises(ArgumentError):
        find_rate(made(), dg.data.bars_and_stripes(3), MLE(), **options)


@pytest.mark.parametrize("call", [overfit_tiny, find_rate])
def test_an_optimizer_that_is_made_already_is_refused(call):
    model = dg.explicit.MADE(6, hidden=[4], generator=0)
    with pytest.raises(ArgumentError, match="got a SGD: pass lambda m"):
        call(model, rows(), MLE(), steps=10, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("call", [overfit_tiny, find_rate])
def test_what_fit_refuses_is_refused_in_its_words(call):
    x, model = dg.data.bars_and_stripes(3), made()
    for wrong, message in (
        ((dg.explicit.MADE, MLE()), "got the class MADE itself"),
        ((model, "MaximumLikelihood"), "did you mean deepgen.objectives.MaximumLikelihood"),
        ((model, MLE), "pass an instance"),
    ):
        with pytest.raises(ArgumentError, match=message):
            call(wrong[0], x, wrong[1], steps=10)
    for seed in (None, -1, 2**64):
        with pytest.raises(ArgumentError, match="seed must be"):
            call(model, x, MLE(), steps=10, seed=seed)
