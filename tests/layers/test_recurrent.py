"""Recurrent layers against their formulas, written down one place after the other."""

import pytest
import torch

from deepgen.errors import ArgumentError, UnknownName
from deepgen.layers.recurrent import CELLS, MultiplicativeLSTM, recurrent, run

cells = pytest.mark.parametrize("cell", CELLS)


def formula(cell, layer, x):
    """``[batch, T, inputs] -> [batch, T, hidden]`` by the equations of the module's docstring."""
    p = {name.removesuffix("_l0"): value for name, value in layer.named_parameters()}
    h = c = torch.zeros(len(x), 5, dtype=x.dtype)
    out = []
    for x_t in x.unbind(1):
        if cell == "rnn":
            h = torch.tanh(x_t @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"])
        elif cell == "gru":
            r, z, n = (x_t @ p["weight_ih"].T + p["bias_ih"]).chunk(3, 1)
            r_h, z_h, n_h = (h @ p["weight_hh"].T + p["bias_hh"]).chunk(3, 1)
            r, z = (r + r_h).sigmoid(), (z + z_h).sigmoid()
            h = (1 - z) * (n + r * n_h).tanh() + z * h
        else:
            if cell == "lstm":
                gates = x_t @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
            else:
                m = (x_t @ p["a.weight"].T) * (h @ p["b.weight"].T)
                gates = x_t @ p["u.weight"].T + p["u.bias"] + m @ p["w.weight"].T
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out, 1)


@cells
def test_formula(cell, stream, float64):
    layer = recurrent(3, 5, cell, generator=stream).double()
    x = torch.randn(4, 7, 3, generator=stream)
    torch.testing.assert_close(layer(x)[0], formula(cell, layer, x), rtol=0, atol=1e-12)


@cells
def test_the_state_carries_everything(cell, stream, float64):
    layer = recurrent(3, 5, cell, generator=stream).double()
    x = torch.randn(4, 9, 3, generator=stream)
    parts, state = [], None
    for part in x.split([1, 4, 1, 3], 1):
        out, state = layer(part, state)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 1), layer(x)[0], rtol=0, atol=1e-12)


@cells
def test_single_places_are_the_same(cell, stream, float64):
    layer = recurrent(3, 5, cell, generator=stream).double()
    x = torch.randn(4, 9, 3, generator=stream)
    parts, state = [], None
    for part in x.split([1, 1, 4, 1, 1, 1], 1):
        out, state = run(layer, part, state)
        parts.append(out)
    whole, last = layer(x)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's word on its speed
@pytest.mark.parametrize(
    "options", [{"num_layers": 2}, {"bias": False}, {"bidirectional": True}, {"proj_size": 2}, {"batch_first": False}]
)
def test_layers_of_torch_with_other_settings_are_run_as_they_are(options, stream):
    layer = torch.nn.LSTM(3, 5, **{"batch_first": True, **options})
    for places in (1, 4):
        x = torch.randn(2, places, 3, generator=stream)
        torch.testing.assert_close(run(layer, x), layer(x))


@cells
def test_initial_weights(cell, stream):
    before = torch.get_rng_state()
    layer = recurrent(16, 64, cell, generator=stream)
    assert torch.equal(before, torch.get_rng_state())
    first, second = (recurrent(16, 64, cell, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    bounds = {"a.weight": (3 / 16) ** 0.5, "b.weight": (3 / 64) ** 0.5, "u.weight": 1 / 4, "u.bias": 1 / 4}
    for name, p in layer.named_parameters():
        bound = bounds.get(name, 1 / 8)
        if name in ("u.bias", "bias_ih_l0") and "lstm" in cell:
            p = p.detach() - torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(64)
        assert p.abs().max() <= bound + 1e-6
        assert p.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)


def test_products_keep_their_size(stream):
    """m is a product of two numbers of about unit size where x and h are: it must not start near zero."""
    layer = MultiplicativeLSTM(64, 256, generator=stream)
    m = layer.a(torch.randn(500, 64, generator=stream)) * layer.b(torch.randn(500, 256, generator=stream))
    assert m.std().item() == pytest.approx(1, rel=0.2)


@cells
def test_gradients_reach_every_weight(cell, stream):
    layer = recurrent(3, 5, cell, generator=stream)
    layer(torch.randn(4, 7, 3, generator=stream))[0].square().sum().backward()
    assert [name for name, p in layer.named_parameters() if not (p.grad != 0).any()] == []


def test_wrong_arguments(stream):
    with pytest.raises(UnknownName, match="'lstm'"):
        recurrent(3, 5, "lsmt", generator=stream)
    with pytest.raises(ArgumentError, match="hidden"):
        recurrent(3, 0, generator=stream)
