"""Importance bounds against probabilistic PCA, quadrature, and counts of what the model was asked."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

import deepgen as dg
from deepgen.errors import DegenerateWeights
from deepgen.evaluate import latent_bound
from deepgen.evaluate.latent_rows import drawn
from deepgen.testing import LinearGaussian

QUIET = pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")


def pca(stream, **wrong):
    return LinearGaussian(5, 2, sigma=0.8, generator=stream, **wrong).double().requires_grad_(False)


class Curved(nn.Module):
    """One latent variable, four bits with logits that are no line in it; q is off on purpose."""

    slope = torch.tensor([3.0, -2.0, 1.5, 0.5], dtype=torch.float64)

    def prior(self):
        return Independent(Normal(torch.zeros(1).double(), torch.ones(1).double()), 1)

    def posterior(self, x):
        return Independent(Normal((x @ self.slope / 6).unsqueeze(1) - 0.2, torch.ones(1).double()), 1)

    def likelihood(self, z):
        return Independent(Bernoulli(logits=self.slope * (z**2 - 1) + z), 1)

    def truth(self, x):
        """By the trapezoidal rule, which is exact to rounding for such integrands."""
        z = torch.linspace(-10, 10, 4001, dtype=torch.float64).view(-1, 1, 1)
        joint = self.prior().log_prob(z) + self.likelihood(z).log_prob(x)
        return joint.logsumexp(0) + math.log(20 / 4000)


class Counted(nn.Module):
    """A model that counts the rows encoded and the pairs decoded."""

    def __init__(self, model):
        super().__init__()
        self.model, self.encoded, self.pairs, self.most = model, 0, 0, 0
        self.prior = model.prior

    def posterior(self, x):
        self.encoded += len(x)
        return self.model.posterior(x)

    def likelihood(self, z):
        if z.ndim == 3:
            self.pairs += z[..., 0].numel()
            self.most = max(self.most, z[..., 0].numel())
        return self.model.likelihood(z)


def test_at_the_true_posterior_every_k_is_exact(stream):
    model = pca(stream)
    x = model.sample(10, generator=stream)
    found = latent_bound(model, x, [1, 7, 100], generator=stream)
    assert torch.allclose(found.values, model.log_prob(x).detach().expand(3, -1), atol=1e-9)
    assert torch.allclose(found.ess, torch.full_like(found.ess, 100.0))  # equal weights all count
    assert float(found.variances.max()) < 1e-12
    assert found.pareto_k.tolist() == [-math.inf] * 10


@QUIET
def test_the_elbo_lies_below_by_the_divergence(stream, alpha):
    model = pca(stream, shift=0.4, scale=1.3)
    x = model.sample(300, generator=stream)
    found = latent_bound(model, x, 1, draws=50, generator=stream).estimate()
    low, high = found.interval(1 - alpha)
    assert low < float(model.log_prob(x).mean()) - model.gap < high
    assert found.stderr < 0.05 * model.gap
    assert (found.side, found.unit, found.n) == ("below", "nats/example", 15_000)


@QUIET
def test_bounds_rise_with_k_to_the_truth(stream, alpha):
    model = pca(stream, shift=0.3, scale=1.3)
    x = model.sample(200, generator=stream)
    truth = float(model.log_prob(x).mean())
    found = latent_bound(model, x, [1, 3, 10, 100, 2000], generator=stream)
    rungs = [found.estimate(k) for k in found.ks]
    for lower, upper in itertools.pairwise(rungs):
        assert upper.value - lower.value > -5 * math.hypot(lower.stderr, upper.stderr)
    assert rungs[0].value < rungs[2].value - 5 * rungs[2].stderr
    low, high = rungs[-1].interval(1 - alpha)
    assert low - 1e-3 < truth < high + 1e-2  # the bias of L_2000 is about var(w) / 4000


@QUIET
def test_the_weights_average_to_the_density_itself(stream, alpha):
    model = pca(stream, shift=0.3, scale=1.4)
    x = model.sample(1, generator=stream).expand(2000, -1)
    ratio = (latent_bound(model, x, 5, generator=stream).values[0] - model.log_prob(x)).exp().detach()
    z = (float(ratio.mean()) - 1) / (float(ratio.std()) / math.sqrt(len(ratio)))
    assert math.erfc(abs(z) / math.sqrt(2)) > alpha


@QUIET
@pytest.mark.parametrize("proposal", ["posterior", "prior"])
def test_a_curved_decoder_agrees_with_quadrature(stream, alpha, proposal):
    model = Curved()
    x = torch.randint(0, 2, (40, 4), generator=stream).double()
    found = latent_bound(model, x, 4000, proposal=proposal, generator=stream)
    low, high = found.estimate().interval(1 - alpha)
    bias = float(found.variances.mean())  # of a log mean: half the relative variance; twice that for room
    assert low < float(model.truth(x).mean()) < high + bias


@QUIET
def test_exactly_k_draws_and_one_pass_of_the_encoder(stream):
    model = Counted(pca(stream, shift=0.2))
    x = model.model.sample(130, generator=stream)
    for k in (1, 7, 250):
        model.encoded = model.pairs = 0
        assert latent_bound(model, x, k, generator=stream).estimate().n == 130 * k
        assert (model.encoded, model.pairs) == (130, 130 * k)
    model.encoded = model.pairs = 0
    latent_bound(model, x, [1, 10, 100], generator=stream)
    assert (model.encoded, model.pairs) == (130, 13_000)


@QUIET
def test_chunks_bound_the_memory_and_change_nothing(stream, seed):
    model = Counted(LinearGaussian(200, 2, shift=0.01, generator=stream))
    x = model.model.sample(130, generator=stream)
    whole = latent_bound(model, x, 300, generator=seed)
    for chunk in (64, 1000):
        model.most = 0
        parts = latent_bound(model, x, 300, chunk=chunk, generator=seed)
        assert 0 < model.most <= chunk
        assert torch.allclose(parts.values, whole.values, atol=1e-4)
        assert torch.allclose(parts.ess, whole.ess, rtol=1e-2)


def test_k_of_5000_decodes_within_the_bytes_of_a_chunk(stream):
    """200 rows have a million weights; at a time no more than 6,400 pairs of x and z are held in float64."""
    model = Counted(pca(stream))
    found = latent_bound(model, model.model.sample(200, generator=stream), 5000, chunk=6400, generator=stream)
    assert model.most * (5 + 2) * 8 <= 6400 * 56
    kept = (found.values, found.variances, found.ess, found.pareto_k)
    assert sum(t.untyped_storage().nbytes() for t in kept) <= 4 * 200 * 8


def test_one_draw_states_the_error_of_rows_and_draws_together(stream):
    model = pca(stream, shift=0.4)
    found = latent_bound(model, model.sample(100, generator=stream), 1, generator=stream).estimate()
    assert found.stderr == found.stderr_data > 0
    assert found.settings["stderr"] == "of rows and draws together"


def test_heavy_tails_are_warned_about(stream):
    model = pca(stream, scale=0.3)
    x = model.sample(50, generator=stream)
    with pytest.warns(DegenerateWeights, match="Pareto k above 0.7"):
        found = latent_bound(model, x, 500, generator=stream)
    assert found.estimate().settings["rows with Pareto k above 0.7"] > 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        latent_bound(model, x, 1, draws=500, generator=stream)  # no weights in an ELBO


@QUIET
def test_variances_are_the_scatter_of_the_values(stream):
    """One row many times: its values scatter as their variances say. A factor of two would be far outside."""
    model, rows = pca(stream, shift=0.3, scale=1.2), 4000
    x = model.sample(1, generator=stream).expand(rows, -1)
    for k, draws in ((1, 40), (10, 40), (200, 200)):
        found = latent_bound(model, x, k, draws=draws, generator=stream)
        away = (found.values[0] - found.values[0].mean()).square() / found.variances[0].mean()
        assert abs(float(away.mean()) - 1) < 0.1 + 5 * float(away.std()) / rows**0.5
        reported = found.estimate().stderr * rows**0.5
        assert reported == pytest.approx(float(found.variances[0].mean()) ** 0.5)


@QUIET
def test_integers_and_bits_are_rows_as_floats_are(stream):
    vae = dg.implicit.mlp_vae(4, [6], latent=2, generator=stream)
    x = torch.randint(0, 2, (9, 4), generator=stream)
    wanted = latent_bound(vae, x.float(), 20, generator=3).values
    for kind in (torch.uint8, torch.int64, torch.bool, torch.float64):
        assert torch.allclose(latent_bound(vae, x.to(kind), 20, generator=3).values, wanted, atol=1e-5)
    for k in (np.int64(20), [20], (20, 20)):
        assert torch.equal(latent_bound(vae, x.float(), k, generator=3).values, wanted)


def test_what_is_refused(stream):
    model = Curved()
    with pytest.raises(dg.errors.SupportError, match="Make grey values binary"):
        latent_bound(model, torch.full((3, 4), 0.5).double(), 10)
    with pytest.raises(dg.errors.MissingCapability, match="prior"):
        latent_bound(dg.RBM(3, 2), torch.zeros(3, 3), 10)
    with pytest.raises(dg.errors.ArgumentError, match="draws must be an integer of at least 100"):
        latent_bound(model, torch.zeros(3, 4).double(), [1, 100], draws=50)
    with pytest.raises(dg.errors.ArgumentError, match="proposal"):
        latent_bound(model, torch.zeros(3, 4).double(), 10, proposal="q")
    with pytest.raises(dg.errors.ArgumentError, match="not asked for"):
        latent_bound(model, torch.zeros(3, 4).double(), 10, generator=stream).estimate(5)
    for rows, error in ((torch.zeros(0, 4), "at least one row"), (torch.zeros(4), "at least one row"),
                        (torch.zeros(3, 5), "reshape the data"), ([[0.0] * 4], "must be a tensor")):  # fmt: skip
        with pytest.raises(dg.errors.ShapeError, match=error):
            latent_bound(Curved(), rows.double() if isinstance(rows, torch.Tensor) else rows, 10, proposal="prior")
    for k in (2.0, None, [], torch.tensor(5)):
        with pytest.raises(dg.errors.ArgumentError, match="k must be an integer"):
            latent_bound(model, torch.zeros(3, 4).double(), k)
    model.likelihood = lambda z: Bernoulli(logits=model.slope * z)
    with pytest.raises(dg.errors.ShapeError, match="sum over the event"):
        latent_bound(model, torch.zeros(3, 4).double(), 10, generator=stream)


def test_weights_that_are_nan_are_refused(stream):
    model = pca(stream)
    x = model.sample(3, generator=stream)
    model.bias.fill_(math.inf)
    model.posterior = lambda x: model.prior().expand((len(x),))
    model.likelihood = lambda z: Independent(Normal(z @ model.weight.mT + model.bias, 1.0, validate_args=False), 1)
    model.bias[0] = math.nan
    with pytest.raises(dg.errors.DivergenceError, match="log weights are NaN"):
        latent_bound(model, x, 10, generator=stream)


@QUIET
def test_nothing_of_the_global_stream_is_used_and_seeds_repeat(stream):
    model = pca(stream, shift=0.1)
    x = model.sample(70, generator=stream)
    before = torch.get_rng_state()
    one, two = (latent_bound(model, x, 20, generator=3) for _ in range(2))
    assert torch.equal(one.values, two.values)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one.values, latent_bound(model, x, 20, generator=4).values)


def test_draws_of_independent_normals_carry_the_density_of_torch(stream):
    mean, sd = torch.randn(3, 2, 4, generator=stream).double(), torch.rand(3, 2, 4, generator=stream).double() + 0.1
    for law in (Independent(Normal(mean, sd), 2), Independent(Normal(mean[0], sd[0]), 2)):
        z, log_q = drawn(law, 5, 3, stream)
        assert z.shape == (5, 3, 2, 4)
        assert torch.allclose(log_q, law.log_prob(z))
        noise = (z - law.mean) / law.stddev
        assert dg.testing.ks(noise.flatten(), torch.special.ndtr) > 1e-6


def test_a_law_whose_support_depends_on_z_is_named_in_a_line(stream):
    """Uniform noise about what is decoded: bounds of every row and draw, which nobody reads."""

    class Blurred(nn.Module):
        numbers = 1

        def forward(self, numbers, event_dims):
            (m,) = numbers
            return Independent(torch.distributions.Uniform(m - 1e-3, m + 1e-3), event_dims)

    model = dg.implicit.Decoder(dg.layers.Dense(2, [4], 50, generator=stream), 2, Blurred())
    with pytest.raises(dg.errors.SupportError, match=r"over Intervals with bounds of their own, and x") as told:
        latent_bound(model, 10 * torch.ones(5, 50), 10, proposal="prior", generator=stream)
    assert len(str(told.value)) < 300
    bits = dg.implicit.Decoder(dg.layers.Dense(2, [4], 50, generator=stream), 2, dg.implicit.Bernoulli())
    with pytest.raises(dg.errors.SupportError, match=r"Boolean|zeros and ones|binary"):
        latent_bound(bits, 0.5 * torch.ones(5, 50), 10, proposal="prior", generator=stream)
