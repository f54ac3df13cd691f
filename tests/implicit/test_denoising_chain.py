"""The chain of a denoising autoencoder against its transition matrix, written down."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ShapeError, SupportError
from deepgen.implicit import Autoencoder, DenoisingChain, GaussianNoise, Masking, SaltAndPepper, mlp_autoencoder
from deepgen.samplers.kernel import require_exact
from deepgen.testing.goodness import chi_square

RATE = 0.5
STATES = torch.cartesian_prod(*[torch.arange(2.0)] * 3)


def transition(model):
    """C and P of three bits under salt and pepper, ``[8, 8]`` each: the step's matrix is C P."""
    states = STATES.to(next(model.parameters()))
    flips = (states.unsqueeze(1) != states).sum(-1).double()
    noise = (RATE / 2) ** flips * (1 - RATE / 2) ** (3 - flips)
    law = model.likelihood(model.code(states))  # of x' from each corrupted row
    return noise.detach(), torch.stack([law.log_prob(row) for row in states], 1).exp().detach()


def numbered(x):
    return (x @ torch.tensor([4.0, 2.0, 1.0], dtype=x.dtype)).long()


def steep(stream):
    """A model that knows its bits: random weights alone would draw fair coins."""
    model = mlp_autoencoder(3, [6], latent=4, generator=stream).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3)
    return model


def test_its_steps_follow_the_matrix_and_its_law_is_stationary(stream, alpha):
    for _ in range(20):  # with 1 set of weights in 20 even twice the noise could not be told
        model = steep(stream)
        noise, back = transition(model)
        step = noise @ back
        # from where the matrix can be told best from one with twice the noise
        apart, starts = (step - noise @ noise @ back).abs().sum(1).topk(2)
        if apart[0] > 0.05:
            break
    assert apart[0] > 0.05
    assert torch.allclose(step.sum(1), torch.ones(8, dtype=torch.float64))
    kernel = DenoisingChain(model, SaltAndPepper(RATE))
    chains = 4000
    for start in starts.tolist():
        x = STATES[start].expand(chains, 3)
        trace = dg.samplers.sample_chain(kernel, x, 1, generator=stream)
        assert chi_square(torch.bincount(numbered(trace.draws[0]), minlength=8), step[start]) > alpha / 3
    stationary = torch.linalg.matrix_power(step, 200)[0]
    trace = dg.samplers.sample_chain(kernel, STATES[7].expand(chains, 3), 1, warmup=100, generator=stream)
    assert chi_square(torch.bincount(numbered(trace.draws[0]), minlength=8), stationary) > alpha / 3


def test_the_exact_posterior_has_the_law_of_the_data(stream, alpha):
    """One bit, 1 with probability 0.2, flipped with 0.25: p(x | x~) by Bayes' rule as a decoder."""
    p, flip = 0.2, RATE / 2
    logit = [torch.tensor(p / (1 - p) * ratio).log() for ratio in (flip / (1 - flip), (1 - flip) / flip)]
    decoder = nn.Linear(1, 1)
    with torch.no_grad():
        decoder.bias.fill_(logit[0])
        decoder.weight.fill_(logit[1] - logit[0])
    kernel = DenoisingChain(Autoencoder(nn.Identity(), decoder), SaltAndPepper(RATE))
    trace = dg.samplers.sample_chain(kernel, torch.ones(20_000, 1), 1, warmup=40, generator=stream)
    ones = int(trace.draws.sum())
    assert chi_square(torch.tensor([20_000 - ones, ones]), torch.tensor([1 - p, p])) > alpha


def test_it_says_that_it_is_biased_and_annealing_refuses_it(stream):
    kernel = DenoisingChain(steep(stream), SaltAndPepper(RATE))
    assert kernel.exactness.kind == "biased"
    with pytest.raises(dg.errors.MissingCapability):
        require_exact(kernel, "annealed importance sampling")
    with pytest.raises(SupportError, match="0 or 1"):
        kernel.init(torch.full((2, 3), 0.5))
    with pytest.raises(ShapeError):
        kernel.step(torch.zeros(2, 3), generator=stream)


def test_real_rows_of_any_shape_have_chains(stream):
    model = dg.implicit.conv_autoencoder(
        (1, 4, 4), [4], latent=3, hidden=8, likelihood=dg.implicit.Gaussian(0.1), generator=stream
    )
    start = torch.zeros(5, 1, 4, 4)
    draws = [
        dg.samplers.sample_chain(DenoisingChain(model, GaussianNoise(0.2)), start, 3, generator=seed).draws
        for seed in (1, 1, 2)
    ]
    assert draws[0].shape == (3, 5, 1, 4, 4)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    with torch.no_grad():
        model.decoder.convolutions[-1].bias.fill_(torch.nan)
    kernel = DenoisingChain(model, GaussianNoise(0.2))
    state, info = kernel.step(kernel.init(start), generator=stream)
    assert info.nan.all()
    assert torch.equal(state.position, start)


def test_corruptions_have_the_rates_that_they_say(stream, alpha):
    x = torch.full((200, 500), 0.3, dtype=torch.float64)
    z = dg.evaluate.student.t_quantile(1 - alpha / 4, 0)

    def close(found, expected, variance):
        return abs(float(found) - expected) < z * (variance / x.numel()) ** 0.5

    noised = Masking(0.2, value=-1.0)(x, generator=stream)
    assert close((noised == -1).double().mean(), 0.2, 0.16)
    assert set(noised.unique().tolist()) == {-1.0, 0.3}
    noised = SaltAndPepper(0.2, low=-1.0, high=2.0)(x, generator=stream)
    assert close((noised == -1).double().mean(), 0.1, 0.09)
    assert close((noised == 2).double().mean(), 0.1, 0.09)
    noise = (GaussianNoise(2.0)(x, generator=stream) - x) / 2
    assert close(noise.square().mean(), 1.0, 2.0)
    assert noised.dtype == noise.dtype == x.dtype
    each = GaussianNoise([2.0, 0.0, 0.5])
    noise = (each(x[:, :3], generator=stream) - x[:, :3])[:, [0, 2]] / torch.tensor([2.0, 0.5])
    assert abs(float(noise.square().mean()) - 1) < z * (2 / noise.numel()) ** 0.5
    assert torch.equal(each(x[:, :3], generator=stream)[:, 1], x[:, 1])
    assert each == GaussianNoise((2.0, 0.0, 0.5))
    with pytest.raises(ShapeError, match="one for each column"):
        each(x, generator=stream)
    for bad in (
        lambda: Masking(1.5),
        lambda: GaussianNoise(-1.0),
        lambda: GaussianNoise([1.0, -1.0]),
        lambda: SaltAndPepper(0.1, 1.0, 0.0),
    ):
        with pytest.raises(dg.errors.ArgumentError):
            bad()


@pytest.mark.parametrize("noise", [Masking(0.5, value=0.5), GaussianNoise(0.5), SaltAndPepper(0.5, low=0.5)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_whole_numbers_take_the_noise_of_real_ones(noise, dtype):
    x = torch.arange(200).view(10, 20) % 2
    assert torch.equal(
        noise(x.to(dtype), generator=dg.random.generator(0)), noise(x.float(), generator=dg.random.generator(0))
    )
