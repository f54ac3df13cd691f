"""Compiled walks through the pixels: each draw follows the conditional that whole passes in float64 give it."""

import copy

import pytest
import torch

from deepgen import compiled
from deepgen.explicit import PixelCNN, pixel_walk
from deepgen.explicit.completion import log_mass, quantile

from .test_pixelcnn import both, lively

pytest.importorskip("numba")

CASES = {
    "binary": {"shape": (10, 9)},
    "one layer": {"shape": (5, 4), "layers": 1, "first_kernel": 3},
    "categories, context": {"shape": (2, 5, 6), "categories": 5, "context": 3},
    "three channels": {"shape": (3, 4, 7), "layers": 5, "kernel": 5, "first_kernel": 5, "dilations": [2, 1]},
    "one row": {"shape": (1, 12), "categories": 3},
}
every = pytest.mark.parametrize("case", CASES)


def make(kind, case, stream, rows):
    """A model in float32, the same in float64, uniforms, contexts."""
    exact = lively(kind(**{"channels": 6, "layers": 3, **CASES[case]}, generator=stream), stream)
    model = copy.deepcopy(exact).float()
    context = torch.randn(rows, model.context, generator=stream) if model.context else None
    return model, exact, torch.rand(model.features, rows, generator=stream), context


def compiled_walk(model, context, uniform, *clamped):
    draw = pixel_walk.plain if isinstance(model, PixelCNN) else pixel_walk.gated
    return draw(model, context, uniform, *clamped)


def check(exact, context, uniform, x, log_p, drawn):
    """Draws and log-probabilities against the conditionals of the very images drawn."""
    rows = None if context is None else context.double()
    with torch.no_grad():
        logits = exact.conditionals(x.double(), rows, exact.orders[0].tolist())
    torch.testing.assert_close(log_p.double(), log_mass(logits, x.double()), rtol=1e-4, atol=1e-4)
    # A uniform within rounding of a value's probability may fall either way.
    either = [quantile(logits, uniform.double() + shift) == x for shift in (-1e-5, 0, 1e-5)]
    assert (either[0] | either[2])[drawn].all()
    assert either[1][drawn].double().mean() > 0.99


@both
@every
def test_each_draw_follows_its_conditional(kind, case, stream):
    model, exact, uniform, context = make(kind, case, stream, 7)
    x, log_p = compiled_walk(model, context, uniform)
    assert x.unique().numel() == model.categories
    check(exact, context, uniform, x, log_p, torch.ones_like(x, dtype=torch.bool))


@both
@pytest.mark.parametrize("case", ["binary", "categories, context"])
def test_the_known_stay_and_are_not_scored_where_not_asked(kind, case, stream):
    model, exact, uniform, context = make(kind, case, stream, 5)
    order, skip = model.orders[0], 20
    mask = torch.rand(uniform.shape, generator=stream) < 0.3
    mask[order[:skip]] = True
    known = torch.randint(model.categories, uniform.shape, generator=stream).float()
    x, log_p = compiled_walk(model, context, uniform, known, mask, skip)
    assert torch.equal(x[mask], known[mask])
    assert (log_p[order[:skip]] == 0).all()
    whole = compiled_walk(model, context, uniform, known, mask, 0)
    assert torch.equal(whole[0], x)
    assert torch.equal(whole[1][order[skip:]], log_p[order[skip:]])
    check(exact, context, uniform, *whole, ~mask)


@both
def test_an_image_is_the_same_alone_and_in_any_batch(kind, stream):
    model, _, uniform, context = make(kind, "categories, context", stream, 6)
    together = compiled_walk(model, context, uniform)
    for i in (0, 3, 5):
        alone = compiled_walk(model, context[i : i + 1], uniform[:, i : i + 1].contiguous())
        assert torch.equal(together[0][:, i : i + 1], alone[0])
        torch.testing.assert_close(together[1][:, i : i + 1], alone[1])  # the contexts' product rounds by the batch


@both
@torch.no_grad()
def test_nan_is_not_hidden(kind, stream):
    model, _, uniform, _ = make(kind, "binary", stream, 2)
    place = model.place if kind is PixelCNN else model.layers[0].place
    place[4, 3] = torch.nan
    nan = compiled_walk(model, None, uniform)[1].isnan()
    assert not nan[: 4 * 9].any()
    assert nan[4 * 9 + 3].all()


@both
def test_where_it_serves(kind, stream):
    model, uniform = kind((8, 8), 16, 4, generator=stream), torch.rand(64, 1)
    assert pixel_walk.serves(model, uniform)
    assert not pixel_walk.serves(model, torch.rand(64, 1000))
    assert not pixel_walk.serves(kind((7, 9), generator=stream), torch.rand(63, 1))
    with torch.autocast("cpu"):
        assert not pixel_walk.serves(model, uniform)
    assert not pixel_walk.serves(model.double(), uniform.double())


@both
@pytest.mark.parametrize("method", ["auto", "incremental"])
def test_the_same_without_numba(kind, method, stream, seed, monkeypatch):
    model = kind((9, 8), 8, 3, generator=stream)
    calls, found = [], compiled.kernels("deepgen.explicit.pixel_kernels")
    monkeypatch.setattr(pixel_walk, "_kernels", lambda: calls.append(1) or found)
    known = torch.zeros(3, 9, 8)
    mask = torch.arange(72).view(9, 8) < 30

    def draws():
        drawn = model.draw(3, method=method, generator=seed)
        return drawn.x, drawn.log_prob, model.conditional_sample(known, mask, generator=seed)

    with_kernels = draws()
    assert len(calls) >= 2
    monkeypatch.setattr(pixel_walk, "_kernels", lambda: None)
    for a, b in zip(with_kernels, draws(), strict=True):
        assert (a - b).abs().gt(1e-3).float().mean() < 0.01  # all but a uniform within rounding of a probability
