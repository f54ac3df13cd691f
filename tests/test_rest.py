"""What is asked of a trained model is about the network at rest; what trains it keeps the mode that it is in."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

import deepgen as dg
from deepgen.explicit import EnergyModel, Flow
from deepgen.implicit import GAN, Autoencoder, Dense, SpectralNorm
from deepgen.objectives import ELBO, Adversarial, MaximumLikelihood, Reconstruction
from deepgen.rest import answered_at_rest, at_rest
from deepgen.testing.checkpoints import demand_same_state


def restless(inputs, outputs, g, **options):
    return Dense(inputs, [8], outputs, norm=True, dropout=(0.2, 0.5), generator=g, **options)


def bits(stream, n=60):
    return torch.randint(2, (n, 6), generator=stream).float()


def normed(stream):
    """A VAE whose decoder has a batch norm of torch's own, after a fit: the case that was found."""
    decoder = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    vae = dg.implicit.VAE(Dense(6, [8], 4, generator=stream), decoder, latent=2)
    before = decoder[1].running_mean.clone()
    dg.fit(vae, bits(stream), ELBO(), epochs=2, batch_size=20, progress=False)
    assert not torch.equal(before, decoder[1].running_mean)  # in training it learns
    assert vae.training
    return vae


def test_a_fitted_decoder_with_a_batch_norm_draws_row_by_row(stream):
    vae, x = normed(stream), bits(stream)
    still = copy.deepcopy(vae)
    vae.sample(50, generator=stream)
    assert vae.sample(1, generator=stream).shape == (1, 6)
    z = torch.randn(5, 2, generator=stream)
    for many, one in ((vae.decode(z), vae.decode(z[:1])), (vae.encode(x), vae.encode(x[:1]))):
        assert torch.allclose(many[:1], one, atol=1e-6)
    vae.reconstruct(x, generator=stream)
    demand_same_state(still, vae, "after it was asked")
    assert all(part.training for part in vae.modules())
    z.requires_grad_()
    vae.likelihood(z).mean.sum().backward()  # who wants gradients of a mean has them
    assert float(z.grad.abs().sum()) > 0


def test_masks_are_drawn_in_training_and_not_in_draws(stream):
    vae = dg.implicit.VAE(restless(6, 4, stream), restless(2, 6, stream), latent=2)
    dg.fit(vae, bits(stream), ELBO(), epochs=1, progress=False)
    rested = vae.sample(3, generator=0), vae.encode(bits(dg.random.generator(0)))
    vae.eval()
    assert torch.equal(rested[0], vae.sample(3, generator=0))
    assert torch.equal(rested[1], vae.encode(bits(dg.random.generator(0))))
    vae.train()
    with dg.random.lend(stream):  # as in a step: two passes have two masks
        one, two = (vae.posterior(bits(dg.random.generator(0))).mean for _ in range(2))
    assert not torch.equal(one, two)


def test_an_autoencoder_and_its_chain(stream):
    model = Autoencoder(restless(6, 3, stream), restless(3, 6, stream))
    x = bits(stream)
    dg.fit(model, x, Reconstruction(), epochs=1, progress=False)
    still, kernel = copy.deepcopy(model), dg.implicit.DenoisingChain(model, dg.implicit.SaltAndPepper(0.3))
    one = dg.samplers.sample_chain(kernel, x[:4], draws=3, generator=0).draws
    answers = model.encode(x), model.reconstruct(x)
    demand_same_state(still, model, "after it was asked")
    assert model.training
    model.eval()
    assert torch.equal(one, dg.samplers.sample_chain(kernel, x[:4], draws=3, generator=0).draws)
    assert torch.equal(answers[0], model.encode(x))
    assert torch.equal(answers[1], model.reconstruct(x))
    assert torch.equal(answers[0], model.code(x))


class Net(nn.Module):
    """An elementwise transform whose scale is a network with dropout: the mean of log p differs by the mode."""

    def __init__(self, stream):
        super().__init__()
        self.net = restless(1, 1, stream)

    def _scale(self, x):
        return self.net(x.new_ones(len(x), 1)).expand_as(x)

    def encode(self, x, context=None):
        s = self._scale(x)
        return x * s.exp(), s.sum(1)

    def decode(self, z, context=None):
        s = self._scale(z)
        return z * (-s).exp(), -s.sum(1)


