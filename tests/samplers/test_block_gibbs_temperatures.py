"""An RBM's block Gibbs at one temperature a chain."""

import torch

from deepgen.random import Streams
from deepgen.samplers import advance
from deepgen.testing import Exact, check_kernel
from tests.machines import machine


def test_temperatures_are_one_a_chain(stream, alpha):
    rbm = machine(4, 3)
    betas = torch.tensor([0.3, 1.7]).repeat(10_000)
    start = torch.cat([Exact(rbm, b).sample(10_000, generator=stream)[0].unsqueeze(1) for b in (0.3, 1.7)], 1)
    kernel = rbm.gibbs(betas)
    ends = advance(kernel, kernel.init(start.flatten(0, 1)), 10, generator=stream).position
    assert min(Exact(rbm, 0.3).visible_law().p_values(ends[::2])) > 1e-6
    assert min(Exact(rbm, 1.7).visible_law().p_values(ends[1::2])) > 1e-6
    hot = Exact(rbm, 0.3)
    check_kernel(
        rbm.gibbs().at(0.3), lambda n, generator: hot.sample(n, generator=generator)[0], alpha=alpha, generator=stream
    )


def test_the_ratio_of_temperatures_is_that_of_the_marginals():
    rbm = machine(4, 3).double()
    v = rbm.visible.enumerate(0, 16)
    kernel = rbm.gibbs()
    found = kernel.log_ratio(kernel.init(v), 0.3, torch.full((16,), 1.7))
    expected = Exact(rbm, 1.7).log_density(v) - Exact(rbm, 0.3).log_density(v)
    assert torch.allclose(found, expected.detach(), atol=1e-10)


def test_streams_keep_chains_apart(seed):
    rbm = machine(4, 3)
    kernel, start = rbm.gibbs(torch.linspace(0.2, 1.0, 6)), torch.zeros(6, 4)
    whole = advance(kernel, kernel.init(start), 5, generator=Streams(seed)).position
    later = rbm.gibbs(torch.linspace(0.2, 1.0, 6)[4:])
    assert torch.equal(whole[4:], advance(later, later.init(start[4:]), 5, generator=Streams(seed, first=4)).position)
