"""Protocols are recognised by what is there, and the name carries the normalisation."""

import inspect

import pytest
import torch

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.typing import Blocked, LogDensity, LogProb, Rebuilt, Samples, require


def test_a_machine_is_an_unnormalised_blocked_model():
    rbm = dg.RBM(3, 2)
    assert isinstance(rbm, LogDensity)
    assert isinstance(rbm, Blocked)
    assert isinstance(rbm, Rebuilt)
    assert not isinstance(rbm, LogProb)


def test_a_mixture_is_normalised_and_draws():
    mixture = dg.explicit.BernoulliMixture(3, components=2)
    assert isinstance(mixture, LogProb)
    assert isinstance(mixture, Samples)
    assert not isinstance(mixture, Blocked)


def test_require_names_model_protocol_purpose_and_meaning():
    require(dg.RBM(3, 2), LogDensity, "estimate anything")
    with pytest.raises(MissingCapability, match="Linear has no LogProb, which is needed to average log-likelihoods"):
        require(torch.nn.Linear(1, 1), LogProb, "average log-likelihoods")
    with pytest.raises(TypeError, match="normalised"):
        require(dg.RBM(3, 2), LogProb, "compare models")


def test_units_and_kernels_are_recognised():
    assert isinstance(dg.explicit.Gaussian(2), dg.explicit.Units)
    assert not isinstance(torch.nn.Linear(1, 1), dg.explicit.Units)
    assert isinstance(dg.RBM(3, 2).gibbs(), dg.samplers.Kernel)


@pytest.mark.parametrize(
    "base",
    [
        dg.explicit.discrete.DiscreteAutoregressive,
        dg.explicit.tokens.TokenModel,
        dg.explicit.lattice.Lattice,
        dg.optim.posterior_optimizer.PosteriorOptimizer,
    ],
)
def test_a_base_says_what_is_missing_when_a_member_is_built_and_members_have_it_all(base):
    assert inspect.isabstract(base)
    members = [cls for cls in base.__subclasses__() if cls.__module__.startswith("deepgen.")]
    assert len(members) > 1
    assert not any(map(inspect.isabstract, members))
    with pytest.raises(TypeError, match=min(base.__abstractmethods__)):
        type("Part", (base,), {})()
