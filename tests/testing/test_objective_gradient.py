"""Gradients of objectives are checked, the parameter of a planted fault is named, and what cannot be is said."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.testing import CheckFailed, check_objective

o = dg.objectives
X = (torch.rand(6, 5, generator=dg.random.generator(0)) < 0.5).float()
REAL = torch.randn(6, 3, generator=dg.random.generator(0))
CASES = {
    "likelihood": lambda: (dg.explicit.MADE(5, hidden=[7], generator=0), o.MaximumLikelihood(), X),
    "mixture": lambda: (
        dg.explicit.BernoulliMixture(5, components=2).initialise(X, generator=0),
        o.MaximumLikelihood(),
        X,
    ),
    "flow": lambda: (dg.explicit.MAF(3, transforms=2, hidden=[8], generator=0), o.MaximumLikelihood(), REAL),
    "orders": lambda: (dg.explicit.DeepNADE(5, hidden=[7], generator=0), o.OrderAgnostic(), X),
    "elbo": lambda: (dg.implicit.mlp_vae(5, [7], latent=2, generator=0), o.ELBO(beta=2.0, free_bits=0.01), X),
    "iwae": lambda: (dg.implicit.mlp_vae(5, [7], latent=2, generator=0), o.IWAE(k=3), X),
    "autoencoder": lambda: (
        dg.implicit.mlp_autoencoder(5, [], latent=4, last="sigmoid", generator=0),
        o.Reconstruction(dg.implicit.Masking(0.2), [o.Contraction(0.1)]),
        X,
    ),
    "score": lambda: (
        dg.explicit.EnergyModel(dg.layers.ScalarMLP(3, generator=0), event_shape=3),
        o.DenoisingScoreMatching(sigma=0.5),
        REAL,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_objectives_that_descend_a_value(case):
    model, objective, x = CASES[case]()
    before = [p.clone() for p in model.parameters()]
    check_objective(model, objective, x)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.dtype == torch.float32 for p in model.parameters())


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        return 2 * slope


class Faulty(nn.Module):
    """A law whose gradient of ``shift`` is twice what it should be, with torch's own dropout on the way."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.full((3,), 0.3)), nn.Parameter(torch.full((3,), 0.2))
        self.thin = nn.Dropout(0.5)
        self.wrong = True

    def log_prob(self, x):
        shift = Twice.apply(self.shift) if self.wrong else self.shift
        return torch.distributions.Normal(self.thin(shift), self.scale.exp()).log_prob(x).sum(1)


def test_the_parameter_that_is_wrong_is_named():
    model = Faulty()
    with pytest.raises(CheckFailed, match=r"MaximumLikelihood, parameter shift: autograd says .* differences"):
        check_objective(model, o.MaximumLikelihood(), REAL)
    model.wrong = False
    check_objective(model, o.MaximumLikelihood(), REAL)


def test_a_step_that_leaves_another_gradient_is_named():
    class Wrong(o.MaximumLikelihood):
        def update(self, model, optimizer):
            step = super().update(model, optimizer)

            def wrong(state, batch, *, generator):
                found = step(state, batch, generator=generator)
                model.weight_logits.grad *= 1.5
                return found

            return wrong

    model, _, x = CASES["mixture"]()
    with torch.no_grad():
        model.weight_logits.add_(torch.tensor([0.4, 0.0]))
    with pytest.raises(CheckFailed, match="parameter weight_logits: a step's gradient"):
        check_objective(model, Wrong(), x)


@pytest.mark.parametrize(
    ("model", "objective", "words"),
    [
        (dg.RBM(5, 3, generator=0), o.PersistentCD(chains=5), "means over data and over chains"),
        (dg.implicit.mlp_vae(5, [7], latent=2, generator=0), o.ELBO(gradient="score"), "gradient_noise"),
        (dg.implicit.mlp_vae(5, [7], latent=2, generator=0), o.IWAE(k=3, dreg=True), "gradient_noise"),
        (dg.explicit.BernoulliMixture(5), o.ExpectationMaximisation(), "exact step of EM"),
        (nn.Linear(1, 1), o.Adversarial(), "two players"),
    ],
)
def test_what_is_no_gradient_says_what_to_do(model, objective, words):
    with pytest.raises(MissingCapability, match=words):
        check_objective(model, objective, X)
