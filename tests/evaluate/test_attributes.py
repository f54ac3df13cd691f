"""Attribute vectors by their means, and effects that a classifier sees."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.evaluate import attribute_effect, attribute_vectors, class_vectors


def test_vectors_are_differences_of_means(stream):
    z = torch.randn(60, 3, generator=stream)
    labels = torch.randint(4, (60,), generator=stream)
    labels[:4] = torch.arange(4)
    means = torch.stack([z[labels == c].mean(0) for c in range(4)])
    v = class_vectors(z, labels)
    assert torch.allclose(v[3] - v[1], means[3] - means[1], atol=1e-5)
    assert torch.allclose(v.sum(0), torch.zeros(3), atol=1e-5)
    has = torch.stack([labels == 2, labels > 1], 1)
    expected = torch.stack([z[one].mean(0) - z[~one].mean(0) for one in has.unbind(1)])
    assert torch.allclose(attribute_vectors(z, has), expected, atol=1e-5)


def test_the_effect_is_the_share_that_a_classifier_sees(stream):
    """A decoder that is the identity: the attribute is a half-space, and shares are those of the codes beyond it."""
    identity = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian(1.0))
    z = torch.randn(400, 2, generator=stream)
    found = attribute_effect(identity, z, torch.tensor([2.0, 0.0]), lambda x: x[:, 0] > 1, (0.0, 0.5, 1.0))
    expected = torch.stack([(z[:, 0] + shift > 1).double().mean() for shift in (0.0, 1.0, 2.0)])
    assert torch.allclose(found.rates, expected)
    assert found.gain == pytest.approx(float(expected[2] - expected[0]))
    moved = ((z[:, 0] > -1) & (z[:, 0] <= 1)).double()
    assert found.gain_stderr == pytest.approx(float(moved.std()) / 20, rel=1e-6)
    assert torch.allclose(found.stderr, (expected * (1 - expected) / 399).sqrt())
    own = torch.where(z[:, :1] > 0, 0.0, 2.0) * torch.tensor([1.0, 0.0])  # one vector a row
    assert attribute_effect(identity, z, own, lambda x: x[:, 0] > 0, (0, 1)).rates[1] > 0.9


def test_what_makes_no_vector_is_told(stream):
    z = torch.zeros(4, 2)
    with pytest.raises(ArgumentError, match="no row has label 1"):
        class_vectors(z, torch.tensor([0, 2, 2, 0]))
    with pytest.raises(ArgumentError, match="integers"):
        class_vectors(z, torch.zeros(4))
    with pytest.raises(ArgumentError, match="all rows have label 0"):
        class_vectors(z, torch.zeros(4, dtype=torch.long))
    with pytest.raises(ShapeError, match=r"labels \[rows\]"):
        class_vectors(z, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ArgumentError, match="that have it and rows that have not"):
        attribute_vectors(z, torch.ones(4, 1))
    with pytest.raises(ArgumentError, match="0 or 1"):
        attribute_vectors(z, torch.full((4, 1), 0.5))
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian(1.0))
    with pytest.raises(ShapeError, match="a vector of that width"):
        attribute_effect(model, z, torch.zeros(3), lambda x: x[:, 0] > 0)
    with pytest.raises(ArgumentError, match="two strengths"):
        attribute_effect(model, z, torch.zeros(2), lambda x: x[:, 0] > 0, [1.0])
    with pytest.raises(ShapeError, match="one boolean a row"):
        attribute_effect(model, z, torch.zeros(2), lambda x: x > 0)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_a_classifier_gives_booleans(dtype):
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian())
    codes, vector = torch.tensor([[-0.8], [-0.2]]), torch.tensor([1.0])
    found = attribute_effect(model, codes, vector, lambda x: (x[:, 0] > 0).to(dtype), (0, 0.5, 1))
    assert found.rates.tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ArgumentError, match="booleans"):
        attribute_effect(model, codes, vector, lambda x: x[:, 0])


def test_what_no_effect_can_be_measured_by_is_told():
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian())
    codes, v = torch.tensor([[-0.8], [-0.2]]), torch.tensor([1.0])
    for strengths in (("a", "b"), ("0", "1"), (False, True), None, "01", (0.0,), 3.0):
        with pytest.raises(ArgumentError, match="strengths"):
            attribute_effect(model, codes, v, lambda x: x[:, 0] > 0, strengths)
    assert attribute_effect(model, codes, v, lambda x: x[:, 0] > 0, torch.tensor([0.0, 1.0])).gain == 1.0
    for seen in (None, 3):
        with pytest.raises(ArgumentError, match="seen must be a function"):
            attribute_effect(model, codes, v, seen)
    with pytest.raises(ShapeError, match="what seen gives"):
        attribute_effect(model, codes, v, lambda x: [True, False])
    with pytest.raises(ArgumentError, match="without a gap"):
        class_vectors(codes, torch.tensor([0, 10**12]))


@pytest.mark.parametrize("n", [2, 30])
def test_rows_that_all_agree_leave_an_error_as_if_one_more_did_not(n):
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian())
    found = attribute_effect(model, torch.full((n, 1), -0.5), torch.ones(1), lambda x: x[:, 0] > 0, (0, 1))
    assert (found.rates.tolist(), found.gain) == ([0.0, 1.0], 1.0)
    other = torch.zeros(n + 1).double()
    other[0] = 1
    expected = float(other.std()) / (n + 1) ** 0.5
    assert [*found.stderr.tolist(), found.gain_stderr] == pytest.approx([expected] * 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_and_whole_codes_are_told(bad):
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian())
    z, v, labels = torch.zeros(4, 1), torch.ones(1), torch.tensor([0, 1, 1, 0])
    wrong = z.clone()
    wrong[1] = bad
    for asked in (
        lambda: class_vectors(wrong, labels),
        lambda: attribute_vectors(wrong, labels.unsqueeze(1)),
        lambda: attribute_effect(model, wrong, v, lambda x: x[:, 0] > 0),
        lambda: attribute_effect(model, z, v * bad, lambda x: x[:, 0] > 0),
    ):
        with pytest.raises(SupportError, match="finite"):
            asked()
    with pytest.raises(ArgumentError, match="strengths"):
        attribute_effect(model, z, v, lambda x: x[:, 0] > 0, (0, bad))
    with pytest.raises(ArgumentError, match="floating point"):  # strengths would lose their decimals
        attribute_effect(model, z.long(), v, lambda x: x[:, 0] > 0)
