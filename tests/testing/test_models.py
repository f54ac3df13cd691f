"""check_model runs what the protocols call for, and catches models that break them."""

import pytest
import torch

import deepgen as dg
from deepgen.explicit import RBM, Bernoulli, BernoulliMixture, Gaussian, Product, Softmax, Spin
from deepgen.testing import CheckFailed, check_model


def test_a_machine(stream):
    rbm = RBM(Product(2, Softmax(1, 3)), 3, generator=stream)
    x = rbm.visible.enumerate(0, 12).float()
    assert check_model(rbm, x, generator=stream) == ["LogDensity", "exact", "Blocked", "Rebuilt"]


def test_a_large_machine_is_checked_in_part(stream):
    assert check_model(RBM(100, 50, generator=stream), torch.eye(100)[:5], generator=stream) == [
        "LogDensity",
        "Rebuilt",
    ]


def test_a_mixture(stream):
    model = BernoulliMixture(4, components=2)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=stream))
    assert check_model(model, torch.eye(4), generator=stream) == ["LogProb", "Samples", "draws", "Rebuilt"]


class WrongFreeEnergy(RBM):
    def free_energy(self, v):
        return super().free_energy(v) + v @ self.visible_bias.abs()


class BatchNormalised(RBM):
    def log_density(self, x):
        return super().log_density(x) - super().log_density(x).mean()


class Detached(RBM):
    def log_density(self, x):
        return super().log_density(x).detach()


class WrongShape(RBM):
    def log_density(self, x):
        return super().log_density(x).unsqueeze(1)


class ColdChain(RBM):
    def gibbs(self, beta=1.0, *, clamp=None):
        return super().gibbs(0.7 * beta, clamp=clamp)


class IgnoresBeta(RBM):
    def gibbs(self, beta=1.0, *, clamp=None):
        return super().gibbs(1.0, clamp=clamp)


@pytest.mark.parametrize("kind", [WrongFreeEnergy, BatchNormalised, Detached, WrongShape, ColdChain, IgnoresBeta])
def test_broken_machines_are_caught(kind, stream):
    model = kind(4, 3, generator=0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(1.5 * torch.sin(torch.arange(p.numel()) * 2.4 + 1).reshape(p.shape))
    with pytest.raises(CheckFailed):
        check_model(model, torch.eye(4), generator=stream)


class Coins(torch.nn.Module):
    """Independent coins with a defect in log_prob or in the draws."""

    def __init__(self, defect=""):
        super().__init__()
        self.defect = defect
        self.logits = torch.nn.Parameter(torch.tensor([0.5, -1.0, 1.0]))

    def log_prob(self, x):
        value = (x * self.logits).sum(-1) - torch.nn.functional.softplus(self.logits).sum()
        if self.defect == "not normalised":
            value = value + 0.1
        if self.defect == "halved":
            value = value / 2
        return value

    def sample(self, n, *, generator=None):
        g = dg.random.resolve(generator)
        logits = self.logits.detach() * (0.8 if self.defect == "tempered draws" else 1.0)
        count = n + 1 if self.defect == "one too many" else n
        u = torch.rand(count, 3) if self.defect == "global stream" else torch.rand(count, 3, generator=g)
        return (u < logits.sigmoid()).float()


def test_coins(stream):
    assert check_model(Coins(), torch.eye(3), generator=stream) == ["LogProb", "Samples", "draws"]


@pytest.mark.parametrize("defect", ["not normalised", "halved", "tempered draws", "one too many", "global stream"])
def test_broken_coins_are_caught(defect, stream):
    state = torch.get_rng_state()
    with pytest.raises(CheckFailed):
        check_model(Coins(defect), torch.eye(3), generator=stream)
    torch.set_rng_state(state)


def test_wide_layers_are_not_enumerated(stream):
    rbm = RBM(Gaussian(2), Product(Spin(3), Bernoulli(20)), generator=stream)
    assert check_model(rbm, torch.randn(4, 2, generator=stream), generator=stream) == ["LogDensity", "Rebuilt"]
