"""Active units, what codes tell of rows, and collapse in words, against the linear-Gaussian model."""

import math
import warnings

import pytest
import torch
from torch import nn

import deepgen as dg
import deepgen.testing
from deepgen.errors import MissingCapability, ShapeError, SupportError
from deepgen.evaluate import CollapseWarning, WatchLatents, active_units, latent_usage, mutual_information
from deepgen.evaluate.student import t_quantile
from deepgen.objectives import ELBO, IWAE
from deepgen.objectives.collapse_watch import Watch
from deepgen.train import Record


def model_of(stream, **wrong):
    return dg.testing.LinearGaussian(5, 2, sigma=0.8, generator=stream, **wrong).double()


def covariances(model):
    """Cov of the posterior means over x, and of the posterior, ``[2, 2]`` each."""
    with torch.no_grad():
        posterior = model.exact_posterior(torch.zeros(1, 5, dtype=torch.float64)).covariance_matrix[0]
    return torch.eye(2, dtype=torch.float64) - posterior, posterior


def test_the_variance_of_codes_is_that_of_the_posterior_means(stream, alpha):
    model = model_of(stream, shift=3.0)
    found = active_units(model, model.sample(4000, generator=stream), threshold=0.5)
    exact = covariances(model)[0].diagonal()
    z = 1.05 * t_quantile(1 - alpha / 2, 0)
    assert ((found.variances - exact).abs() < z * found.stderr).all()
    assert (found.stderr < 0.1).all()
    expected = exact * (2 / 4000) ** 0.5  # of normal means
    assert ((found.stderr / expected - 1).abs() < 0.2).all()
    assert found.count == int((found.variances > 0.5).sum())


