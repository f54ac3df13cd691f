"""Blocks between the convolutions of encoders and decoders, against the layers called one by one."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.layers import ConvDecoder, ConvEncoder, DenseBlock, Inception, ResidualBlock
from deepgen.testing import check_checkpoint
from tests.layers.test_builders import moved, normed

BLOCKS = {
    "residual": lambda width, g: moved(ResidualBlock(width, generator=g), g),
    "dense": lambda width, g: DenseBlock(width, 2, 3, generator=g),
    "inception": lambda width, g: Inception(width, 2, (2, 3), (1, 2), 2, generator=g),
    "own": lambda width, g: nn.Sequential(dg.layers.conv(width, width, 3, generator=g), nn.Tanh()),
}
kinds = pytest.mark.parametrize("kind", BLOCKS)


def encoder(kind, g, side=8, **options):
    blocks = [BLOCKS[kind](3, g), BLOCKS[kind](4, g)]
    return ConvEncoder((2, side, side), 3, features=(3, 4), hidden=5, blocks=blocks, generator=g, **options)


@kinds
@pytest.mark.parametrize("options", [{}, {"pool": "max", "norm": True}], ids=["strides", "pools"])
def test_encoder_has_a_block_after_each_halving(kind, options, stream, float64):
    net, x = encoder(kind, stream, **options).double(), torch.randn(5, 2, 8, 8, generator=stream)
    h = x
    for layer, block in zip(net.convolutions, net.blocks, strict=True):
        h = nn.functional.silu(normed(layer(h)) if options else layer(h))
        h = block(nn.functional.max_pool2d(h, 2) if options else h)
    h = net.dense(h.flatten(1))
    torch.testing.assert_close(net(x), net.last(nn.functional.silu(normed(h) if options else h)))


@kinds
def test_decoder_has_them_at_the_same_maps(kind, stream, float64):
    blocks = [BLOCKS[kind](3, stream), BLOCKS[kind](4, stream)]
    net = ConvDecoder(2, (1, 8, 8), features=(3, 4), hidden=5, norm=True, blocks=blocks, generator=stream).double()
    z = torch.randn(5, 2, generator=stream)
    h = net.spread(nn.functional.silu(normed(net.dense(z)))).view(5, 4, 2, 2)
    for layer, block in zip(net.convolutions, [blocks[1], blocks[0]], strict=True):
        h = layer(block(nn.functional.silu(normed(h))))
    torch.testing.assert_close(net(z), h)
    assert h.shape == (5, 1, 8, 8)


@kinds
def test_gradients(kind, stream, float64):
    net, x = encoder(kind, stream, 4).double(), torch.randn(2, 2, 4, 4, generator=stream, requires_grad=True)
    assert gradcheck(lambda x, *_: net(x), (x, *net.parameters()), fast_mode=True)


@pytest.mark.parametrize("kind", ["residual", "dense", "inception"])
def test_saved_with_the_model_around_them(kind, stream, tmp_path):
    check_checkpoint(encoder(kind, stream))
    blocks = [None, BLOCKS[kind](4, stream)]
    for make in (dg.implicit.conv_vae, dg.implicit.conv_autoencoder, dg.implicit.conv_cvae):
        given = {"classes": 3} if make is dg.implicit.conv_cvae else {}
        model = make((1, 8, 8), [3, 4], latent=2, hidden=5, blocks=blocks, generator=stream, **given)
        assert model.encoder.blocks[1] is blocks[1]
        assert model.decoder.blocks is None
        check_checkpoint(model)
    back = ConvDecoder(2, (1, 8, 8), features=(3, 4), hidden=5, blocks=blocks, generator=stream)
    check_checkpoint(back)


def test_residual_blocks_change_nothing_at_the_start_and_none_changes_nothing(stream):
    """B = 0: the first function, and the first weights of all else, are those of the network without blocks."""
    x = torch.randn(5, 1, 8, 8, generator=stream)
    options = {"features": (3, 4), "hidden": 5, "generator": 7}
    plain = ConvEncoder((1, 8, 8), 2, **options)
    for blocks in ([ResidualBlock(3, generator=stream), ResidualBlock(4, generator=stream)], [None, None]):
        net = ConvEncoder((1, 8, 8), 2, blocks=blocks, **options)
        assert torch.equal(net(x), plain(x))
    assert [*plain.state_dict()] == [*net.state_dict()]
    assert "blocks" not in plain.arguments()  # so that checkpoints are those of versions without blocks


def test_a_vae_learns_through_them(stream):
    x = (torch.rand(40, 1, 8, 8, generator=stream) < 0.5).float()
    blocks = [DenseBlock(3, 2, 2, generator=stream), ResidualBlock(4, generator=stream)]
    vae = dg.implicit.conv_vae((1, 8, 8), [3, 4], latent=2, hidden=6, blocks=blocks, generator=stream)
    before = [p.detach().clone() for p in vae.parameters()]
    dg.fit(vae, x, dg.objectives.ELBO(), epochs=3, batch_size=20, seed=0, progress=False)
    assert not any(torch.equal(a, b) for a, b in zip(before, vae.parameters(), strict=True))
    found = vae.bound(x, samples=2, generator=0)
    assert found.shape == (40,)
    dg.layers.constrain(torch.optim.SGD(vae.parameters(), lr=0.1), vae, dg.layers.MaxNorm(0.1))
    assert float(vae.encoder.blocks[1].a.weight.detach().flatten(1).norm(dim=1).max()) < 0.1 + 1e-5


@pytest.mark.parametrize("make", [ConvEncoder, ConvDecoder])
def test_wrong_blocks_are_refused_in_words(make, stream):
    first = (lambda **k: ConvEncoder((1, 8, 8), 2, **k)) if make is ConvEncoder else lambda **k: make(2, (1, 8, 8), **k)

    def built(*blocks):
        return first(features=(3, 4), hidden=5, blocks=[*blocks], generator=stream)

    block = ResidualBlock(4, generator=stream)
    for wrong, words in (
        ([], "list of 2, for each of the features .* got 0 of them"),
        ([None, None, None], "got 3 of them"),
        ([block, None], r"blocks\[0\], a ResidualBlock, reads maps of 4 channels, and where it stands there are 3"),
        ([None, DenseBlock(3, 1, 1, generator=stream)], r"blocks\[1\], a DenseBlock, .* features\[1\]=3"),
        (["residual", None], r"blocks\[0\] must be a torch.nn.Module or None, got str"),
        ([None, ResidualBlock], r"the class ResidualBlock itself"),
        ([dg.layers.Dense(3, [], (2, 2)), None], r"blocks\[0\]"),
    ):
        with pytest.raises(ArgumentError, match=words):
            built(*wrong)
    with pytest.raises(ArgumentError, match="a Sequential"):
        first(features=(3, 4), blocks=nn.Sequential(block))
    twice = ResidualBlock(3, generator=stream)
    with pytest.raises(ArgumentError, match=r"blocks\[1\] is one that stands before it too"):
        first(features=(3, 3), blocks=[twice, twice])
    net = built(nn.Identity(), nn.AvgPool2d(2))
    x = torch.zeros(5, 1, 8, 8) if make is ConvEncoder else torch.zeros(5, 2)
    with pytest.raises(ShapeError, match=r"blocks\[1\], a AvgPool2d, must put out \[5, 4, 2, 2\], got \[5, 4, 1, 1\]"):
        net(x)
