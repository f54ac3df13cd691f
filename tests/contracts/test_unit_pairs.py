"""Every pair of unit layers against brute force over its own joint energy (see deepgen.testing.Exact)."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.testing import Exact, check_checkpoint, check_kernel, check_units, layout
from deepgen.testing.law import pairs
from tests.contracts.layers import LAYERS, PAIRS, Swapped, discrete, machine

pytestmark = pytest.mark.parametrize("pair", PAIRS)


def rows_of(rbm, stream, n=6):
    """Rows of the visible layer, any values it can take."""
    field = torch.randn(n, rbm.visible.width, generator=stream, dtype=rbm.weight.dtype)
    return rbm.visible.sample(field, generator=stream)


def test_free_energy_is_the_sum_over_the_hidden_layer(pair, stream):
    rbm = machine(pair, torch.float64)
    v = rows_of(rbm, stream)
    expected = Exact(rbm).log_density(v).detach()
    assert torch.allclose(-rbm.free_energy(v).detach(), expected, rtol=1e-10, atol=1e-10)
    assert torch.allclose(rbm.log_density(v).detach(), expected, rtol=1e-10, atol=1e-10)


def test_conditionals_are_the_joint_over_its_sum(pair, stream):
    rbm = machine(pair, torch.float64)
    v = rows_of(rbm, stream)
    h = rbm.hidden.sample(torch.randn(6, rbm.hidden.width, generator=stream).double(), generator=stream)
    joint = -rbm.energy(v, h)
    expected = joint - Exact(rbm).log_density(v)
    assert torch.allclose(rbm.hidden_given(v).log_prob(h), expected, rtol=1e-10, atol=1e-10)
    expected = joint - Exact(Swapped(rbm)).log_density(h)
    assert torch.allclose(rbm.visible_given(h).log_prob(v), expected, rtol=1e-10, atol=1e-10)


def quadrature(units):
    """Rows and log weights such that sums over rows are sums and integrals over the layer."""
    rows, real = layout(units)
    points = torch.arange(-11, 11.01, 0.3, dtype=torch.float64)  # ends and steps far beyond what precision 1 needs
    grid = torch.zeros(1, units.width, dtype=torch.float64)
    for column in real:
        line = torch.zeros(len(points), units.width, dtype=torch.float64)
        line[:, column] = points
        grid = (grid.unsqueeze(1) + line).flatten(0, 1)
    both = pairs(rows, grid)
    width = units.width
    return both[:, :width] + both[:, width:], len(real) * math.log(0.3)


def test_gradient_of_the_log_likelihood(pair, stream):
    """d log p(x) = -dF(x) + sum over v of p(v) dF(v), with dF of the model and p(v) by brute force."""
    rbm = machine(pair, torch.float64)
    x = rows_of(rbm, stream)
    exact = Exact(rbm)
    v, log_weight = quadrature(rbm.visible)
    with torch.no_grad():
        p = (exact.log_likelihood(v) + log_weight).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-8)
    surrogate = rbm.log_density(x).mean() - (p * rbm.log_density(v)).sum()
    surrogate.backward()
    for name, expected in exact.gradient(x).items():
        found = dict(rbm.named_parameters())[name].grad
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-7), name


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_gibbs_chains_stay_at_their_target(pair, beta, stream, alpha):
    rbm = machine(pair)
    exact = Exact(rbm, beta)
    law = exact.visible_law().p_values if discrete(rbm.visible) else None

    def draw(n, generator):
        return exact.sample(n, generator=generator)[0]

    kernel = rbm.gibbs(beta)
    check_kernel(kernel, draw, p_values=law, steps=5, reversible=True, alpha=alpha, generator=stream)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_clamped_chains_stay_at_theirs(pair, beta, stream, alpha):
    """Started at exact draws of all entries, clamped chains keep the joint law, and the clamped entries themselves."""
    rbm = machine(pair)
    exact = Exact(rbm, beta)
    law = exact.visible_law().p_values if discrete(rbm.visible) else None
    clamp = torch.zeros(rbm.visible.width, dtype=torch.bool)
    first = rbm.visible.parts[0].width if hasattr(rbm.visible, "parts") else 1
    clamp[:first] = True  # one unit, or a whole group
    kernel = rbm.gibbs(beta, clamp=clamp)

    def draw(n, generator):
        return exact.sample(n, generator=generator)[0]

    check_kernel(kernel, draw, p_values=law, steps=5, reversible=True, alpha=alpha, generator=stream)
    start = draw(200, stream)
    end = dg.samplers.advance(kernel, kernel.init(start), 5, generator=stream).position
    assert torch.equal(end[:, clamp], start[:, clamp])
    assert not torch.equal(end[:, ~clamp], start[:, ~clamp])


def test_completions_follow_the_conditional_law(pair, stream, alpha):
    """Hide entries of exact draws and complete them: the rows have the law of the model again."""
    rbm = machine(pair)
    exact = Exact(rbm)
    known = torch.zeros(rbm.visible.width, dtype=torch.bool)
    known[-1:] = True
    if isinstance(rbm.visible, dg.explicit.Product):
        known[-rbm.visible.parts[-1].width :] = True
    rows = exact.sample(4096, generator=stream)[0]
    hidden = torch.where(known, rows, torch.nan)
    found = rbm.conditional_sample(hidden, known, steps=40, generator=stream)
    fresh = exact.sample(4096, generator=stream)[0]
    p = dg.testing.same_law(found, fresh, generator=stream)
    assert len(p) * min(p) > alpha


def test_exact_log_partition(pair):
    rbm = machine(pair, torch.float64)
    if discrete(rbm.visible) or discrete(rbm.hidden) or "mixed" not in pair:
        found = dg.evaluate.log_partition(rbm, "exact")
        assert found.side == "exact"
        assert found.value == pytest.approx(Exact(rbm).log_z.item(), rel=1e-11, abs=1e-11)
    else:
        with pytest.raises(MissingCapability):
            dg.evaluate.log_partition(rbm, "exact")


def test_annealing_from_both_sides(pair, stream, alpha):
    """AIS and reverse AIS from exact draws, each within its own error of the truth; the interval holds it."""
    rbm = machine(pair)
    exact = Exact(rbm)
    samples = exact.sample(200, generator=stream)[0]
    found = dg.evaluate.log_partition(
        rbm, "bidirectional", samples=samples, exact_samples=True, chains=200, temperatures=60, generator=stream
    )
    truth = exact.log_z.item()
    assert (found.below.side, found.above.side) == ("below", "above")
    assert max(found.below.stderr, found.above.stderr) < 0.1
    for one in (found.below, found.above):
        low, high = one.interval(1 - 1e-9)  # far out, as log weights are not quite normal
        assert low - 1e-4 <= truth <= high + 1e-4


def test_saved_and_loaded_bit_for_bit(pair):
    check_checkpoint(machine(pair))


def test_promises_of_the_visible_layer(pair, stream, alpha):
    visible, hidden = pair.split("-")
    if visible == hidden:  # once per layer
        check_units(machine(pair).visible, alpha=alpha, generator=stream)
    assert visible in LAYERS