class Stateless(nn.Module):
    """The laws of a model whose posterior states no mean, as a flow's does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def posterior(self, x):
        law = self.model.posterior(x)

        class NoMean(type(law)):
            @property
            def mean(self):
                raise NotImplementedError

        return NoMean(law.loc, scale_tril=law.scale_tril, validate_args=False)


def test_the_noise_of_drawn_means_is_taken_off(stream, alpha):
    model = model_of(stream, scale=3.0)  # wide: the noise of 2 draws is many times the threshold
    x = model.sample(4000, generator=stream)
    exact = covariances(model)[0].diagonal()
    found = active_units(Stateless(model), x, draws=2, generator=stream)
    z = 1.05 * t_quantile(1 - alpha / 2, 0)
    error = (found.stderr.square() + (9 * covariances(model)[1].diagonal() / 2).square() * 2 / 4000).sqrt()
    assert ((found.variances - exact).abs() < z * error).all()


def test_idle_units_are_not_counted_and_codes_of_an_autoencoder_are_their_own_mean(stream):
    encoder = nn.Linear(6, 3)
    with torch.no_grad():
        encoder.weight[1].zero_()
    model = dg.implicit.Autoencoder(encoder, nn.Linear(3, 6), likelihood=dg.implicit.Gaussian(1.0))
    x = torch.randn(500, 6, generator=stream)
    found = active_units(model, x, threshold=1e-6)
    assert found.active.tolist() == [True, False, True]
    assert torch.allclose(found.variances, encoder(x).detach().double().var(0))
    assert latent_usage(model, x, threshold=1e-6).information is None
    with pytest.raises(MissingCapability, match="neither posterior"):
        active_units(nn.Linear(6, 3), x)
    with pytest.raises(ShapeError, match="at least 4 rows"):
        active_units(model, x[:3])


@pytest.mark.parametrize("wrong", [{}, {"shift": 0.5, "scale": 1.5}])
def test_what_codes_tell_is_bracketed_and_adds_up(wrong, stream, alpha):
    model = model_of(stream, **wrong)
    shift, scale = model.shift, model.scale
    means, posterior = covariances(model)
    whole = means + scale**2 * posterior
    information = float((torch.logdet(whole) - torch.logdet(scale**2 * posterior)) / 2)
    marginal = float((whole.trace() + 2 * shift**2 - 2 - torch.logdet(whole)) / 2)
    found = mutual_information(model, model.sample(1500, generator=stream), draws=2, generator=stream)
    z = 1.05 * t_quantile(1 - alpha / 6, 0)
    for bracket, exact in ((found.information, information), (found.marginal, marginal)):
        assert bracket.below.value - z * bracket.below.stderr < exact < bracket.above.value + z * bracket.above.stderr
        assert bracket.width < 0.1  # 1,500 rows know it
        assert bracket.below.stderr < 0.06
    assert abs(found.kl.value - information - marginal) < z * found.kl.stderr
    low, high = found.information.below.value, found.information.above.value
    assert found.kl.value == pytest.approx(low + found.marginal.above.value, abs=1e-9)
    assert found.kl.value == pytest.approx(high + found.marginal.below.value, abs=1e-9)


def test_few_rows_cannot_tell_more_than_their_log(stream):
    model = model_of(stream, scale=1e-4)  # codes that tell every row apart
    found = mutual_information(model, model.sample(20, generator=stream), generator=stream)
    assert found.information.below.value == pytest.approx(math.log(20), abs=1e-3)
    assert found.information.above.value > 2 * found.ceiling
    assert any("more rows" in words for words in latent_usage(model, model.sample(20, generator=stream)).remarks())
    with pytest.raises(ShapeError, match="at least 2 rows"):
        mutual_information(model, model.sample(1, generator=stream))


def test_every_posterior_and_a_context_are_taken(stream):
    x = torch.randint(2, (70, 6), generator=stream).float()
    for posterior in (
        dg.implicit.FullGaussian(2),
        dg.explicit.IAF(2, 1, [8], context=5, base=dg.implicit.DiagonalGaussian(2, inputs=5), generator=stream),
    ):
        vae = dg.implicit.mlp_vae(6, [8], latent=2, posterior=posterior, generator=stream)
        found = latent_usage(vae, x, draws=1, generator=stream)
        assert found.information.information.width > -1
        assert "units active" in str(found)
    y = torch.arange(70) % 3
    cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=stream)
    assert latent_usage(cvae, x, context=y, generator=stream).information.rows == 70
    prior = dg.implicit.DiagonalGaussian(2, inputs=3, generator=stream)
    given = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, prior=prior, generator=stream)
    with pytest.raises(MissingCapability, match="depends on the context"):
        mutual_information(given, x, context=y)
    assert len(active_units(given, x, context=y).variances) == 2


def idle(stream=0):
    """A VAE whose posterior starts as the prior."""
    vae = dg.implicit.mlp_vae(6, [8], latent=2, generator=stream)
    with torch.no_grad():
        vae.encoder.layers[-1].weight.zero_()
        vae.encoder.layers[-1].bias.zero_()
    return vae


def test_collapse_is_said_in_words_and_health_in_none(stream):
    good = model_of(stream)
    assert latent_usage(good, good.sample(500, generator=stream), generator=stream).remarks() == []
    x = torch.randint(2, (100, 6), generator=stream).float()
    (words,) = latent_usage(idle(), x, generator=stream).remarks()
    assert "collapsed" in words
    assert "ELBO(warmup=...)" in words
    far = model_of(stream, shift=3.0)
    words = latent_usage(far, far.sample(500, generator=stream), generator=stream).remarks()
    assert any("from the prior" in each for each in words)


def test_a_watch_keeps_what_it_saw_and_warns_of_each_fault_once(stream):
    x = (torch.rand(200, 6, generator=stream) < 0.5).float()  # coins: there is nothing to code
    vae, plain = idle(), idle()
    watch = WatchLatents(x, every=2, after=2)
    with pytest.warns(CollapseWarning, match="collapsed") as caught:
        dg.fit(vae, x, ELBO(beta=20.0), epochs=6, callbacks=[watch], progress=False)
    assert len([one for one in caught if issubclass(one.category, CollapseWarning)]) == 1
    assert watch.epochs == [2, 4, 6]
    assert watch.found[-1].information.kl.value < 0.05
    dg.fit(plain, x, ELBO(beta=20.0), epochs=6, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(vae.parameters(), plain.parameters(), strict=True))  # it only looks


def test_bounds_warn_of_a_kl_near_nothing_after_a_thousand_steps_and_the_warm_up():
    def said(watch, step, **metrics):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            watch(Record(9, step, 0.0, 0.0, metrics), nn.Linear(1, 1))
        return len(caught)

    for objective, step, kl, expected in (
        (ELBO(), 1001, 0.01, 1),
        (IWAE(5), 1001, 0.01, 1),
        (ELBO(), 1000, 0.01, 0),
        (ELBO(warmup=3000), 3000, 0.01, 0),
        (ELBO(warmup=3000), 3001, 0.01, 1),
        (ELBO(), 5000, 1.0, 0),
    ):
        watch = objective.watch()
        assert isinstance(watch, Watch)
        assert said(watch, step, bound=-3.0, kl=kl) == expected
        assert said(watch, step, bound=-3.0, kl=kl) == 0
    assert said(ELBO().watch(), 5000, bound=-3.0) == 0  # of a model with a bound alone


@pytest.mark.parametrize("ask", [active_units, mutual_information, latent_usage])
def test_rows_are_checked(ask):
    vae, x = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), torch.zeros(5, 6)
    for value in (math.nan, 0.5):
        with pytest.raises(SupportError):
            ask(vae, x.clone().fill_(value))
    for wrong in (x.numpy(), [[0.0] * 6] * 5, torch.zeros(0, 6)):
        with pytest.raises(ShapeError):
            ask(vae, wrong)


@pytest.mark.parametrize("ask", [active_units, mutual_information, latent_usage])
def test_contexts_may_be_filled_in_or_be_one_for_all(ask, stream):
    cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    x, y = torch.zeros(70, 6).bernoulli_(generator=stream), torch.arange(70) % 3  # more than are drawn for together
    filled, beside = ask(cvae(y), x, generator=0), ask(cvae, x, context=y, generator=0)
    assert str(filled) == str(beside)
    one, all_alike = ask(cvae, x, context=2, generator=0), ask(cvae, x, context=torch.full((70,), 2), generator=0)
    assert str(one) == str(all_alike)
