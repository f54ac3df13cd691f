"""Each planar law against quadrature of its own density, draws of it, and scikit-learn's draws where it has them."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons, make_swiss_roll

from deepgen.data import (
    checkerboard,
    gaussian_grid,
    gaussian_mixture,
    gaussian_ring,
    mixture,
    moons,
    pinwheel,
    rings,
    spirals,
    swiss_roll,
)
from deepgen.errors import ArgumentError
from deepgen.random import draw
from deepgen.testing import check_gradient
from deepgen.testing.mass import grid_mass

LAWS = {
    "gaussian_mixture": gaussian_mixture,
    "gaussian_grid": gaussian_grid,
    "gaussian_ring": gaussian_ring,
    "rings": rings,
    "rings around a Gaussian": lambda: rings([0.0, 2.0], 0.3),
    "moons": moons,
    "narrow moons": lambda: moons(0.1),
    "spirals": spirals,
    "three spirals": lambda: spirals(3, 0.8, 4.0, 0.15),
    "swiss_roll": swiss_roll,
    "pinwheel": pinwheel,
    "tight pinwheel": lambda: pinwheel(3, 0.5, 0.3, -1.5),
    "checkerboard": checkerboard,
    "odd checkerboard": lambda: checkerboard(3, 1.5),
}


def mass(law, near):
    def log_prob(x):  # in parts, as a curve is some hundred Gaussians
        return torch.cat([law.log_prob(part) for part in x.split(4096)])

    return grid_mass(log_prob, law.support.base_constraint, near)


@pytest.mark.parametrize("name", LAWS)
def test_the_density_integrates_to_one_and_the_draws_follow_it(name, stream, alpha):
    law = LAWS[name]()
    x = draw(law, (20_000,), generator=stream)
    assert x.shape == (20_000, 2)
    assert bool(law.support.check(x).all())
    whole = mass(law, x[:2000])
    assert whole.total == pytest.approx(1, abs=1e-3)
    assert whole.p_value(x) > alpha


@pytest.mark.parametrize("name", [name for name in LAWS if "checkerboard" not in name])
def test_the_density_can_be_differentiated(name, stream):
    law = LAWS[name]()
    x = draw(law, (50,), generator=stream).double().requires_grad_()
    check_gradient(lambda: law.log_prob(x).sum(), [x], what=name, generator=stream)


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_torch_distributions(name, stream):
    law = LAWS[name]()
    assert (law.batch_shape, law.event_shape) == (torch.Size([]), torch.Size([2]))
    assert draw(law, (), generator=stream).shape == (2,)
    x = draw(law, (3, 4), generator=stream)
    assert law.log_prob(x).shape == (3, 4)
    for twin in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
        assert torch.equal(twin.log_prob(x), law.log_prob(x))
    assert torch.allclose(law.log_prob(x.double()).float(), law.log_prob(x), atol=2e-3)


def test_an_expanded_mixture_draws_for_every_law_of_its_batch(stream):
    law = mixture([[-9.0, 0.0, 0.0], [9.0, 1.0, 0.0]], 0.1, [0.25, 0.75])
    for batch in ((2,), (3,), (2, 3)):
        x = draw(law.expand(batch), (1000,), generator=stream)
        assert x.shape == (1000, *batch, 3)
        share = (x[..., 0] > 0).float().flatten(1).mean(0)
        assert bool(((share - 0.75).abs() < 6 * (0.75 * 0.25 / 1000) ** 0.5).all())
        assert law.expand(batch).log_prob(x).shape == (1000, *batch)


@pytest.mark.parametrize(
    ("law", "make"),
    [
        (moons(), lambda n, seed: make_moons(n, noise=0.1, random_state=seed)[0] * 2 - np.array([1.0, 0.2])),
        (swiss_roll(), lambda n, seed: make_swiss_roll(n, noise=1.0, random_state=seed)[0][:, [0, 2]] / 5),
    ],
)
def test_scikit_learn_draws_from_the_same_law(law, make, seed, alpha):
    x = torch.from_numpy(make(20_000, seed))
    assert mass(law, x[:2000]).p_value(x) > alpha


@pytest.mark.parametrize(("radius", "std"), [(0.0, 0.5), (0.3, 0.5), (4.0, 0.08)])
def test_a_blurred_circle_is_a_mixture_of_gaussians_along_it(radius, std, stream):
    """Independent of Bessel functions, and what the curves are made of."""
    law = rings([radius], std)
    points = gaussian_ring(max(1, math.ceil(2 * math.pi * radius / (std / 2))), radius, std)
    x = draw(law, (200,), generator=stream)
    assert torch.allclose(law.log_prob(x), points.log_prob(x), atol=2e-3)
    far = torch.tensor([[0.0, 0.0], [30.0, -20.0]])
    assert bool(law.log_prob(far).isfinite().all())


def test_points_one_std_apart_blur_into_a_curve(stream):
    fine, coarse = (mixture(torch.stack([s, 0 * s], 1), 1.0) for s in (torch.arange(-60, 60.1, h) for h in (0.1, 1.0)))
    x = draw(coarse, (500,), generator=stream)
    x = x[x[:, 0].abs() < 40].double()
    ratio = fine.log_prob(x) + math.log(1201 * 0.1) - coarse.log_prob(x) - math.log(121)
    assert float(ratio.abs().max()) < 1e-6  # in float32 centres


def test_all_components_are_as_probable_as_one_another(stream):
    for law, modes in ((gaussian_grid(), 25), (gaussian_ring(), 8)):
        x = draw(law, (20_000,), generator=stream)
        centres = law.component_distribution.mean
        counts = torch.bincount(torch.cdist(x, centres).argmin(1), minlength=modes).float()
        error = (20_000 / modes * (1 - 1 / modes)) ** 0.5
        assert bool(((counts - 20_000 / modes).abs() < 6 * error).all())
        assert torch.allclose(centres.mean(0), torch.zeros(2), atol=1e-5)


def test_a_board_s_entropy_is_the_log_of_its_area(stream):
    law = checkerboard()
    assert float(law.entropy()) == pytest.approx(math.log(32))
    x = draw(law, (200_000,), generator=stream)
    assert torch.equal(law.log_prob(x), -law.entropy().expand(200_000))  # no draw rounds into an empty square
    assert float(law.log_prob(torch.tensor([4.1, 0.1]))) == -math.inf


def test_no_law_moves_the_global_stream():
    state = torch.get_rng_state()
    for make in LAWS.values():
        law = make()
        first, second, third = (draw(law, (9,), generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
        assert torch.equal(first, second)
        assert not torch.equal(first, third)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mixture([0.0, 1.0], 1.0),
        lambda: mixture([[0.0, 1.0]], 0.0),
        lambda: mixture([[0.0, 1.0]], math.inf),
        lambda: mixture([[0.0, 1.0]], "1"),
        lambda: mixture([[0.0, math.nan]], 1.0),
        lambda: mixture([[0.0], [1.0, 2.0]], 1.0),
        lambda: mixture([[0.0], [1.0]], 1.0, [-1.0, 2.0]),
        lambda: mixture([[0.0], [1.0]], 1.0, [1.0]),
        lambda: mixture([[0.0], [1.0]], 1.0, [0.0, 0.0]),
        lambda: mixture([[0.0], [1.0]], 1.0, [1.0, math.nan]),
        lambda: mixture([[0.0], [1.0]], 1.0, ["a", "b"]),
        lambda: gaussian_grid(spacing=math.nan),
        lambda: gaussian_ring(0),
        lambda: gaussian_grid(101),
        lambda: rings([]),
        lambda: rings([-1.0]),
        lambda: rings([math.nan]),
        lambda: rings([1.0, math.inf]),
        lambda: rings(["a"]),
        lambda: rings(1.0),
        lambda: rings(std=0.0),
        lambda: moons(-1.0),
        lambda: moons(1e-9),
        lambda: spirals(0),
        lambda: spirals(turns=0.0),
        lambda: pinwheel(along=math.nan),
        lambda: pinwheel(rate=math.inf),
        lambda: checkerboard(65),
        lambda: checkerboard(size=0.0),
    ],
)
def test_impossible_arguments_are_told(call):
    with pytest.raises(ArgumentError, match="got"):
        call()
