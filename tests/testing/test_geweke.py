"""Geweke's joint test of learning an RBM: parameters and data, drawn in two ways, have one law.

    marginal-conditional:     theta ~ prior,  v ~ p(v | theta) by enumeration
    successive-conditional:   v <- Gibbs step given theta,   theta <- Langevin step on log p(theta | v), in turns

Started at a draw of the first, the second stays there, whatever the number of turns, if the sampler of the machine and
the gradient and value that it learns by belong to the same p(v | theta). Then the gradient of persistent contrastive
divergence, over the same joint law: given theta its mean is 0, so that it is uncorrelated with every function of theta.
Geweke 2004, "Getting it right: joint distribution tests of posterior simulators".
"""

import pytest
import torch
from torch import nn

from deepgen.explicit import RBM
from deepgen.objectives import PersistentCD
from deepgen.random import key, streams
from deepgen.samplers import Target, mala, ula
from deepgen.testing import CheckFailed, Exact, same_law, same_mean, sequential

VISIBLE, HIDDEN, ROWS, TURNS = 3, 2, 6, 4
SIZE = VISIBLE * HIDDEN + HIDDEN
STATES = (torch.arange(2**VISIBLE)[:, None] >> torch.arange(VISIBLE) & 1).float()
CODES = (torch.arange(2**HIDDEN)[:, None] >> torch.arange(HIDDEN) & 1).float()


class Machines(RBM):
    """The library's machine with parameters ``theta`` ``[machines, SIZE]`` of its own for each block of rows."""

    def __init__(self, theta, rows):
        super().__init__(VISIBLE, HIDDEN, generator=0)
        self.many = theta.repeat_interleave(rows, 0)

    def hidden_field(self, v):
        weight = self.many[:, : VISIBLE * HIDDEN].reshape(-1, VISIBLE, HIDDEN)
        return torch.einsum("ni,nij->nj", v, weight) + self.many[:, VISIBLE * HIDDEN :]

    def visible_field(self, h):
        weight = self.many[:, : VISIBLE * HIDDEN].reshape(-1, VISIBLE, HIDDEN)
        return torch.einsum("nj,nij->ni", h, weight)


def exact_rows(theta, generator):
    """Data given parameters by enumeration of the joint energy, written out: ``[machines, ROWS, VISIBLE]``."""
    weight, bias = theta[:, : VISIBLE * HIDDEN].reshape(-1, VISIBLE, HIDDEN), theta[:, VISIBLE * HIDDEN :]
    joint = torch.einsum("vi,nij,hj->nvh", STATES, weight, CODES) + torch.einsum("nj,hj->nh", bias, CODES)[:, None]
    return STATES[torch.multinomial(joint.logsumexp(2).softmax(1), ROWS, True, generator=generator)]


def learning_target(v, defect):
    """log p(theta | v) from the library's free energy: v ``[machines, ROWS, VISIBLE]``."""
    counted = ROWS - 1 if defect == "log Z of one row less" else ROWS

    def log_density(theta):
        value = Machines(theta, ROWS).log_density(v.flatten(0, 1)).reshape(-1, ROWS).sum(1)
        everywhere = Machines(theta, len(STATES)).log_density(STATES.repeat(len(theta), 1))
        return value - counted * everywhere.reshape(-1, len(STATES)).logsumexp(1) - theta.square().sum(1) / 2

    return Target(log_density)


def features(theta, v):
    """theta, the means of the data, and their products: what ties the two together."""
    mean = v.mean(1)
    products = theta[:, : VISIBLE * HIDDEN].reshape(-1, VISIBLE, HIDDEN) * mean.unsqueeze(2)
    return torch.cat([theta, mean + 1e-3 * theta[:, :VISIBLE], products.flatten(1)], 1)


def joint_law(defect=""):
    def p_values(n, g):
        theta = torch.randn(n, SIZE, generator=g)
        v, walk = exact_rows(theta, g), streams(key(g))
        for _ in range(TURNS):
            gibbs = Machines(theta, ROWS).gibbs(beta=0.8 if defect == "Gibbs at another temperature" else 1.0)
            state, _info = gibbs.step(gibbs.init(v.flatten(0, 1)), generator=walk)
            v = state.position.reshape(n, ROWS, VISIBLE)
            make = ula if defect == "learning without rejection" else mala
            kernel = make(learning_target(v, defect), 0.9)
            theta = kernel.step(kernel.init(theta), generator=walk)[0].position
        again = torch.randn(n, SIZE, generator=g)
        return same_law(features(theta, v), features(again, exact_rows(again, g)), generator=g)

    return p_values


def test_sampling_and_learning_belong_to_one_joint_law(stream, alpha):
    sequential(joint_law(), what="the joint law of parameters and data", alpha=alpha, generator=stream)


@pytest.mark.parametrize(
    "defect", ["log Z of one row less", "Gibbs at another temperature", "learning without rejection"]
)
def test_a_defect_in_either_breaks_the_joint_law(defect, stream):
    with pytest.raises(CheckFailed, match="the joint law"):
        sequential(joint_law(defect), what="the joint law", n=16384, generator=stream)


def score(defect=""):
    """Gradients of PCD at parameters from the prior, at exact data and chains, and times the parameters."""

    def p_values(n, g):
        rbm, found = RBM(VISIBLE, HIDDEN, generator=0), []
        objective = PersistentCD(chains=20, sliding=0.0)
        optimizer = torch.optim.SGD(rbm.parameters(), lr=0.0, momentum=0.5)  # not plain: it finds the gradients
        step = objective.update(rbm, optimizer)
        for _ in range(n):
            for p in rbm.parameters():
                nn.init.normal_(p, generator=g)
            exact = Exact(rbm, 0.0 if defect == "chains without weights" else 1.0)
            _, h = exact.sample(20, generator=g)
            data, _ = (exact if not defect else Exact(rbm)).sample(20, generator=g)
            other, _ = exact.sample(20, generator=g)  # offsets that had seen the data would be correlated with them
            state = objective.start(rbm, other, generator=g)._replace(chains=h)
            step(state, data, generator=g)
            gradient = torch.cat([p.grad.flatten() for p in rbm.parameters()])
            found.append(torch.cat([gradient, gradient * torch.cat([p.detach().flatten() for p in rbm.parameters()])]))
        columns = torch.stack(found).T
        return [same_mean(c, torch.zeros(n)) for c in columns if float(c.std()) > 0]

    return p_values


def test_the_gradient_of_pcd_is_zero_on_average_at_the_truth(stream, alpha):
    sequential(score(), what="the mean gradient of PCD", n=200, alpha=alpha, generator=stream)


def test_chains_without_weights_give_a_gradient(stream):
    with pytest.raises(CheckFailed, match="the mean gradient"):
        sequential(score("chains without weights"), what="the mean gradient", n=300, generator=stream)
