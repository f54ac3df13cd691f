"""check_latent and check_samples catch what is planted in a right model."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.implicit import CVAE, GAN, VAE, Bernoulli, Dense, Gaussian, GivenContext
from deepgen.implicit.latent import draw_terms
from deepgen.random import draw, resolve
from deepgen.testing import CheckFailed, check_latent, check_samples
from tests.contracts.densities import trained

WIDTH, LATENT = 3, 2


class Off(Normal):
    """A normal whose density is wrong."""

    def __init__(self, loc, scale, defect):
        super().__init__(loc, scale, validate_args=False)
        self.defect = defect

    def expand(self, batch_shape, _instance=None):
        return Off(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.defect)

    def log_prob(self, value):
        score = super().log_prob(value)
        if "constant" in self.defect:
            return score + math.log(2 * math.pi) / 2
        if "factor of two" in self.defect:
            return score - ((value - self.loc) / self.scale).square() / 2
        return score


class Planted(VAE):
    """A VAE of reals with one line wrong."""

    def __init__(self, defect="", seed=0):
        g = dg.random.generator(seed)
        parts = Dense(WIDTH, [6], 2 * LATENT, generator=g), Dense(LATENT, [6], WIDTH, generator=g)
        super().__init__(*parts, latent=LATENT, likelihood=Gaussian(0.6))
        self.defect, self.kept = defect, []
        trained(self, g, 0.3)

    def _law(self, which, law):
        if not self.defect.startswith(which):
            return law
        loc, scale = law.base_dist.loc, law.base_dist.scale
        return Independent(Off(loc, scale, self.defect), 1, validate_args=False)

    def prior(self):
        return self._law("prior", super().prior())

    def posterior(self, x):
        if self.defect == "posterior without a batch":
            return self.posterior_law(self.encoder(x).mean(0))
        if self.defect == "rows mixed":
            x = x - x.mean(0)
        if self.defect == "stale weights":
            self.kept = self.kept or [self.encoder(x).detach()]
            return self.posterior_law(self.kept[0].to(x.dtype)[: len(x)])
        return self._law("posterior", super().posterior(x))

    def likelihood(self, z):
        law = super().likelihood(z)
        if self.defect == "likelihood without its event":
            return law.base_dist
        return self._law("likelihood", law)

    def bound(self, x, *, samples=1, generator=None):
        d = self.defect
        if d != "NaN taken":
            self.check(x)
        k = samples + (d == "a draw too many")
        stream = torch.default_generator if d == "bound from the global stream" else resolve(generator)
        with torch.set_grad_enabled(torch.is_grad_enabled() and d != "no gradient"):
            if d == "encoded for each draw":
                log_w = torch.cat([draw_terms(self, x, 1, generator=stream).log_weights() for _ in range(k)])
            elif d == "draws without a path":
                log_w = draw_terms(self, x, k, generator=stream, reparametrised=False).log_weights()
            else:
                terms = draw_terms(self, x, k, generator=stream)
                kl = terms.log_posterior - terms.log_prior
                sign = {"KL added": -1, "KL doubled": 2}.get(d, 1)
                log_w = terms.reconstruction - sign * kl
        found = log_w.mean(0) if d == "mean of logs" else log_w.logsumexp(0) - (0 if d == "sum" else math.log(k))
        return -found if d == "sign" else found.mean() if d == "one number" else found

    def sample(self, n, *, generator=None):
        d, stream = self.defect, resolve(generator)
        if d == "global stream":
            stream = torch.default_generator
        if d == "n = 0 taken" and n == 0:
            return torch.zeros(0, WIDTH)
        if d == "training ends":
            self.eval()
        if d == "weights move":
            self.decoder.layers[0].bias.data.add_(1e-3)
        dg.errors.check_count(n=n)
        with torch.set_grad_enabled(d == "draws hold a graph" and torch.is_grad_enabled()):
            z = draw(self.prior(), (n,), generator=stream)
            if d == "prior too wide":
                z = 2 * z
            law = self.likelihood(z)
            graph = d == "draws hold a graph"
            x = law.mean if d == "means for draws" else draw(law, generator=stream, reparametrised=graph)
        if d == "always float32":
            x = x.float()
        if d == "one row for all":
            x = x[:1].expand(n, -1)
        return x[0] if d == "n = 1 squeezed" and n == 1 else x


LAWS = [
    "prior without its constant",
    "prior with a factor of two",
    "posterior without its constant",
    "posterior with a factor of two",
    "likelihood without its event",
    "posterior without a batch",
    "rows mixed",
    "stale weights",
]
BOUNDS = [
    "NaN taken",
    "a draw too many",
    "bound from the global stream",
    "no gradient",
    "encoded for each draw",
    "draws without a path",
    "KL added",
    "KL doubled",
    "mean of logs",
    "sum",
    "sign",
    "one number",
]
DRAWS = ["prior too wide", "means for draws"]
SAMPLES = [
    "global stream",
    "n = 0 taken",
    "training ends",
    "weights move",
    "draws hold a graph",
    "always float32",
    "one row for all",
    "n = 1 squeezed",
]


def rows(stream):
    return torch.randn(4, WIDTH, generator=stream)


def test_a_right_model_passes(stream, alpha):
    done = check_latent(Planted(), rows(stream), alpha=alpha, generator=stream)
    assert {"laws", "rows", "mass", "cells", "bound", "below", "gradients", "restored", "draws", "random"} <= set(done)
    assert "no save" in done


@pytest.mark.parametrize("defect", LAWS + BOUNDS + DRAWS + SAMPLES)
def test_what_is_planted_is_caught(defect, stream):
    state = torch.get_rng_state()
    with pytest.raises(CheckFailed) as failure:
        check_latent(Planted(defect), rows(stream), generator=stream)
    assert len(str(failure.value)) > 20
    torch.set_rng_state(state)


@pytest.mark.parametrize("defect", SAMPLES)
def test_what_is_planted_in_draws_is_caught_alone(defect, stream):
    state = torch.get_rng_state()
    with pytest.raises(CheckFailed):
        check_samples(Planted(defect), generator=stream)
    torch.set_rng_state(state)


class Above(Planted):
    """Posterior and bound agree with one another, and neither with the model: q states half of its density."""

    def posterior(self, x):
        law = super().posterior(x).base_dist
        return Independent(_Halved(law.loc, law.scale), 1, validate_args=False)


class _Halved(Off):
    def __init__(self, loc, scale):
        super().__init__(loc, scale, "")

    def expand(self, batch_shape, _instance=None):
        return _Halved(self.loc.expand(batch_shape), self.scale.expand(batch_shape))

    def log_prob(self, value):
        return super().log_prob(value) - 5.0


def test_a_bound_above_the_likelihood_is_caught_by_a_grid_too(stream, monkeypatch):
    monkeypatch.setattr(dg.testing.latent, "check_mass", lambda *args: [])
    with pytest.raises(CheckFailed, match=r"lies above log p\(x\)"):
        check_latent(Above(), rows(stream), generator=stream)


class Wrong(GivenContext):
    """The laws given the neighbour's context, or none."""

    def __init__(self, model, context):
        super().__init__(model, context)
        self.code = {"ignored": 0 * self.code, "the neighbour's": self.code.roll(1, 0)}.get(model.defect, self.code)


