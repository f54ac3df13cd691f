"""Autoencoders: PCA as the linear one, laws that name the loss, tied weights, refusals, checkpoints."""

import math

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.implicit import Autoencoder, TiedDense, conv_autoencoder, mlp_autoencoder
from deepgen.objectives import ELBO, Reconstruction
from deepgen.testing.models import check_model

D, CODE, SIGMA = 6, 2, 0.7


def descended(model, x):
    """At the minimum of the mean loss over all rows, by L-BFGS."""
    options = {"tolerance_grad": 1e-9, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
    lbfgs = torch.optim.LBFGS(model.parameters(), max_iter=2000, max_eval=4000, **options)

    def closure():
        lbfgs.zero_grad()
        loss = model.reconstruction_loss(x).mean()
        loss.backward()
        return loss

    lbfgs.step(closure)
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_the_linear_one_reaches_the_error_of_pca_in_its_subspace(tied, stream, float64):
    mix = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.7, 0.5, 0.3])) @ torch.randn(D, D, generator=stream)
    x = torch.randn(100, D, generator=stream) @ mix + 1.0
    model = mlp_autoencoder(D, [], latent=CODE, likelihood=dg.implicit.Gaussian(SIGMA), tied=tied, generator=stream)
    model = descended(model.double(), x)
    values, vectors = torch.linalg.eigh(torch.cov(x.t(), correction=0))
    error = float(values[:-CODE].sum())  # of PCA, a row
    constant = D / 2 * math.log(2 * math.pi * SIGMA**2)
    assert float(model.reconstruction_loss(x).detach().mean()) == pytest.approx(
        error / (2 * SIGMA**2) + constant, rel=1e-7
    )
    decoder = model.encoder.layers[0].weight.t() if tied else model.decoder.layers[0].weight
    basis = torch.linalg.qr(decoder.detach()).Q
    assert torch.allclose(basis @ basis.t(), vectors[:, -CODE:] @ vectors[:, -CODE:].t(), atol=1e-3)
    if tied:
        assert torch.allclose(decoder.t() @ decoder, torch.eye(CODE), atol=1e-3)  # orthonormal, as in PCA


def test_the_loss_is_minus_the_log_of_the_named_law(stream):
    bits = torch.randint(2, (7, D), generator=stream).float()
    model = mlp_autoencoder(D, [4], latent=3, generator=stream)
    p = model.reconstruct(bits)
    cross_entropy = -(bits * p.log() + (1 - bits) * (1 - p).log()).sum(1)
    assert torch.allclose(model.reconstruction_loss(bits), cross_entropy, atol=1e-5)
    assert not isinstance(model, (dg.typing.LogProb, dg.typing.Bound, dg.typing.Latent, dg.typing.Samples))
    with pytest.raises(MissingCapability):
        dg.evaluate.log_likelihood(model, bits)  # of which it has none


def test_tied_weights_are_those_of_the_way_there_transposed(stream):
    net = TiedDense((2, 3), [5], 4, activation="sigmoid", generator=stream)
    first, second = net.layers
    with torch.no_grad():
        for bias in net.biases:
            bias.normal_(generator=stream)
    z = torch.randn(8, 4, generator=stream)
    hidden = torch.sigmoid(z @ second.weight + net.biases[1])
    assert torch.allclose(net.back(z), (hidden @ first.weight + net.biases[0]).view(8, 2, 3), atol=1e-6)
    model = Autoencoder(net, likelihood=dg.implicit.Gaussian(1.0))
    x = torch.randn(9, 2, 3, generator=stream)
    first_weight = first.weight.detach().clone()
    dg.fit(model, x, Reconstruction(), epochs=1, progress=False)
    assert not torch.equal(first.weight, first_weight)
    assert sum(p.numel() for p in model.parameters()) == (30 + 20) + (5 + 4) + (6 + 5)


LIKELIHOODS = {
    "bernoulli": (dg.implicit.Bernoulli, lambda g: torch.randint(2, (12, 6), generator=g)),
    "gaussian": (lambda: dg.implicit.Gaussian(0.5), lambda g: torch.randn(12, 6, generator=g)),
    "optimal": (lambda: dg.implicit.Gaussian(1.0, "optimal"), lambda g: torch.randn(12, 6, generator=g)),
    "categorical": (lambda: dg.implicit.Categorical(5), lambda g: torch.randint(5, (12, 6), generator=g)),
    "logistic": (lambda: dg.implicit.LogisticMixture(16, 2), lambda g: torch.randint(16, (12, 6), generator=g)),
}


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_every_likelihood_trains_and_comes_back_from_a_file(kind, stream):
    make, data = LIKELIHOODS[kind]
    x = data(stream)
    image = x.reshape(12, 1, 2, 3).repeat(1, 1, 2, 2)[..., :4]
    dense = mlp_autoencoder(6, [8], latent=9, last="sigmoid", likelihood=make(), generator=stream)
    conv = conv_autoencoder((1, 4, 4), [4], latent=2, hidden=8, likelihood=make(), generator=stream)
    made = [(dense, x), (conv, image)]
    if kind in ("bernoulli", "gaussian", "optimal"):
        made.append((mlp_autoencoder(6, [8], latent=2, likelihood=make(), tied=True, generator=stream), x))
    for model, rows in made:
        check_model(model, rows.float(), generator=stream)
        loss = dg.fit(model, rows, Reconstruction(), epochs=1, progress=False)[-1].metrics["reconstruction_loss"]
        assert math.isfinite(loss)
        z = model.encode(rows)
        assert model.reconstruct(rows).shape == model.decode(z).shape == rows.shape
        assert model.decode(z.expand(3, *z.shape)).shape == (3, *rows.shape)
        assert model.likelihood(z[0]).log_prob(rows[0].float()).shape == ()


