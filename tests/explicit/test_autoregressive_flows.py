"""MAF and IAF: which direction is fast, orders reversed, and the two are each other's inverse."""

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.explicit import IAF, MAF
from deepgen.testing import check_gradient
from deepgen.transforms import Autoregressive, Inverse
from deepgen.transforms.base import METHODS
from tests.contracts.densities import trained


def passes(flow, call):
    """How many whole passes the networks of a flow make during a call."""
    count = []
    handles = [m.net.register_forward_hook(lambda *_: count.append(1)) for m in flow.modules() if hasattr(m, "net")]
    call()
    for handle in handles:
        handle.remove()
    return len(count)


def test_the_fast_direction_is_one_pass_a_layer(stream):
    maf, iaf = (trained(kind(6, 3, [8], generator=stream), stream) for kind in (MAF, IAF))
    x = torch.randn(4, 6, generator=stream)
    with torch.no_grad():
        assert passes(maf, lambda: maf.log_prob(x)) == 3
        assert passes(iaf, lambda: iaf.sample(4, generator=stream)) == 3
        assert passes(iaf, lambda: iaf().rsample_and_log_prob((4,))) == 3
        assert passes(maf, lambda: maf.sample(4, method="incremental", generator=stream)) == 0
        assert passes(maf, lambda: maf.sample(4, method="sequential", generator=stream)) >= 18


def test_an_iaf_is_the_maf_seen_from_the_other_side(stream):
    maf = trained(MAF(4, 2, [8], generator=stream), stream).double()
    iaf = IAF(4, 2, [8], generator=stream).double()
    for ours, theirs in zip(iaf.transform.transforms, reversed(maf.transform.transforms), strict=True):
        assert isinstance(ours, Inverse)
        ours.transform = theirs
    x = torch.randn(5, 4, generator=stream, dtype=torch.float64)
    torch.testing.assert_close(iaf.decode(x), maf.encode(x))
    torch.testing.assert_close(iaf.encode(x), maf.decode(x))


@pytest.mark.parametrize("kind", [MAF, IAF])
def test_orders_are_reversed_from_layer_to_layer(kind):
    layers = [part for part in kind(4, 3, [8], generator=0).modules() if isinstance(part, Autoregressive)]
    assert [layer.net.order for layer in layers] == [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3]]


@pytest.mark.parametrize("kind", [MAF, IAF])
def test_same_noise_same_sample_by_every_method(kind, stream):
    flow = trained(kind(7, 3, [16], context=2, generator=stream), stream, 0.3).double()
    context = torch.randn(50, 2, generator=stream, dtype=torch.float64)
    draws = [flow.draw(50, context, method=method, generator=9) for method in METHODS]
    for x, log_prob, _ in draws[1:]:
        torch.testing.assert_close(x, draws[0].x, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(log_prob, draws[0].log_prob, rtol=1e-7, atol=1e-7)


def test_density_of_data_under_an_iaf_has_gradients(stream):
    """The sequential direction inside log_prob: by the implicit function theorem."""
    flow = trained(IAF(3, 2, [8], context=1, generator=stream), stream).double()
    x = torch.randn(4, 3, generator=stream, dtype=torch.float64, requires_grad=True)
    context = torch.randn(4, 1, generator=stream, dtype=torch.float64, requires_grad=True)
    at = [x, context, *flow.parameters()]
    check_gradient(lambda: flow.log_prob(x, context).sum(), at, what="IAF.log_prob", generator=stream)


def test_one_variable_alone_is_affine_in_its_context(stream):
    flow = trained(MAF(1, 2, [8], context=1, generator=stream), stream).double()
    x = torch.linspace(-2, 2, 5, dtype=torch.float64).unsqueeze(1)
    z, log_det = flow.encode(x, torch.zeros(5, 1, dtype=torch.float64))
    torch.testing.assert_close(z.diff(dim=0), log_det.exp()[:-1].unsqueeze(1))  # slope 1 between points, times a scale


@pytest.mark.parametrize("kind", [MAF, IAF])
def test_what_is_refused(kind):
    with pytest.raises(ArgumentError, match="features"):
        kind(0)
    with pytest.raises(ArgumentError, match="transforms"):
        kind(2, 0)
    with pytest.raises(ArgumentError, match="one width"):
        kind(2, 2, [8, 4], residual=True)