class Conditional(CVAE):
    def __init__(self, defect=""):
        g = dg.random.generator(0)
        encoder = Dense(WIDTH, [6], 2 * LATENT, context=3, generator=g)
        decoder = Dense(LATENT, [6], WIDTH, context=3, generator=g)
        super().__init__(encoder, decoder, latent=LATENT, context=3, likelihood=Gaussian(0.6))
        self.defect = defect
        trained(self, g, 0.3)

    def forward(self, context):
        return Wrong(self, context)


def test_contexts(stream, alpha):
    context, x = torch.randn(4, 3, generator=stream), rows(stream)
    assert "context" in check_latent(Conditional(), x, context=context, alpha=alpha, generator=stream)
    for defect in ("ignored", "the neighbour's"):
        with pytest.raises(CheckFailed, match=r"context|other rows"):
            check_latent(Conditional(defect), x, context=context, generator=stream)
    with pytest.raises(CheckFailed, match="two different rows"):
        check_samples(Conditional(), context=context[:1], generator=stream)


def test_grey_rows_lie_outside_a_bernoulli(stream):
    vae = VAE(Dense(WIDTH, [6], 4, generator=0), Dense(2, [6], WIDTH, generator=0), latent=2, likelihood=Bernoulli())
    with pytest.raises(CheckFailed, match="outside its support"):
        check_latent(vae, torch.rand(4, WIDTH, generator=stream), generator=stream)


def test_a_part_that_rests_is_left_at_rest(stream):
    class Waking(GAN):
        def sample(self, n, context=None, *, generator=None):
            training, x = self.training, super().sample(n, context, generator=generator)
            self.train(training)
            return x

    def make(cls):
        return cls(Dense(2, [6], WIDTH, generator=0), Dense(WIDTH, [6], 1, generator=1), latent=2)

    assert "untouched" in check_samples(make(GAN), generator=stream)
    with pytest.raises(CheckFailed, match="another mode"):
        check_samples(make(Waking), generator=stream)


def test_models_are_left_as_they_were(stream):
    model, state = Planted(), torch.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_latent(model, rows(stream), generator=stream)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_what_has_neither_laws_nor_draws_is_refused(stream):
    net = Dense(WIDTH, [], 2, generator=stream)
    with pytest.raises(MissingCapability, match="neither"):
        check_latent(net, rows(stream))
    with pytest.raises(MissingCapability, match="Samples"):
        check_samples(net)
    with pytest.raises(CheckFailed, match="different rows"):
        check_latent(Planted(), torch.zeros(2, WIDTH))
