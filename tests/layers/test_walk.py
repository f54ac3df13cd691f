"""Compiled walks: the numbers of the textbook way, in every kind of network and at every size of a batch."""

import copy

import pytest
import torch

from deepgen import compiled
from deepgen.transforms import Autoregressive, Scale, Shift, Spline, compiled_walk
from deepgen.transforms.compiled_walk import walk, walks
from deepgen.transforms.spline import Spline as SplineMap
from tests.contracts.densities import trained

pytest.importorskip("numba")

BACK = list(range(20))[::-1]
KINDS = {
    "plain": {"hidden": [40, 30]},
    "one layer": {"hidden": [33]},
    "deep, reversed": {"hidden": [24, 5, 31], "order": BACK},
    "shuffled, context": {"hidden": [32, 32], "order": BACK[::2] + BACK[1::2], "context": 3},
    "residual": {"hidden": [24, 24, 24], "residual": True, "order": BACK},
    "residual, context": {"hidden": [24, 24], "residual": True, "context": 2},
    "narrow": {"hidden": [3, 2]},
    "spline": {"hidden": [32, 32], "univariate": Spline(5), "order": BACK},
}


def make(kind, stream, scale=0.3):
    return trained(Autoregressive(20, **KINDS[kind], generator=stream), stream, scale)


def inputs(transform, rows, stream):
    z = torch.randn(20, rows, generator=stream)
    return z, torch.randn(rows, transform.context, generator=stream) if transform.context else None


def wide(context):
    return None if context is None else context.double()


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_as_exact_as_whole_passes(kind, rows, stream):
    transform = make(kind, stream)
    exact = copy.deepcopy(transform).double()
    z, context = inputs(transform, rows, stream)
    x, log_slope = walk(transform.net, transform.univariate, z, context)
    true = exact.solve(z.double().t(), wide(context), towards="decode", method="sequential")
    passes = transform.solve(z.t(), context, towards="decode", method="sequential")
    eps = torch.finfo(z.dtype).eps
    for got, other, right in ((x.t(), passes.value, true.value), (log_slope.sum(0), passes.log_det, true.log_det)):
        rounding = (other - right).abs().max() + eps * (1 + right.abs().max()) * 20**0.5
        assert (got - right).abs().max() < 10 * rounding


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "spline"])
@torch.no_grad()
def test_float64_to_its_own_precision(kind, stream):
    transform = make(kind, stream).double()
    z, context = inputs(transform, 70, stream)
    x, log_slope = walk(transform.net, transform.univariate, z.double(), wide(context))
    true = transform.solve(z.double().t(), wide(context), towards="decode", method="sequential")
    torch.testing.assert_close(x.t(), true.value, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(log_slope.sum(0), true.log_det, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_alone_and_in_any_batch(kind, stream):
    transform = make(kind, stream)
    z, context = inputs(transform, 130, stream)
    together = walk(transform.net, transform.univariate, z, context)
    for i in (0, 64, 129):
        own = None if context is None else context[i : i + 1]
        alone = walk(transform.net, transform.univariate, z[:, i : i + 1].contiguous(), own)
        for a, b in zip(together, alone, strict=True):
            near = 0 if context is None else 1e-5  # the product with the contexts is rounded as the batch is long
            torch.testing.assert_close(a[:, i : i + 1], b, rtol=near, atol=near)


@pytest.mark.parametrize("kind", ["plain", "spline"])
def test_no_rows(kind, stream):
    transform = make(kind, stream)
    for out in walk(transform.net, transform.univariate, torch.empty(20, 0), None):
        assert out.shape == (20, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_shows_in_its_row_and_there_alone(kind, stream):
    transform = make(kind, stream)
    z, context = inputs(transform, 70, stream)
    z[transform.net.order[4], 9] = torch.nan
    x, _ = walk(transform.net, transform.univariate, z, context)
    assert x.isnan().any(0).nonzero().flatten().tolist() == [9]
    assert x[transform.net.order, 9].isnan()[:5].tolist() == [False] * 4 + [True]


def test_where_it_serves(stream, monkeypatch):
    net, z = make("plain", stream).net, torch.zeros(20, 3)
    assert walks(net, Scale(), z, None)
    assert walks(net.double(), Scale(), z.double(), None)
    assert not walks(net, Spline(5), z.double(), None)
    net.float()
    assert not walks(net, Shift(), z, None)
    assert not walks(net, Scale(), z.double(), None)
    assert not walks(net, Scale(), z.half(), None)
    with torch.autocast("cpu"):
        assert not walks(net, Scale(), z, None)
    torch.func.vmap(lambda row: row if not walks(net, Scale(), row, None) else pytest.fail("under vmap"))(z)
    net.activation = torch.tanh
    assert not walks(net, Scale(), z, None)
    assert not walks(Autoregressive(3, generator=stream).net, Scale(), torch.zeros(3, 1), None)

    class Other(SplineMap):
        """A map that kernels do not know."""

    net.activation = torch.relu
    assert walks(net, Spline(5), z, None)
    assert not walks(net, Other(5), z, None)


@pytest.mark.parametrize("method", ["auto", "incremental"])
@pytest.mark.parametrize("kind", ["plain", "spline"])
@torch.no_grad()
def test_the_same_without_numba(kind, method, stream, monkeypatch):
    transform = make(kind, stream)
    z, _ = inputs(transform, 5, stream)
    x, log_det, sweeps = transform.solve(z.t(), towards="decode", method=method)
    assert sweeps is None or sweeps == (None,)
    compiled.kernels.cache_clear()
    monkeypatch.setattr(compiled_walk, "_kernels", lambda: None)
    again, other, sweeps = transform.solve(z.t(), towards="decode", method=method)
    assert (sweeps[0] is None) == (method == "incremental")  # few rows are swept where no kernel walks
    torch.testing.assert_close(again, x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other, log_det, rtol=1e-4, atol=1e-4)
