"""Targets: their supports, and references that end somewhere."""

import torch
from torch.distributions import constraints

import deepgen as dg
from deepgen.distributions import spin
from deepgen.samplers import Target, as_target, dmala, gibbs_with_gradients


def test_a_support_is_taken_for_a_target_too():
    target = Target(lambda x: x.sum(-1), reference=torch.distributions.Bernoulli(torch.zeros(3)))
    for make in (dmala, gibbs_with_gradients):
        kernel = make(target, support=spin) if make is gibbs_with_gradients else make(target, 1.0, support=spin)
        assert kernel.target.support is spin
        assert kernel.target.reference is target.reference
    assert as_target(target) is target
    assert as_target(dg.explicit.MADE(3, hidden=[4]), constraints.boolean).support is constraints.boolean
