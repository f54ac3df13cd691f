"""The machine itself: energy by loops, features, sampling, and what it refuses. Oracles for all layers: contracts/."""

import itertools
import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin
from deepgen.testing import Exact, check_random, chi_square
from tests.machines import machine


def test_energy_by_loops():
    rbm = machine().double()
    w, a, b = rbm.weight.tolist(), rbm.visible_bias.tolist(), rbm.hidden_bias.tolist()
    for v in itertools.product((0.0, 1.0), repeat=3):
        for h in itertools.product((0.0, 1.0), repeat=2):
            expected = -sum(a[i] * v[i] for i in range(3)) - sum(b[j] * h[j] for j in range(2))
            expected -= sum(v[i] * w[i][j] * h[j] for i in range(3) for j in range(2))
            found = rbm.energy(torch.tensor(v, dtype=torch.float64), torch.tensor(h, dtype=torch.float64))
            assert found.item() == pytest.approx(expected, abs=1e-12)


def test_energy_of_real_units_has_their_own_part():
    rbm = machine(Gaussian(2, 4.0), Product(1, Gaussian(1, 2.0))).double()
    v, h = torch.tensor([1.0, -2.0]).double(), torch.tensor([1.0, 3.0]).double()
    own = 4.0 * (1 + 4) / 2 + 2.0 * 9 / 2
    linear = rbm.visible_bias @ v + rbm.hidden_bias @ h + v @ rbm.weight @ h
    assert rbm.energy(v, h).item() == pytest.approx((own - linear).item(), rel=1e-6)


def test_free_energy_by_loops():
    rbm = machine().double()
    for v in itertools.product((0.0, 1.0), repeat=3):
        row = torch.tensor(v, dtype=torch.float64)
        terms = [
            math.exp(-rbm.energy(row, torch.tensor(h, dtype=torch.float64)).item())
            for h in itertools.product((0.0, 1.0), repeat=2)
        ]
        assert rbm.free_energy(row).item() == pytest.approx(-math.log(sum(terms)), abs=1e-12)
        assert rbm.log_density(row.unsqueeze(0)).item() == pytest.approx(math.log(sum(terms)), abs=1e-12)


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
def test_leading_axes(lead, stream):
    rbm = machine()
    v = (torch.rand(*lead, 3, generator=stream) < 0.5).float()
    h = (torch.rand(*lead, 2, generator=stream) < 0.5).float()
    assert rbm.energy(v, h).shape == lead
    assert rbm.free_energy(v).shape == lead
    assert rbm.hidden_given(v).mean.shape == (*lead, 2)
    assert rbm.visible_given(h).mean.shape == (*lead, 3)
    assert torch.allclose(rbm.hidden_field(v), (v.unsqueeze(-1) * rbm.weight).sum(-2) + rbm.hidden_bias, atol=1e-6)
    assert torch.allclose(rbm.visible_field(h), (h.unsqueeze(-2) * rbm.weight).sum(-1) + rbm.visible_bias, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float64])
def test_data_of_any_dtype(dtype):
    rbm = machine()
    v, h = torch.tensor([[0, 1, 1]], dtype=dtype), torch.tensor([[1, 0]], dtype=dtype)
    for one, other in (
        (rbm.energy(v, h), rbm.energy(v.float(), h.float())),
        (rbm.free_energy(v), rbm.free_energy(v.float())),
        (rbm.hidden_given(v).mean, rbm.hidden_given(v.float()).mean),
        (rbm.visible_given(h).mean, rbm.visible_given(h.float()).mean),
        (rbm.transform(v), rbm.transform(v.float())),
    ):
        assert torch.equal(one, other)


def test_features_and_reconstructions_are_conditional_means():
    rbm = machine().double()
    x = rbm.visible.enumerate(0, 8)
    joint = Exact(rbm).joint().probabilities.detach().reshape(8, 4)
    h = rbm.hidden.enumerate(0, 4)
    expected = joint / joint.sum(1, keepdim=True) @ h
    assert torch.allclose(rbm.transform(x), expected, atol=1e-12)
    back = torch.sigmoid(expected @ rbm.weight.T + rbm.visible_bias)
    assert torch.allclose(rbm.reconstruct(x), back, atol=1e-12)
    assert not rbm.transform(x).requires_grad


