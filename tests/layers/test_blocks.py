"""Inception and dense blocks against their formulas and the papers' counts of weights."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from deepgen.errors import ArgumentError, UnknownName
from deepgen.layers import DenseBlock, Inception, transition
from deepgen.testing import check_checkpoint, check_random
from tests.layers.test_builders import normed

BUILT = {
    "inception": lambda g: Inception(3, 2, (2, 3), (1, 2), 2, activation="tanh", generator=g),
    "inception, norm": lambda g: Inception(3, 2, (2, 3), (1, 2), 2, norm=True, generator=g),
    "dense": lambda g: DenseBlock(3, 2, 2, generator=g),
    "dense, bottleneck": lambda g: DenseBlock(3, 2, 2, bottleneck=True, generator=g),
}


@pytest.mark.parametrize("name", BUILT)
def test_gradients_checkpoints_and_randomness(name, stream, float64):
    net, x = BUILT[name](stream).double(), torch.randn(3, 3, 4, 4, generator=stream, requires_grad=True)
    assert gradcheck(lambda x, *_: net(x), (x, *net.parameters()))
    assert net(x).shape == (3, net.outputs, 4, 4)
    check_checkpoint(BUILT[name](stream))
    check_random(lambda generator: BUILT[name](generator), seeds=False, generator=stream)


@pytest.mark.parametrize("norm", [False, True])
def test_inception(norm, stream, float64):
    net = Inception(3, 2, (2, 4), (1, 5), 6, norm=norm, generator=stream).double()
    x = torch.randn(2, 3, 6, 7, generator=stream)

    def r(name, x, padding=0):
        layer = net.convolutions[name]
        h = F.conv2d(x, layer.weight, layer.bias, padding=padding)
        return F.relu(normed(h) if norm else h)

    pooled = F.pad(x, (1, 1, 1, 1), value=-torch.inf).unfold(2, 3, 1).unfold(3, 3, 1).amax((4, 5))
    expected = [
        r("one", x),
        r("three", r("three_reduced", x), 1),
        r("five", r("five_reduced", x), 2),
        r("pool", pooled),
    ]
    torch.testing.assert_close(net(x), torch.cat(expected, 1))


@pytest.mark.parametrize(
    ("channels", "kilo"), [((192, 64, (96, 128), (16, 32), 32), 159), ((256, 128, (128, 192), (32, 96), 64), 380)]
)
def test_inception_has_as_many_weights_as_googlenets(channels, kilo):
    """Its table 1 counts them in 1024s, of modules 3a and 3b."""
    count = sum(p.numel() for p in Inception(*channels, generator=0).parameters())
    assert count / 1024 == pytest.approx(kilo, rel=0.01)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_every_layer_reads_all_before_it(bottleneck, stream, float64):
    net = DenseBlock(3, 3, 2, bottleneck=bottleneck, generator=stream).double()
    maps = [torch.randn(4, 3, 5, 5, generator=stream)]
    for layer in net.layers:
        h = torch.cat(maps, 1)
        for step in layer:
            assert step.conv.bias is None
            h = F.conv2d(F.relu(normed(h)), step.conv.weight, padding=step.conv.kernel_size[0] // 2)
        maps.append(h)
    torch.testing.assert_close(net(maps[0]), torch.cat(maps, 1))
    kernels = [[step.conv.kernel_size[0] for step in layer] for layer in net.layers]
    assert kernels == [[1, 3] if bottleneck else [3]] * 3


def test_densenet_40_12_has_a_million_weights():
    """Table 2 of the paper: L = 40, k = 12, 1.0 million."""
    count, channels = 3 * 16 * 9, 16
    for block in range(3):
        net = DenseBlock(channels, 12, 12, generator=0)
        count, channels = count + sum(p.numel() for p in net.parameters()), net.outputs
        if block < 2:
            count += sum(p.numel() for p in transition(channels, channels, generator=0).parameters())
    count += 2 * channels + channels * 10 + 10
    assert count / 1e6 == pytest.approx(1.0, abs=0.05)


def test_transitions(stream, float64):
    net, x = transition(6, 3, generator=stream).double(), torch.randn(4, 6, 4, 4, generator=stream)
    h = torch.einsum("oi,bihw->bohw", net[1].weight[:, :, 0, 0], normed(x))
    torch.testing.assert_close(net(x), h.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)))


def test_wrong_arguments():
    for three in (3, (3,), (3, 0), "35"):
        with pytest.raises(ArgumentError, match="three"):
            Inception(3, 2, three, (1, 2), 2)
    with pytest.raises(UnknownName, match="'relu'"):
        Inception(3, 2, (2, 3), (1, 2), 2, activation="rely")
    for wrong in ({"layers": 0}, {"growth": -1}, {"inputs": 2.5}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            DenseBlock(**{"inputs": 3, "layers": 2, "growth": 2, **wrong})
