"""NICE and RealNVP: volume, alternation, and what the constructors pass on."""

import pytest
import torch
from torch.distributions import Independent, Normal

from deepgen.distributions import NormalMixture, StandardLogistic, StudentT
from deepgen.errors import ArgumentError
from deepgen.explicit import NICE, RealNVP
from deepgen.transforms import Affine, Coupling, Scale, Shift
from tests.contracts.densities import trained

KINDS = [NICE, RealNVP]


def test_nice_keeps_volume_but_for_its_scales(stream):
    flow = trained(NICE(5, 3, [8], generator=stream), stream)
    _, log_det = flow.encode(torch.randn(6, 5, generator=stream))
    scales = flow.transform.transforms[-1]
    assert isinstance(scales, Affine)
    torch.testing.assert_close(log_det, -scales.log_scale.sum().expand(6))


@pytest.mark.parametrize("kind", KINDS)
def test_two_layers_move_every_variable(kind, stream):
    flow = trained(kind(5, 2, [8], generator=stream), stream).double()
    layers = [part for part in flow.transform.transforms if isinstance(part, Coupling)]
    assert sorted(layers[0].moved.tolist() + layers[1].moved.tolist()) == list(range(5))
    assert layers[0].kept.tolist() == layers[1].moved.tolist()
    x = torch.randn(6, 5, generator=stream, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.encode(x)[0].sum(0), x).permute(1, 0, 2)
    assert not torch.equal(jacobian.diagonal(dim1=1, dim2=2), torch.ones(6, 5).double())
    assert bool((jacobian != 0).any(0).any(1).all())


def test_each_has_its_map():
    for kind, univariate in ((NICE, Shift), (RealNVP, Scale)):
        couplings = [part for part in kind(4, 3, [8], generator=0).transform.transforms if isinstance(part, Coupling)]
        assert len(couplings) == 3
        assert all(isinstance(part.univariate, univariate) for part in couplings)
        assert len({id(part.univariate) for part in couplings}) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_starts_close_to_its_base(kind, stream):
    flow, x = kind(6, generator=stream), torch.randn(200, 6, generator=stream)
    gap = (flow.log_prob(x) - flow.base().log_prob(x)).detach()
    assert float(gap.abs().mean()) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_bases_and_contexts_are_passed_on(kind, stream):
    flow = kind(3, 2, [8], context=2, base=NormalMixture(3, 2, generator=stream), generator=stream)
    assert isinstance(flow.base, NormalMixture)
    assert flow.sample(4, torch.zeros(4, 2), generator=stream).shape == (4, 3)
    assert flow.arguments()["base"] is flow.base


def test_what_is_refused():
    for kind in KINDS:
        with pytest.raises(ArgumentError, match="features"):
            kind(1)
        with pytest.raises(ArgumentError, match="transforms"):
            kind(2, 0)
        with pytest.raises(ArgumentError, match="hidden"):
            kind(2, 2, [])
    with pytest.raises(ArgumentError, match="one width"):
        RealNVP(2, 2, [8, 4], residual=True)


@pytest.mark.parametrize("base", [None, StandardLogistic(3), StudentT(3, df=4.0)], ids=["normal", "logistic", "t"])
def test_nice_starts_at_the_scale_of_the_data(base, stream):
    flow = NICE(3, 2, [8], base=base, generator=stream).double()
    x = 5.0 + torch.tensor([1e-3, 1.0, 0.0]) * torch.randn(500, 3, generator=stream).double()
    flow.initialise(x)
    z, law = flow.encode(x)[0].detach(), flow.base()
    torch.testing.assert_close(z.mean(0), law.mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(z.var(0)[:2], law.variance[:2])
    assert bool(z.isfinite().all())  # the constant column too


class Shifted(torch.nn.Module):
    """N(5 c, diag(4, 9)), c the context; 0 without one."""

    def forward(self, context=None):
        centre = torch.zeros(1, dtype=torch.float64) if context is None else 5 * context
        scale = torch.tensor([2.0, 3.0], dtype=torch.float64)
        return Independent(Normal(centre.expand(*centre.shape[:-1], 2), scale), 1)


def test_nice_starts_at_the_spread_of_all_contexts_together(stream):
    """Of c = -1 and 1 in equal parts: means 0 and variances 4 + 25, 9 + 25."""
    flow = NICE(2, 3, [8], context=1, base=Shifted(), generator=stream).double()
    c = torch.tensor([[-1.0], [1.0]]).repeat(50, 1).double()
    x = 100 * torch.randn(100, 2, generator=stream).double() + 7
    z = flow.initialise(x, c).encode(x, c)[0].detach()
    torch.testing.assert_close(z.mean(0), torch.zeros(2).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(z.var(0), torch.tensor([29.0, 34.0]).double())


def test_nice_takes_no_start_from_what_has_no_spread(stream):
    with pytest.raises(ArgumentError, match="2 rows"):
        NICE(3, 2, [8]).initialise(torch.zeros(1, 3))
    with pytest.raises(ArgumentError, match="variance"):
        NICE(3, 2, [8], base=StudentT(3, df=1.5)).initialise(torch.randn(9, 3, generator=stream))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_far_out_stay_finite(kind, stream):
    flow = trained(kind(4, 3, [8], generator=stream), stream)
    x = torch.tensor([[1e6, -1e6, 1e6, 0.0], [1e15] * 4])
    z, log_det = flow.encode(x)
    assert bool(z.isfinite().all())
    assert bool(log_det.isfinite().all())
