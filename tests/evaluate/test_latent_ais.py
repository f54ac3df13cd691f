"""Annealing in the latent space against probabilistic PCA and quadrature: weights right in the mean, both sides."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, Poisson

import deepgen as dg
from deepgen.evaluate import bidirectional_gap, latent_ais, latent_path
from deepgen.samplers import TemperedPath
from deepgen.testing import LinearGaussian
from tests.evaluate.test_latent_bound import Curved


def pca(stream, **options):
    return LinearGaussian(5, 2, **{"sigma": 0.5, **options}, generator=stream).double().requires_grad_(False)


def fixed(temperatures, start="prior", leaps=3):
    """A plan without a pilot: any step sizes are right in the mean."""
    power = 4.0 if start == "prior" else 1.0
    betas = torch.linspace(0, 1, temperatures, dtype=torch.float64) ** power
    steps = torch.linspace(0.0, -1.5, 17, dtype=torch.float64) if start == "prior" else torch.full((17,), -1.0).double()
    return latent_path.Plan(betas, "given", steps, power, leaps, start)


def mean_is_one(ratio, alpha):
    z = (float(ratio.mean()) - 1) / (float(ratio.std()) / math.sqrt(len(ratio)))
    return math.erfc(abs(z) / math.sqrt(2)) > alpha


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_weights_average_to_the_density_and_their_log_lies_below(stream, alpha, start):
    model = pca(stream, shift=0.2, scale=1.4)
    x = model.sample(1500, generator=stream)
    truth = model.log_prob(x)
    found = latent_ais(model, x, chains=2, temperatures=fixed(15, start), generator=stream)
    gap = truth - found.values
    assert mean_is_one((-gap).exp(), alpha)
    assert float(gap.mean()) > -5 * float(gap.std()) / math.sqrt(len(x))
    assert found.estimate.value == pytest.approx(float(found.values.mean()))
    assert (found.estimate.side, found.estimate.n, found.estimate.unit) == ("below", 3000, "nats/example")


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_many_temperatures_reach_the_truth(stream, alpha):
    model = pca(stream)
    x = model.sample(60, generator=stream)
    found = latent_ais(model, x, temperatures=fixed(150), generator=stream)
    low, high = found.estimate.interval(1 - alpha)
    assert low < float(model.log_prob(x).mean()) < high + 0.02  # half the variance of a row's value: its bias
    assert found.estimate.stderr < 0.1


def test_from_the_true_posterior_any_temperatures_are_exact(stream):
    model = pca(stream)
    x = model.sample(20, generator=stream)
    found = latent_ais(model, x, chains=3, temperatures=fixed(3, "posterior"), generator=stream)
    assert torch.allclose(found.values, model.log_prob(x), atol=1e-9)
    assert torch.allclose(found.ess, torch.full_like(found.ess, 3.0))


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_the_way_back_averages_to_the_inverse_and_both_hold_the_truth(stream, alpha):
    model = pca(stream, sigma=1.0)  # less noise gives inverse weights tails that so many rows do not average
    found = bidirectional_gap(model, 2000, chains=2, temperatures=fixed(15), generator=stream)
    truth = model.log_prob(found.x)
    assert mean_is_one((truth - found.above).exp(), alpha)
    above, below = found.above - truth, truth - found.below
    for distance in (above, below):
        assert float(distance.mean()) > 5 * float(distance.std()) / math.sqrt(2000)  # 15 temperatures are few
    low, high = found.bracket.interval(1 - alpha)
    assert low < float(truth.mean()) < high
    assert (found.bracket.below.side, found.bracket.above.side, found.gap.side) == ("below", "above", "above")
    assert found.gap.value == pytest.approx(found.bracket.width, abs=1e-9)
    assert found.gap.value + 5 * found.gap.stderr > float(below.mean())  # what it is said to bound


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_simulated_latents_are_posterior_draws(stream, alpha):
    model = pca(stream)
    found = bidirectional_gap(model, 2000, chains=2, temperatures=fixed(2, leaps=1), generator=stream)
    residual = found.z - model.exact_posterior(found.x).mean
    expected = dg.random.draw(model.exact_posterior(found.x), generator=stream) - model.exact_posterior(found.x).mean
    p = dg.testing.same_law(residual, expected, generator=stream)
    assert min(p) > alpha / len(p)


def test_a_pilot_finds_steps_accepted_as_aimed_at_every_temperature(stream):
    model = pca(stream, sigma=0.1)
    x = model.sample(40, generator=stream)
    found = latent_path.plan(model, x, temperatures=30, leaps=4, generator=stream)
    assert float(found.betas[1]) < 1e-2  # most of the way lies near the prior
    path = latent_path.row_path(model, x, None, 4, 4, "prior")
    path = TemperedPath(path.kernel, log_steps=found.log_steps, power=found.power)
    position = model.exact_posterior(x.repeat_interleave(4, 0))  # of beta = 1
    for beta, law in ((1.0, position), (0.05**4, model.prior().expand((160,)))):
        kernel, moved = path.at(beta), []
        state = kernel.init(dg.random.draw(law, generator=stream))
        for _ in range(20):
            state, info = kernel.step(state, generator=stream)
            moved.append(info.acceptance)
        rate = float(torch.stack(moved).mean())
        assert 0.5 < rate < 0.85, (beta, rate)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_which_rows_run_together_changes_nothing(stream, monkeypatch):
    model = pca(stream)
    x = model.sample(70, generator=stream)
    plan = fixed(20)
    whole = latent_ais(model, x, chains=4, temperatures=plan, generator=3)
    monkeypatch.setattr(latent_path, "GROUP", 12)
    assert torch.allclose(latent_ais(model, x, chains=4, temperatures=plan, generator=3).values, whole.values)
    assert not torch.allclose(latent_ais(model, x, chains=4, temperatures=plan, generator=4).values, whole.values)


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_a_curved_decoder_agrees_with_quadrature(stream, alpha):
    model = Curved()
    x = torch.randint(0, 2, (30, 4), generator=stream).double()
    found = latent_ais(model, x, chains=64, temperatures=fixed(60), generator=stream)
    low, high = found.estimate.interval(1 - alpha)
    assert low < float(model.truth(x).mean()) < high + float(found.variances.mean())


def test_chains_that_leave_come_back(stream):
    model = pca(stream)
    path = latent_path.row_path(model, model.sample(2, generator=stream), None, 1, 3, "prior")
    far = path.init(torch.tensor([[0.0, 1e300], [0.0, math.inf]], dtype=torch.float64))
    assert far.log_density.tolist() == [-math.inf, -math.inf]
    assert bool((far.gradient == 0).all())


def test_what_is_refused(stream):
    model = pca(stream)
    x = model.sample(4, generator=stream)
    with pytest.raises(dg.errors.ArgumentError, match="start must be"):
        latent_ais(model, x, start="encoder")
    with pytest.raises(dg.errors.ArgumentError, match="temperatures must be"):
        latent_ais(model, x, temperatures=1)
    with pytest.raises(dg.errors.ArgumentError, match="chains"):
        latent_ais(model, x, chains=1)
    with pytest.raises(dg.errors.SupportError, match="Make grey values binary"):
        latent_ais(Curved(), torch.full((2, 4), 0.5).double(), temperatures=fixed(5))
    with pytest.warns(dg.errors.DegenerateWeights, match="use more temperatures"):
        latent_ais(pca(stream, sigma=0.01), 3 * x, temperatures=fixed(3), generator=stream)

    class Counts(nn.Module):
        def prior(self):
            return Independent(Poisson(torch.ones(2)), 1)

        def likelihood(self, z):
            return Independent(Normal(z, 1.0), 1)

    with pytest.raises(dg.errors.MissingCapability, match="latent variables that are real"):
        latent_ais(Counts(), torch.zeros(3, 2), temperatures=fixed(5))
    with pytest.raises(dg.errors.MissingCapability, match="posterior"):
        latent_ais(Counts(), torch.zeros(3, 2), start="posterior")


class Far(nn.Module):
    """Decodes to where float32 has no squares left: every weight of every row is zero."""

    def forward(self, z):
        return z.repeat(1, 3) * 1e30


def test_rows_that_no_draw_explains_are_told_and_not_averaged_to_nan(stream):
    far, x = dg.implicit.Decoder(Far(), 1, 0.1), torch.randn(4, 3, generator=stream)
    for method, options in (("ais", {"temperatures": 5, "chains": 4}), ("prior", {"samples": 50})):
        with pytest.raises(dg.errors.DivergenceError, match=r"all weights of 4 of 4 rows are zero, first of row 0"):
            dg.evaluate.log_likelihood(far, x, method, generator=stream, **options)


def test_a_draw_that_the_model_cannot_make_leaves_the_bound_of_many(stream):
    """The ELBO is then minus infinity, with an error that is none, and the bound of all draws is finite."""

    class Halved(nn.Module):
        def forward(self, z):
            return torch.where(z > 0, z, 1e30).repeat(1, 3)

    found = dg.evaluate.latent_bound(
        dg.implicit.Decoder(Halved(), 1, 0.5), torch.rand(4, 3, generator=stream), [1, 400], proposal="prior",
        generator=stream,
    )  # fmt: skip
    assert found.estimate(1).value == -torch.inf
    assert found.estimate(1).stderr == torch.inf
    assert bool(found.values[1].isfinite().all())
    assert bool(found.variances[1].isfinite().all())
