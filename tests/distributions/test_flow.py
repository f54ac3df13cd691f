"""A flow as a torch Distribution: shapes, copies, wrappers, randomness, and nothing kept from the past."""

import copy
import pickle

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
    constraints,
)
from torch.distributions.transforms import AffineTransform, SigmoidTransform

import deepgen as dg
from deepgen.distributions import FlowDistribution, NormalMixture
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.explicit import IAF, MAF, NSF, Flow, RealNVP
from deepgen.testing import check_gradient, check_random
from deepgen.testing.mass import grid_mass
from deepgen.transforms import Affine, Chain, Logit
from tests.contracts.densities import trained

KINDS = {"RealNVP": RealNVP, "MAF": MAF, "IAF": IAF, "NSF": NSF}


@pytest.fixture(params=KINDS)
def build(request, stream):
    """Flows of two variables, with a context of three numbers or none."""

    def make(context=0):
        return trained(KINDS[request.param](2, 2, [8], context=context, generator=stream), stream, 0.3)

    return make


@pytest.fixture
def flow(build):
    return build()


@pytest.fixture
def given(build):
    return build(3)


def test_shapes(given, stream):
    p = given(torch.randn(4, 5, 3, generator=stream))
    assert isinstance(p, torch.distributions.Distribution)
    assert (p.batch_shape, p.event_shape) == ((4, 5), (2,))
    assert p.sample().shape == (4, 5, 2)
    assert p.sample((7,)).shape == (7, 4, 5, 2)
    assert p.sample(torch.Size([6, 7])).shape == (6, 7, 4, 5, 2)
    assert p.log_prob(p.sample((7,))).shape == (7, 4, 5)
    assert given(torch.zeros(3)).sample((2,)).shape == (2, 2)
    assert given(torch.zeros(3)).batch_shape == ()


def test_log_prob_broadcasts_like_torch(given, stream):
    context, x = torch.randn(4, 3, generator=stream), torch.randn(6, 1, 2, generator=stream)
    value = given(context).log_prob(x)
    assert value.shape == (6, 4)
    expected = torch.stack([given.log_prob(x[:, 0], c.expand(6, 3)) for c in context], 1)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
    assert given(context).log_prob(torch.zeros(2)).shape == (4,)


def test_values_that_do_not_fit(given):
    p = given(torch.zeros(4, 3))
    for shape in ((3,), (4, 3), ()):
        with pytest.raises(ShapeError, match=r"end in \[2\]"):
            p.log_prob(torch.zeros(shape))
    with pytest.raises(ShapeError, match="broadcast"):
        p.log_prob(torch.zeros(5, 2))


def test_contexts_that_do_not_fit(flow, given):
    with pytest.raises(ArgumentError, match="takes a context"):
        given()
    with pytest.raises(ArgumentError, match="takes no context"):
        flow(torch.zeros(4, 3))
    with pytest.raises(ShapeError, match="context"):
        given(torch.zeros(4, 2))


def test_expand(given, flow, stream):
    context, x = torch.randn(4, 3, generator=stream), torch.randn(5, 4, 2, generator=stream)
    p = given(context)
    big = p.expand((5, 4))
    assert isinstance(big, FlowDistribution)
    assert big.batch_shape == (5, 4)
    assert big.flow is given
    torch.testing.assert_close(big.log_prob(x), p.log_prob(x))
    assert big.expand((2, 5, 4)).sample((3,)).shape == (3, 2, 5, 4, 2)
    assert flow().expand((6,)).log_prob(torch.zeros(2)).shape == (6,)
    assert flow().expand((6,)).sample().unique(dim=0).shape == (6, 2)  # independent, not repeated


def test_independent(given, stream):
    p, x = given(torch.randn(4, 3, generator=stream)), torch.randn(7, 4, 2, generator=stream)
    joint = Independent(p, 1)
    torch.testing.assert_close(joint.log_prob(x), p.log_prob(x).sum(1))
    assert joint.rsample((7,)).shape == (7, 4, 2)
    assert joint.has_rsample


