"""Every layer that is exported: it is saved and loaded, and refuses what does not fit it in words."""

import inspect

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen import layers
from deepgen.errors import ShapeError
from deepgen.testing import check_checkpoint

# A layer from a generator, the shape of its input, and shapes that do not fit.
BUILT = {
    "MLP": (
        lambda g: layers.MLP(3, 2, 5, hidden=[8, 8], residual=True, generator=g),
        (4, 3),
        [(4, 2), (3,), (2, 4, 3)],
    ),
    "AdditiveAttention": (
        lambda g: layers.AdditiveAttention(3, 4, 8, generator=g),
        ((2, 3), (2, 5, 4)),
        [((2, 4), (2, 5, 4))],
    ),
    "CausalConv": (
        lambda g: layers.CausalConv(2, 3, 3, "vertical", here=False, dilation=2, generator=g),
        (2, 5, 5, 2),
        [(2, 5, 5, 3), (5, 5, 2)],
    ),
    "CausalSelfAttention": (
        lambda g: layers.CausalSelfAttention(8, 2, scale=0.5, generator=g),
        (3, 5, 8),
        [(3, 5, 7), (5, 8)],
    ),
    "ConvDecoder": (lambda g: layers.ConvDecoder(3, (1, 8, 8), features=[2], hidden=4, generator=g), (4, 3), [(4, 2)]),
    "ConvEncoder": (
        lambda g: layers.ConvEncoder((1, 8, 8), 3, features=[2], hidden=4, generator=g),
        (4, 1, 8, 8),
        [(4, 1, 8, 7)],
    ),
    "DeepRecurrent": (
        lambda g: layers.DeepRecurrent(3, 4, 2, "mlstm", bidirectional=True, generator=g),
        (2, 5, 3),
        [(2, 5, 4), (2, 0, 3), (5, 3)],
    ),
    "Dense": (lambda g: layers.Dense((2, 3), [8], 2, generator=g), (4, 2, 3), [(4, 2, 2)]),
    "DenseBlock": (
        lambda g: layers.DenseBlock(3, 2, 4, generator=g),
        (2, 3, 6, 6),
        [(2, 4, 6, 6), (3, 6, 6), (2, 3, 0, 6)],
    ),
    "Inception": (
        lambda g: layers.Inception(3, 2, (2, 3), (1, 2), 2, generator=g),
        (2, 3, 6, 6),
        [(2, 4, 6, 6), (3, 6, 6)],
    ),
    "MaskedNet": (
        lambda g: layers.MaskedNet([1, 0, 2], 2, hidden=[8], activation="tanh", generator=g),
        (3, 4),
        [(2, 4), (3,)],
    ),
    "Maxout": (lambda g: layers.Maxout(3, 4, generator=g), (5, 3), [(5, 2)]),
    "MultiplicativeLSTM": (
        lambda g: layers.MultiplicativeLSTM(3, 4, generator=g),
        (2, 5, 3),
        [(2, 5, 4), (2, 0, 3), (5, 3)],
    ),
    "P4Conv": (lambda g: layers.P4Conv(2, 3, lift=True, generator=g), (2, 2, 6, 6), [(2, 3, 6, 6), (2, 6, 6)]),
    "P4Encoder": (
        lambda g: layers.P4Encoder((1, 8, 8), 3, features=[2], hidden=4, generator=g),
        (4, 1, 8, 8),
        [(4, 1, 8, 7), (4, 2, 8, 8), (1, 8, 8)],
    ),
    "Reshaped": (lambda g: layers.Reshaped(layers.ResidualBlock(2, generator=g), (2, 3, 3)), (4, 18), [(4, 17)]),
    "ResidualBlock": (
        lambda g: layers.ResidualBlock(3, norm=True, generator=g),
        (2, 3, 6, 6),
        [(2, 4, 6, 6), (3, 6, 6)],
    ),
    "Restored": (lambda g: layers.Restored(layers.Dense(3, [8], 4, generator=g), 2, numbers=2), (5, 3), [(5, 2)]),
    "ScalarMLP": (lambda g: layers.ScalarMLP(6, [8], generator=g), (5, 2, 3), [(5, 7), (6,)]),
    "Standardised": (lambda g: layers.Standardised(layers.Dense(3, [8], 4, generator=g), 3), (5, 3), [(5, 2)]),
    "Whitening": (lambda g: layers.Whitening(3).initialise(torch.randn(20, 3, generator=g)), (5, 3), [(5, 2)]),
}
built = pytest.mark.parametrize("name", BUILT)


