"""The conditioner of couplings, against its formula."""

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError
from deepgen.layers import MLP
from deepgen.testing import check_random


def make(stream, **options):
    return MLP(4, 3, 5, **{"hidden": [8, 8, 8], **options}, generator=stream).double()


def test_the_plain_form(stream):
    net, x = make(stream, activation=torch.tanh), torch.randn(6, 4, generator=stream, dtype=torch.float64)
    h = torch.tanh(net.first(x))
    for layer in net.inner:
        h = torch.tanh(layer(h))
    torch.testing.assert_close(net(x), net.last(h).view(6, 3, 5).permute(1, 2, 0))


def test_the_residual_form(stream):
    net, x = make(stream, residual=True), torch.randn(6, 4, generator=stream, dtype=torch.float64)
    h = net.first(x)
    assert len(net.inner) == 4  # two blocks
    for a, b in ((net.inner[0], net.inner[1]), (net.inner[2], net.inner[3])):
        h = h + b(F.relu(a(F.relu(h))))
    torch.testing.assert_close(net(x), net.last(F.relu(h)).view(6, 3, 5).permute(1, 2, 0))


@pytest.mark.parametrize("residual", [False, True])
def test_rows_stay_apart_and_outputs_start_small(residual, stream):
    net, x = make(stream, residual=residual), torch.randn(6, 4, generator=stream, dtype=torch.float64)
    torch.testing.assert_close(net(x)[:, :, 2:3], net(x[2:3]))
    assert float(net(x).abs().detach().max()) < 0.2


def test_randomness(stream):
    check_random(lambda generator: MLP(2, 1, 1, hidden=[4], generator=generator), seeds=False, generator=stream)


@pytest.mark.parametrize("hidden", [[], 8, [8, 0], [8, 2.5]])
def test_widths_are_checked(hidden, stream):
    with pytest.raises(ArgumentError, match="hidden"):
        MLP(2, 1, 1, hidden=hidden, generator=stream)


def test_residual_layers_have_one_width(stream):
    with pytest.raises(ArgumentError, match="one width"):
        MLP(2, 1, 1, hidden=[8, 4], residual=True, generator=stream)
