import math

import pytest
import torch

from deepgen.data import generated
from deepgen.data.generated import (
    bars_and_stripes,
    ceiling,
    gaussian_grid,
    gaussian_mixture,
    gaussian_ring,
    labelled_shifter,
    mixture,
    rings,
    shifting_bar,
)
from deepgen.errors import ArgumentError
from deepgen.random import draw, generator


@pytest.mark.parametrize(
    ("x", "rows", "distinct", "total"),
    [
        (bars_and_stripes(3), 16, 14, -(12 * math.log(16) + 4 * math.log(8))),  # -41.59
        (bars_and_stripes(4), 32, 30, -(28 * math.log(32) + 4 * math.log(16))),  # -108.13
        (bars_and_stripes(4, distinct=True), 30, 30, -30 * math.log(30)),
        (shifting_bar(9), 9, 9, -9 * math.log(9)),  # -19.78
        (shifting_bar(9, flipped=True), 9, 9, -9 * math.log(9)),
        (labelled_shifter(), 768, 768, -768 * math.log(768)),  # -6.644 a row
    ],
)
def test_pattern_sets_have_their_known_ceilings(x, rows, distinct, total):
    assert len(x) == rows
    assert len(x.unique(dim=0)) == distinct
    assert ceiling(x) * rows == pytest.approx(total)


def test_every_bar_and_stripe_is_constant_along_an_axis():
    images = bars_and_stripes(4).reshape(-1, 4, 4)
    along_rows = (images == images[:, :1]).all(-1).all(-1)
    along_columns = (images == images[:, :, :1]).all(-1).all(-1)
    assert bool((along_rows | along_columns).all())
    assert along_rows.sum() == 16 + 2  # the empty and the full stripes too


def test_the_label_tells_the_shift():
    x = labelled_shifter(5)
    for source, shifted, label in zip(x[:, :5], x[:, 5:10], x[:, 10:], strict=True):
        assert torch.equal(source.roll(int(label.argmax()) - 1), shifted)


def test_a_shifting_bar_is_one_run_of_its_length():
    x = shifting_bar(7, 3)
    assert bool((x.sum(1) == 3).all())
    assert bool(((x - x.roll(1, dims=1)).abs().sum(1) == 2).all())
    assert torch.equal(shifting_bar(7, 3, flipped=True), 1 - x)


def test_a_mixture_s_density_and_draws_agree(stream):
    """Moments of the draws against those of the density, which integrates to one."""
    target = gaussian_mixture()
    grid = torch.cartesian_prod(torch.linspace(-5, 7, 400), torch.linspace(-5, 9, 400))
    cell = (12 / 399) * (14 / 399)
    p = target.log_prob(grid).exp() * cell
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-3)
    x = draw(target, (100_000,), generator=stream)
    for f in (lambda z: z[:, 0], lambda z: z[:, 1], lambda z: z[:, 0] * z[:, 1], lambda z: z[:, 1] ** 2):
        error = float(f(x).std()) / len(x) ** 0.5
        assert abs(float(f(x).mean()) - float((p * f(grid)).sum())) < 6 * error + 1e-3


@pytest.mark.parametrize(("target", "modes"), [(gaussian_grid(), 25), (gaussian_ring(), 8)])
def test_all_modes_are_as_probable_as_one_another(target, modes, stream):
    x = draw(target, (20_000,), generator=stream)
    centres = target.component_distribution.mean
    nearest = torch.cdist(x, centres).argmin(1)
    counts = torch.bincount(nearest, minlength=modes).float()
    assert len(counts) == modes
    error = (20_000 / modes * (1 - 1 / modes)) ** 0.5
    assert bool(((counts - 20_000 / modes).abs() < 6 * error).all())
    assert torch.allclose(centres.mean(0), torch.zeros(2), atol=1e-5)


def test_rings_have_the_stated_radii(stream):
    x = rings(20_000, (1.0, 3.0), 0.05, generator=stream)
    radius = x.norm(dim=1)
    inner = radius < 2
    assert abs(float(inner.float().mean()) - 0.5) < 6 * 0.5 / 20_000**0.5
    for part, r in ((radius[inner], 1.0), (radius[~inner], 3.0)):
        assert abs(float(part.mean()) - r) < 6 * 0.05 / len(part) ** 0.5
        assert float(part.std()) == pytest.approx(0.05, rel=6 / (2 * len(part)) ** 0.5)
    assert float(x.mean(0).abs().max()) < 6 * 5**0.5 / 40_000**0.5


def test_generation_follows_the_generator_and_nothing_else():
    state = torch.get_rng_state()
    assert torch.equal(rings(9, generator=1), rings(9, generator=generator(1)))
    assert not torch.equal(rings(9, generator=1), rings(9, generator=2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bars_and_stripes(0),
        lambda: bars_and_stripes(2.5),
        lambda: labelled_shifter(1),
        lambda: shifting_bar(3, 3),
        lambda: rings(0),
        lambda: rings(3, ()),
        lambda: mixture([0.0, 1.0], 1.0),
        lambda: mixture([[0.0, 1.0]], 0.0),
        lambda: generated.gaussian_ring(0),
    ],
)
def test_impossible_sizes_are_told(call):
    with pytest.raises(ArgumentError, match="got"):
        call()
