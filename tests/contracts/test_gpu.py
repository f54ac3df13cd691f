"""Machines on an accelerator: the same laws there, with a generator of that device."""

import pytest
import torch

import deepgen as dg
from deepgen.testing import Exact, check_random, same_law
from tests.contracts.layers import PAIRS, machine

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("pair", PAIRS)
def test_chains_on_the_device_stay_at_their_target(pair, seed, alpha):
    rbm = machine(pair)
    exact, stream = Exact(rbm), dg.random.generator(seed)
    start, fresh = (exact.sample(8192, generator=stream)[0] for _ in range(2))
    rbm.to("cuda")
    g = dg.random.generator(seed, "cuda")
    end = rbm.sample(8192, steps=5, start=start, generator=g)
    assert end.device.type == "cuda"
    p = same_law(end, fresh, generator=stream)
    assert len(p) * min(p) > alpha
    mask = torch.zeros(rbm.visible.width, dtype=torch.bool)
    assert rbm.conditional_sample(start, mask, steps=2, generator=g).device.type == "cuda"
    assert torch.allclose(rbm.log_density(start.cuda()).cpu(), machine(pair).log_density(start), rtol=1e-3, atol=1e-3)


def test_randomness_on_the_device(seed):
    rbm = machine("bernoulli-bernoulli").to("cuda")

    def numbers(generator):  # check_random hands out CPU generators
        seeds = torch.randint(2**31, (1,), generator=generator)
        return rbm.sample(64, steps=2, generator=dg.random.generator(int(seeds), "cuda"))

    check_random(numbers, seeds=False, generator=seed)
    law = rbm.hidden_given(torch.zeros(16, 3, device="cuda"))
    before = torch.cuda.get_rng_state()
    one = dg.random.draw(law, (8,), generator=dg.random.generator(seed, "cuda"))
    assert torch.equal(one, dg.random.draw(law, (8,), generator=dg.random.generator(seed, "cuda")))
    assert torch.equal(before, torch.cuda.get_rng_state())
    children = dg.random.spawn(dg.random.generator(seed, "cuda"), 3)
    assert len({torch.rand(2, device="cuda", generator=child).sum().item() for child in children}) == 3
