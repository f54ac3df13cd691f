"""One contract for every transform: `check_transform` on each class, as built and moved as by training."""

import pytest
import torch

import deepgen as dg
import deepgen.transforms as t
from deepgen.testing import check_transform
from tests.contracts.densities import CONTEXT, trained

BOTH_WAYS = ["jacobian", "round trip", "extremes", "gradients"]
TRANSFORMS = {
    "affine": lambda g: t.Affine(3),
    "affine given": lambda g: t.ContextAffine(1),
    "actnorm": lambda g: t.ActNorm(3),
    "lu": lambda g: t.LULinear(4),
    "permutation": lambda g: t.Permutation([2, 0, 3, 1]),
    "logit": lambda g: t.Logit(0.01),
    "radial": lambda g: t.Radial(3, generator=g),
    "radial given": lambda g: t.Radial(2, context=CONTEXT, generator=g),
    "planar": lambda g: t.Planar(3, generator=g),
    "planar given": lambda g: t.Planar(2, context=CONTEXT, generator=g),
    "coupling": lambda g: t.Coupling(4, hidden=[8], generator=g),
    "coupling given": lambda g: t.Coupling(3, hidden=[8, 8], residual=True, context=CONTEXT, generator=g),
    "additive coupling": lambda g: t.Coupling(4, univariate=t.Shift(), hidden=[8], generator=g),
    "spline coupling": lambda g: t.Coupling(3, univariate=t.Spline(4), hidden=[8], generator=g),
    "autoregressive": lambda g: t.Autoregressive(4, hidden=[8], generator=g),
    "autoregressive given": lambda g: t.Autoregressive(3, hidden=[8, 8], residual=True, context=CONTEXT, generator=g),
    "autoregressive spline": lambda g: t.Autoregressive(3, univariate=t.Spline(4), hidden=[8], generator=g),
    "chain": lambda g: t.Chain([t.Permutation(3, generator=g), t.LULinear(3), t.Coupling(3, hidden=[8], generator=g)]),
    "inverse": lambda g: t.Inverse(t.Autoregressive(3, hidden=[8], generator=g)),
}
UNIVARIATE = {t.Scale, t.Shift, t.Spline}  # maps of one variable, which couplings and autoregressive maps carry


def rows(transform, stream, n=12):
    """Rows of the width that the transform takes (the first of a few that it accepts), and their context."""
    width = next(w for w in (getattr(transform, "features", None), *getattr(transform, "shape", ()), 3) if w)
    width = len(transform.order) if isinstance(transform, t.Permutation) else width
    x = torch.randn(n, width, generator=stream)
    context = torch.randn(n, CONTEXT, generator=stream) if getattr(transform, "context", 0) else None
    return x.sigmoid() if isinstance(transform, t.Logit) else x, context


@pytest.mark.parametrize("state", ["fresh", "trained"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name, state, stream):
    transform = TRANSFORMS[name](stream)
    transform = trained(transform, stream) if state == "trained" else transform
    done = check_transform(transform, *rows(transform, stream), generator=stream)
    assert done == (["jacobian", "gradients", "no decode"] if "planar" in name else BOTH_WAYS)


def test_no_transform_is_forgotten():
    known = {type(part) for build in TRANSFORMS.values() for part in build(0).modules()}
    public = [getattr(t, name) for name in t.__all__]
    assert {cls for cls in public if isinstance(cls, type) and issubclass(cls, torch.nn.Module)} <= known | UNIVARIATE


def test_actnorm_keeps_its_start_when_loaded(stream, tmp_path):
    layer = t.ActNorm(2)
    layer.encode(3 + torch.randn(100, 2, generator=stream))
    flow = dg.explicit.Flow(layer, 2)
    dg.save(flow, tmp_path / "flow")
    again, x = dg.load(tmp_path / "flow").train(), 100 + torch.randn(50, 2, generator=stream)
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert torch.equal(again.transform.shift, layer.shift)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMS)
def test_many_rows_at_many_moves(name, stream):
    for scale in (0.1, 0.5):
        transform = trained(TRANSFORMS[name](stream), stream, scale)
        check_transform(transform, *rows(transform, stream, 500), generator=stream)