def test_the_first_weights_are_small_and_repeat(seed):
    one, two = RBM(200, 100, generator=seed), RBM(200, 100, generator=seed)
    assert torch.equal(one.weight, two.weight)
    assert one.weight.std().item() == pytest.approx(0.01, rel=6 / (2 * 20_000) ** 0.5)
    assert abs(one.weight.mean().item()) < 6 * 0.01 / 20_000**0.5
    assert not one.visible_bias.any()
    assert not one.hidden_bias.any()


def test_construction_keeps_the_contract_of_randomness(stream):
    check_random(lambda generator: RBM(4, 3, generator=generator).weight, generator=stream)


def test_initialised_machines_have_the_base_rates(stream):
    layers = Product(Bernoulli(2), Spin(2), Softmax(1, 3), Gaussian(2, 3.0))
    n = 400
    x = layers.sample(torch.randn(layers.width, generator=stream).repeat(n, 1), generator=stream)
    rbm = RBM(layers, 4, generator=0).initialise(x)
    with torch.no_grad():
        rbm.weight.zero_()
    # Smoothing by a row in n + 1 moves a mean by at most 2 / n
    assert torch.allclose(layers.mean(rbm.visible_bias), x.mean(0), atol=2 / n + 1e-5)


def test_constant_columns_and_one_row_stay_finite():
    rbm = RBM(3, 2, generator=0).initialise(torch.tensor([[0.0, 1.0, 1.0]]))
    assert rbm.visible_bias.isfinite().all()
    assert rbm.visible_bias.sigmoid().tolist() == pytest.approx([0.25, 0.75, 0.75])


def test_samples_have_the_law_of_the_model(stream, alpha):
    rbm = machine()
    law = Exact(rbm).visible_law()
    x = rbm.sample(20_000, steps=60, generator=stream)
    index = (x @ torch.tensor([1.0, 2.0, 4.0])).long()
    assert chi_square(torch.bincount(index, minlength=8), law.probabilities) > alpha


def test_no_steps_give_the_biases_alone(stream, alpha):
    rbm = machine()
    x = rbm.sample(20_000, steps=0, generator=stream)
    index = (x @ torch.tensor([1.0, 2.0, 4.0])).long()
    field = rbm.visible.enumerate(0, 8).float() @ rbm.visible_bias.detach()
    assert chi_square(torch.bincount(index, minlength=8), field.softmax(0)) > alpha


def test_samples_can_start_anywhere(seed):
    rbm, start = machine(), torch.ones(5, 3)
    assert torch.equal(rbm.sample(5, steps=0, start=start, generator=seed), start)
    chain = dg.samplers.sample_chain(rbm.gibbs(), start, draws=4, generator=seed)
    assert torch.equal(rbm.sample(5, steps=4, start=start, generator=seed), chain.draws[-1])


def test_completions_have_the_conditional_law(stream, alpha):
    rbm, n = machine(Product(2, Softmax(1, 3)), 3), 20_000
    known = torch.tensor([1.0, torch.nan, torch.nan, torch.nan, torch.nan])
    mask = torch.tensor([True, False, False, False, False])
    x = rbm.conditional_sample(known.repeat(n, 1), mask, steps=60, generator=stream)
    law = Exact(rbm).visible_law()
    expected = law.probabilities * (law.rows[:, 0] == 1)
    counts = (x.unsqueeze(1) == law.rows).all(-1).sum(0)
    assert counts.sum() == n
    assert chi_square(counts, expected) > alpha


def test_each_row_is_completed_given_its_own_entries(stream):
    rbm = machine()
    known = torch.tensor([[1.0, torch.nan, 0.0], [torch.nan, 0.0, torch.nan]])
    mask = known.isfinite()
    x = rbm.conditional_sample(known, mask, steps=3, generator=stream)
    assert torch.equal(x[mask], known[mask])
    rbm.check(x)
    everything = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(rbm.conditional_sample(x, everything, generator=stream), x)


def test_everything_that_draws_keeps_the_contract_of_randomness(stream):
    rbm = machine(12, 3, 0.3)
    known, mask = torch.zeros(6, 12), torch.arange(12) < 3
    check_random(lambda generator: rbm.sample(6, steps=2, generator=generator), generator=stream)
    check_random(lambda generator: rbm.conditional_sample(known, mask, steps=2, generator=generator), generator=stream)