def test_the_optimal_sigma_follows_the_error_of_what_was_reconstructed(stream):
    x = 0.3 * torch.randn(2000, 3, generator=stream) + 0.5
    model = mlp_autoencoder(3, [], latent=1, likelihood=dg.implicit.Gaussian(1.0, "optimal"), generator=stream)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    dg.fit(model, x, Reconstruction(), epochs=15, optimizer=adam, seed=0, progress=False)
    sigma = float(model.observation.log_sigma.exp())
    assert sigma == pytest.approx(0.3 * (2 / 3) ** 0.5, rel=0.15)  # one of three directions is kept
    model.eval().reconstruction_loss(5 * x)
    assert float(model.observation.log_sigma.exp()) == sigma


def test_what_cannot_be_coded_is_refused(stream):
    model = mlp_autoencoder(6, [8], latent=2, generator=stream)
    for call in (model.encode, model.reconstruct, model.reconstruction_loss):
        with pytest.raises(SupportError, match="0 or 1"):
            call(torch.full((3, 6), 0.5))
        with pytest.raises(ShapeError):
            call(torch.zeros(6))
        with pytest.raises(ShapeError):
            call(torch.zeros(3, 7))
    with pytest.raises(SupportError, match="0 or 1"):
        dg.fit(model, torch.full((3, 6), 0.5), Reconstruction(), epochs=1, progress=False)
    with pytest.raises(ArgumentError, match="no way back"):
        Autoencoder(nn.Linear(6, 2))
    with pytest.raises(ArgumentError, match="one number for each value"):
        Autoencoder(TiedDense(6, [], 2), likelihood=dg.implicit.Categorical(3))
    with pytest.raises(ArgumentError, match=r"must be a torch\.nn\.Module"):
        Autoencoder(nn.Linear(6, 2), nn.Linear)
    with pytest.raises(ShapeError, match="Flatten"):
        Autoencoder(nn.Unflatten(1, (2, 3)), nn.Identity()).encode(torch.zeros(3, 6))
    with pytest.raises(ShapeError, match="likelihood is over rows"):
        Autoencoder(nn.Linear(6, 2), nn.Linear(2, 5)).reconstruction_loss(torch.zeros(3, 6))
    with pytest.raises(ShapeError, match="codes must be"):
        TiedDense(6, [], 2).back(torch.zeros(3, 3))
    with pytest.raises(MissingCapability):
        dg.fit(model, torch.zeros(3, 6), ELBO(), epochs=1, progress=False)


def test_networks_of_your_own_come_back_by_their_weights(tmp_path):
    def make():
        return Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6))

    model, again, x = make(), make(), torch.eye(6)
    dg.save(model, tmp_path / "run")
    dg.load_weights(again, tmp_path / "run")
    assert torch.equal(model.reconstruction_loss(x), again.reconstruction_loss(x))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("wrong", ["gaussian", nn.Linear(2, 2), 0.5])
def test_what_is_no_likelihood_is_told(tied, wrong):
    with pytest.raises(ArgumentError, match=r"implicit\.Gaussian\(" if wrong == "gaussian" else "likelihood"):
        mlp_autoencoder(6, [4], latent=2, likelihood=wrong, tied=tied)
    with pytest.raises(ArgumentError, match="likelihood"):
        conv_autoencoder((1, 8, 8), [4], latent=2, likelihood=wrong)
    with pytest.raises(ArgumentError, match="likelihood"):
        Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6), likelihood=wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Autoencoder(None, nn.Linear(2, 6)),
        lambda: dg.implicit.VAE(None, nn.Linear(2, 6), latent=2),
        lambda: dg.implicit.VAE(nn.Linear(6, 4), None, latent=2),
        lambda: dg.implicit.CVAE(None, nn.Linear(5, 6), latent=2, classes=3),
        lambda: dg.implicit.Decoder(None, 2, 0.5),
        lambda: dg.implicit.SemiSupervised(dg.implicit.mlp_cvae(6, [4], latent=2, classes=3), None),
    ],
)
def test_a_network_cannot_be_left_out(make):
    with pytest.raises(ArgumentError, match=r"must be a torch\.nn\.Module, got NoneType"):
        make()


def test_codes_of_another_precision_are_decoded():
    z = torch.ones(3, 2)
    for model in (
        mlp_autoencoder(6, [4], latent=2, generator=0),
        mlp_autoencoder(6, [4], latent=2, tied=True, generator=0),
        dg.implicit.mlp_vae(6, [4], latent=2, generator=0),
        dg.implicit.mlp_cvae(6, [4], latent=2, classes=3, generator=0)(1),
    ):
        assert torch.equal(model.decode(z.double()), model.decode(z))
