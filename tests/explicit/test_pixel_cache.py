"""The walk that keeps features: the conditionals of whole passes, the samples of every method, exact completion."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName
from deepgen.explicit import GatedPixelCNN, PixelCNN
from deepgen.explicit.pixel_cache import Window
from deepgen.layers import CausalConv
from deepgen.testing import chi_square, sequential

from .test_pixelcnn import both, everything, lively

SHAPES = [((5, 4), 2, 0), ((1, 6), 3, 2), ((6, 1), 2, 0), ((2, 3, 4), 3, 2), ((3, 2, 2), 2, 0)]


@both
@pytest.mark.parametrize(("shape", "categories", "context"), SHAPES)
@pytest.mark.parametrize(
    ("layers", "kernel", "first_kernel", "dilations"), [(1, 3, 7, [1]), (4, 3, 5, [2, 1]), (3, 5, 3, [1])]
)
def test_a_walk_puts_out_what_whole_passes_do(
    kind, shape, categories, context, layers, kernel, first_kernel, dilations, stream
):
    sizes = {"layers": layers, "kernel": kernel, "first_kernel": first_kernel, "dilations": dilations}
    model = lively(kind(shape, 6, categories=categories, context=context, generator=stream, **sizes), stream)
    x = torch.randint(categories, (model.features, 3), generator=stream).double()
    rows = torch.randn(3, context, generator=stream, dtype=torch.float64) if context else None
    order = model.orders[0].tolist()
    whole = model.conditionals(x, rows, order).detach()
    steps = model.steps(3, rows, order)
    silent = model.steps(3, rows, order)  # is not asked about the first half
    for d, variable in enumerate(order):
        torch.testing.assert_close(steps.parameters(d), whole[:, variable], rtol=1e-10, atol=1e-10)
        if d >= len(order) // 2:
            torch.testing.assert_close(silent.parameters(d), whole[:, variable], rtol=1e-10, atol=1e-10)
        steps.put(d, x[variable])
        silent.put(d, x[variable])


@pytest.mark.parametrize("stack", ["vertical", "horizontal", "both"])
@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_window_is_its_convolution(stack, here, dilation, stream, float64):
    conv = CausalConv(2, 3, 5, stack, here=here, dilation=dilation, generator=stream)
    x = torch.randn(4, 6, 7, 2, generator=stream)
    window, whole = Window(conv, 4, 7), conv(x).detach()
    with torch.no_grad():
        for r in range(6):
            window.start_row()
            if stack == "vertical":
                if here:
                    window.fill(x[:, r].transpose(0, 1))
                torch.testing.assert_close(window.send().transpose(0, 1), whole[:, r])
                window.fill(x[:, r].transpose(0, 1))
                continue
            sent = window.send() if stack == "both" else conv.bias.expand(7, 4, 3)
            for c in range(7):
                if here:
                    window.put(c, x[:, r, c])
                torch.testing.assert_close(window.at(c, sent[c]), whole[:, r, c])
                window.put(c, x[:, r, c])


@both
@pytest.mark.parametrize(("shape", "categories", "context"), SHAPES)
def test_the_same_noise_gives_the_same_images_by_every_method(kind, shape, categories, context, stream, seed):
    model = lively(kind(shape, 6, 3, categories=categories, context=context, generator=stream), stream)
    rows = torch.randn(9, context, generator=stream, dtype=torch.float64) if context else None
    methods = ["incremental", "jacobi", "sequential", "auto"]
    drawn = {method: model.draw(9, rows, method=method, generator=seed) for method in methods}
    for one in drawn.values():
        assert torch.equal(one.x, drawn["incremental"].x)
        torch.testing.assert_close(one.log_prob, model.log_prob(one.x, rows), rtol=1e-10, atol=1e-10)
    assert drawn["incremental"].sweeps == (None,)
    assert drawn["sequential"].sweeps == (model.features,)
    assert 1 <= drawn["jacobi"].sweeps[0] <= model.features
    assert torch.equal(model.sample(9, rows, method="jacobi", generator=seed), drawn["auto"].x)
    assert drawn["auto"].x.unique().numel() > 1


@both
def test_float32_as_users_have_it(kind, stream, seed):
    model = kind((10, 9), 8, 4, generator=stream)
    incremental, jacobi = (model.sample(16, method=method, generator=seed) for method in ("incremental", "jacobi"))
    assert incremental.dtype == torch.float32
    assert (
        incremental != jacobi
    ).float().mean() < 1e-3  # a uniform within rounding of a probability may fall either way


@both
@pytest.mark.parametrize(("shape", "categories"), [((3, 3), 2), ((2, 2, 1), 3)])
def test_an_upper_part_is_completed_exactly(kind, shape, categories, stream, alpha):
    model = lively(kind(shape, 6, 2, categories=categories, generator=stream), stream)
    x = everything(model)
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[..., 0, :] = True
    if len(shape) == 2:
        mask[1, 0] = True
    known = x[int(torch.randint(len(x), (), generator=stream))]
    law = model.log_prob(x).detach().where((x == known)[:, mask].all(1), -torch.inf).softmax(0)
    weight = categories ** torch.arange(mask.numel() - 1, -1, -1)
    shown = known.where(mask, torch.nan)

    def p_values(n, generator):
        filled = model.conditional_sample(shown.expand(n, *shape), mask, generator=generator)
        assert filled.shape == (n, *shape)
        assert (filled[:, mask] == known[mask]).all()
        return [chi_square(torch.bincount((filled.flatten(1).long() * weight).sum(1), minlength=len(law)), law)]

    sequential(p_values, what=f"completions of {kind.__name__}", n=2048, alpha=alpha, generator=stream)


@both
def test_any_other_part_by_particles(kind, stream, alpha):
    """The lower row known: with many particles the upper one follows its posterior, far from what is drawn blind."""
    model = lively(kind((2, 2), 6, 2, generator=stream), stream)
    x = everything(model)
    mask = torch.tensor([[False, False], [True, True]])
    known = x[5].unsqueeze(0)
    with pytest.raises(ArgumentError, match="particles"):
        model.conditional_sample(known, mask, generator=stream)
    law = model.log_prob(x).detach().where((x == x[5])[:, mask].all(1), -torch.inf).softmax(0)

    def p_values(n, generator):
        filled = model.conditional_sample(known.expand(n, 2, 2), mask, particles=64, generator=generator)
        index = (filled.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1)
        return [chi_square(torch.bincount(index, minlength=16), law)]

    sequential(p_values, what="completion by particles", n=500, alpha=alpha, generator=stream)


@both
def test_masks_and_rows_in_any_shape(kind, stream, seed):
    model = kind((2, 4, 3), 4, 2, context=2, generator=stream)
    known = torch.randint(2, (5, 2, 4, 3), generator=stream).float()
    mask = torch.zeros(2, 4, 3, dtype=torch.bool)
    mask[:, :2] = True
    context = torch.randn(5, 2, generator=stream)
    ways = itertools.product([known, known.flatten(1)], [mask, mask.flatten(), mask.expand(5, 2, 4, 3)])
    filled = [model.conditional_sample(k, m, context, generator=seed) for k, m in ways]
    assert all(torch.equal(one, filled[0]) for one in filled)
    assert torch.equal(filled[0][:, mask], known[:, mask])


def test_wrong_arguments(stream):
    model = GatedPixelCNN((3, 3), 4, 2, generator=stream)
    with pytest.raises(UnknownName, match="jacobi"):
        model.sample(2, method="jacoby", generator=stream)
    with pytest.raises(ArgumentError, match="n must be"):
        model.sample(0, generator=stream)
    with pytest.raises(ShapeError, match="mask"):
        model.conditional_sample(torch.zeros(2, 3, 3), torch.zeros(3, 2, dtype=torch.bool), generator=stream)
    with pytest.raises(ShapeError, match="boolean"):
        model.conditional_sample(torch.zeros(2, 3, 3), torch.zeros(3, 3), generator=stream)
    with pytest.raises(ShapeError, match="known"):
        model.conditional_sample(torch.zeros(3, 3), torch.zeros(3, 3, dtype=torch.bool), generator=stream)
    with pytest.raises(SupportError, match="0 or 1"):
        model.conditional_sample(torch.full((2, 3, 3), 0.5), torch.ones(3, 3, dtype=torch.bool), generator=stream)


def test_a_walk_computes_each_feature_once(stream, monkeypatch):
    """Whole convolutions are never taken, and short ones once for each row and layer."""
    model, calls = PixelCNN((6, 5), 4, 3, generator=stream), []
    whole = F.conv2d

    def counted(x, *rest, **options):
        calls.append(x.shape[2])
        return whole(x, *rest, **options)

    monkeypatch.setattr(F, "conv2d", counted)
    model.sample(2, method="incremental", generator=stream)
    assert len(calls) == 6 * 3
    assert max(calls) <= 3
