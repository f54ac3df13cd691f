import pytest
import torch

from deepgen.layers.tanh import FEW, tanh


def test_it_is_torch_s_with_its_derivatives(stream):
    x = torch.cat([torch.linspace(-30, 30, 40_001), 1e-3 * torch.randn(100, generator=stream)]).requires_grad_()
    exact = x.detach().double().tanh()
    y = tanh(x)
    assert float((y.detach() - exact).abs().max()) < 2.5e-7
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert float((slope.detach() - (1 - exact.square())).abs().max()) < 1e-6
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert float((second.detach() + 2 * exact * (1 - exact.square())).abs().max()) < 1e-6


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.func's own, on its first use
def test_elsewhere_it_is_torch_s():
    x = torch.linspace(-2, 2, FEW, dtype=torch.float64)
    assert torch.equal(tanh(x), x.tanh())
    assert torch.equal(tanh(x.bfloat16()), x.bfloat16().tanh())
    assert torch.equal(tanh(x[1:].float()), x[1:].float().tanh())
    _, along = torch.func.jvp(tanh, (x.float(),), (torch.ones(FEW),))
    assert torch.allclose(along, (1 - x.tanh().square()).float(), atol=1e-6)
