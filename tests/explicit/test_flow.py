"""Flows: the change of variables, checks at the edge, contexts, costs, and training that works."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.distributions import StudentT
from deepgen.errors import ArgumentError, ShapeError, SupportError, UnknownName
from deepgen.explicit import IAF, MADE, MAF, NICE, NSF, Flow, PlanarFlow, RealNVP
from deepgen.testing import check_density, check_random, ks
from deepgen.transforms import Affine, Chain, Coupling, Logit
from tests.contracts.densities import trained


def test_an_affine_flow_is_a_gaussian(stream, alpha):
    flow = Flow(Affine(1, shift=2.0, log_scale=math.log(3)), base=1)
    x = torch.randn(50, 1, generator=stream)
    torch.testing.assert_close(flow.log_prob(x), Normal(2.0, 3.0).log_prob(x[:, 0]))
    assert ks((flow.sample(2000, generator=stream)[:, 0] - 2) / 3, torch.special.ndtr) > alpha


def test_change_of_variables_by_hand(stream):
    flow = Flow(trained(Coupling(3, hidden=[8], generator=stream), stream), base=StudentT(3)).double()
    x = torch.randn(6, 3, generator=stream, dtype=torch.float64)
    z, log_det = flow.encode(x)
    torch.testing.assert_close(flow.log_prob(x), torch.distributions.StudentT(5.0).log_prob(z).sum(1) + log_det)
    torch.testing.assert_close(flow.decode(z)[0], x)


class Images(nn.Module):
    """A standard Gaussian over [1, 2, 2]."""

    def __init__(self):
        super().__init__()
        self.register_buffer("zeros", torch.zeros(1, 2, 2), persistent=False)

    def forward(self, context=None):
        return Independent(Normal(self.zeros, torch.ones_like(self.zeros)), 3)


def test_images_keep_their_shape(stream, alpha):
    flow = Flow(trained(Affine((1, 2, 2)), stream), Images())
    assert flow.event_shape == (1, 2, 2)
    assert flow.sample(5, generator=stream).shape == (5, 1, 2, 2)
    assert flow.log_prob(torch.zeros(5, 1, 2, 2)).shape == (5,)
    assert {"jacobian", "round trip", "code", "no save"} <= set(check_density(flow, alpha=alpha, generator=stream))


class Located(nn.Module):
    """A base that looks at the context: N(first number of the context, 1)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.ones(2), persistent=False)

    def forward(self, context=None):
        mean = 0 * self.one if context is None else context[..., :1].expand(*context.shape[:-1], 2)
        return Independent(Normal(mean, torch.ones_like(mean)), 1)


def test_a_base_may_look_at_the_context(stream, alpha):
    flow = Flow(trained(Coupling(2, hidden=[8], context=1, generator=stream), stream), Located(), context=1)
    context = torch.linspace(-2, 2, 5).unsqueeze(1)
    done = check_density(flow, context=context, alpha=alpha, generator=stream)
    assert {"mass", "cells", "code", "context", "gradients"} <= set(done)


def test_draws_carry_their_density_and_sweeps(stream):
    flow = trained(MAF(4, 3, [8], generator=stream), stream)
    x, log_prob, sweeps = flow.draw(10, method="jacobi", generator=stream)
    torch.testing.assert_close(flow.log_prob(x), log_prob, rtol=1e-3, atol=1e-3)
    assert len(sweeps) == 3
    assert all(1 <= s <= 4 for s in sweeps)
    assert flow.draw(100, generator=stream).sweeps == (None, None, None)


def test_sample_draws_from_its_generator_alone(stream):
    flow = MAF(3, 2, [8], generator=stream)
    check_random(lambda generator: flow.sample(10, generator=generator), generator=stream)
    check_random(lambda generator: flow.draw(10, generator=generator).log_prob.detach(), generator=stream)
    assert not flow.sample(3, generator=stream).requires_grad


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_check_names_the_first_bad_row(value):
    flow, x = Flow(Affine(2), base=2), torch.zeros(5, 2)
    flow.check(x)
    x[3, 1] = value
    with pytest.raises(SupportError, match="row 3"):
        flow.check(x)


def test_shapes_are_checked():
    flow = Flow(Affine(2), base=2)
    for x in (torch.zeros(5, 3), torch.zeros(2), torch.zeros(()), [[0.0, 0.0]]):
        with pytest.raises(ShapeError, match="x must be"):
            flow.log_prob(x)
        with pytest.raises(ShapeError, match="x must be"):
            flow.check(x)


def test_no_rows_are_refused():
    for flow, x in ((Flow(Affine(2), base=2), torch.zeros(0, 2)), (RealNVP(2, 2, [8]), torch.zeros(0, 2))):
        with pytest.raises(ShapeError, match="at least one row"):
            flow.check(x)


