"""Flows inside torch's own wrappers, and what a flow's distribution keeps: nothing."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, TransformedDistribution
from torch.distributions.transforms import AffineTransform, SigmoidTransform

import deepgen as dg
from deepgen.explicit import IAF, MAF, NSF, RealNVP
from deepgen.testing import check_gradient
from tests.contracts.densities import trained


@pytest.fixture(params=[RealNVP, MAF, IAF, NSF], ids=lambda kind: kind.__name__)
def given(request, stream):
    return trained(request.param(2, 2, [8], context=3, generator=stream), stream, 0.3)


def wrapped(p, stream):
    """The distribution inside each of torch's own, with values for it, of batch shape [4] before."""
    x = torch.randn(7, 4, 2, generator=stream).to(p.flow.device)
    yield Independent(p, 1), x
    yield TransformedDistribution(p, [SigmoidTransform(), AffineTransform(1.0, 2.0)]), 1 + 2 * x.sigmoid()
    yield MixtureSameFamily(Categorical(torch.ones(4)), p), x[:, 0]


def test_wrappers_pickle_deepcopy_and_expand(given, stream):
    for law, x in wrapped(given(torch.randn(4, 3, generator=stream)), stream):
        value = law.log_prob(x)
        for other in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
            assert torch.equal(other.log_prob(x), value)
        big = law.expand((3, *law.batch_shape))
        torch.testing.assert_close(big.log_prob(x[:3]), value[:3])
        assert big.sample().shape == (3, *law.batch_shape, *law.event_shape)


def test_gradients_reach_through_the_wrappers(given, stream):
    """Each by hand: a sum over the batch, a slope of the transform, a log-sum-exp over components."""
    flow = given.double()
    context = torch.randn(4, 3, generator=stream, dtype=torch.float64, requires_grad=True)

    def total():
        return sum(law.log_prob(x.double()).sum() for law, x in wrapped(flow(context), dg.random.generator(0)))

    check_gradient(total, [context, *flow.parameters()], what="wrapped log_prob", generator=stream)
    drawn = TransformedDistribution(flow(context), [SigmoidTransform()]).rsample((5,))
    assert drawn.requires_grad
    assert torch.autograd.grad(drawn.sum(), context)[0].abs().sum() > 0


def test_nothing_of_the_past_is_kept(given, stream):
    """No cache: values and graphs are free when their user drops them; no weak reference: it outlives its maker."""
    p = given(torch.randn(4, 3, generator=stream))
    before = dict(vars(p))
    x, log_prob = p.rsample_and_log_prob(generator=stream)
    again = p.log_prob(x)
    gone = [weakref.ref(tensor) for tensor in (x, log_prob, again)]
    del x, log_prob, again
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
    assert vars(p).keys() == before.keys()
    assert all(vars(p)[name] is value for name, value in before.items())
    alone = copy.deepcopy(given)(torch.zeros(4, 3))  # nobody else holds this module
    gc.collect()
    torch.testing.assert_close(alone.log_prob(torch.zeros(2)), given(torch.zeros(4, 3)).log_prob(torch.zeros(2)))