def wrong_calls():
    rbm, real = machine(), machine(Gaussian(3), 2)
    grouped = machine(Softmax(1, 3), 2)
    yes = torch.ones(3, dtype=torch.bool)
    part = torch.tensor([True, False, False])
    good = torch.zeros(2, 3)
    nan = torch.full((2, 3), torch.nan)
    return {
        "v width": (lambda: rbm.free_energy(torch.zeros(2, 4)), ShapeError, r"v must be \[..., 3\], got \[2, 4\]"),
        "v scalar": (lambda: rbm.free_energy(torch.tensor(1.0)), ShapeError, "v must be"),
        "h width": (lambda: rbm.energy(good, torch.zeros(2, 3)), ShapeError, r"h must be \[..., 2\]"),
        "swapped": (lambda: rbm.visible_given(good), ShapeError, "h must be"),
        "data width": (lambda: rbm.transform(torch.zeros(2, 4)), ShapeError, "data must be"),
        "array": (
            lambda: rbm.reconstruct(good.numpy()),
            ShapeError,
            "data must be a tensor, got ndarray; deepgen.data",
        ),
        "list": (lambda: rbm.free_energy([[0, 1, 0]]), ShapeError, "v must be a tensor, got list"),
        "mask array": (lambda: rbm.conditional_sample(good, yes.numpy()), ShapeError, "mask must be a tensor"),
        "no rows": (lambda: rbm.transform(torch.zeros(0, 3)), ShapeError, "at least one row"),
        "grey values": (lambda: rbm.transform(torch.full((2, 3), 0.3)), SupportError, "binarise"),
        "nan": (lambda: rbm.transform(nan), SupportError, "0 or 1"),
        "nan for real units": (lambda: real.transform(nan), SupportError, "finite"),
        "initialise": (lambda: rbm.initialise(nan), SupportError, "NaN in all rows"),
        "no samples": (lambda: rbm.sample(0), ArgumentError, "n must be an integer"),
        "negative steps": (lambda: rbm.sample(1, steps=-1), ArgumentError, "steps must be an integer of at least 0"),
        "start rows": (lambda: rbm.sample(3, start=good), ShapeError, "n=3 rows, got 2"),
        "start width": (lambda: rbm.sample(2, start=torch.zeros(2, 4)), ShapeError, "start must be"),
        "start values": (lambda: rbm.sample(2, start=nan), SupportError, "0 or 1"),
        "seed": (lambda: rbm.sample(2, generator=-1), ArgumentError, "seed"),
        "known width": (lambda: rbm.conditional_sample(torch.zeros(2, 4), yes), ShapeError, "known must be"),
        "known axes": (lambda: rbm.conditional_sample(torch.zeros(3), yes), ShapeError, "known must be"),
        "known nan": (lambda: rbm.conditional_sample(nan, yes), SupportError, "0 or 1"),
        "mask dtype": (lambda: rbm.conditional_sample(good, yes.float()), ShapeError, "mask must be boolean"),
        "mask shape": (lambda: rbm.conditional_sample(good, yes.repeat(3, 1)), ShapeError, "mask must be boolean"),
        "parted group": (lambda: grouped.conditional_sample(good, part), ArgumentError, "masked together"),
        "completion steps": (
            lambda: rbm.conditional_sample(good, yes, steps=-1),
            ArgumentError,
            "steps must be an integer of at least 0",
        ),
        "layer": (lambda: RBM("three", 2), ArgumentError, "visible must be"),
        "no units": (lambda: RBM(3, 0), ArgumentError, "integer of at least 1"),
    }


@pytest.mark.parametrize("case", wrong_calls())
def test_what_is_refused(case):
    call, error, says = wrong_calls()[case]
    with pytest.raises(error, match=says):
        call()


def test_it_prints_its_size():
    assert "3 visible, 2 hidden" in repr(machine())


def test_transform_takes_its_place_in_a_pipeline():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    data = dg.data.load("digits")
    rbm = RBM(64, 200, generator=0)
    x, y = data.train.numpy(), data.labels.train.numpy()
    assert torch.equal(torch.as_tensor(rbm.transform(x)), rbm.transform(data.train))
    score = make_pipeline(FunctionTransformer(rbm.transform), LogisticRegression()).fit(x, y).score(x, y)
    assert score > 0.5  # ten classes; what the weights carry of the pixels is enough