def test_transformed_by_torch(flow, stream):
    p = TransformedDistribution(flow.double()(), [SigmoidTransform(), AffineTransform(1.0, 2.0)])
    x = p.sample((500,))
    assert bool(((x > 1) & (x < 3)).all())
    z = torch.logit((x - 1) / 2)
    slope = (2 * z.sigmoid() * (1 - z.sigmoid())).log().sum(1)
    torch.testing.assert_close(p.log_prob(x), flow.log_prob(z) - slope)
    mass = grid_mass(p.log_prob, constraints.independent(constraints.interval(1.0, 3.0), 1), x)
    assert mass.total == pytest.approx(1, abs=1e-3)


def test_mixture_of_flows(given, stream):
    p, x = given(torch.randn(4, 3, generator=stream)), torch.randn(9, 2, generator=stream)
    weights = torch.rand(4, generator=stream)
    mixture = MixtureSameFamily(Categorical(weights), p)
    expected = (p.log_prob(x.unsqueeze(1)) + (weights / weights.sum()).log()).logsumexp(1)
    torch.testing.assert_close(mixture.log_prob(x), expected)
    assert mixture.sample((11,)).shape == (11, 2)


def test_support(flow, stream):
    assert bool(flow().support.check(flow().sample((9,))).all())
    assert flow().support.event_dim == 1
    boxed = Flow(Chain([Logit(alpha=0.0), Affine(2)]), 2)()
    assert torch.equal(boxed.support.check(torch.tensor([[0.5, 0.5], [0.5, 1.5]])), torch.tensor([True, False]))


def test_rsample_and_log_prob_is_log_prob(given, stream):
    p = given(torch.randn(4, 3, generator=stream))
    x, log_prob = p.rsample_and_log_prob((6,), generator=stream)
    torch.testing.assert_close(p.log_prob(x), log_prob, rtol=1e-3, atol=1e-3)
    assert x.requires_grad
    assert log_prob.requires_grad
    assert torch.equal(p.sample((6,), generator=3), p.rsample((6,), generator=3).detach())


def test_gradients_of_rsample_and_its_density(given, stream):
    flow = given.double()
    context = torch.randn(4, 3, generator=stream, dtype=torch.float64, requires_grad=True)

    def elbo():
        x, log_prob = flow(context).rsample_and_log_prob((3,), generator=5)
        return (x.square().sum(-1) + log_prob).mean()

    check_gradient(elbo, [context, *flow.parameters()], what="rsample_and_log_prob", generator=stream)


def test_draws_without_gradient(given, stream):
    assert not given(torch.zeros(3, requires_grad=True)).sample().requires_grad
    assert given(torch.zeros(3, requires_grad=True)).rsample().requires_grad


def test_a_base_without_rsample_is_refused_by_name(stream):
    p = MAF(2, 2, [8], base=NormalMixture(2, 3, generator=stream), generator=stream)()
    assert not p.has_rsample
    assert p.sample((4,)).shape == (4, 2)
    for call in (p.rsample, p.rsample_and_log_prob):
        with pytest.raises(MissingCapability, match="NormalMixture has no rsample"):
            call((4,))


def test_randomness(given, stream):
    p = given(torch.randn(4, 3, generator=stream))
    for method in (p.sample, p.rsample, p.rsample_and_log_prob):
        check_random(lambda generator, method=method: method((6,), generator=generator), generator=stream)


def test_without_a_generator_it_follows_the_global_seed(flow):
    state = torch.get_rng_state()
    p = flow()
    torch.manual_seed(5)
    first, second = p.sample((3,)), p.sample((3,))
    torch.manual_seed(5)
    assert torch.equal(p.rsample((3,)).detach(), first)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_copies_are_equal_and_apart(given, copied, stream):
    p, x = given(torch.randn(4, 3, generator=stream)), torch.randn(4, 2, generator=stream)
    p.log_prob(x)
    other = copied(p)
    assert torch.equal(other.log_prob(x), p.log_prob(x))
    assert torch.equal(other.sample(generator=1), p.sample(generator=1))
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.1)
    assert not torch.equal(other.log_prob(x), p.log_prob(x))


def test_nothing_is_stale_after_a_step(given, stream):
    """The distribution holds the module: what it says follows the parameters."""
    context = torch.randn(8, 3, generator=stream)
    p, optimizer = given(context), torch.optim.SGD(given.parameters(), lr=0.1)
    x, log_prob = p.rsample_and_log_prob(generator=1)
    before = p.log_prob(x.detach())
    (-p.log_prob(x.detach())).mean().backward()
    optimizer.step()
    after = p.log_prob(x.detach())
    assert not torch.equal(before, after)
    torch.testing.assert_close(after, copy.deepcopy(given)(context).log_prob(x.detach()))
    again, log_prob = p.rsample_and_log_prob(generator=1)
    torch.testing.assert_close(p.log_prob(again), log_prob, rtol=1e-3, atol=1e-3)
    assert not torch.equal(again, x)


