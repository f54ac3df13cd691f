"""Conditional VAEs: labels, vectors and images as contexts, each row with its own."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.implicit import conv_cvae, mlp_cvae
from deepgen.implicit.latent import draw_terms
from deepgen.objectives import ELBO, IWAE
from deepgen.testing.checkpoints import check_checkpoint
from deepgen.testing.randomness import check_random


def pairs(stream, n=40):
    y = torch.randint(3, (n,), generator=stream)
    return torch.randint(2, (n, 6), generator=stream).float(), y


def test_rows_keep_their_own_contexts(stream):
    model = mlp_cvae(6, [8], latent=2, classes=3, generator=stream)
    (x, y), z = pairs(stream, 5), torch.randn(4, 5, 2, generator=stream)
    whole = model(y).likelihood(z).log_prob(x)
    alone = torch.stack([model(y[i : i + 1]).likelihood(z[:, i : i + 1]).log_prob(x[i]) for i in range(5)], 1)
    assert torch.allclose(whole, alone.squeeze(-1), atol=1e-5)
    q = model(y).posterior(x)
    assert torch.allclose(q.mean[2], model(y[2:3]).posterior(x[2:3]).mean[0], atol=1e-5)


def test_bound_reaches_the_exact_conditional_probability(stream, alpha):
    """One latent: the integral over z by 4,001 points, with a prior of its own for each label, narrower than q so that
    weights are bounded."""
    prior = dg.implicit.DiagonalGaussian(1, inputs=3, generator=stream)
    model = mlp_cvae(6, [8], latent=1, classes=3, prior=prior, generator=stream).double()
    with torch.no_grad():
        model.encoder.layers[-1].weight[1].zero_()
        model.encoder.layers[-1].bias[1] = 1.3  # the prior's is at most 2 / sqrt 3
    x, y = pairs(stream, 4)
    x, given = x.double(), model(y)
    z = torch.linspace(-24, 24, 4001, dtype=torch.float64).reshape(-1, 1, 1).expand(-1, 4, 1)
    exact = (given.likelihood(z).log_prob(x) + given.prior().log_prob(z)).logsumexp(0) + math.log(48 / 4000)
    weights = (draw_terms(given, x, 20_000, generator=stream).log_weights() - exact).exp().detach()
    limit = dg.evaluate.student.t_quantile(1 - alpha / 4, 0)
    assert ((weights.mean(0) - 1).abs() < limit * weights.std(0) / 20_000**0.5).all()


def test_a_label_changes_what_is_learned_and_drawn(stream):
    y = torch.arange(600) % 3
    x = nn.functional.one_hot(y, 3).repeat_interleave(2, 1).float()  # each label lights two of six pixels
    model = mlp_cvae(6, [16], latent=1, classes=3, generator=stream)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    dg.fit(model, TensorDataset(x, y), ELBO(), epochs=12, optimizer=adam, progress=False)
    for label in range(3):
        drawn = model(torch.tensor([label])).sample(50, generator=stream)
        assert torch.equal(drawn.mean(0).round(), x[label])
    each = model.sample(3, torch.arange(3), generator=stream)
    assert each.shape == (3, 6)


def test_images_are_drawn_by_the_context_they_are_given(stream):
    """Four 4 x 4 images, each lit in one quarter; labels as such, one-hot vectors, and other images all say which."""
    y = torch.arange(400) % 4
    quarters = torch.eye(4).reshape(4, 1, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    embed = dg.implicit.Dense((1, 4, 4), [], 4, generator=stream)
    for context, options in (
        (y, {"classes": 4}),
        (nn.functional.one_hot(y, 4).float(), {"context": 4}),
        (quarters.transpose(2, 3)[y], {"context": 4, "embed": embed}),
    ):
        model = conv_cvae((1, 4, 4), [8], latent=1, hidden=16, generator=stream, **options)
        model(context).bound(quarters[y], generator=stream).mean().neg().backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
        adam = torch.optim.Adam(model.parameters(), lr=0.03)
        given = TensorDataset(quarters[y], context)
        dg.fit(model, given, ELBO(), epochs=30, batch_size=40, optimizer=adam, progress=False)
        drawn = model.sample(400, context, generator=stream)
        assert drawn.shape == (400, 1, 4, 4)
        each = torch.stack([drawn[y == label].mean(0) for label in range(4)])
        assert torch.equal(each.round(), quarters)
        check_checkpoint(model)


@pytest.mark.parametrize("kind", ["classes", "context", "embed", "prior", "flow prior"])
def test_each_kind_of_context_trains_draws_and_comes_back_from_a_file(kind, stream):
    x, y = pairs(stream)
    code = nn.functional.one_hot(y, 3).float()
    options = {
        "classes": {"classes": 3},
        "context": {"context": 3},
        "embed": {"context": 3, "embed": dg.implicit.ConvEncoder((1, 4, 4), 3, features=[2], hidden=4)},
        "prior": {"classes": 3, "prior": dg.implicit.DiagonalGaussian(2, inputs=3)},
        "flow prior": {"classes": 3, "prior": dg.explicit.MAF(2, 1, [8], context=3)},
    }[kind]
    context = {"context": code, "embed": torch.rand(40, 1, 4, 4, generator=stream)}.get(kind, y)
    model = mlp_cvae(6, [8], latent=2, generator=stream, **options)
    for objective in (ELBO(), IWAE(3), IWAE(3, dreg=True), ELBO(gradient="score")):
        history = dg.fit(model, TensorDataset(x, context), objective, epochs=1, progress=False)
        assert math.isfinite(history[-1].metrics["kl"])
    check_checkpoint(model)
    check_random(lambda generator: model(context).sample(40, generator=generator), generator=stream)
    assert model(context[:1]).sample(7, generator=stream).shape == (7, 6)
    assert isinstance(model(context), dg.typing.Latent)
    assert isinstance(model(context), dg.typing.Bound)
    assert model.bound(x, context, samples=2, generator=1).shape == (40,)


def test_what_is_refused(stream):
    model, (x, y) = mlp_cvae(6, [8], latent=2, classes=3, generator=stream), pairs(stream)
    with pytest.raises(SupportError, match="0 to 2"):
        model(torch.tensor([3]))
    with pytest.raises(ArgumentError, match="integers"):
        model(torch.tensor([1.0]))
    with pytest.raises(ShapeError, match="one for each"):
        model(y[:7]).bound(x)
    with pytest.raises(SupportError, match="0 or 1"):
        dg.fit(model, TensorDataset(x / 2, y), ELBO(), epochs=1, progress=False)
    with pytest.raises(ArgumentError, match="pairs"):
        dg.fit(model, x, ELBO(), epochs=1, progress=False)
    with pytest.raises(ArgumentError, match="one of them"):
        mlp_cvae(6, [8], latent=2, classes=3, context=3)
    with pytest.raises(ShapeError, match="contexts must be"):
        mlp_cvae(6, [8], latent=2, context=3)(torch.zeros(5, 4))
    with pytest.raises(SupportError, match="finite in a context"):
        mlp_cvae(6, [8], latent=2, context=3)(torch.full((40, 3), torch.nan)).bound(x)
    with pytest.raises(ArgumentError, match="VampPrior"):
        mlp_cvae(6, [8], latent=2, classes=3, prior=dg.implicit.VampPrior(6, 4))
    with pytest.raises(ArgumentError, match="one of them"):
        conv_cvae((1, 4, 4), [4], latent=2)
    with pytest.raises(ShapeError, match="images must be"):
        conv_cvae((1, 4, 4), [4], latent=2, classes=3)(y).bound(torch.zeros(40, 1, 8, 8))


def test_a_single_latent_has_a_likelihood_given_one_context(stream):
    model, z = mlp_cvae(6, [8], latent=2, classes=3, generator=stream), torch.randn(2, generator=stream)
    one, many = model(torch.tensor([1])).likelihood(z), model(torch.tensor([1])).likelihood(z.expand(4, 2))
    assert one.batch_shape == ()
    assert torch.allclose(one.mean, many.mean[3])


def test_a_context_that_is_not_finite_draws_nothing(stream):
    model = dg.implicit.mlp_cvae(6, [8], latent=2, context=3, generator=stream)
    with pytest.raises(SupportError, match="finite in a context"):
        model.sample(4, torch.tensor([0.0, torch.nan, 0.0]))
