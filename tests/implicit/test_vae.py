"""VAEs: exactly k draws from one pass, laws by objects, every kind of data, refusals, and checkpoints."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import deepgen as dg
from deepgen.data import Unlabelled
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.implicit import VAE, conv_vae, mlp_vae
from deepgen.implicit.latent import draw_terms
from deepgen.objectives import ELBO, IWAE
from deepgen.testing.models import check_model


def bits(stream, n=40, width=6):
    return torch.randint(2, (n, width), generator=stream).float()


class Counting(nn.Module):
    """Counts the rows that pass."""

    def __init__(self, net):
        super().__init__()
        self.net, self.rows, self.calls = net, 0, 0

    def forward(self, x):
        self.rows, self.calls = self.rows + len(x), self.calls + 1
        return self.net(x)


@pytest.mark.parametrize("k", [1, 5, 50, 300])
def test_a_bound_of_k_draws_uses_exactly_k_and_encodes_once(k, stream):
    """pythae's get_nll(x, n_samples=50) draws 100, and 500 draws 900, and it encodes each row again for every draw."""
    vae = VAE(Counting(nn.Linear(6, 4)), Counting(nn.Linear(2, 6)), latent=2)
    vae.bound(bits(stream, 7), samples=k, generator=stream)
    assert (vae.encoder.rows, vae.encoder.calls) == (7, 1)
    assert vae.decoder.rows == 7 * k
    before = vae.decoder.rows
    IWAE(k, dreg=True).loss(vae, bits(stream, 7), generator=stream)
    assert vae.decoder.rows - before == 7 * k


def test_the_bound_is_the_log_mean_of_its_weights_with_its_sign(stream):
    """pythae's get_nll logs the opposite sign of its loss, and leaves out constants."""
    vae, x = mlp_vae(6, [8], latent=2, generator=stream), bits(stream, 5)
    log_w = draw_terms(vae, x, 9, generator=dg.random.generator(4)).log_weights()
    bound = vae.bound(x, samples=9, generator=4)
    assert torch.allclose(bound, log_w.logsumexp(0) - math.log(9))
    assert (bound < 0).all()  # a log-probability of bits
    assert torch.allclose(-IWAE(9).loss(vae, x, generator=dg.random.generator(4)).value, bound.mean())


def wide(stream):
    """One latent, and q wider than the prior, so that weights are bounded and their errors normal."""
    vae = mlp_vae(3, [8], latent=1, generator=stream).double()
    with torch.no_grad():
        vae.encoder.layers[-1].weight[1].zero_()
        vae.encoder.layers[-1].bias[1] = 0.3
    return vae