def test_contexts_are_checked():
    flow = RealNVP(2, 2, [8], context=3, generator=0)
    x = torch.zeros(5, 2)
    flow.check((x, torch.zeros(5, 3)))
    for call in (lambda c: flow.log_prob(x, c), lambda c: flow.sample(5, c, generator=0), lambda c: flow.check((x, c))):
        with pytest.raises(ArgumentError, match=r"takes a context \[batch, 3\], got none"):
            call(None)
        for shape in ((5, 2), (4, 3), (2,)):
            with pytest.raises(ShapeError, match=r"context must be \[5, 3\]"):
                call(torch.zeros(shape))
    with pytest.raises(ArgumentError, match="takes no context"):
        Flow(Affine(2), base=2).log_prob(x, torch.zeros(5, 3))


def test_arguments_are_checked():
    flow = Flow(Affine(2), base=2)
    with pytest.raises(ArgumentError, match="n must be"):
        flow.sample(0)
    with pytest.raises(UnknownName, match="jacobi"):
        flow.sample(2, method="jakobi")
    with pytest.raises(ArgumentError, match="context"):
        Flow(Affine(2), base=2, context=-1)


def test_support_follows_the_first_transform():
    flow = Flow(Chain([Logit(alpha=0.0), Affine(2)]), base=2)
    inside, outside = torch.full((1, 2), 0.5), torch.full((1, 2), 1.5)
    assert bool(flow.support.check(inside))
    assert not bool(flow.support.check(outside))
    flow.check(inside)
    with pytest.raises(SupportError, match="row 0"):
        flow.check(outside)


def test_repr_states_what_each_direction_costs():
    maf, iaf = (kind(5, 2, [8], generator=0) for kind in (MAF, IAF))
    assert "log_prob: 2 x 1 network pass; sample: 2 x 1 walk through 5 variables" in repr(maf)
    assert "log_prob: 2 x 1 walk through 5 variables" in repr(iaf)
    assert "log_prob: 2 x 1 network pass; sample: 2 x 1 network pass" in repr(RealNVP(5, 2, [8], generator=0))
    assert "refused" in repr(PlanarFlow(2, 2, generator=0))


def test_gradients_reach_what_is_bound(stream):
    flow = RealNVP(2, 2, [8], context=3, generator=stream)
    context = torch.randn(4, 3, generator=stream, requires_grad=True)
    flow.log_prob(torch.randn(4, 2, generator=stream), context).sum().backward()
    assert bool((context.grad != 0).any())
    assert all(p.grad is not None for p in flow.parameters())


def test_training_closes_most_of_the_gap(stream):
    """A correlated Gaussian, whose entropy is known: a flow reaches it to a few hundredths of a nat."""
    mix = torch.tensor([[1.0, 0.0], [0.9, 0.3]])
    x = torch.randn(4000, 2, generator=stream) @ mix.t()
    entropy = 1 + math.log(2 * math.pi) + math.log(0.3)
    for kind in (RealNVP, MAF):
        flow = kind(2, 2, [16], generator=stream)
        before = float(flow.log_prob(x).detach().mean())
        dg.fit(flow, x, dg.objectives.MaximumLikelihood(), epochs=12, batch_size=100, seed=0, progress=False)
        after = float(flow.log_prob(x).detach().mean())
        assert before < -entropy - 0.3
        assert after > -entropy - 0.1
        assert after < -entropy + 0.1


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
@pytest.mark.parametrize("family", [MAF, RealNVP])
def test_rows_and_contexts_of_another_dtype_are_refused_by_name(family, dtype):
    flow = family(3, hidden=[8], context=2, generator=0)
    x, context = torch.zeros(4, 3), torch.zeros(4, 2)
    with pytest.raises(ArgumentError, match=r"rows must have the flow's dtype torch.float32, got torch\.(float|int)64"):
        flow.log_prob(x.to(dtype), context)
    with pytest.raises(ArgumentError, match=r"the context must have the flow's dtype torch.float32"):
        flow(context.double()).log_prob(x)
    with pytest.raises(ArgumentError, match=r"pass \.to\(torch.float32\), or convert the flow by flow.double\(\)"):
        flow.sample(4, context.double(), generator=0)
    assert flow.double().log_prob(x.double(), context.double()).dtype == torch.float64


@pytest.mark.parametrize("family", [NICE, RealNVP, MAF, IAF, NSF, partial(NSF, autoregressive=True), MADE])
def test_a_width_in_place_of_a_list_is_refused_by_name(family):
    with pytest.raises(ArgumentError, match=r"hidden must be a list of widths.* such as \[32, 32\], got 32"):
        family(2, hidden=32)


def test_integers_do_not_pass_the_compiled_walk_to_a_wrong_density():
    flow = IAF(4, hidden=[16], generator=0)
    rows = torch.arange(2000).view(500, 4) % 5
    with torch.no_grad(), pytest.raises(ArgumentError, match=r"got torch\.int64"):
        flow.log_prob(rows)


def test_a_plain_distribution_as_base_is_refused():
    law = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    with pytest.raises(ArgumentError, match=r"base must be a module .*StandardNormal\(2\), .* got Independent"):
        MAF(2, base=law)
