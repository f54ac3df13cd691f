"""Layers of units: what deepgen.testing.check_units does not say; that check runs on every layer in contracts/."""

import json
import math

import numpy as np
import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin, UnitDistribution
from deepgen.explicit.units import as_units, check_values
from deepgen.random import draw
from deepgen.testing import chi_square

ALL = [Bernoulli(3), Spin(3), Softmax(2, 3), Gaussian(2, 2.0), Product(Spin(1), Gaussian(1), Softmax(1, 2), 2)]


@pytest.mark.parametrize(
    ("units", "value"),
    [
        (Bernoulli(1), math.log1p(math.exp(1.3))),
        (Spin(1), math.log(2 * math.cosh(1.3))),
        (Softmax(1, 1), 1.3),
        (Gaussian(1, 4.0), 1.3**2 / 8 + math.log(2 * math.pi / 4) / 2),
    ],
)
def test_cumulants_by_their_formulas(units, value):
    field = torch.tensor([1.3], dtype=torch.float64)
    assert units.double().cumulant(field).item() == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("units", [Bernoulli(1), Spin(1)])
@pytest.mark.parametrize("field", [-45.0, -25.0, -20.001, -1e-3, 0.0, 1e-3, 9.9, 10.1, 20.001, 25.0, 39.9, 40.1, 45.0])
def test_cumulants_are_good_to_the_last_bits(units, field):
    """torch's softplus turns linear at 20, which is off by 2e-9 there."""
    f = torch.tensor([field], dtype=torch.float64)
    exact = math.log1p(math.exp(-abs(field))) + max(field, 0)
    if isinstance(units, Spin):
        exact = abs(field) + math.log1p(math.exp(-2 * abs(field)))
    assert units.cumulant(f).item() == pytest.approx(exact, rel=4e-16, abs=4e-16 * max(1, abs(field)))


@pytest.mark.parametrize("units", ALL[:4])
def test_second_derivatives_are_variances_at_zero_field(units):
    f = torch.zeros(units.width, dtype=torch.float64)
    curvature = torch.autograd.functional.hessian(units.cumulant, f).diagonal()
    expected = {Bernoulli: 0.25, Spin: 1.0, Softmax: 2 / 9, Gaussian: 0.5}[type(units)]
    assert curvature.tolist() == pytest.approx([expected] * units.width, rel=1e-6)


@pytest.mark.parametrize("units", ALL)
def test_certainty_is_certain(units, stream):
    """At huge fields discrete layers give the one state that the field points to."""
    field = torch.linspace(1, 2, units.width) * 1e4
    x = units.sample(field.repeat(50, 1), generator=stream)
    assert (x == x[0]).all() or not units.states
    assert x.isfinite().all()


@pytest.mark.parametrize("units", ALL[:4])
def test_widths_and_states(units):
    assert units.width == {Bernoulli: 3, Spin: 3, Softmax: 6, Gaussian: 2}[type(units)]
    assert units.states == {Bernoulli: 8, Spin: 8, Softmax: 9, Gaussian: None}[type(units)]
    assert type(units)(**units.arguments()).arguments() == units.arguments()


def test_products_of_huge_layers_are_enumerated_in_pieces():
    """Two layers of 2^60 states: nothing of that size may be made."""
    units = Product(Bernoulli(60), Spin(60))
    assert units.states == 2**120
    first = units.enumerate(0, 4)
    assert first[:, :3].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    across = units.enumerate(2**60 - 2, 2**60 + 2)  # the first part starts over, the second takes a step
    assert across[:, 0].tolist() == [0, 1, 0, 1]
    assert across[:, 1].tolist() == [1, 1, 0, 0]
    assert across[:, 60].tolist() == [-1, -1, 1, 1]
    assert units.enumerate(3, 3).shape == (0, 120)


