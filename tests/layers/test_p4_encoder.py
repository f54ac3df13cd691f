"""An encoder over quarter turns: the same for an image and its turns to the precision of float64, in every family."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, UnknownName
from deepgen.layers import Dense, P4Encoder, p4_turn
from deepgen.objectives.adversarial_penalties import Judged
from deepgen.testing import check_checkpoint, check_random

POOLS = pytest.mark.parametrize("pool", [None, "max"], ids=["strides", "pools"])


def encoder(g, outputs=(), **options):
    options = {"features": (2, 3), "hidden": 4, **options}
    return with_biases(P4Encoder((1, 8, 8), outputs, generator=g, **options), g)


def with_biases(net, g):
    """Those of group convolutions are 0 at first, and would be blind to a turn of what they are added to."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "bias" in name:
                p.normal_(generator=g)
    return net


def turns(x):
    return [x.rot90(times, (-2, -1)) for times in (1, 2, 3)]


@POOLS
@pytest.mark.parametrize("outputs", [(), 3, (2, 2)], ids=str)
@pytest.mark.parametrize("context", [0, 5])
def test_outputs_are_those_of_every_turn(pool, outputs, context, stream, float64):
    net = encoder(stream, outputs, context=context, pool=pool, activation="tanh").double()
    x = torch.randn(6, 1, 8, 8, generator=stream)
    given = [torch.randn(6, context, generator=stream)] if context else []
    out = net(x, *given)
    assert out.shape == (6, *([outputs] if outputs == 3 else outputs))
    assert out.std(0).min() > 1e-3  # it tells images apart
    for turned in turns(x):
        torch.testing.assert_close(net(turned, *given), out, rtol=0, atol=1e-12)
    assert not torch.allclose(net(x.flip(3), *given), out)  # mirrored: no turn
    assert not torch.allclose(net(x.roll(2, 3), *given), out)  # shifted


@POOLS
def test_only_what_is_pooled_last_does_not_turn(pool, stream, float64):
    """Maps turn with the image, and the hidden layer's columns change places."""
    net, x, seen = encoder(stream, pool=pool).double(), torch.randn(2, 1, 8, 8, generator=stream), {}
    for part in (*net.convolutions, net.dense):
        part.register_forward_hook(lambda module, _, out: seen.setdefault(module, []).append(out))
    net(x)
    net(x.rot90(1, (2, 3)))
    assert len(seen) == 3
    for plain, turned in seen.values():
        torch.testing.assert_close(turned, p4_turn(plain), rtol=0, atol=1e-12)
        assert not torch.allclose(turned, plain)


@POOLS
def test_gradients_twice_and_one_by_one(pool, stream, float64):
    net = P4Encoder((1, 4, 4), (), features=(2,), activation="tanh", hidden=2, pool=pool, generator=stream).double()
    x = torch.randn(2, 1, 4, 4, generator=stream, requires_grad=True)
    assert gradcheck(lambda x, *_: net(x), (x, *net.parameters()))
    assert gradgradcheck(lambda x, *_: net(x), (x, *net.parameters()), fast_mode=True)
    by_row = torch.func.vmap(torch.func.grad(lambda row: net(row.unsqueeze(0)).squeeze()))(x.detach())
    (together,) = torch.autograd.grad(net(x).sum(), x)
    torch.testing.assert_close(by_row, together)


def test_an_energy_model_whose_law_does_not_change_by_turns(stream, float64):
    """With a base of the same kind: independent bits whose rates are those of the rows in all turns."""
    x = (torch.rand(30, 1, 4, 4, generator=stream) < torch.rand(4, 4, generator=stream)).double()
    net = P4Encoder((1, 4, 4), (), features=(2,), hidden=3, generator=stream)
    base = dg.distributions.IndependentBernoulli(16)
    model = dg.explicit.EnergyModel(net, (1, 4, 4), support="binary", base=base).double()
    model.initialise(torch.cat([x, *turns(x)]))
    assert model.log_density(x).std() > 0.01
    for turned in turns(x):
        torch.testing.assert_close(model.log_density(turned), model.log_density(x), rtol=0, atol=1e-12)
        exact = dg.evaluate.log_likelihood(model, turned).value
        assert exact == pytest.approx(dg.evaluate.log_likelihood(model, x).value, abs=1e-10)
    model.initialise(x)  # rates of one turn, and the law is not symmetric any more
    assert not torch.allclose(model.log_density(turns(x)[0]), model.log_density(x))
    check_checkpoint(model.float())


