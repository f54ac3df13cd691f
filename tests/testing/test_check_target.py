"""check_target passes what is right and names what is not."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

import deepgen as dg
from deepgen.samplers import Target
from deepgen.samplers.target import power
from deepgen.testing import CheckFailed, check_target
from tests.samplers.targets import PRECISION, image, normal


def rows(*shape, stream, dtype=torch.float64):
    return torch.randn(20, *shape, generator=stream, dtype=dtype)


def standard(width):
    return Independent(Normal(torch.zeros(width).double(), torch.ones(width).double()), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_right_targets_pass(dtype, stream):
    x = rows(3, stream=stream, dtype=dtype)
    check_target(normal, x, generator=stream)
    check_target(Target(normal, lambda x: (normal(x), -x @ PRECISION.to(x))), x, generator=stream)
    check_target(image, rows(2, 2, 2, stream=stream, dtype=dtype), generator=stream)
    check_target(Normal(0.3, 2.0), rows(stream=stream, dtype=dtype), generator=stream)  # a row is a number
    flow = dg.explicit.RealNVP(3, hidden=[8], generator=0).to(dtype)
    check_target(flow, x, generator=stream)


def test_with_a_reference(stream):
    check_target(Target(normal, reference=standard(3)), rows(3, stream=stream), generator=stream)


def test_discrete_targets_have_no_gradient_to_check(stream):
    x = torch.randint(2, (20, 4), generator=stream).float()
    check_target(Independent(Bernoulli(torch.full((4,), 0.3)), 1), x, generator=stream)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (lambda x: -x.square() / 2, r"must be \[20\], got \[20, 3\]"),
        (lambda x: -(x - x.mean(0)).square().sum(-1), "depends on the rows beside it"),
        (lambda x: (x.detach() * x).sum(-1), "differences of values say"),
        (Target(normal, lambda x: (normal(x), -2 * x @ PRECISION)), "not that of log_density"),
        (Target(normal, lambda x: (2 * normal(x), -x @ PRECISION)), "another value than log_density"),
        (Target(normal, reference=standard(2)), "draws of the reference are"),
        (lambda x: x.log().sum(-1), "not finite at every row"),
    ],
)
def test_wrong_targets_are_named(target, what, stream):
    with pytest.raises(CheckFailed, match=what):
        check_target(target, rows(3, stream=stream), generator=stream)


def test_a_gradient_tempered_by_anotherpower_is_found(stream):
    class Hot(Target):
        def tempered_gradient(self, x, gradient, beta):
            return gradient

    with pytest.raises(CheckFailed, match="the gradient at beta"):
        check_target(Hot(normal), rows(3, stream=stream), generator=stream)


def scaled(factor, f=lambda x: -x.square().sum(-1) / 2):
    return Target(lambda x: f(x).detach(), lambda x: (f(x), factor * -x))  # without autograd, differences alone tell


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_factor_of_two_is_found_in_many_dimensions(dtype, stream):
    x = rows(784, stream=stream, dtype=dtype)
    check_target(scaled(1), x, generator=stream)
    for factor in (2, 0.5):
        with pytest.raises(CheckFailed, match="differences of values say"):
            check_target(scaled(factor), x, generator=stream)


def test_thepower_0_of_no_density_is_1():
    """0 times minus infinity: a chain at beta = 0 may stand where f is 0, and must be able to leave."""
    inf = torch.tensor([-torch.inf, -1.0])
    assert power(0.0, inf).tolist() == [0, 0]
    assert power(torch.tensor([0.0, 0.5]), inf).tolist() == [0, -0.5]
    target = Target(lambda x: x.log().sum(-1).nan_to_num(-torch.inf), reference=standard(1))
    kernel = dg.samplers.metropolis(target, dg.samplers.RandomWalk(1.0)).at(0.0)
    x = torch.tensor([[-1.0], [-2.0]], dtype=torch.float64)
    trace = dg.samplers.sample_chain(kernel, x, draws=20, generator=0)
    assert (trace.draws[-1] != x).all()
    assert not trace.info["nan"].any()