def test_it_moves_with_the_module(flow, stream):
    p = flow()
    assert p.sample((2,)).dtype == torch.float32
    flow.double()
    x = p.sample((5,), generator=stream)
    assert x.dtype == torch.float64
    assert p.log_prob(x).dtype == torch.float64


def test_no_rows(given, flow):
    assert flow().sample((0,)).shape == (0, 2)
    assert flow().log_prob(torch.zeros(0, 2)).shape == (0,)
    assert given(torch.zeros(0, 3)).sample().shape == (0, 2)


def test_repr_is_one_line(given):
    assert repr(given(torch.zeros(4, 3))) == f"FlowDistribution({type(given).__name__}, batch_shape=(4,))"


def test_kl_by_samples_of_a_flow_with_itself_moved(stream, alpha):
    """E_q[p / q] = 1 through the Distribution alone."""
    q, p = (trained(MAF(2, 2, [8], generator=0), 0, 0.3) for _ in range(2))
    with torch.no_grad():
        for parameter in p.parameters():
            parameter.mul_(1.02)
    x = q().sample((4000,), generator=stream)
    y = p().sample((4000,), generator=stream)
    gap = [torch.sigmoid(p().log_prob(v) - q().log_prob(v)).detach() for v in (x, y)]
    assert dg.testing.same_mean(gap[0], 1 - gap[1]) > alpha


@pytest.mark.gpu
def test_on_an_accelerator(given, stream):
    flow = given.cuda()
    p = flow(torch.zeros(4, 3, device="cuda"))
    x = p.sample((6,), generator=3)
    assert x.device.type == "cuda"
    assert torch.equal(x, p.sample((6,), generator=3))
    assert p.log_prob(x).device.type == "cuda"
    other = copy.deepcopy(flow).cpu()(torch.zeros(4, 3))
    torch.testing.assert_close(other.log_prob(x.cpu()), p.log_prob(x).cpu(), rtol=1e-3, atol=1e-3)
    with pytest.raises(ArgumentError, match="generator lives on"):
        p.sample(generator=torch.Generator())


@pytest.mark.parametrize("what", ["mean", "variance", "stddev", "entropy", "cdf", "icdf"])
def test_what_has_no_closed_form_says_how_to_estimate_it(what):
    """And the line that it gives is right: an affine flow is a Gaussian, of which all of them are known."""
    scale, shift = torch.tensor([2.0, 0.5]), torch.tensor([1.0, -1.0])
    affine = Affine(2)
    affine.load_state_dict({"shift": shift, "log_scale": scale.log()})
    p = Flow(affine, base=2)()
    truth = Independent(torch.distributions.Normal(shift, scale), 1)
    value = torch.tensor([1.5, -0.9]) if what == "cdf" else torch.tensor(0.5)
    ask = getattr(FlowDistribution, what)
    with pytest.raises(NotImplementedError, match=r"a flow has no .* in closed form") as caught:
        ask.fget(p) if isinstance(ask, property) else ask(p, *([value] if "cdf" in what else []))
    assert isinstance(caught.value, MissingCapability)
    setup, line = str(caught.value).partition("draws, ")[2].split(", by ")
    assert setup == "x = p.sample((10_000,), generator=0)"
    x = p.sample((10_000,), generator=0)
    got = eval(line.removesuffix(", column by column"), {"p": p, "x": x, "value": value})
    known = {
        "mean": (shift, scale / 100),
        "variance": (scale**2, scale**2 * 2**0.5 / 100),
        "stddev": (scale**2, scale**2 * 2**0.5 / 100),  # torch takes its root
        "entropy": (truth.entropy(), torch.tensor(0.01)),  # half a chi-square of 2: variance 1
        "cdf": (torch.distributions.Normal(shift, scale).cdf(value).prod().double(), torch.tensor(0.005)),
        "icdf": (shift, scale * (torch.pi / 2) ** 0.5 / 100),
    }
    expected, error = known[what]
    assert ((got - expected).abs() < 5 * error).all()