def test_a_gaussian_base_of_rows_in_all_turns_is_symmetric_too(stream, float64):
    x = torch.randn(40, 1, 4, 4, generator=stream).cumsum(3)
    net = P4Encoder((1, 4, 4), (), features=(2,), hidden=3, generator=stream)
    model = dg.explicit.EnergyModel(net, (1, 4, 4), base=dg.distributions.MultivariateNormal(16)).double()
    model.initialise(torch.cat([x, *turns(x)]))
    for turned in turns(x):
        torch.testing.assert_close(model.log_density(turned), model.log_density(x), rtol=0, atol=1e-9)


def test_trained_it_is_symmetric_still(stream):
    """Chains train it on rows of one turn alone: the law is that of all."""
    x = (torch.rand(40, 1, 4, 4, generator=stream) < torch.linspace(0.1, 0.9, 4)).float()
    net = P4Encoder((1, 4, 4), (), features=(2,), hidden=3, generator=stream)
    model = dg.explicit.EnergyModel(net, (1, 4, 4), support="binary", base=dg.distributions.IndependentBernoulli(16))
    before = [p.detach().clone() for p in net.parameters()]
    chains = dg.objectives.PersistentChains(k=1, chains=10)
    dg.fit(model, x, chains, epochs=2, batch_size=20, seed=0, progress=False)
    assert all(not torch.equal(a, b) for a, b in zip(before, list(net.parameters())[:-1], strict=False))
    for turned in turns(x):
        torch.testing.assert_close(model.log_density(turned), model.log_density(x), rtol=1e-4, atol=1e-4)


@POOLS
def test_a_discriminator_under_r1(pool, stream):
    """The penalty is that of each row: half gamma times |grad D|^2 of that row alone."""
    D = encoder(stream, pool=pool)
    gan = dg.implicit.GAN(Dense(3, [8], (1, 8, 8), generator=stream), D, latent=3)
    x = torch.rand(20, 1, 8, 8, generator=stream)
    before = [p.detach().clone() for p in D.parameters()]
    objective = dg.objectives.Adversarial(dg.objectives.NonSaturating(), [dg.objectives.R1(2.0)])
    history = dg.fit(gan, x, objective, epochs=2, batch_size=10, seed=0, progress=False)
    assert torch.tensor(list(history[-1].metrics.values())).isfinite().all()
    assert any(not torch.equal(a, b) for a, b in zip(before, D.parameters(), strict=True))
    for turned in turns(x):
        torch.testing.assert_close(gan.logit(turned), gan.logit(x), rtol=1e-4, atol=1e-4)
    rows = x.clone().requires_grad_()
    judged = Judged(rows, gan.logit(rows))
    penalty = dg.objectives.R1(2.0)(judged, judged, torch.sum, generator=stream)
    for row, found in zip(x, penalty, strict=True):
        row = row.unsqueeze(0).requires_grad_()
        (slope,) = torch.autograd.grad(gan.logit(row).sum(), row)
        torch.testing.assert_close(found, slope.square().sum(), rtol=1e-3, atol=1e-6)


