"""Adam in one pass, as objectives begin it."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.implicit import GAN, DCGANDiscriminator, DCGANGenerator
from deepgen.objectives import R1, R2, Adversarial
from deepgen.objectives.adam import adam


def test_steps_are_those_of_the_formula(stream):
    layer = nn.Linear(4, 3).double()
    still = nn.Parameter(torch.ones(2), requires_grad=False)
    layer.register_parameter("still", still)
    optimizer = adam(layer, 0.01, betas=(0.5, 0.9))
    values = {name: p.detach().clone() for name, p in layer.named_parameters() if p.requires_grad}
    m, v = ({name: torch.zeros_like(p) for name, p in values.items()} for _ in range(2))
    for t in range(1, 6):
        for name, p in layer.named_parameters():
            if not p.requires_grad:
                continue
            p.grad = torch.randn(p.shape, generator=stream).double()
            m[name] = 0.5 * m[name] + 0.5 * p.grad
            v[name] = 0.9 * v[name] + 0.1 * p.grad**2
            values[name] -= 0.01 * m[name] / (1 - 0.5**t) / ((v[name] / (1 - 0.9**t)).sqrt() + 1e-8)
        optimizer.step()
    for name, value in values.items():
        assert torch.allclose(layer.get_parameter(name), value, rtol=1e-12, atol=1e-14), name
    assert torch.equal(still, torch.ones(2))


def test_groups_keep_their_rates():
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    optimizer = adam([{"params": [first], "lr": 0.1}, {"params": [second]}], 0.01)
    first.grad, second.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert torch.allclose(first, torch.tensor(-0.1))
    assert torch.allclose(second, torch.tensor(-0.01))


PENALISED = Adversarial(penalty=(R1(1.0), R2(1.0)))


@pytest.mark.parametrize("objective", [Adversarial(penalty=()), PENALISED], ids=["plain", "penalties"])
@pytest.mark.parametrize("networks", ["convolutions", "dense"])
def test_a_fused_step_of_a_gan_is_that_of_the_plain_optimizer(networks, objective, stream):
    """Gradients of convolutions come with channels last, which a fused step would take for shuffled ones."""
    x = torch.rand(16, 28, 28, generator=stream)
    shape = (28, 28)
    moved = []
    for fused in (True, False):
        own = dg.random.generator(0)
        if networks == "dense":
            g, d = dg.layers.Dense(8, [16], shape, generator=own), dg.layers.Dense(shape, [16], (), generator=own)
        else:
            g = DCGANGenerator(8, shape, 8, norm=False, generator=own)
            d = DCGANDiscriminator(shape, 8, norm=False, generator=own)
        gan = GAN(g, d, latent=8)
        before = [p.detach().clone() for p in gan.parameters()]
        optimizer = torch.optim.SGD(gan.parameters(), lr=0.1, momentum=0.9, fused=fused)
        step = objective.update(gan, optimizer)
        state, again = objective.start(gan, x, generator=own), dg.random.generator(1)
        for _ in range(2):
            state, _ = step(state, x, generator=again)
        moved.append([p.detach() - q for p, q in zip(gan.parameters(), before, strict=True)])
    assert all(float(p.abs().max()) > 0 for p in moved[0][:2])
    for one, other in zip(*moved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_gradients_of_backward_are_laid_out_as_their_parameters(stream):
    """So that losses need no copies: of convolutions both ways, and of channels last."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Flatten(), nn.Linear(768, 2)
    )
    x = torch.randn(3, 2, 8, 8, generator=stream)
    for rows in (x, x.contiguous(memory_format=torch.channels_last)):
        net.zero_grad()
        net(rows).square().sum().backward()
        assert all(p.grad.stride() == p.stride() for p in net.parameters())
