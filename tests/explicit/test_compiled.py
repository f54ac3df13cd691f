"""Which machines the compiled kernels are for."""

import pytest
import torch

import deepgen as dg
from deepgen.explicit import Spin, compiled


def test_two_bernoulli_layers_in_float32_are_fit():
    assert compiled.why_not(dg.RBM(4, 3)) is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: dg.RBM(Spin(4), 3), "both layers must be Bernoulli"),
        (lambda: dg.RBM(4, Spin(3)), "both layers must be Bernoulli"),
        (lambda: dg.RBM(4, 3).double(), "contiguous float32 on a CPU, not torch.float64 on cpu"),
        (lambda: dg.RBM(4, 3).to("meta"), "contiguous float32 on a CPU, not torch.float32 on meta"),
    ],
)
def test_others_are_told_why_not(make, reason):
    assert reason in compiled.why_not(make())


def test_turned_weights_are_not_fit():
    rbm = dg.RBM(4, 3)
    rbm.weight = torch.nn.Parameter(torch.zeros(3, 4).t())
    assert "contiguous" in compiled.why_not(rbm)


def test_they_pay_for_large_machines_on_few_threads(monkeypatch):
    small, large = dg.RBM(4, 3), dg.RBM(256, 256)
    assert (compiled.worthwhile(small), compiled.worthwhile(large)) == (False, True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert not compiled.worthwhile(large)