def integral(vae, x):
    """log p(x) by 4,001 points of z, of one latent: the trapezoidal rule, exact to rounding here."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64).reshape(-1, 1, 1).expand(-1, len(x), 1)
    joint = vae.likelihood(z).log_prob(x) + vae.prior().log_prob(z)
    return (joint.logsumexp(0) + math.log(18 / 4000)).detach()


def test_the_bound_reaches_the_exact_probability_summed_over_a_grid(stream, alpha):
    """A missing constant would show."""
    vae, x = wide(stream), torch.eye(3, dtype=torch.float64)
    exact = integral(vae, x)
    weights = (draw_terms(vae, x, 20_000, generator=stream).log_weights() - exact).exp()
    limit = dg.evaluate.student.t_quantile(1 - alpha / 3, 0)
    assert ((weights.mean(0) - 1).abs() < limit * weights.std(0) / 20_000**0.5).all()


def test_its_probabilities_sum_to_one_and_its_draws_have_them(stream, alpha):
    vae = wide(stream)
    x = torch.cartesian_prod(*[torch.arange(2.0).double()] * 3)
    p = integral(vae, x).exp()
    assert abs(float(p.sum()) - 1) < 1e-9
    drawn = vae.sample(20_000, generator=stream) @ torch.tensor([4.0, 2.0, 1.0]).double()
    chance = dg.testing.goodness.chi_square(torch.bincount(drawn.long(), minlength=8), p)
    assert chance > alpha


LIKELIHOODS = {
    "bernoulli": (dg.implicit.Bernoulli, lambda g: torch.randint(2, (12, 6), generator=g)),
    "gaussian": (lambda: dg.implicit.Gaussian(0.5), lambda g: torch.randn(12, 6, generator=g)),
    "shared": (lambda: dg.implicit.Gaussian(1.0, "shared"), lambda g: torch.randn(12, 6, generator=g)),
    "decoder": (lambda: dg.implicit.Gaussian(1.0, "decoder"), lambda g: torch.randn(12, 6, generator=g)),
    "optimal": (lambda: dg.implicit.Gaussian(1.0, "optimal"), lambda g: torch.randn(12, 6, generator=g)),
    "categorical": (lambda: dg.implicit.Categorical(5), lambda g: torch.randint(5, (12, 6), generator=g)),
    "logistic": (lambda: dg.implicit.LogisticMixture(16, 2), lambda g: torch.randint(16, (12, 6), generator=g)),
}


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_each_likelihood_trains_draws_and_comes_back_from_a_file(kind, stream):
    make, data = LIKELIHOODS[kind]
    x = data(stream)
    vae = mlp_vae(6, [8], latent=2, likelihood=make(), generator=stream)
    check_model(vae, x.float(), generator=stream)
    dg.fit(vae, x, ELBO(), epochs=1, progress=False)
    vae.check(vae.sample(9, generator=stream))
    assert vae.reconstruct(x, generator=stream).shape == x.shape
    assert vae.encode(x).shape == (12, 2)
    assert vae.decode(torch.zeros(3, 2)).shape == (3, 6)
    image = x.reshape(12, 1, 2, 3).repeat(1, 1, 2, 2)[..., :4]
    conv = conv_vae((1, 4, 4), [4], latent=2, hidden=8, likelihood=make(), generator=stream)
    assert conv.bound(image, samples=3, generator=stream).isfinite().all()


def test_the_decoder_names_one_law_for_each_of_n_numbers(stream):
    """Numbers come in blocks along the first axis of the event: [n * features], [n * channels, height, width]."""
    out = torch.randn(5, 3 * 4, generator=stream)
    vae = VAE(nn.Linear(4, 4), nn.Identity(), latent=12, likelihood=dg.implicit.Categorical(3))
    law = vae.likelihood(out)
    assert torch.allclose(law.base_dist.logits, out.view(5, 3, 4).movedim(1, 2).log_softmax(-1))
    assert vae.likelihood(torch.zeros(12)).log_prob(torch.zeros(4)).shape == ()


def test_learned_sigmas_find_the_noise(stream):
    x = 0.3 * torch.randn(2000, 3, generator=stream) + 0.5
    for kind in ("shared", "optimal"):
        vae = mlp_vae(3, [4], latent=1, likelihood=dg.implicit.Gaussian(1.0, kind), generator=stream)
        adam = torch.optim.Adam(vae.parameters(), lr=0.02)
        dg.fit(vae, x, ELBO(), epochs=15, optimizer=adam, seed=0, progress=False)
        sigma = float(vae.observation.log_sigma.detach().exp())
        assert 0.24 < sigma < 0.36, (kind, sigma)
        before = sigma
        for training in (True, False):  # asking moves nothing, whatever the mode that `fit` leaves
            vae.train(training).bound(5 * x, generator=stream)
            IWAE(2).loss(vae, 5 * x, generator=stream)
        assert float(vae.observation.log_sigma.detach().exp()) == before


def test_an_optimal_sigma_is_the_root_mean_square_error_of_the_draws(stream):
    vae = mlp_vae(3, [4], latent=1, likelihood=dg.implicit.Gaussian(1.0, "optimal", momentum=0.25), generator=stream)
    x = torch.randn(50, 3, generator=stream)
    squares = []
    for seed in (1, 2):
        terms = draw_terms(vae, x, 4, generator=dg.random.generator(seed))
        squares.append(float((vae.decode(terms.z) - x).square().mean()))
        ELBO(samples=4).loss(vae, x, generator=dg.random.generator(seed), learn=True)
        wanted = squares[0] if seed == 1 else 0.75 * squares[0] + 0.25 * squares[1]
        assert float((2 * vae.observation.log_sigma).exp()) == pytest.approx(wanted, rel=1e-5)


def test_rows_that_the_likelihood_cannot_have_made_are_refused(stream):
    vae = mlp_vae(6, [8], latent=2, generator=stream)
    grey = torch.full((3, 6), 0.5)
    for call in (
        lambda: vae.bound(grey),
        lambda: dg.fit(vae, grey, ELBO(), epochs=1, progress=False),
        lambda: dg.evaluate.log_likelihood(vae, grey),
        lambda: vae.encode(grey),
    ):
        with pytest.raises(SupportError, match="0 or 1"):
            call()
    with pytest.raises(SupportError, match="finite"):
        mlp_vae(6, [8], latent=2, likelihood=dg.implicit.Gaussian(1.0)).bound(torch.full((3, 6), torch.nan))
    with pytest.raises(SupportError, match="0 to 4"):
        mlp_vae(6, [8], latent=2, likelihood=dg.implicit.Categorical(5)).bound(torch.full((3, 6), 5.0))
    with pytest.raises(ShapeError, match="at least one row"):
        vae.bound(torch.zeros(6))
    with pytest.raises(ShapeError, match="rows must be"):
        vae.bound(torch.zeros(3, 7))
    with pytest.raises(ShapeError, match="reads 4 features"):
        VAE(nn.Linear(6, 5), nn.Linear(2, 6), latent=2).bound(bits(stream))
    with pytest.raises(ShapeError, match="likelihood is over rows"):
        VAE(nn.Linear(6, 4), nn.Linear(2, 5), latent=2).bound(bits(stream))
    with pytest.raises(ArgumentError, match="samples"):
        vae.bound(bits(stream), samples=0)
    with pytest.raises(ArgumentError, match="the class Bernoulli itself"):
        VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent=2, likelihood=dg.implicit.Bernoulli)
    with pytest.raises(ArgumentError, match="divisible"):
        conv_vae((1, 7, 8), [4], latent=2)
    with pytest.raises(ArgumentError, match="the class Categorical itself"):
        mlp_vae(6, [8], latent=2, likelihood=dg.implicit.Categorical)
    with pytest.raises(ArgumentError, match="no likelihood: it has no numbers"):
        VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent=2, likelihood=nn.Identity())
    for width in (1, 3):  # one would broadcast, and draws would have another width than codes
        with pytest.raises(ShapeError, match=r"the prior is over z"):
            VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent=2, prior=Foreign(width)).bound(bits(stream))
    with pytest.raises(ArgumentError, match="samples"):
        vae.encode(bits(stream), samples=0)
    with pytest.raises(SupportError, match="inputs are bounded"):
        dg.implicit.VampPrior(6, 4).initialise(torch.full((9, 6), 200.0))
    with pytest.raises(SupportError, match="finite"):
        dg.implicit.VampPrior(6, 4, bounded=False).initialise(torch.full((9, 6), torch.nan))


class Foreign(nn.Module):
    """A prior of which nothing is known before it is asked."""

    def __init__(self, width):
        super().__init__()
        self.law = dg.distributions.StandardNormal(width)

    def forward(self, context):
        return self.law(context)


WIDE = {
    "prior": [
        dg.distributions.StandardNormal(1), dg.distributions.StandardNormal(3), dg.distributions.NormalMixture(3),
        dg.distributions.StudentT(3), dg.explicit.NSF(3, transforms=1, hidden=[4]),
    ],
    "posterior": [dg.implicit.DiagonalGaussian(3), dg.implicit.FullGaussian(3)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "law"), [(name, law) for name, laws in WIDE.items() for law in laws])
def test_a_law_of_another_width_is_refused_when_the_model_is_made(name, law):
    with pytest.raises(ShapeError, match=rf"the {name} is over z \[[13]\], and latent=2"):
        VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent=2, **{name: law})
    with pytest.raises(ShapeError, match=f"the {name} is over z"):
        dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, **{name: law})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8, torch.int64, torch.bool])
def test_bits_of_any_dtype_are_taken_and_nothing_near_them(dtype):
    law, bits = dg.implicit.Bernoulli(), torch.tensor([[0, 1, 1]]).to(dtype)
    law.check(bits)
    law.check(bits[:0])
    wrong = [2, 128, 255] if dtype == torch.uint8 else [] if dtype == torch.bool else [2, -1]
    if dtype.is_floating_point:
        digit = torch.finfo(dtype).eps
        wrong += [0.5, 1e-30, 1 - digit / 2, 1 + digit, math.nan, math.inf, -math.inf]
    for value in wrong:
        with pytest.raises(SupportError, match="0 or 1"):
            law.check(torch.cat([bits, torch.full((1, 3), value, dtype=dtype)]))


def test_tensors_datasets_and_loaders_are_all_taken(stream):
    """pythae takes only batches of the form {"data": x}: a TensorDataset is an AttributeError."""
    x = bits(stream)
    for data in (
        x,
        x.numpy(),
        TensorDataset(x),
        DataLoader(TensorDataset(x), 10),
        Unlabelled(TensorDataset(x, x[:, 0])),
    ):
        vae = mlp_vae(6, [8], latent=2, generator=stream)
        assert "bound" in dg.fit(vae, data, ELBO(), epochs=1, progress=False)[-1].metrics


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")  # nothing has trained this posterior
def test_evaluation_states_a_bound_and_its_side(stream):
    vae = mlp_vae(6, [8], latent=2, generator=stream)
    found = dg.evaluate.log_likelihood(vae, bits(stream), generator=stream)
    assert found.side == "below"
    assert found.unit == "nats/example"


def test_the_prior_of_pseudo_inputs_is_the_mean_of_their_posteriors(stream):
    x = bits(stream)
    prior = dg.implicit.VampPrior(6, 4, generator=stream).initialise(x, generator=stream)
    vae = mlp_vae(6, [8], latent=2, prior=prior, generator=stream)
    z = torch.randn(3, 5, 2, generator=stream)
    each = torch.stack([vae.posterior_law(vae.encoder(u[None])).log_prob(z) for u in prior.inputs()])
    assert torch.allclose(vae.prior().log_prob(z), each.logsumexp(0) - math.log(4), atol=1e-5)
    check_model(vae, x, generator=stream)


def test_a_flow_posterior_over_a_gaussian_of_the_features_starts_near_that_gaussian(stream):
    base = dg.implicit.DiagonalGaussian(2, inputs=6, generator=stream)
    flow = dg.explicit.IAF(2, 2, [8], context=6, base=base, generator=stream)
    vae = mlp_vae(6, [8], latent=2, posterior=flow, generator=stream)
    x = bits(stream, 5)
    terms = draw_terms(vae, x, 4, generator=stream)
    assert torch.allclose(terms.q.log_prob(terms.z), terms.log_posterior, atol=1e-4)
    assert vae.encode(x, generator=stream).shape == (5, 2)
    check_model(vae, x, generator=stream)


def test_a_full_posterior_has_the_covariance_of_its_features(stream):
    law = dg.implicit.FullGaussian(3)
    features = torch.randn(4, law.inputs, generator=stream)
    q = law(features)
    factor = torch.diag_embed(features[:, 3:6].exp())
    factor[:, 1, 0], factor[:, 2, 0], factor[:, 2, 1] = features[:, 6], features[:, 7], features[:, 8]
    assert torch.allclose(q.covariance_matrix, factor @ factor.mT, atol=1e-5)
    assert dg.implicit.FullGaussian(1)(torch.zeros(4, 2)).event_shape == (1,)


def test_networks_of_your_own_come_back_by_their_weights(stream, tmp_path):
    def make():
        return VAE(nn.Linear(6, 4), nn.Linear(2, 6), latent=2)

    vae = make()
    dg.save(vae, tmp_path / "run")
    again = dg.load_weights(make(), tmp_path / "run")
    x = bits(stream)
    assert torch.equal(vae.bound(x, generator=1), (again or vae).bound(x, generator=1))
