import pytest
import torch

from deepgen.data.batches import batches
from deepgen.data.redrawn import Redrawn, redraw
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.random import generator

LEVELS = 17
GREY = (torch.arange(LEVELS) / (LEVELS - 1)).unsqueeze(0).expand(20_000, -1)


def test_uniform_noise_fills_each_level_s_own_cell(stream):
    x = redraw(GREY, "uniform", LEVELS, generator=stream)
    cell = torch.arange(LEVELS) / LEVELS
    assert bool((x >= cell - 1e-6).all())
    assert bool((x <= cell + 1 / LEVELS + 1e-6).all())
    # mean (k + 1/2) / L and variance 1 / (12 L^2) of a uniform cell, within five standard errors
    error = (1 / (12 * LEVELS**2) / len(x)) ** 0.5
    assert bool(((x.mean(0) - cell - 0.5 / LEVELS).abs() < 6 * error).all())
    assert torch.allclose(x.var(0) * 12 * LEVELS**2, torch.ones(LEVELS), atol=6 * (0.8 / len(x)) ** 0.5)


def test_white_plus_noise_stays_below_one(stream):
    # in float32 255/256 + u/256 rounds to 1 for u above 1 - 2**-17: some 23 of these draws
    x = redraw(torch.ones(3_000_000), "uniform", 256, generator=stream)
    assert float(x.max()) < 1
    assert bool(x.logit().isfinite().all())


def test_black_stays_black_and_white_stays_white():
    x = redraw(GREY, "binary", LEVELS, generator=generator(2))
    assert x[:, 0].sum() == 0
    assert x[:, -1].sum() == len(x)


def test_same_generator_same_draw_and_the_values_stay():
    rows, state = Redrawn(GREY[:5], "binary", generator=0), torch.get_rng_state()
    a, b = rows.draw(generator=generator(3)), rows.draw(generator=generator(3))
    assert torch.equal(a, b)
    assert torch.equal(rows.values, GREY[:5])
    assert not torch.equal(rows[:], rows[:])
    assert torch.equal(torch.get_rng_state(), state)
    assert rows[0].shape == (LEVELS,)
    assert rows[torch.tensor([1, 1, 2])].shape == (3, LEVELS)
    assert rows.to("cpu").shape == rows.shape == (5, LEVELS)


def test_bad_arguments_are_told():
    with pytest.raises(ArgumentError, match="noise"):
        Redrawn(GREY, "gauss")
    with pytest.raises(ArgumentError, match="levels"):
        Redrawn(GREY, "uniform", levels=1)
    with pytest.raises(ArgumentError, match="levels"):
        Redrawn(GREY, "uniform", levels=2.5)
    for value in (float("nan"), 5.0, -1.0):
        with pytest.raises(SupportError, match="with values outside"):
            Redrawn(torch.tensor([[0.5, value]]), "binary")
    with pytest.raises(SupportError, match="divide bytes by 255"):
        Redrawn(torch.zeros(2, 3, dtype=torch.uint8), "binary")
    for wrong in ([[0.5]], torch.tensor(0.5)):
        with pytest.raises(ShapeError, match="must be a tensor"):
            Redrawn(wrong, "binary")


def test_a_fit_on_dynamic_bits_depends_on_its_seed_alone():
    import deepgen as dg

    data = dg.data.load("digits", binarise="dynamic")
    weights = []
    for seed in (0, 0, 1):
        model = dg.explicit.BernoulliMixture(64)
        dg.fit(model, data.train, dg.objectives.MaximumLikelihood(), epochs=1, seed=seed, progress=False)
        weights.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_what_stands_beside_is_not_redrawn_and_keeps_its_row(stream):
    mark = torch.arange(len(GREY))
    sure = (mark.unsqueeze(1) >> torch.arange(15) & 1).float()  # each row's number, in bits that are certain
    pairs = Redrawn(torch.cat([sure, torch.full((len(mark), 1), 0.5)], 1), "binary", generator=0).beside(mark)
    seen = 0
    for x, number in batches(pairs, 700, seed=3, epoch=1):
        assert torch.equal((x[:, :15] * 2 ** torch.arange(15)).sum(1).long(), number)
        assert 0 < float(x[:, 15].mean()) < 1
        seen += len(x)
    assert seen == len(mark)
    one, two = (next(batches(pairs, 700, seed=3, epoch=epoch))[0][:, 15] for epoch in (1, 2))
    assert not torch.equal(one, two)
    again = next(batches(pairs, 700, seed=3, epoch=1, start=5))
    assert all(torch.equal(a, b) for a, b in zip(again, [*batches(pairs, 700, seed=3, epoch=1)][5], strict=True))
    assert pairs.to("cpu")[2][1] == 2
    with pytest.raises(ShapeError, match="20000 rows"):
        pairs.beside(mark[:5])