def inputs(shape, stream):
    return [torch.randn(s, generator=stream) for s in (shape if isinstance(shape[0], tuple) else [shape])]


def out(net, *x):
    return first(net(*x))


def first(found):
    return found[0] if isinstance(found, tuple) else found


def test_all_are_here():
    exported = {name: getattr(layers, name) for name in layers.__all__}
    assert {name for name, it in exported.items() if inspect.isclass(it) and issubclass(it, nn.Module)} == set(BUILT)


@built
def test_saved_and_loaded_it_puts_out_the_same(name, stream, tmp_path):
    make, shape, _ = BUILT[name]
    net, x = make(stream).eval(), inputs(shape, stream)
    check_checkpoint(net)
    dg.save(net, tmp_path / "alone")
    assert torch.equal(out(dg.load(tmp_path / "alone").eval(), *x), out(net, *x))


def test_inside_a_model_that_takes_any_module(stream, tmp_path):
    """A VAE around layers, which are rebuilt by their names and arguments."""
    encoder = layers.Reshaped(layers.CausalConv(1, 1, 3, generator=stream), (3, 2, 1))
    vae = dg.implicit.VAE(encoder, layers.Dense(3, [8], 6, generator=stream), latent=3)
    x = (torch.rand(4, 6, generator=stream) < 0.5).float()
    dg.save(vae, tmp_path / "vae")
    again = dg.load(tmp_path / "vae")
    assert torch.equal(again.encoder(x), vae.encoder(x))
    assert torch.equal(again.decoder(x[:, :3]), vae.decoder(x[:, :3]))


def test_an_activation_without_a_name_is_for_load_weights(stream, tmp_path):
    net = layers.MLP(3, 2, 5, hidden=[8], activation=torch.exp, generator=stream)
    dg.save(net, tmp_path / "own")
    with pytest.raises(dg.errors.CheckpointError, match="load_weights"):
        dg.load(tmp_path / "own")
    twin = layers.MLP(3, 2, 5, hidden=[8], activation=torch.exp, generator=stream)
    dg.load_weights(twin, tmp_path / "own")
    x = torch.randn(4, 3, generator=stream)
    assert torch.equal(twin(x), net(x))


@built
def test_other_shapes_are_refused_in_words(name, stream):
    make, _, wrong = BUILT[name]
    net = make(stream)
    for shape in wrong:
        with pytest.raises(ShapeError, match="got"):
            net(*inputs(shape, stream))


@pytest.mark.parametrize("name", ["ResidualBlock", "Inception", "DenseBlock", "MLP", "MultiplicativeLSTM", "P4Encoder"])
def test_checks_stay_out_of_the_way_of_torch_func(name, stream):
    """Gradients of each example by vmap are those of a loop."""
    make, shape, _ = BUILT[name]
    net, (x,) = make(stream).eval(), inputs(shape, stream)
    parameters = dict(net.named_parameters())

    def loss(parameters, row):
        return first(torch.func.functional_call(net, parameters, (row.unsqueeze(0),))).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for i, row in enumerate(x):
        net.zero_grad()
        out(net, row.unsqueeze(0)).square().sum().backward()
        for key, p in net.named_parameters():
            torch.testing.assert_close(found[key][i], p.grad, rtol=1e-4, atol=1e-5)


def test_residual_blocks_without_norms_take_an_image_alone(stream):
    block = layers.ResidualBlock(3, original=True, generator=stream)
    x = torch.randn(4, 3, 5, 5, generator=stream)
    torch.testing.assert_close(torch.func.vmap(block)(x), block(x))
    with pytest.raises(ShapeError, match="got"):
        block(x[0, :2])


def test_states_of_recurrent_layers(stream):
    net, x = layers.DeepRecurrent(3, 4, 2, "mlstm", generator=stream), torch.randn(2, 5, 3, generator=stream)
    _, states = net(x)
    with pytest.raises(dg.errors.ArgumentError, match="one for each layer"):
        net(x, states[:1])
    with pytest.raises(ShapeError, match="state's h"):
        net(x, [(states[0][0][:1], states[0][1]), states[1]])
    with pytest.raises(ShapeError, match="lengths"):
        layers.MultiplicativeLSTM(3, 4, generator=stream)(x, lengths=torch.tensor([1, 2, 3]))
