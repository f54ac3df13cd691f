"""Character RNNs: the formula around the cells, sequences of any length, and a state that is all the past there is."""

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError, UnknownName
from deepgen.explicit import CharRNN
from deepgen.explicit.token_steps import TokenSteps
from deepgen.layers.recurrent import CELLS
from tests.explicit.token_models import MODELS, lively

cells = pytest.mark.parametrize("cell", CELLS)


@cells
def test_formula(cell, stream):
    model = lively(cell, stream, 4, 5)
    x = torch.randint(4, (3, 9), generator=stream)
    h = model.embedding[F.pad(x, (1, -1), value=4)]
    for layer in model.layers:
        h = layer(h)[0]
    expected = (h @ model.readout.weight.T + model.bias).log_softmax(2)
    expected = expected.gather(2, x.unsqueeze(2)).sum((1, 2))
    torch.testing.assert_close(model.log_prob(x), expected, rtol=1e-12, atol=1e-12)


@cells
def test_any_length_has_a_probability(cell, seed, stream):
    model = MODELS[cell](4, 5, stream).double()  # large weights would amplify rounding over so many steps
    x = model.sample(2, 300, generator=seed)
    assert x.shape == (2, 300)
    steps, total = TokenSteps(model, 2, 0), torch.zeros(2, dtype=torch.float64)
    for t in range(300):
        total += steps.logits().log_softmax(1).gather(1, x[:, t : t + 1]).squeeze(1)
        steps.put(t, x[:, t])
    torch.testing.assert_close(total, model.log_prob(x).detach(), rtol=1e-10, atol=1e-10)
    assert list(model.stream(None, 300, generator=seed)) == model.sample(1, 300, generator=seed)[0].tolist()


@cells
def test_every_parameter_learns(cell, stream):
    model = lively(cell, stream, 4, 6)
    model.log_prob(torch.randint(4, (20, 6), generator=stream)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not (p.grad != 0).any()] == []


def test_layers_have_the_widths_asked_for(stream):
    model = CharRNN(10, 12, 3, "gru", embedding=5, generator=stream)
    assert [(layer.input_size, layer.hidden_size) for layer in model.layers] == [(5, 12), (12, 12), (12, 12)]
    assert model.embedding.shape == (11, 5)
    assert model.sample(2, generator=stream).shape == (2, 64)


def test_wrong_arguments(stream):
    with pytest.raises(UnknownName, match="'gru'"):
        CharRNN(3, cell="grue", generator=stream)
    for name in ("hidden", "layers", "embedding", "length"):
        with pytest.raises(ArgumentError, match=name):
            CharRNN(3, **{name: 0}, generator=stream)


def test_repr_tells_the_cost(stream):
    assert "sample: 64 passes over one token each, the state carried on" in repr(CharRNN(3, 4, generator=stream))
