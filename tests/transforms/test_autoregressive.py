"""Autoregressive maps: causality, the three ways back, and gradients through them."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, UnknownName
from deepgen.testing import check_causal, check_gradient, check_transform
from deepgen.transforms import Autoregressive, Shift
from deepgen.transforms.base import METHODS
from tests.contracts.densities import several, trained

KINDS = {
    "1": {"features": 1},
    "1 given": {"features": 1, "context": 2},
    "2": {"features": 2},
    "6, order": {"features": 6, "order": [3, 0, 5, 1, 4, 2]},
    "5, residual given": {"features": 5, "residual": True, "context": 2},
    "4, narrow": {"features": 4, "hidden": [2]},  # fewer units than degrees
    "3, shift": {"features": 3, "univariate": Shift()},
}


def make(kind, stream, scale=0.5):
    options = {"hidden": [12, 12], **KINDS[kind]}
    return trained(Autoregressive(**options, generator=stream), stream, scale)


def inputs(transform, n, stream, dtype=torch.float32):
    x = torch.randn(n, transform.features, generator=stream, dtype=dtype)
    return x, torch.randn(n, transform.context, generator=stream, dtype=dtype) if transform.context else None


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind, stream):
    transform = make(kind, stream)
    done = check_transform(transform, *inputs(transform, 8, stream), generator=stream)
    assert done == ["jacobian", "round trip", "extremes", "gradients"]


@pytest.mark.parametrize("kind", KINDS)
def test_causality_in_the_order_given(kind, stream):
    transform = make(kind, stream).double()
    x, context = inputs(transform, 16, stream, torch.float64)
    many, order = several(transform, stream), transform.net.order

    def says(x):
        return torch.cat([one.net(x.t(), context) for one in many]).permute(2, 1, 0)

    check_causal(says, x, order, what=kind, all_seen=kind != "4, narrow")
    jacobian = torch.autograd.functional.jacobian(lambda x: transform.encode(x, context)[0].sum(0), x)
    ordered = jacobian[order][:, :, order]
    assert not ordered.permute(1, 0, 2).triu(1).any()


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_gives_the_same(kind, rows, stream):
    transform = make(kind, stream).double()
    z, context = inputs(transform, rows, stream, torch.float64)
    expected = transform.solve(z, context, towards="decode", method="sequential")
    assert expected.sweeps == (transform.features,)
    for method in METHODS:
        x, log_det, (sweeps,) = transform.solve(z, context, towards="decode", method=method)
        torch.testing.assert_close(x, expected.value, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(log_det, expected.log_det, rtol=1e-9, atol=1e-9)
        assert (sweeps is None) == (method == "incremental" or (method == "auto" and rows == 70))
        assert sweeps is None or 1 <= sweeps <= transform.features


def test_jacobi_stops_early_where_dependence_is_weak(stream):
    transform = Autoregressive(40, hidden=[50], generator=stream)  # close to the identity
    z = torch.randn(8, 40, generator=stream)
    x, _, (sweeps,) = transform.solve(z, towards="decode", method="jacobi")
    assert sweeps < 20
    torch.testing.assert_close(transform.encode(x)[0], z, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["2", "6, order", "5, residual given"])
def test_gradients_through_the_sequential_direction(kind, method, stream):
    transform = make(kind, stream).double()
    z, context = inputs(transform, 3, stream, torch.float64)
    leaves = [t.requires_grad_() for t in (z, context) if t is not None]
    pull = torch.randn(z.shape, generator=stream, dtype=torch.float64)

    def f():
        x, log_det, _ = transform.solve(z, context, towards="decode", method=method)
        return (x * pull).sum() + log_det.square().sum()

    check_gradient(f, [*leaves, *transform.parameters()], what=method, generator=stream)


def test_gradients_equal_those_of_the_plain_loop(stream):
    """The implicit function theorem against backpropagation through D whole passes."""
    transform = make("6, order", stream).double()
    z, _ = inputs(transform, 4, stream, torch.float64)
    z.requires_grad_()
    x = torch.zeros_like(z)
    for _ in range(6):
        x = transform.univariate.decode(z.t(), transform.net(x.t()))[0].t()
    wanted = torch.autograd.grad(x.sin().sum(), [z, *transform.parameters()])
    got = torch.autograd.grad(transform.decode(z)[0].sin().sum(), [z, *transform.parameters()])
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)


def test_second_derivatives_of_the_sequential_direction_are_refused_not_wrong(stream):
    transform = make("2", stream)
    z = torch.randn(3, 2, generator=stream, requires_grad=True)
    with pytest.raises(MissingCapability, match="second derivatives"):
        torch.autograd.grad(transform.decode(z)[0].sum(), z, create_graph=True)
    (slope,) = torch.autograd.grad(transform.encode(z)[0].sin().sum(), z, create_graph=True)
    assert torch.autograd.grad(slope.sum(), z)[0].isfinite().all()


def test_nothing_is_tracked_without_need(stream):
    transform = make("2", stream).requires_grad_(False)
    assert not transform.decode(torch.randn(3, 2, generator=stream))[0].requires_grad
    transform.requires_grad_(True)
    with torch.no_grad():
        assert not transform.decode(torch.randn(3, 2, generator=stream))[0].requires_grad
    assert transform.decode(torch.randn(3, 2, generator=stream))[0].requires_grad


def test_a_new_map_is_close_to_the_identity(stream):
    x = torch.randn(100, 5, generator=stream)
    z, log_det = Autoregressive(5, generator=stream).encode(x)
    assert float((z - x).detach().abs().max()) < 0.2
    assert float(log_det.detach().abs().max()) < 0.2


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="order"):
        Autoregressive(3, order=[0, 1])
    with pytest.raises(ArgumentError, match="permutation"):
        Autoregressive(3, order=[0, 1, 1])
    with pytest.raises(ArgumentError, match="one width"):
        Autoregressive(3, hidden=[8, 4], residual=True)
    with pytest.raises(UnknownName):
        dg.explicit.MAF(2, hidden=[4], generator=0).sample(2, method="parallel")


def test_arguments_rebuild(stream):
    transform = make("6, order", stream)
    again = Autoregressive(**transform.arguments())
    again.load_state_dict(transform.state_dict())
    x = torch.randn(3, 6, generator=stream)
    assert torch.equal(again.encode(x)[0], transform.encode(x)[0])
