"""p(y | x) of a ClassRBM against enumeration of its joint energy; what makes it an RBM."""

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import ClassRBM, Gaussian, Product, Softmax, Spin
from deepgen.testing import Exact, check_checkpoint, check_random

KINDS = {
    "bernoulli": lambda: ClassRBM(3, 3, 2, generator=0),
    "spin": lambda: ClassRBM(Spin(2), 2, Spin(3), generator=0),
    "gaussian": lambda: ClassRBM(Gaussian(2, precision=2.0, learned=True), 3, 3, generator=0),
    "mixed": lambda: ClassRBM(Product(1, Softmax(1, 3), Gaussian(1)), 2, Product(2, Spin(1)), generator=0),
}


def machine(kind):
    rbm = KINDS[kind]().double()
    with torch.no_grad():
        for shift, p in enumerate((rbm.weight, rbm.visible_bias, rbm.hidden_bias)):
            p.copy_(0.8 * torch.sin(torch.arange(p.numel()) * 2.4 + 1 + shift).reshape(p.shape))
    return rbm


def rows(rbm, stream, n=5):
    data = rbm.arguments()["visible"]
    return data.sample(torch.zeros(n, rbm.features).double(), generator=stream)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_as_probable_as_the_joint_over_its_sum(kind, stream):
    """By brute force over h and y of exp(-E(x, y, h)), with no free energy and no cumulant."""
    rbm = machine(kind)
    x, exact = rows(rbm, stream), Exact(rbm)
    every = [exact.log_density(rbm.join(x, torch.full((len(x),), y))) for y in range(rbm.classes)]
    expected = torch.stack(every, 1).detach()
    torch.testing.assert_close(rbm.log_joint(x).detach(), expected)
    torch.testing.assert_close(rbm.predict_proba(x), expected.softmax(1))
    assert torch.equal(rbm.predict(x), expected.argmax(1))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_an_rbm_over_rows_with_labels(kind, stream):
    rbm = machine(kind)
    x, y = rows(rbm, stream), torch.tensor([0, 1, 1, 0, 1])
    joined = rbm.join(x, y)
    back, labels = rbm.split(joined)
    assert torch.equal(back, x)
    assert torch.equal(labels, y)
    found = dg.evaluate.log_likelihood(rbm, joined, method="exact").value if rbm.hidden.states else None
    assert found == pytest.approx(float(Exact(rbm).log_likelihood(joined).mean().detach()))
    check_checkpoint(rbm)
    drawn = rbm.sample(4, steps=2, generator=0)
    rbm.check(drawn)
    known = torch.arange(rbm.visible.width) < rbm.features
    assert torch.equal(rbm.conditional_sample(joined, known, steps=3, generator=0)[:, : rbm.features], x)
    check_random(lambda generator: rbm.sample(64, steps=1, generator=generator), generator=stream)


def test_rows_come_in_parts_where_there_are_many(stream, monkeypatch):
    rbm = machine("bernoulli")
    x = rows(rbm, stream, 7)
    whole = rbm.log_labels(x)
    monkeypatch.setattr("deepgen.explicit.class_rbm._NUMBERS", 12)
    torch.testing.assert_close(rbm.log_labels(x), whole)


def test_arrays_give_arrays_as_in_scikit_learn(stream):
    rbm = machine("bernoulli").float()
    x = rows(rbm, stream).float()
    probabilities, labels = rbm.predict_proba(x.numpy()), rbm.predict(x.numpy())
    assert isinstance(probabilities, np.ndarray)
    assert isinstance(labels, np.ndarray)
    assert np.array_equal(probabilities, rbm.predict_proba(x).numpy())
    assert np.array_equal(labels, probabilities.argmax(1))
    assert np.allclose(probabilities.sum(1), 1)


@pytest.mark.parametrize("y", [[0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0], [True, False, True]])
def test_odd_labels_are_refused(y):
    with pytest.raises(ArgumentError, match=r"y must be \[3\] whole numbers from 0 to 2"):
        ClassRBM(2, 3, 2, generator=0).join(torch.zeros(3, 2), torch.tensor(y))


def test_odd_rows_are_refused():
    rbm = ClassRBM(2, 3, 2, generator=0)
    for call in (rbm.predict, rbm.predict_proba, lambda x: rbm.join(x, torch.zeros(1, dtype=torch.long))):
        with pytest.raises(ShapeError, match=r"must be \[rows, 2\] with at least one row"):
            call(torch.zeros(1, 5))
        with pytest.raises(SupportError, match="values must be 0 or 1"):
            call(torch.full((1, 2), 0.5))
    with pytest.raises(ShapeError, match=r"\[rows, 5\], got \[1, 2\]: join\(x, y\) makes them"):
        dg.fit(rbm, torch.zeros(1, 2), dg.objectives.Hybrid(), epochs=1)
    with pytest.raises(ShapeError, match=r"rows must be \[rows, 5\]"):
        rbm.split(torch.zeros(1, 2))
    with pytest.raises(ArgumentError, match="classes must be an integer of at least 2, got 1"):
        ClassRBM(2, 1, 2)
