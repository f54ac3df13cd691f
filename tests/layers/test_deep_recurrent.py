"""Stacks and directions against torch's own, against single layers, and rows of several lengths against single rows."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, UnknownName
from deepgen.layers import DeepRecurrent, recurrent
from deepgen.layers.deep_recurrent import reversed_rows
from deepgen.layers.recurrent import CELLS
from deepgen.testing import check_checkpoint, check_random

cells = pytest.mark.parametrize("cell", CELLS)
both = pytest.mark.parametrize("bidirectional", [False, True])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@both
def test_they_are_torchs(cell, bidirectional, stream, float64):
    net = DeepRecurrent(3, 4, 3, cell, bidirectional=bidirectional, generator=stream).double()
    kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell]
    peer = kind(3, 4, 3, batch_first=True, bidirectional=bidirectional).double()
    for suffix, layers in (("", net.layers), ("_reverse", net.backwards or [])):
        for i, layer in enumerate(layers):
            for name, value in layer.named_parameters():
                peer.get_parameter(name.replace("_l0", f"_l{i}") + suffix).data.copy_(value.data)
    x = torch.randn(5, 6, 3, generator=stream)
    torch.testing.assert_close(net(x)[0], peer(x)[0], rtol=0, atol=1e-12)


@both
def test_multiplicative_stacks_by_hand(bidirectional, stream, float64):
    net = DeepRecurrent(3, 4, 2, "mlstm", bidirectional=bidirectional, generator=stream).double()
    x = torch.randn(5, 6, 3, generator=stream)
    h = x
    for i in range(2):
        out = net.layers[i](h)[0]
        h = torch.cat([out, net.backwards[i](h.flip(1))[0].flip(1)], 2) if bidirectional else out
    torch.testing.assert_close(net(x)[0], h, rtol=0, atol=1e-12)


@cells
@both
def test_rows_of_several_lengths_are_as_if_alone(cell, bidirectional, stream, float64):
    net = DeepRecurrent(3, 4, 2, cell, bidirectional=bidirectional, generator=stream).double()
    x, lengths = torch.randn(5, 6, 3, generator=stream), torch.tensor([6, 1, 3, 2, 6])
    out, states = net(x, lengths=lengths)
    inside = torch.arange(6) < lengths[:, None]
    again, after = net(torch.where(inside[..., None], x, 1e3), lengths=lengths)  # what lies beyond does not matter
    torch.testing.assert_close(again, out, rtol=0, atol=1e-12)
    torch.testing.assert_close(after, states, rtol=0, atol=1e-12)
    assert (out[~inside] == 0).all()
    for row, length in enumerate(lengths.tolist()):
        alone, state = net(x[row : row + 1, :length])
        torch.testing.assert_close(out[row : row + 1, :length], alone, rtol=0, atol=1e-12)
        for mine, other in zip(leaves(states), leaves(state), strict=True):
            torch.testing.assert_close(mine.movedim(-2, 0)[row], other.movedim(-2, 0)[0], rtol=0, atol=1e-12)


def leaves(states):
    return [states] if isinstance(states, torch.Tensor) else [leaf for part in states for leaf in leaves(part)]


@cells
def test_the_state_carries_everything(cell, stream, float64):
    net, x = DeepRecurrent(3, 4, 2, cell, generator=stream).double(), torch.randn(5, 7, 3, generator=stream)
    first, states = net(x[:, :3])
    second, _ = net(x[:, 3:], states)
    torch.testing.assert_close(torch.cat([first, second], 1), net(x)[0], rtol=0, atol=1e-12)


@cells
@both
def test_every_place_sees_what_it_should(cell, bidirectional, stream, float64):
    net, x = DeepRecurrent(3, 4, 2, cell, bidirectional=bidirectional, generator=stream).double(), None
    x = torch.randn(1, 5, 3, generator=stream, requires_grad=True)
    (seen,) = torch.autograd.grad(net(x)[0][0, 2].sum(), x)
    assert (seen[0].abs().sum(1) > 0).tolist() == [True, True, True, bidirectional, bidirectional]


@cells
def test_gradients(cell, stream, float64):
    net = DeepRecurrent(2, 2, 2, cell, bidirectional=True, generator=stream).double()
    x, lengths = torch.randn(2, 3, 2, generator=stream, requires_grad=True), torch.tensor([3, 2])
    assert gradcheck(lambda x, *_: net(x, lengths=lengths)[0], (x, *net.parameters()))


def test_dropout_is_at_the_output_of_layers(stream, float64):
    net = DeepRecurrent(3, 4, 2, "gru", dropout=0.5, generator=stream).double()
    x = torch.randn(5, 6, 3, generator=stream)
    masks, h = torch.Generator().manual_seed(3), x
    for layer in net.layers:
        h = layer(h)[0]
        h = h * torch.empty_like(h).bernoulli_(0.5, generator=masks) / 0.5
    torch.testing.assert_close(net(x, generator=torch.Generator().manual_seed(3))[0], h)
    with pytest.raises(ArgumentError, match="generator"):
        net(x)
    net.eval()
    assert net(x)[0].count_nonzero() == 5 * 6 * 4


def test_a_cell_of_your_own(stream):
    def cell(inputs, hidden, *, generator):
        return recurrent(inputs, hidden, "rnn", generator=generator)

    net = DeepRecurrent(3, 4, 2, cell, bidirectional=True, generator=1)
    x = torch.randn(2, 5, 3, generator=stream)
    assert torch.equal(net(x)[0], DeepRecurrent(3, 4, 2, "rnn", bidirectional=True, generator=1)(x)[0])


class Sums(nn.Module):
    def forward(self, x, state=None):
        out = x.cumsum(1) + (0 if state is None else state)
        return out, out[:, -1:]


def test_a_cell_of_your_own_without_lengths():
    net = DeepRecurrent(3, 3, 2, lambda inputs, hidden, generator: Sums(), bidirectional=False)
    assert torch.equal(net(torch.ones(1, 3, 3))[0][0, :, 0], torch.tensor([1.0, 3.0, 6.0]))
    with pytest.raises(MissingCapability, match="Sums"):
        net(torch.ones(1, 3, 3), lengths=torch.tensor([2]))


def test_reversed_rows():
    x = torch.arange(8).view(2, 4)
    assert reversed_rows(x).tolist() == [[3, 2, 1, 0], [7, 6, 5, 4]]
    assert reversed_rows(x, torch.tensor([2, 3])).tolist() == [[1, 0, 2, 3], [6, 5, 4, 7]]


def test_checkpoints_randomness_and_errors(stream):
    for cell in CELLS:
        check_checkpoint(DeepRecurrent(3, 4, 2, cell, bidirectional=True, generator=stream))
        check_random(partial(DeepRecurrent, 3, 4, 1, cell), generator=stream)
    net, x = DeepRecurrent(3, 4, bidirectional=True), torch.zeros(2, 5, 3)
    with pytest.raises(ArgumentError, match="two directions"):
        net(x, [None])
    with pytest.raises(ArgumentError, match="from 1 to 5"):
        net(x, lengths=torch.tensor([0, 5]))
    with pytest.raises(ShapeError, match=r"lengths must be \[2\]"):
        net(x, lengths=torch.tensor([5]))
    for wrong in (x[..., :2], x[0], x[:, :0]):
        with pytest.raises(ShapeError, match=r"\[batch, T, 3\]"):
            net(wrong)
    with pytest.raises(UnknownName, match="'lstm'"):
        DeepRecurrent(3, 4, cell="lsmt")
    with pytest.raises(ArgumentError, match="layers"):
        DeepRecurrent(3, 4, 0)