def test_pieces_of_a_product_are_pieces_of_the_whole():
    units = Product(Softmax(1, 3), Bernoulli(2), Spin(1), Softmax(1, 5))
    whole = units.enumerate(0, 120)
    assert len(torch.unique(whole, dim=0)) == 120
    for start in range(0, 120, 7):
        for length in (1, 2, 5, 13):
            assert torch.equal(units.enumerate(start, min(120, start + length)), whole[start : start + length])


def test_real_units_cannot_be_enumerated():
    for units in (Gaussian(2), Product(2, Gaussian(1))):
        assert units.states is None
        with pytest.raises(ArgumentError, match="not discrete"):
            units.enumerate(0, 2)


def test_learned_precision_is_a_parameter_and_fixed_is_not():
    assert not list(Gaussian(2).parameters())
    units = Gaussian(2, 3.0, learned=True)
    assert [name for name, _ in units.named_parameters()] == ["log_precision"]
    x = torch.tensor([[1.0, 2.0]])
    units.energy(x).sum().backward()
    assert units.log_precision.grad.tolist() == pytest.approx([3 / 2, 3 * 4 / 2])  # d(lambda x^2 / 2)/d(log lambda)


def test_gaussian_fields_give_means_and_variances(stream):
    x = Gaussian(1, precision=4.0).sample(torch.full((200_000, 1), 2.0), generator=stream)
    assert x.mean().item() == pytest.approx(0.5, abs=6 * 0.5 / 200_000**0.5)
    assert x.var().item() == pytest.approx(0.25, abs=6 * 0.25 * (2 / 200_000) ** 0.5)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_a_constant_column_gets_half_a_row_of_the_other_value(mean):
    field = Bernoulli(1).base_field(torch.tensor([mean], dtype=torch.float64), 9)
    assert field.sigmoid().item() == pytest.approx((9 * mean + 0.5) / 10)
    spin = Spin(1).base_field(torch.tensor([2 * mean - 1], dtype=torch.float64), 9)
    assert ((spin.tanh() + 1) / 2).item() == pytest.approx((9 * mean + 0.5) / 10)


def test_an_absent_category_gets_its_share_of_a_row():
    field = Softmax(1, 4).base_field(torch.tensor([1.0, 0, 0, 0], dtype=torch.float64), 9)
    assert field.softmax(0).tolist() == pytest.approx([9.25 / 10, 0.025, 0.025, 0.025])


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3", True, None])
def test_odd_widths_are_refused(wrong):
    for make in (Bernoulli, Spin, Gaussian, lambda n: Softmax(n, 2), lambda n: Softmax(2, n)):
        with pytest.raises(ArgumentError, match="integer of at least 1"):
            make(wrong)


@pytest.mark.parametrize("wrong", [0, -3, np.int64(-3)])
def test_the_message_of_an_odd_number_of_units_names_the_layer(wrong):
    for name, make in (
        ("hidden", lambda n: RBM(visible=64, hidden=n)),
        ("visible", lambda n: RBM(visible=n, hidden=2)),
        ("a part of a Product", lambda n: Product(2, n)),
    ):
        with pytest.raises(ArgumentError, match=f"{name} must be an integer of at least 1, got .*{int(wrong)}"):
            make(wrong)


def test_numbers_of_numpy_count_in_full():
    n = np.int64(70)
    assert Bernoulli(n).states == Spin(n).states == 2**70  # beyond 64 bits
    assert Softmax(n, np.int64(3)).states == 3**70
    for units in (Bernoulli(n), Softmax(n, np.int64(3)), Gaussian(n, np.float32(0.5))):
        assert type(units)(**json.loads(json.dumps(units.arguments()))).width == units.width


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan, "1", None, True])
def test_odd_precisions_are_refused(wrong):
    with pytest.raises(ArgumentError, match="precision must be positive"):
        Gaussian(2, wrong)


def test_products_take_numbers_and_need_parts():
    assert Product(2, Spin(1)).arguments()["*"][0].width == 2
    with pytest.raises(ArgumentError, match="at least one"):
        Product()
    with pytest.raises(ArgumentError, match="a part of a Product"):
        Product("three")


