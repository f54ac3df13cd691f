"""Methods of log_likelihood for latent variables, the ladder, and models whose laws depend on a context."""

import json
import math

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.testing import LinearGaussian

QUIET = pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")


class Only(nn.Module):
    """What a `Latent` has, without log_prob."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.prior, self.posterior, self.likelihood = model.prior, model.posterior, model.likelihood


class Moved(nn.Module):
    """Probabilistic PCA whose latents have a mean given by the context: p(z | c) = N(c, I)."""

    context = 2

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, context):
        return At(self.model, context)

    def check(self, x):
        assert isinstance(x, tuple)


class At:
    def __init__(self, model, context):
        self.model, self.context = model, context

    def prior(self):
        normal = torch.distributions.Normal(self.context, torch.ones_like(self.context))
        return torch.distributions.Independent(normal, 1)

    def likelihood(self, z):
        return self.model.likelihood(z)

    def posterior(self, x):
        centred = x - self.context @ self.model.weight.mT
        law = self.model.posterior(centred)
        return torch.distributions.MultivariateNormal(law.mean + self.context, scale_tril=law.scale_tril)


def pca(stream, **options):
    return LinearGaussian(5, 2, **{"sigma": 0.5, **options}, generator=stream).double().requires_grad_(False)


@QUIET
def test_methods_by_name_and_the_defaults(stream, alpha):
    whole = pca(stream, shift=0.2, scale=1.2)
    model, x = Only(whole), whole.sample(50, generator=stream)
    truth = float(whole.log_prob(x).mean())
    auto = dg.evaluate.log_likelihood(model, x, generator=stream)
    assert auto.method == "importance-weighted bound, k = 1000"
    assert auto.settings["rows"] == 50
    assert auto.settings["likelihood"] == "Normal of sigma 0.5"
    elbo = dg.evaluate.log_likelihood(model, x, "elbo", generator=stream)
    few = dg.evaluate.log_likelihood(model, x, "iwae", samples=20, generator=stream)
    prior = dg.evaluate.log_likelihood(model, x, "prior", samples=500, generator=stream)
    ais = dg.evaluate.log_likelihood(model, x, "ais", chains=4, temperatures=60, generator=stream)
    assert (elbo.n, few.n, prior.n, ais.n) == (5000, 1000, 25_000, 200)
    for found in (auto, elbo, few, prior, ais):
        assert found.side == "below"
        assert found.value < truth + 5 * found.stderr
    assert elbo.value < few.value < auto.value + 5 * math.hypot(few.stderr, auto.stderr)
    assert "prior" in prior.method
    # a model with an exact log_prob is exact unless another method is named
    assert dg.evaluate.log_likelihood(whole, x).side == "exact"
    assert dg.evaluate.log_likelihood(whole, x, "iwae", samples=20, generator=stream).side == "below"


def test_options_without_a_use_are_refused(stream):
    whole = pca(stream)
    model, x = Only(whole), whole.sample(5, generator=stream)
    with pytest.raises(dg.errors.ArgumentError, match="takes no chains"):
        dg.evaluate.log_likelihood(model, x, "iwae", chains=5)
    with pytest.raises(dg.errors.ArgumentError, match="takes no samples"):
        dg.evaluate.log_likelihood(model, x, "ais", samples=5)
    with pytest.raises(dg.errors.ArgumentError, match="takes no tolerance, but samples"):
        dg.evaluate.log_likelihood(model, x, tolerance=0.1)
    with pytest.raises(dg.errors.ArgumentError, match="samples must be an integer"):
        dg.evaluate.log_likelihood(model, x, "iwae", samples=x)
    with pytest.raises(dg.errors.MissingCapability, match="prior"):
        dg.evaluate.log_likelihood(dg.RBM(3, 2), torch.zeros(2, 3), "elbo")
    with pytest.raises(dg.errors.ArgumentError, match="draws of RBM, one a chain"):
        dg.evaluate.log_likelihood(dg.RBM(3, 2), torch.zeros(2, 3), "bidirectional", samples=5)


@QUIET
def test_the_ladder_holds_every_rung_on_the_same_rows(stream, alpha):
    model = pca(stream, shift=0.3, scale=1.3)
    x = model.sample(30, generator=stream)
    found = dg.evaluate.likelihood_ladder(
        model, x, k=(1, 10, 500), chains=4, temperatures=60, leaps=4, simulated=20, generator=stream
    )
    names = ["ELBO", "k = 10", "k = 500", "AIS", "exact", "bidirectional gap, simulated rows"]
    assert list(found.rungs) == names
    truth = found.rungs["exact"].value
    assert truth == pytest.approx(float(model.log_prob(x).mean()))
    for name in names[:4]:
        assert found.rungs[name].side == "below"
        assert found.rungs[name].value < truth + 5 * found.rungs[name].stderr
        assert found.rungs[name].settings["rows"] == 30
    assert found.rungs["ELBO"].value < found.rungs["k = 500"].value
    printed = str(found)
    assert all(name in printed for name in names)
    assert "p(x | z) is Normal of sigma 0.5" in printed
    assert found.simulated is not None
    assert len(found.simulated.x) == 20
    json.dumps(found.to_dict(), allow_nan=False)


@QUIET
def test_a_context_moves_every_law(stream, alpha):
    whole = pca(stream, shift=0.1)
    model = Moved(whole)
    context = 3 * torch.randn(70, 2, generator=stream, dtype=torch.float64)
    x = whole.sample(70, generator=stream) + context @ whole.weight.mT
    truth = whole.log_prob(x - context @ whole.weight.mT)  # x - W c has the law without a context
    bound = dg.evaluate.latent_bound(model, x, 2000, context=context, generator=stream)
    low, high = bound.estimate().interval(1 - alpha)
    assert low < float(truth.mean()) < high + 0.01
    assert float((bound.values[0] - truth).abs().max()) < 0.5
    found = dg.evaluate.likelihood_ladder(
        model, (x, context), k=[10], chains=4, temperatures=80, leaps=4, simulated=10, generator=stream
    )
    assert float((found.ais.values - truth).abs().mean()) < 0.5
    assert found.simulated is not None
    moved = found.simulated.z - context[:10]
    assert float(moved.square().mean()) < 4  # around the context, not around 0


@QUIET
def test_a_model_whose_contexts_are_filled_in_is_judged_as_with_them(stream):
    """More rows than draw together; dropout in the networks; a prior of its own for each context."""
    prior = dg.implicit.DiagonalGaussian(2, inputs=3, generator=stream)
    model = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, prior=prior, generator=stream)
    model.decoder.layers.insert(1, nn.Dropout(0.5))
    x, y = torch.randint(2, (100, 6), generator=stream), torch.arange(100) % 3
    betas = torch.tensor([0.0, 0.5, 1.0])
    for whole, labels in ((model(y), y), (model(y[2:3]), torch.full_like(y, 2))):
        for method in ("iwae", "prior"):
            given, pair = (
                dg.evaluate.log_likelihood(m, rows, method, samples=5, generator=3)
                for m, rows in ((whole, x), (model, (x, labels)))
            )
            assert given.value == pair.value, method
    given, pair = (
        dg.evaluate.latent_ais(m, x, chains=2, temperatures=betas, leaps=1, context=c, generator=3)
        for m, c in ((model(y), None), (model, y))
    )
    assert torch.equal(given.values, pair.values)
    both = dg.evaluate.bidirectional_gap(model(y[:4]), 4, chains=2, temperatures=betas, leaps=1, generator=stream)
    assert both.x.shape == (4, 6)
    found = dg.evaluate.likelihood_ladder(
        model, (x[:2], y[:2]), k=[5], chains=2, temperatures=betas, leaps=1, simulated=5, generator=stream
    )
    assert len(found.simulated.x) == 5  # contexts in turn
    with pytest.raises(dg.errors.MissingCapability, match="give context="):
        dg.evaluate.latent_bound(model, x, 5)
    with pytest.raises(dg.errors.ShapeError, match="one for all"):
        dg.evaluate.latent_ais(model, x, context=y[:70])
    with pytest.raises(dg.errors.ArgumentError, match="simulated must be an integer of at least 2"):
        dg.evaluate.likelihood_ladder(model, (x, y), simulated=1)


@QUIET
def test_without_a_posterior_the_ladder_draws_from_the_prior(stream):
    whole = pca(stream)

    class Generator(nn.Module):
        prior, likelihood = staticmethod(whole.prior), staticmethod(whole.likelihood)

    x = whole.sample(10, generator=stream)
    found = dg.evaluate.likelihood_ladder(
        Generator(), x, k=[100], chains=4, temperatures=30, leaps=3, simulated=0, generator=stream
    )
    assert list(found.rungs) == ["k = 100, from the prior", "AIS"]
    with pytest.raises(dg.errors.MissingCapability, match='method="prior"'):
        dg.evaluate.log_likelihood(Generator(), x, "iwae")


LADDER = {
    "ladder": dg.evaluate.likelihood_ladder,
    "bound": dg.evaluate.latent_bound,
    "ais": dg.evaluate.latent_ais,
    "units": dg.evaluate.active_units,
    "information": dg.evaluate.mutual_information,
}


@pytest.mark.parametrize("name", LADDER)
def test_a_model_and_rows_on_two_devices_are_refused_with_both_names(name, stream):
    call = LADDER[name]
    model = pca(stream)
    x = model.sample(5, generator=stream)
    with pytest.raises(dg.errors.ArgumentError, match="the model is on cpu and x on meta"):
        call(model, x.to("meta"))
    with pytest.raises(dg.errors.ArgumentError, match="the model is on meta and x on cpu"):
        call(model.to("meta"), x)
    cvae = dg.implicit.mlp_cvae(5, [4], latent=2, classes=3, generator=0)
    bits, labels = (x > 0).float(), torch.arange(5) % 3
    beside = labels.to("meta")
    with pytest.raises(dg.errors.ArgumentError, match="the model is on cpu and context on meta"):
        call(cvae, (bits, beside)) if name == "ladder" else call(cvae, bits, context=beside)
    with pytest.raises(dg.errors.ArgumentError, match="the model is on cpu and x on meta"):
        call(cvae(torch.tensor([2])), bits.to("meta"))


def test_models_are_judged_at_rest_and_go_on_learning(stream):
    class Dropping(Only):
        def __init__(self, model):
            super().__init__(model)
            self.drop = nn.Dropout(0.5)
            self.likelihood = lambda z: model.likelihood(self.drop(z))

    whole = pca(stream)
    model, x = Dropping(whole), whole.sample(5, generator=stream)
    bound = dg.evaluate.latent_bound(model, x, 50, generator=stream)
    betas = torch.tensor([0.0, 0.5, 1.0])
    ais = dg.evaluate.latent_ais(model, x, chains=2, temperatures=betas, leaps=1, start="posterior", generator=stream)
    for values in (bound.values[0], ais.values):  # with the true posterior every weight is p(x)
        assert torch.allclose(values, whole.log_prob(x), atol=1e-9)
    assert model.training
    assert model.drop.training


@QUIET
@pytest.mark.parametrize(
    ("model", "methods"),
    [
        (dg.implicit.mlp_vae(6, [8], latent=2, generator=0), "auto, bound, elbo, iwae, prior, ais"),
        (dg.explicit.BernoulliMixture(6), "auto, exact"),
    ],
)
def test_a_method_that_a_model_has_no_use_for_is_refused_with_all_that_it_has(model, methods, stream):
    x = torch.randint(2, (5, 6), generator=stream).float()
    with pytest.raises(dg.errors.ArgumentError, match=f"method='reverse'; its methods: {methods}$"):
        dg.evaluate.log_likelihood(model, x, "reverse")
    for method in methods.split(", "):
        options = {"chains": 4, "temperatures": 3} if method == "ais" else {}
        assert dg.evaluate.log_likelihood(model, x, method, generator=stream, **options).value < 0


@QUIET
def test_arrays_of_rows_and_labels_are_taken_as_tensors_are(stream):
    x, y = torch.randint(2, (5, 6), generator=stream).float(), torch.tensor([0, 2, 1, 1, 0])
    vae, cvae = (dg.implicit.mlp_vae(6, [8], latent=2, generator=0), dg.implicit.mlp_cvae(6, [8], latent=2, classes=3))
    mixture = dg.explicit.BernoulliMixture(6)
    for model in (vae, mixture):
        one = dg.evaluate.log_likelihood(model, x, generator=0).value
        for array in (x.numpy(), x.double().numpy(), x.bool().numpy(), x.byte().numpy()):
            assert dg.evaluate.log_likelihood(model, array, generator=0).value == one
    one = dg.evaluate.log_likelihood(cvae, (x, y), generator=0).value
    for labels in (y.numpy(), y.int().numpy(), y.byte().numpy()):
        assert dg.evaluate.log_likelihood(cvae, (x.numpy(), labels), generator=0).value == one
    with pytest.raises(dg.errors.ArgumentError, match="integers"):
        dg.evaluate.log_likelihood(cvae, (x.numpy(), y.numpy() / 2))
    with pytest.raises(dg.errors.ShapeError, match=r"got list; deepgen.data.as_tensor\(x\) makes one"):
        dg.evaluate.log_likelihood(vae, x.tolist())


@pytest.mark.parametrize(
    "given",
    [
        {"start": "postrior"},
        {"start": 1},
        {"temperatures": 1},
        {"temperatures": "adaptve"},
        {"temperatures": torch.tensor([0.0, 0.5])},
        {"leaps": 0},
        {"chains": 1},
        {"simulated": 1},
    ],
    ids=str,
)
def test_the_ladder_refuses_wrong_settings_before_it_computes_anything(given, monkeypatch):
    model = dg.testing.LinearGaussian(4, 2, generator=0)
    x = model.sample(5, generator=1)
    monkeypatch.setattr(dg.evaluate.latent, "latent_bound", None)
    with pytest.raises(dg.errors.ArgumentError, match=f"{next(iter(given))} must be"):
        dg.evaluate.likelihood_ladder(model, x, **given)


@pytest.mark.parametrize("call", ["latent_bound", "latent_ais", "bidirectional_gap"])
def test_a_context_for_a_model_that_takes_none_is_told(call, stream):
    model = dg.implicit.mlp_vae(6, [8], latent=2, generator=stream)
    rows = 5 if call == "bidirectional_gap" else torch.zeros(5, 6)
    with pytest.raises(dg.errors.ArgumentError, match="VAE takes no context: leave context= out"):
        getattr(dg.evaluate, call)(model, rows, context=torch.zeros(5, dtype=torch.int64))