def test_a_flow_of_any_network_draws_and_is_judged_at_rest(stream):
    flow, x = Flow(Net(stream), 2), torch.randn(40, 2, generator=stream)
    dg.fit(flow, x, MaximumLikelihood(), epochs=2, progress=False)
    still = copy.deepcopy(flow)
    draws, judged = flow.sample(3, generator=0), dg.evaluate.log_likelihood(flow, x)
    assert flow.sample(1, generator=0).shape == (1, 2)
    worst = dg.plot.worst(flow, x, 3)
    demand_same_state(still, flow, "after it was asked")
    assert flow.training
    flow.eval()
    assert torch.equal(draws, flow.sample(3, generator=0))
    with torch.no_grad():
        assert judged.value == pytest.approx(float(flow.log_prob(x).double().mean()), abs=1e-9)
        assert torch.equal(worst[1], flow.log_prob(x).topk(3, largest=False).values)


def test_an_energy_model_is_judged_at_rest_and_its_parts_keep_their_modes(stream):
    base = dg.distributions.IndependentBernoulli(6)
    model = EnergyModel(restless(6, (), stream), support="binary", base=base)
    model.net.norms.eval()  # by the caller's own choice
    modes = [part.training for part in model.modules()]
    model.sample(3, steps=5, method="flips", generator=0)
    found = dg.evaluate.log_partition(model, "exact")
    likelihood = dg.evaluate.log_likelihood(model, bits(dg.random.generator(0)), "exact")
    assert modes == [part.training for part in model.modules()]
    model.eval()
    assert found.value == dg.evaluate.log_partition(model, "exact").value
    assert likelihood.value == dg.evaluate.log_likelihood(model, bits(dg.random.generator(0)), "exact").value


def test_the_context_of_a_fit_that_goes_on_is_of_the_mode_that_asks(stream):
    """A context that was filled in in training: its draws are those of the embedding at rest."""
    cvae = dg.implicit.CVAE(
        restless(6, 4, stream, context=3), restless(2, 6, stream, context=3), latent=2, context=3,
        embed=restless(2, 3, stream),
    )  # fmt: skip
    x, context = bits(stream), torch.randn(60, 2, generator=stream)
    dg.fit(cvae, torch.utils.data.TensorDataset(x, context), ELBO(), epochs=1, progress=False)
    still, given = copy.deepcopy(cvae), cvae(context)
    with dg.random.lend(stream):
        masked = given.code.detach().clone()
    state = copy.deepcopy(cvae)
    draws, codes, whole = given.sample(60, generator=0), given.encode(x), cvae.sample(60, context, generator=0)
    demand_same_state(state, cvae, "after it was asked")
    assert not torch.equal(masked, cvae.embed.eval()(context))
    assert torch.equal(draws, whole)
    cvae.eval()
    assert torch.equal(draws, cvae(context).sample(60, generator=0))
    assert torch.equal(codes, cvae(context).encode(x))
    assert still.training


def test_what_rests_is_given_back(stream):
    gan = GAN(restless(2, 6, stream), SpectralNorm(restless(6, (), stream), generator=stream), latent=2)
    dg.fit(gan, bits(stream), Adversarial(penalty=()), epochs=1, progress=False)
    with at_rest(gan) as same:
        assert same is gan
        assert not any(part.training for part in gan.modules())
    assert all(part.training for part in gan.modules() if part is not gan.averaged)
    with pytest.raises(RuntimeError, match="stop"), at_rest(gan):
        raise RuntimeError("stop")
    assert gan.training
    law = Independent(Bernoulli(torch.full((6,), 0.5)), 1)
    with at_rest(law) as same:  # no module: nothing to do
        assert same is law

    @answered_at_rest
    def mode(model, more=0):
        return model.training, more

    assert mode(gan) == mode(model=gan) == (False, 0)
    assert mode(gan, more=2) == (False, 2)
    with pytest.raises(TypeError, match="model"):
        mode()