def test_encoders_of_models_with_codes(stream, tmp_path):
    x = (torch.rand(6, 1, 8, 8, generator=stream) < 0.5).float()
    back = {"features": (2,), "hidden": 4, "generator": stream}
    vae = dg.implicit.VAE(encoder(stream, 4), dg.layers.ConvDecoder(2, (1, 8, 8), **back), latent=2)
    plain = dg.implicit.Autoencoder(encoder(stream, 2), dg.layers.ConvDecoder(2, (1, 8, 8), **back))
    cvae = dg.implicit.CVAE(
        encoder(stream, 4, context=3), dg.layers.ConvDecoder(2, (1, 8, 8), context=3, **back), latent=2, classes=3
    )
    y = torch.arange(6) % 3
    dg.fit(vae, x, dg.objectives.ELBO(), epochs=1, batch_size=3, seed=0, progress=False)
    dg.fit(plain, x, dg.objectives.Reconstruction(), epochs=1, batch_size=3, seed=0, progress=False)
    for turned in turns(x):
        torch.testing.assert_close(vae.encode(turned), vae.encode(x), rtol=0, atol=1e-4)
        torch.testing.assert_close(plain.encode(turned), plain.encode(x), rtol=0, atol=1e-4)
        here, there = (cvae(y).posterior(rows).base_dist.loc for rows in (turned, x))
        torch.testing.assert_close(here, there, rtol=0, atol=1e-4)
    for name, model in (("vae", vae), ("plain", plain), ("cvae", cvae)):
        dg.save(model, tmp_path / name)
        for a, b in zip(model.parameters(), dg.load(tmp_path / name).parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_gan_given_labels(stream):
    D = dg.implicit.Concatenated(encoder(stream, context=3), classes=3)
    G = dg.implicit.Concatenated(Dense(3, [8], (1, 8, 8), context=3, generator=stream), classes=3)
    gan = dg.implicit.GAN(G, D, latent=3, classes=3)
    y, x = torch.arange(6) % 3, torch.rand(6, 1, 8, 8, generator=stream)
    torch.testing.assert_close(gan.logit(x.rot90(1, (2, 3)), y), gan.logit(x, y), rtol=0, atol=1e-4)
    with pytest.raises(ArgumentError, match="vectors of width 3"):
        dg.implicit.GAN(Dense(3, [8], (1, 8, 8), generator=stream), encoder(stream, context=3), latent=3)


def test_norms_of_weights_keep_the_symmetry(stream):
    """The weights that enter a unit are psi, of which all turns are turns."""
    net, x = encoder(stream), torch.randn(5, 1, 8, 8, generator=stream)
    dg.layers.constrain(torch.optim.SGD(net.parameters(), lr=0.1), net, dg.layers.MaxNorm(0.3))
    for layer in (*net.convolutions, net.dense, net.last):
        assert layer.weight.flatten(1).norm(dim=1).max() < 0.3 + 1e-5
    spectral = dg.implicit.SpectralNorm(net, generator=stream)
    for _ in range(100):  # power iterations
        spectral(x)
    spectral.eval()
    for layer in (*net.convolutions, net.dense, net.last):
        sigma = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        torch.testing.assert_close(sigma, torch.ones(()), rtol=0.05, atol=0)
    for turned in turns(x):
        torch.testing.assert_close(spectral(turned), spectral(x), rtol=0, atol=1e-5)


def test_checkpoints_randomness_and_errors(stream):
    check_checkpoint(encoder(stream, (2, 2), context=3, pool="max"))
    check_random(lambda generator: P4Encoder((1, 8, 8), (), generator=generator), generator=stream)
    with pytest.raises(ArgumentError, match=r"square .* 8 x 12"):
        P4Encoder((1, 8, 12), ())
    with pytest.raises(ArgumentError, match=r"image must be \(channels, height, width\).* got 64"):
        P4Encoder(64, ())
    with pytest.raises(ArgumentError, match="divisible by 8"):
        P4Encoder((1, 12, 12), (), features=(2, 2, 2))
    with pytest.raises(UnknownName, match="Known: max"):
        P4Encoder((1, 8, 8), (), pool="mean")
    with pytest.raises(ShapeError, match=r"\[rows, 1, 8, 8\]"):
        encoder(stream)(torch.zeros(2, 1, 8, 9))
    with pytest.raises(ArgumentError, match="context of width 3"):
        encoder(stream, context=3)(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ShapeError, match="context"):
        encoder(stream, context=3)(torch.zeros(2, 1, 8, 8), torch.zeros(2, 2))
