"""The Transformer: its formula written down, its cache at a real size, and what happens at the end of its window."""

import math

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError, ShapeError
from deepgen.explicit import Transformer
from deepgen.explicit.token_steps import TokenSteps
from tests.explicit.token_models import lively


def norm(x, layer):
    centred = x - x.mean(-1, keepdim=True)
    return layer.weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + layer.bias


def affine(x, layer):
    return x @ layer.weight.T + layer.bias


def formula(model, codes):
    """Logits by the equations of the module's docstring, with one matrix of scores for each head."""
    length = codes.shape[1]
    before = F.pad(codes, (1, -1), value=model.vocabulary)
    h = model.embedding[before] + model.places[:length]
    seen = torch.ones(length, length).tril().bool()
    for block in model.blocks:
        mixed = []
        parts = affine(norm(h, block.norm_1), block.attention.into).chunk(3, 2)
        for q, k, v in zip(*(part.chunk(model.heads, 2) for part in parts), strict=True):
            scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[2])).masked_fill(~seen, -torch.inf)
            mixed.append(scores.softmax(2) @ v)
        h = h + affine(torch.cat(mixed, 2), block.attention.out)
        inside = affine(norm(h, block.norm_2), block.up)
        h = h + affine(inside * torch.special.ndtr(inside), block.down)
    weight = model.embedding[: model.vocabulary] if model.readout is None else model.readout.weight
    return norm(h, model.norm) @ weight.T + model.bias


@pytest.mark.parametrize("name", ["transformer", "tied"])
def test_formula(name, stream):
    model = lively(name, stream, 5, 9)
    x = torch.randint(5, (4, 7), generator=stream)
    torch.testing.assert_close(model.conditionals(x), formula(model, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_cached_logits_are_the_full_logits(dtype, tolerance, stream):
    model = Transformer(65, 128, 96, 6, 4, generator=stream).to(dtype)
    x = torch.randint(65, (3, 128), generator=stream)
    with torch.no_grad():
        whole = model.conditionals(x)
    steps = TokenSteps(model, 3, 128)
    for t in range(128):
        torch.testing.assert_close(steps.logits(), whole[:, t], rtol=0, atol=tolerance)
        steps.put(t, x[:, t])


def test_a_new_model_knows_next_to_nothing(stream):
    """Its logits are near zero, and every branch has about the same small part in what comes out."""
    model = Transformer(50, 32, 64, 4, 6, generator=stream)
    x = torch.randint(50, (20, 32), generator=stream)
    assert -model.token_log_prob(x).mean().item() == pytest.approx(math.log(50), abs=0.05)


@pytest.mark.parametrize("name", ["transformer", "tied"])
def test_every_parameter_learns(name, stream):
    model = lively(name, stream, 4, 6)
    model.log_prob(torch.randint(4, (20, 6), generator=stream)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not (p.grad != 0).any()] == []


def test_tied_models_have_one_table(stream):
    tied, free = (Transformer(7, 6, 8, 2, 1, tied=tied, generator=stream) for tied in (True, False))
    assert sum(p.numel() for p in free.parameters()) - sum(p.numel() for p in tied.parameters()) == 7 * 8


def test_longer_sequences_are_refused(stream):
    model = Transformer(3, 8, 8, 2, 1, generator=stream)
    with pytest.raises(ShapeError, match="of at most 8 tokens"):
        model.log_prob(torch.zeros(1, 9))
    with pytest.raises(ArgumentError, match="prompt of 3 and 6 to draw: draw fewer, or take stream"):
        model.sample(2, 6, [0, 1, 2])
    assert model.sample(2, 5, [0, 1, 2], generator=stream).shape == (2, 8)


@pytest.mark.parametrize("prompt", [0, 3, 8, 20])
def test_a_stream_goes_on_with_the_latest_half(prompt, seed, stream):
    model = lively("transformer", stream, 3, 8)
    prompt = torch.randint(3, (prompt,), generator=stream)
    seen, uniform = prompt.tolist(), torch.Generator().manual_seed(seed)
    uniform = torch.empty(1, 30, dtype=torch.float64).uniform_(generator=uniform)[0]
    expected = []
    for u in uniform:
        if len(seen) >= 8:
            seen = seen[-4:]
        logits = model.conditionals(torch.tensor([[*seen, 0]]))[0, -1]
        seen.append(int((logits.softmax(0).cumsum(0) < u).sum()))
        expected.append(seen[-1])
    assert list(model.stream(prompt, 30, generator=seed)) == expected


def test_wrong_arguments(stream):
    with pytest.raises(ArgumentError, match="3 heads for width 8"):
        Transformer(3, 8, 8, 3, 1, generator=stream)
    for name in ("length", "width", "heads", "layers"):
        with pytest.raises(ArgumentError, match=name):
            Transformer(3, **{"length": 8, "width": 8, "heads": 2, "layers": 1, name: 0}, generator=stream)


def test_repr_tells_the_cost(stream):
    assert "1 network pass; sample: 8 passes over one token each" in repr(Transformer(3, 8, 8, 2, 1, generator=stream))