def test_ints_mean_bernoulli_units():
    assert isinstance(as_units(3, "visible"), Bernoulli)
    units = Spin(2)
    assert as_units(units, "visible") is units
    for wrong in (True, 2.0, "spin", Spin):
        with pytest.raises(ArgumentError, match="visible must be a number of Bernoulli units"):
            as_units(wrong, "visible")


@pytest.mark.parametrize(
    ("units", "bad", "says"),
    [
        (Bernoulli(2), [[0, 1], [0.3, 1]], r"0 or 1 .*got 0.3 at \[1, 0\], one of 1"),
        (Spin(2), [[1, -1], [0, 0]], r"-1 or \+1; got 0 at \[1, 0\], one of 2"),
        (Gaussian(2), [[0, math.inf]], "finite; got inf"),
        (Softmax(2, 2), [[0, 1, 1, 1]], r"one-hot groups of 2; got \[1.0, 1.0\]"),
        (Softmax(1, 2), [[math.nan, 1]], "got .nan, 1.0"),
        (Product(1, Spin(1)), [[0, 0]], r"-1 or \+1"),
    ],
)
def test_the_message_names_the_offender(units, bad, says):
    with pytest.raises(SupportError, match=says):
        units.check(torch.tensor(bad, dtype=torch.float32))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_any_dtype_is_checked(dtype):
    Bernoulli(2).check(torch.tensor([[0, 1]], dtype=dtype))
    Softmax(1, 2).check(torch.tensor([[0, 1]], dtype=dtype))


@pytest.mark.parametrize("x", [torch.zeros(3), torch.zeros(2, 4), torch.zeros(0, 3), torch.zeros(1, 2, 3)])
def test_odd_shapes_are_refused(x):
    with pytest.raises(ShapeError, match=r"data must be \[rows, 3\] with at least one row"):
        check_values(Bernoulli(3), x, "data")


class TestUnitDistribution:
    @pytest.mark.parametrize("units", ALL)
    def test_shapes(self, units, stream):
        law = UnitDistribution(units, torch.randn(4, 5, units.width, generator=stream))
        assert law.batch_shape == (4, 5)
        assert law.event_shape == (units.width,)
        x = draw(law, (7,), generator=stream)
        assert x.shape == (7, 4, 5, units.width)
        assert law.log_prob(x).shape == (7, 4, 5)
        assert law.mean.shape == (4, 5, units.width)
        assert law.expand((2, 4, 5)).log_prob(x[:2]).shape == (2, 4, 5)
        assert "UnitDistribution" in repr(law)

    def test_log_prob_is_that_of_torch(self, stream):
        f = torch.randn(6, 3, generator=stream)
        x = (torch.rand(6, 3, generator=stream) < 0.5).float()
        expected = torch.distributions.Bernoulli(logits=f).log_prob(x).sum(-1)
        assert torch.allclose(UnitDistribution(Bernoulli(3), f).log_prob(x), expected, atol=1e-6)
        normal = torch.distributions.Normal(f / 4, 0.5).log_prob(x).sum(-1)
        assert torch.allclose(UnitDistribution(Gaussian(3, 4.0), f).log_prob(x), normal, atol=1e-5)

    def test_draws_follow_log_prob(self, stream, alpha):
        units = Product(Softmax(1, 3), Spin(1))
        law = UnitDistribution(units, torch.tensor([0.0, 1.0, -1.0, 0.4]))
        states = units.enumerate(0, 6).float()
        x = draw(law, (20_000,), generator=stream)
        counts = (x.unsqueeze(1) == states).all(-1).sum(0)
        assert chi_square(counts, law.log_prob(states).exp()) > alpha

    def test_gradients_reach_the_field(self):
        f = torch.zeros(2, requires_grad=True)
        UnitDistribution(Bernoulli(2), f).log_prob(torch.tensor([1.0, 0.0])).backward()
        assert f.grad.tolist() == [0.5, -0.5]  # x - E[x]
        assert not UnitDistribution(Bernoulli(2), f).sample((3,)).requires_grad
