"""check_density on discrete models: a belief net passes, and with one line wrong it does not."""

import pytest
import torch
from torch import nn
from torch.distributions import constraints

import deepgen as dg
from deepgen.testing import CheckFailed, check_density


class Belief(nn.Module):
    """Fully visible sigmoid belief net over 10 bits (or K values), p(x_i = 1 | x_<i) = sigmoid(b_i + W_i x_<i)."""

    def __init__(self, defect="", features=10):
        super().__init__()
        self.defect, self.features = defect, features
        g = dg.random.generator(0)
        self.weight = nn.Parameter(torch.randn(features, features, generator=g))
        self.bias = nn.Parameter(torch.randn(features, generator=g))
        self.support = constraints.independent(constraints.boolean, 1)

    def logits(self, x, d):
        mask = torch.ones_like(self.weight).tril(0 if d == "not causal" else -1)
        logits = x @ (self.weight * mask).t() + self.bias
        return logits.sigmoid() if d == "sigmoid twice" else logits

    def log_prob(self, x):
        logits = self.logits(x, self.defect)
        if self.defect == "not autoregressive":
            logits = logits + 0.1 * x.sum(1, keepdim=True)
        return -nn.functional.softplus((1 - 2 * x) * logits).sum(1)

    @torch.no_grad()
    def _fill(self, x, mask, generator):
        d, x = self.defect, x.clone()
        u = torch.rand(x.shape, generator=dg.random.resolve(generator)).to(x)
        for i in range(self.features):
            logit = self.logits(x, "")[:, i] * (0.9 if d == "draws of p^0.9" else 1)
            x[:, i] = torch.where(mask[i], x[:, i], (u[:, i] < logit.sigmoid()).to(x))
        return x + 1 if d == "off the support" else x

    def sample(self, n, *, generator=None):
        return self._fill(self.bias.new_zeros(n, self.features), torch.zeros(self.features).bool(), generator)

    def conditional_sample(self, known, mask, *, generator=None):
        if self.defect == "completion forgets":
            return self.sample(len(known), generator=generator)
        if self.defect == "completion by others":
            return self._fill(known * 0, mask & False, generator).where(~mask, known)
        return self._fill(known, mask, generator)


def test_a_correct_belief_net_passes(stream, alpha):
    done = check_density(Belief(), alpha=alpha, generator=stream)
    assert {"mass", "cells", "completion", "tilt"} <= set(done)
    assert not {"jacobian", "code"} & set(done)


@pytest.mark.parametrize(
    "defect",
    [
        "sigmoid twice",
        "not causal",
        "not autoregressive",
        "draws of p^0.9",
        "off the support",
        "completion forgets",
        "completion by others",
    ],
)
def test_broken_belief_nets_are_caught(defect, stream):
    with pytest.raises(CheckFailed):
        check_density(Belief(defect), generator=stream)


def test_wide_discrete_models_are_checked_by_their_neighbours(stream, alpha):
    done = check_density(Belief(features=30), alpha=alpha, generator=stream)
    assert "tilt" in done
    assert not {"mass", "cells", "completion"} & set(done)
    for defect in ("draws of p^0.9", "sigmoid twice", "not autoregressive"):
        with pytest.raises(CheckFailed, match="neighbours"):
            check_density(Belief(defect, features=30), n=2**14, generator=stream)
