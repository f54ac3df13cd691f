"""check_transform passes every transform, and catches defects that a flow around them might hide."""

import pytest
import torch

import deepgen as dg
from deepgen.testing import CheckFailed, check_transform
from deepgen.transforms import Affine, Autoregressive, Chain, Coupling, Inverse, Scale
from tests.contracts.densities import trained


class Planted(Scale):
    """An affine map of one variable with one line wrong; couplings and autoregressive maps take it."""

    def __init__(self, defect=""):
        super().__init__(limit=3.0)
        self.defect = defect

    def encode(self, x, p):
        z, log_slope = super().encode(x, p)
        return z, 2 * log_slope if self.defect == "factor two" else log_slope

    def decode(self, z, p):
        x, log_slope = super().decode(z, p)
        if self.defect == "inverse to three digits":
            x = (x * 500).round() / 500 + x - x.detach()
        if self.defect == "wrong far out" and p[1].abs().max() > 10:
            x = x + 1e-3
        if self.defect == "nan far out" and p[1].abs().max() > 10:
            x = torch.where(p[1].abs() > 10, torch.nan, x)
        return x, log_slope if self.defect != "factor two" else 2 * log_slope


@pytest.mark.parametrize("kind", [Coupling, Autoregressive])
@pytest.mark.parametrize("defect", ["", "factor two", "inverse to three digits", "wrong far out", "nan far out"])
def test_maps_of_one_variable(kind, defect, stream):
    transform = trained(kind(3, univariate=Planted(defect), hidden=[8], generator=0), 0)
    for t in (transform, Chain([Affine(3), transform]), Inverse(transform)):
        if not defect:
            done = check_transform(t, torch.randn(8, 3, generator=stream), generator=stream)
            assert done == ["jacobian", "round trip", "extremes", "gradients"]
            continue
        with pytest.raises(CheckFailed):
            check_transform(t, torch.randn(8, 3, generator=stream), generator=stream)


class Peeking(Autoregressive):
    """An autoregressive map whose network sees all variables."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        with torch.no_grad():
            for mask in self.net.buffers():
                mask.fill_(1)


def test_a_net_that_is_not_causal_has_another_jacobian(stream):
    with pytest.raises(CheckFailed, match=r"encode: log-determinant .* that of the Jacobian"):
        check_transform(trained(Peeking(3, hidden=[8], generator=0), 0), torch.randn(8, 3, generator=stream))


class Lazy(Autoregressive):
    """Stops its sweeps when values move by less than 1e-3."""

    def _sweep(self, z, context, method):
        from deepgen.transforms.fixed_point import fixed_point

        x, sweeps = fixed_point(
            lambda x: self.univariate.decode(z, self.net(x, context))[0],
            torch.zeros_like(z),
            self.features,
            1e-2 if method == "jacobi" else None,
        )
        return x, self.univariate.decode(z, self.net(x, context))[1], sweeps


def test_sweeps_that_stop_too_early(stream):
    lazy = trained(Lazy(12, hidden=[16], generator=0), 0, scale=0.2)
    with pytest.raises(CheckFailed, match=r"by method '(auto|jacobi)'"):
        check_transform(lazy, torch.randn(40, 12, generator=stream), generator=stream)


class Reshaped(Affine):
    def encode(self, x, context=None):
        z, log_det = super().encode(x)
        return z, log_det.unsqueeze(1)


class Silent(Affine):
    """Neither direction exists."""

    def encode(self, x, context=None):
        raise dg.errors.MissingCapability("no")

    decode = encode


def test_shapes_and_directions(stream):
    with pytest.raises(CheckFailed, match="log-determinants"):
        check_transform(Reshaped(2), torch.randn(8, 2, generator=stream))
    with pytest.raises(CheckFailed, match="neither"):
        check_transform(Silent(2), torch.randn(8, 2, generator=stream))
    with pytest.raises(CheckFailed, match="not finite"):
        check_transform(Affine(2), torch.full((2, 2), torch.inf))


def test_a_near_singular_map_is_not_judged(stream):
    steep = Affine(2)
    with torch.no_grad():
        steep.log_scale.copy_(torch.tensor([-17.0, 17.0]))
    with pytest.raises(CheckFailed, match="near singular"):
        check_transform(steep, torch.randn(8, 2, generator=stream))
