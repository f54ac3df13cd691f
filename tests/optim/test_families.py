"""Families of the library trained by these optimizers through `fit`, stopped and taken up again bit for bit."""

import pytest
import torch

import deepgen as dg
from deepgen.optim import KFAC, RMSpropNesterov

OPTIMIZERS = {
    "KFAC": lambda vae: KFAC(vae, lr=0.1, every=3),
    "RMSpropNesterov": lambda vae: RMSpropNesterov(vae.parameters(), lr=1e-3),
}


def fitted(make, epochs, out=None):
    data = dg.data.load("digits")
    vae = dg.implicit.mlp_vae(64, [32], latent=4, generator=0)
    history = dg.fit(vae, data.train[:500], dg.objectives.ELBO(), epochs=epochs, batch_size=50, optimizer=make(vae),
                     seed=0, out=out, progress=False)  # fmt: skip
    return vae, history


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_vae_learns_and_a_stopped_fit_goes_on_bit_for_bit(name, tmp_path):
    whole, history = fitted(OPTIMIZERS[name], 6, tmp_path / "whole")
    bound = history["bound"]
    assert bound[-1] > bound[0] + 3  # nats a row
    fitted(OPTIMIZERS[name], 3, tmp_path / "half")
    again, _ = fitted(OPTIMIZERS[name], 6, tmp_path / "half")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_an_rbm_is_trained_with_momentum_ahead():
    x = dg.data.load("digits").train[:300]
    rbm = dg.RBM(visible=64, hidden=8, generator=0).initialise(x)
    before = dg.evaluate.log_likelihood(rbm, x)
    optimizer = RMSpropNesterov(rbm.parameters(), lr=1e-3)
    dg.fit(rbm, x, dg.objectives.PersistentCD(chains=100), epochs=10, batch_size=20, optimizer=optimizer, seed=0,
           progress=False)  # fmt: skip
    assert dg.evaluate.log_likelihood(rbm, x).value > before.value + 1
