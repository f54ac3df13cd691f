"""Reconstruction: the best linear denoiser, walkbacks by enumeration, penalties by autodiff and in closed form."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError, MissingCapability, SupportError
from deepgen.implicit import GaussianNoise, Masking, SaltAndPepper, mlp_autoencoder
from deepgen.objectives import L1, Contraction, KLSparsity, Reconstruction
from tests.implicit.test_denoising_chain import RATE, STATES, steep, transition

D, SIGMA = 5, 0.8


def repeated(objective, model, x, repeats, stream):
    """Mean and standard error of gradient and loss over ``repeats`` draws of the noise."""
    found = []
    for _ in range(repeats):
        value, metrics = objective.loss(model, x, generator=stream)
        grads = torch.autograd.grad(value, list(model.parameters()))
        found.append(torch.cat([metrics["reconstruction_loss"].view(1), *[g.flatten() for g in grads]]))
    table = torch.stack(found)
    return table.mean(0), table.std(0) / repeats**0.5


@pytest.mark.parametrize("code", [D, 2])
def test_the_best_linear_denoiser_shrinks_principal_components(code, stream, alpha, float64):
    """R = sum over the first components of u u' l / (l + sigma^2): Wiener's filter, or ridge regression."""
    x = torch.randn(40, D, generator=stream) * torch.tensor([3.0, 2.0, 1.0, 0.6, 0.4])
    values, vectors = torch.linalg.eigh(torch.cov(x.t(), correction=0))
    values, vectors, mean = values[-code:], vectors[:, -code:], x.mean(0)
    rows = x.repeat(50, 1)
    z = 1.1 * dg.evaluate.student.t_quantile(1 - alpha / 40, 0)

    def at(noise):
        model = mlp_autoencoder(D, [], latent=code, likelihood=dg.implicit.Gaussian(1.0), generator=stream).double()
        with torch.no_grad():
            gain = (values / (values + noise**2)).sqrt()
            model.encoder.layers[0].weight.copy_(gain.unsqueeze(1) * vectors.t())
            model.encoder.layers[0].bias.copy_(-gain * (mean @ vectors))
            model.decoder.layers[0].weight.copy_(vectors * gain)
            model.decoder.layers[0].bias.copy_(mean)
        return repeated(Reconstruction(GaussianNoise(SIGMA)), model, rows, 100, stream)

    found, error = at(SIGMA)
    assert (found[1:].abs() < z * error[1:] + 1e-12).all()  # no slope anywhere
    lost = (values * SIGMA**2 / (values + SIGMA**2)).sum() + torch.cov(x.t(), correction=0).trace() - values.sum()
    assert abs(found[0] - (lost / 2 + D / 2 * math.log(2 * math.pi))) < z * error[0]
    wrong, error = at(SIGMA * 2**0.5)
    assert (wrong[1:].abs() > z * error[1:]).any()


def test_the_loss_along_a_walkback_is_that_of_its_states(stream, alpha):
    model = steep(stream)
    noise, back = transition(model)
    gain = [(noise[row] - (noise @ back @ noise @ back @ noise)[row]) @ -back[:, row].log() for row in range(8)]
    start = int(torch.stack(gain).abs().argmax())  # where the walk is worth most
    loss = -back[:, start].log()  # of that row given each corrupted row
    first, second, third = noise[start], (noise @ back @ noise)[start], (noise @ back @ noise @ back @ noise)[start]
    rows = STATES[start].expand(500, 3)
    z = 1.1 * dg.evaluate.student.t_quantile(1 - alpha / 2, 0)
    for steps, expected in ((1, first @ loss), (3, (first + second + third) @ loss / 3)):
        found, error = repeated(Reconstruction(SaltAndPepper(RATE), walkback=steps), model, rows, 100, stream)
        assert abs(found[0] - expected) < z * error[0]
    assert abs((first - third) @ loss) > z * error[0]  # the walk is worth telling


def test_a_walkback_keeps_the_law_of_the_best_denoiser(stream):
    """Training on one bit: with any number of steps the chain of the trained model has the law of the data."""
    x = (torch.arange(1000) < 200).float().unsqueeze(1)  # a fifth are 1
    for steps in (1, 3):
        model = mlp_autoencoder(1, [], latent=1, generator=stream)
        adam = torch.optim.Adam(model.parameters(), lr=0.05)
        objective = Reconstruction(SaltAndPepper(0.5), walkback=steps)
        dg.fit(model, x, objective, epochs=40, optimizer=adam, schedule=lambda f: 1 - f, seed=1, progress=False)
        p = model.reconstruct(torch.tensor([[0.0], [1.0]])).flatten()
        up = 0.75 * p[0] + 0.25 * p[1]  # from 0 to 1 in a step
        down = 0.25 * (1 - p[0]) + 0.75 * (1 - p[1])
        assert float(up / (up + down)) == pytest.approx(0.2, abs=0.04)


def jacobian_norm(model, x):
    jacobian = torch.autograd.functional.jacobian(lambda row: model.encoder(row), x, create_graph=True)
    return sum(jacobian[i, :, i].square().sum() for i in range(len(x))) / len(x)


def test_the_contractive_penalty_is_the_norm_of_the_jacobian(stream, float64):
    x = torch.randn(7, D, generator=stream)
    for hidden, last in (([], "sigmoid"), ([6], "sigmoid"), ([6], None), ([], None)):
        model = mlp_autoencoder(D, hidden, latent=4, last=last, likelihood=dg.implicit.Gaussian(1.0), generator=stream)
        model = model.double()
        objective = Reconstruction(penalty=Contraction(0.3))
        value, metrics = objective.loss(model, x, generator=stream)
        exact = jacobian_norm(model, x)
        assert torch.isclose(metrics["contraction"], exact, rtol=1e-10)
        assert torch.isclose(value, metrics["reconstruction_loss"] + 0.3 * exact, rtol=1e-10)
        weights = list(model.parameters())
        plain = model.reconstruction_loss(x).mean() + 0.3 * exact
        for got, expected in zip(torch.autograd.grad(value, weights), torch.autograd.grad(plain, weights), strict=True):
            assert torch.allclose(got, expected, rtol=1e-8, atol=1e-12)


def test_random_directions_give_the_norm_on_average(stream, alpha, float64):
    x = torch.randn(7, D, generator=stream)
    model = mlp_autoencoder(D, [6], latent=4, likelihood=dg.implicit.Gaussian(1.0), generator=stream).double()
    exact = float(jacobian_norm(model, x).detach())
    objective = Reconstruction(penalty=Contraction(1.0, probes=2))
    found = torch.stack([objective.loss(model, x, generator=stream)[1]["contraction"] for _ in range(200)])
    z = 1.1 * dg.evaluate.student.t_quantile(1 - alpha, 0)
    assert abs(float(found.mean()) - exact) < z * float(found.std()) / 200**0.5


def test_sparsity_is_the_divergence_of_mean_activities(stream, float64):
    z = torch.rand(50, 4, generator=stream).requires_grad_()
    found = KLSparsity(1.0, target=0.1)(None, None, z)
    exact = kl_divergence(Bernoulli(torch.full((4,), 0.1)), Bernoulli(z.mean(0))).sum()
    assert torch.isclose(found, exact)
    (slope,) = torch.autograd.grad(found, z)
    m = z.mean(0)
    assert torch.allclose(slope, ((m - 0.1) / (m * (1 - m)) / 50).expand(50, 4))
    assert torch.isclose(L1(1.0)(None, None, z - 0.5), (z - 0.5).abs().sum() / 50)
    dead = KLSparsity(1.0)(None, None, torch.zeros(5, 2))
    assert dead.isfinite()


def test_sparse_codes_become_sparse(stream):
    x = torch.eye(8).repeat(30, 1)

    def activity(penalty):
        model = mlp_autoencoder(8, [], latent=12, last="sigmoid", generator=3)
        adam = torch.optim.Adam(model.parameters(), lr=0.02)
        dg.fit(model, x, Reconstruction(penalty=penalty), epochs=40, optimizer=adam, seed=0, progress=False)
        return float(model.encode(x).mean())

    assert abs(activity(KLSparsity(3.0, target=0.1)) - 0.1) < 0.05
    assert activity(L1(0.5)) < activity(()) - 0.1


def test_penalties_are_logged_without_their_weights(stream):
    model = mlp_autoencoder(6, [], latent=4, last="sigmoid", generator=stream)
    x = torch.eye(6)
    first = None
    for weight in (0.0, 1.0, 5.0):
        objective = Reconstruction(penalty=[L1(weight), KLSparsity(weight), Contraction(weight)])
        value, metrics = objective.loss(model, x, generator=stream)
        first = metrics if first is None else first
        assert metrics == first
        extra = sum(metrics[name] for name in ("l1", "sparsity", "contraction"))
        assert torch.isclose(value, metrics["reconstruction_loss"] + weight * extra)


def test_noise_is_on_what_is_coded_and_the_loss_is_of_the_clean_rows(stream):
    """All values masked: what is learned is the marginal law, whose loss is its entropy."""
    x = (torch.rand(2000, 3, generator=stream) < torch.tensor([0.1, 0.5, 0.8])).float()
    model = mlp_autoencoder(3, [], latent=2, generator=stream)
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    history = dg.fit(model, x, Reconstruction(Masking(1.0)), epochs=20, optimizer=adam, seed=0, progress=False)
    p = x.mean(0).clamp(1e-6, 1 - 1e-6)
    entropy = float(-(p * p.log() + (1 - p) * (1 - p).log()).sum())
    assert history[-1].metrics["reconstruction_loss"] == pytest.approx(entropy, abs=0.03)


def test_what_does_not_fit_together_is_told(stream):
    model, x = mlp_autoencoder(6, [8], latent=2, generator=stream), torch.eye(6)
    for wrong, message in (
        (lambda: Reconstruction(walkback=2), "give a corruption"),
        (lambda: Reconstruction(Masking), "the class Masking itself"),
        (lambda: Reconstruction(penalty=[L1(0.1), L1(0.2)]), "names of their own"),
        (lambda: Reconstruction(penalty=0.1), "such as"),
        (lambda: Reconstruction(penalty=lambda model, inputs, z, *, generator: z.mean()), "a name and a weight"),
        (lambda: Reconstruction(Masking(0.1), walkback=0), "walkback"),
        (lambda: KLSparsity(1.0, target=0.0), "between 0 and 1"),
        (lambda: L1(-1.0), "weight"),
        (lambda: Contraction(1.0, probes=0), "probes"),
    ):
        with pytest.raises(ArgumentError, match=message):
            wrong()
    with torch.no_grad():
        model.encoder.layers[-1].bias.fill_(-3.0)  # codes below 0, whatever the weights
    with pytest.raises(SupportError, match="last='sigmoid'"):
        dg.fit(model, x, Reconstruction(penalty=KLSparsity(0.1)), epochs=1, progress=False)
    with pytest.raises(MissingCapability, match="Reconstruction trains"):
        dg.fit(dg.implicit.mlp_vae(6, [8], latent=2), x, Reconstruction(), epochs=1, progress=False)


def test_a_run_knows_its_noise_and_its_penalties_again(tmp_path, stream):
    x = torch.eye(6)

    def run(epochs, rate, weight=0.1):
        model = mlp_autoencoder(6, [4], latent=2, generator=0)
        objective = Reconstruction(Masking(rate), L1(weight), walkback=2)
        dg.fit(model, x, objective, epochs=epochs, seed=0, progress=False, out=tmp_path / "run")
        return model

    run(2, 0.3)
    resumed = run(4, 0.3)
    for other in ({"rate": 0.4}, {"rate": 0.3, "weight": 0.2}):
        with pytest.raises(CheckpointError):
            run(6, **other)
    whole = mlp_autoencoder(6, [4], latent=2, generator=0)
    dg.fit(whole, x, Reconstruction(Masking(0.3), L1(0.1), walkback=2), epochs=4, seed=0, progress=False)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_contraction_through_a_batch_norm_is_refused(stream):
    encoder = dg.layers.Dense(6, [8], 3, norm=True, generator=stream)
    x = torch.rand(20, 6, generator=stream)
    model = dg.implicit.Autoencoder(encoder, dg.layers.Dense(3, [8], 6, generator=stream))
    bits, state = x.round(), encoder.norms[0].running_mean.clone()
    for penalty in (Contraction(0.1), [L1(0.1), Contraction(0.1, probes=2)]):
        with pytest.raises(ArgumentError, match=r"encoder has a batch norm \(norms.0\), .* other rows.*layer, group"):
            dg.fit(model, bits, Reconstruction(penalty=penalty), epochs=1, progress=False)
    Reconstruction(penalty=L1(0.1)).start(model, bits, generator=stream)
    assert torch.equal(state, encoder.norms[0].running_mean)  # the look at the first codes teaches nothing
    plain = dg.implicit.Autoencoder(torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.LayerNorm(3)), model.decoder)
    dg.fit(plain, bits, Reconstruction(penalty=Contraction(0.1)), epochs=1, progress=False)
