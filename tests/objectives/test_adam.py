"""Adam in one pass, as objectives begin it."""

import torch
from torch import nn

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
