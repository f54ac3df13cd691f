"""Faults that were measured in other packages, each as a test that this one is free of it.

Here are those that no other test shows already; the rest are, by number:

1. sign and constants of a bound: also tests/implicit/test_vae.py, `..._is_the_log_mean_of_its_weights_with_its_sign`;
2. draws made as asked: also tests/evaluate/test_latent_bound.py, `test_exactly_k_draws_and_one_pass_of_the_encoder`;
4. a TensorDataset as it is: tests/implicit/test_vae.py, `test_tensors_datasets_and_loaders_are_all_taken`;
5. Fréchet distance in float64: tests/evaluate/test_frechet.py, `test_large_means_lose_no_digits`;
6. equal constant features: tests/evaluate/test_supports.py, `test_identical_constant_features_give_one`.
"""

import math

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.evaluate import frechet_distance, kernel_distance, latent_bound, sample_quality, support_overlap
from deepgen.implicit import VAE, mlp_vae
from deepgen.objectives import ELBO
from deepgen.testing import LinearGaussian

QUIET = pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")


class Counting(nn.Module):
    """Counts the rows that pass, and how often any do."""

    def __init__(self, inputs, outputs, stream):
        super().__init__()
        self.net, self.rows, self.calls = dg.implicit.Dense(inputs, [], outputs, generator=stream), 0, 0

    def forward(self, x):
        self.rows, self.calls = self.rows + len(x), self.calls + 1
        return self.net(x)


def counted(stream):
    return VAE(Counting(6, 4, stream), Counting(2, 6, stream), latent=2)


def bits(stream, n):
    return torch.randint(2, (n, 6), generator=stream).float()


@QUIET
def test_a_likelihood_has_its_sign_and_an_error_and_keeps_no_graph(stream, alpha):
    """Fault 1: pythae's get_nll returns +mean log p(x) as an NLL, with no error, a graph behind it, in float32."""
    model = LinearGaussian(5, 2, shift=0.1, generator=stream)
    x = model.sample(50, generator=stream)
    found = dg.evaluate.log_likelihood(model, x, "iwae", samples=500, generator=stream)
    truth = float(model.log_prob(x).double().mean().detach())
    low, high = found.interval(1 - alpha)
    assert low < truth < high + 1e-3  # log p(x): negative here, and neither -log p(x) nor a mean over features
    assert truth < -5
    assert found.stderr > 0
    values = latent_bound(model, x, 10, generator=stream).values
    assert values.dtype == torch.float64
    assert not values.requires_grad


@QUIET
@pytest.mark.parametrize(("k", "chunk"), [(10, 100), (1000, 300), (7, 64)])
def test_no_draw_more_or_less_than_asked_and_each_row_encoded_once(k, chunk, stream):
    """Faults 2 and 3: get_nll(n_samples=10, batch_size=100) draws 100, (1000, 300) draws 900; it encodes k times."""
    vae, x = counted(stream), bits(stream, 3)
    found = latent_bound(vae, x, k, chunk=chunk, generator=stream)
    assert (vae.encoder.rows, vae.encoder.calls) == (3, 1)
    assert vae.decoder.rows == 3 * k
    assert found.estimate().n == 3 * k


@QUIET
def test_a_model_is_called_with_a_tensor(stream):
    """Fault 4, beside training data: pythae's model(x) needs {"data": x}."""
    vae, x = mlp_vae(6, [8], latent=2, generator=stream), bits(stream, 5)
    assert vae.bound(x, generator=stream).shape == (5,)
    assert vae.reconstruct(x, generator=stream).shape == x.shape
    assert math.isfinite(dg.evaluate.log_likelihood(vae, x, samples=30, generator=stream).value)


def test_samples_cannot_change_places_by_position(stream):
    """Fault 7: torch-fidelity's first argument is the fake sample, and precision and recall were once swapped."""
    real, fake = torch.randn(1000, 2, generator=stream), 0.2 * torch.randn(1000, 2, generator=stream)
    for figure in (frechet_distance, kernel_distance, support_overlap, sample_quality):
        with pytest.raises(TypeError):
            figure(real, fake)
    narrow = support_overlap(real=real, fake=fake, errors=False)
    assert narrow.precision.value > 0.95 > 0.5 > narrow.recall.value  # good fakes, which lie at the middle only


def test_a_training_step_passes_each_network_once_and_scores_what_it_needs(stream, monkeypatch):
    """Fault 8 is none: pythae's trainer is 15 % slower than a loop. benchmarks/elbo_step.py has ours."""
    vae, x = counted(stream), bits(stream, 20)
    scored = []
    normal = torch.distributions.Normal.log_prob
    monkeypatch.setattr(torch.distributions.Normal, "log_prob", lambda law, z: scored.append(1) or normal(law, z))
    update = ELBO().update(vae, torch.optim.SGD(vae.parameters(), 0.1))
    update(ELBO().start(vae, x, generator=stream), x, generator=stream)
    assert (vae.encoder.calls, vae.decoder.calls, vae.encoder.rows, vae.decoder.rows) == (1, 1, 20, 20)
    assert not scored  # the KL is in closed form
