"""The affine autoregressive map in one pass: the general form's values and gradients, in float64."""

import copy

import pytest
import torch

from deepgen.explicit import IAF, MAF
from deepgen.transforms import Autoregressive, Scale, affine_pass
from tests.contracts.densities import trained

pytest.importorskip("numba")

ROWS = 200
KINDS = {
    "plain": {"hidden": [24, 30]},
    "one layer": {"hidden": [24], "order": [4, 2, 0, 3, 1]},
    "context": {"hidden": [24, 24, 24], "context": 3},
    "tight": {"hidden": [24, 24], "univariate": Scale(0.5)},
}


def make(kind, stream):
    transform = trained(Autoregressive(5, **KINDS[kind], generator=stream), stream)
    x = torch.randn(ROWS, 5, generator=stream)
    return transform, x, torch.randn(ROWS, transform.context, generator=stream) if transform.context else None


@pytest.fixture
def passes(monkeypatch):
    """A list that grows with every pass by kernels."""
    calls, apply = [], affine_pass.forwards
    monkeypatch.setattr(affine_pass, "forwards", lambda *a: calls.append(1) or apply(*a))
    return calls


@pytest.mark.parametrize("wanted", ["all", "parameters", "inputs"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients(kind, wanted, passes, stream):
    transform, x, context = make(kind, stream)
    pull, weight = torch.randn(x.shape, generator=stream), torch.randn(ROWS, generator=stream)
    found = []
    for module, dtype in ((transform, torch.float32), (copy.deepcopy(transform).double(), torch.float64)):
        module.requires_grad_(wanted != "inputs")
        inputs = [t.to(dtype).requires_grad_(wanted != "parameters") for t in (x, context) if t is not None]
        at = [t for t in (*inputs, *module.parameters()) if t.requires_grad]
        z, log_det = module.encode(*inputs)
        loss = (z * pull).sum() + (log_det * weight).sum()
        found.append([z, log_det, *torch.autograd.grad(loss, at)])
    assert len(passes) == 1
    for got, right in zip(*found, strict=True):
        torch.testing.assert_close(got.double(), right, rtol=1e-4, atol=2e-5 * float(right.detach().abs().max()))


def test_one_result_alone(stream):
    transform, x, _ = make("plain", stream)
    exact = copy.deepcopy(transform).double()
    for i in (0, 1):
        x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()
        (got,) = torch.autograd.grad(transform.encode(x32)[i].sum(), x32)
        (right,) = torch.autograd.grad(exact.encode(x64)[i].sum(), x64)
        torch.testing.assert_close(got.double(), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind, passes, stream, monkeypatch):
    transform, x, context = make(kind, stream)
    found = []
    for _ in range(2):
        at = x.clone().requires_grad_()
        z, log_det = transform.encode(at, context)
        (slope,) = torch.autograd.grad(z.square().sum() + log_det.sin().sum(), at, create_graph=True)
        found.append(
            torch.autograd.grad(slope.square().sum(), [at, *transform.net.inner.parameters()], allow_unused=True)
        )
        monkeypatch.setattr(affine_pass, "_kernels", lambda: None)
    assert len(passes) == 1
    for got, right in zip(*found, strict=True):
        assert (got is None) == (right is None)
        if got is not None:
            torch.testing.assert_close(got, right, rtol=1e-3, atol=1e-4 * float(right.abs().max()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.func's own, on its first use
def test_transforms_of_functions(stream):
    transform, x, _ = make("plain", stream)
    (plain,) = torch.autograd.grad(transform.encode(at := x.clone().requires_grad_())[1].sum(), at)

    def log_det(x):
        return transform.encode(x.expand(ROWS, 5))[1][0]

    rows = torch.func.vmap(torch.func.grad(log_det))(x[:3])
    torch.testing.assert_close(rows, plain[:3], rtol=1e-4, atol=1e-5)
    _, along = torch.func.jvp(log_det, (x[0],), (x[1],))
    torch.testing.assert_close(along, plain[0] @ x[1], rtol=1e-4, atol=1e-4)
    hessian = torch.func.hessian(lambda x: transform.encode(x.expand(ROWS, 5))[0][0].square().sum())(x[0])
    torch.testing.assert_close(hessian, hessian.t(), rtol=1e-3, atol=1e-3)


def test_one_graph_without_breaks_for_torch_compile(one_graph, stream):
    flow = MAF(5, 2, [24, 24], generator=stream)
    x = torch.randn(ROWS, 5, generator=stream)
    whole = one_graph(flow.log_prob)
    torch.testing.assert_close(whole(x), flow.log_prob(x), rtol=1e-4, atol=1e-4)


def test_flows_train_and_sample_by_it(passes, stream):
    x = torch.randn(ROWS, 5, generator=stream)
    for flow in (MAF(5, 2, [24, 24], generator=stream), IAF(5, 2, [24, 24], generator=stream)):
        del passes[:]
        if isinstance(flow, MAF):
            flow.log_prob(x).mean().backward()
        else:
            flow.draw(ROWS, generator=stream).log_prob.mean().backward()
        assert len(passes) == 2
        assert all(p.grad is not None and p.grad.isfinite().all() for p in flow.parameters())


def test_nan_shows(stream):
    transform, x, _ = make("plain", stream)
    x[7, 1] = torch.nan
    z, log_det = transform.encode(x)
    assert z.isnan().any(1).nonzero().flatten().tolist() == [7]
    assert log_det.isnan().nonzero().flatten().tolist() == [7]


def test_where_it_serves(passes, stream):
    x = torch.randn(ROWS, 5, generator=stream)
    for options in ({"univariate": Scale(float("inf"))}, {"residual": True}, {"hidden": [8]}):
        Autoregressive(5, **{"hidden": [24, 24], **options}, generator=stream).encode(x)
    Autoregressive(5, hidden=[24], generator=stream).double().encode(x.double())
    assert not passes
