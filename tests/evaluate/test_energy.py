"""log Z and likelihoods of energy models: annealing against closed forms, grids and enumeration."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.distributions import MultivariateNormal
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability
from deepgen.evaluate import log_likelihood, log_partition
from deepgen.evaluate.energy import energy_path
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP
from deepgen.samplers import KernelPath, TemperedPath, anneal, thin
from tests.energies import Quadratic, binary, grid_log_z, waves, wavy

REACH = 5.5  # stderrs: 4e-8 of normal estimates lie further off


def covers(found, truth, slack=0.02):
    """A bound may also lie on its own side, by little where the annealing is slow."""
    return abs(found.value - truth) < REACH * found.stderr + slack


def test_a_gaussian_in_closed_form(stream):
    """f = -w |x - c|^2 over N(0, 1) in D dimensions: log Z = -D/2 log(1 + 2w) - D w c^2 / (1 + 2w)."""
    w, c, features = 2.0, 1.0, 5
    model = EnergyModel(Quadratic(features, w, c), base=MultivariateNormal(features))
    truth = -features / 2 * math.log(1 + 2 * w) - features * w * c**2 / (1 + 2 * w)
    found = log_partition(model, "ais", temperatures=200, chains=400, generator=stream)
    assert (found.side, covers(found, truth)) == ("below", True)
    exact = torch.randn(400, features, generator=stream) / math.sqrt(1 + 2 * w) + 2 * w * c / (1 + 2 * w)
    found = log_partition(model, "reverse", temperatures=200, samples=exact, exact_samples=True, generator=stream)
    assert (found.side, covers(found, truth)) == ("above", True)


@pytest.mark.parametrize(("make", "temperatures"), [(wavy, "adaptive"), (waves, 150)])
def test_annealing_meets_the_grid_and_the_sides_turn_for_likelihoods(make, temperatures, stream):
    model = make()
    truth = grid_log_z(model)
    bracket = log_partition(model, temperatures=temperatures, generator=stream, chains=300)
    assert (bracket.below.side, bracket.above.side) == ("below", "undetermined")
    assert covers(bracket.below, truth)
    assert covers(bracket.above, truth)
    x = torch.randn(2000, 2, generator=stream)
    with torch.no_grad():  # draws of the law: of others, more likely under the annealed model, RAISE can lie above
        x = x[(model.log_density(x) + x.square().sum(1) / 2).softmax(0).multinomial(50, generator=stream)]
    likelihood = log_likelihood(model, x, "ais", temperatures=100, generator=stream, chains=300)
    with torch.no_grad():
        assert covers(likelihood, float(model.log_density(x).double().mean()) - truth)
    assert (likelihood.side, likelihood.unit) == ("above", "nats/example")
    bound = log_likelihood(model, x, "raise", temperatures=100, generator=stream)
    assert bound.side == "below"
    with torch.no_grad():
        assert bound.value < float(model.log_density(x).double().mean()) - truth + REACH * bound.stderr


def gaussian_and_its_log_z():
    return EnergyModel(Quadratic(4, 2.0, 0.7), base=MultivariateNormal(4)), -2 * math.log(5) - 4 * 2 * 0.49 / 5


def bits_and_their_log_z():
    model, states, _ = binary(8)
    with torch.no_grad():
        return model, float(model.log_density(states).double().logsumexp(0))


@pytest.mark.parametrize(
    ("make", "temperatures", "lost"), [(gaussian_and_its_log_z, 10, 0.02), (bits_and_their_log_z, 4, 0.1)]
)
def test_few_temperatures_stay_below_in_expectation(make, temperatures, lost, stream):
    """Weights are honest however hard the annealing is driven: their mean is Z, their mean log below log Z."""
    model, truth = make()
    path = energy_path(model, generator=stream)
    betas = torch.linspace(0, 1, temperatures, dtype=torch.float64)
    with torch.no_grad():
        start = path.init(path.start(20_000, generator=stream))
        _, log_weights = anneal(path, start, betas, generator=stream)
    ratio = (log_weights - truth).exp()
    error = float(ratio.std() / math.sqrt(len(ratio)))
    assert abs(float(ratio.mean()) - 1) < REACH * error
    assert error < 0.03
    assert float(log_weights.mean()) < truth - lost


def test_bits_by_enumeration(stream):
    model, _, _ = binary(6)
    exact = log_partition(model)
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
    with torch.no_grad():
        truth = float(model.log_density(states).double().logsumexp(0))
    assert exact.side == "exact"
    assert exact.value == pytest.approx(truth, abs=1e-9)
    assert covers(log_partition(model, "ais", temperatures=100, chains=300, generator=stream), truth)
    likelihood = log_likelihood(model, states)
    assert likelihood.side == "exact"
    with torch.no_grad():
        assert likelihood.value == pytest.approx(float(model.log_density(states).double().mean()) - truth, abs=1e-6)


def test_the_path_of_states_and_that_of_kernels_agree(stream):
    """`KernelPath`, which evaluates anew at each temperature, with the same moves."""
    model = waves()
    path = energy_path(model, generator=stream)

    def tempered(x, beta):
        return beta * model.tilt(x) + model.base().log_prob(x)

    other = KernelPath(tempered, path.at, lambda n, g: model.start(n, generator=g), 0.0)
    betas = torch.linspace(0, 1, 50, dtype=torch.float64)
    found = []
    for one in (path, other):
        with torch.no_grad():
            _, log_weights = anneal(one, one.init(one.start(2000, generator=stream)), betas, generator=stream)
        weights = log_weights.exp()
        found.append((float(weights.mean()), float(weights.std() / math.sqrt(2000))))
    (a, error_a), (b, error_b) = found
    assert abs(a - b) < REACH * math.hypot(error_a, error_b)
    assert error_a < 0.05 * a


def test_a_tuned_path_meets_its_aim_at_every_temperature(stream):
    model = EnergyModel(Quadratic(3, 50.0), base=MultivariateNormal(3))  # ten times narrower at the end
    path = energy_path(model, generator=stream)
    steps = torch.tensor(path.log_steps).exp()
    assert steps[0] / steps[-1] > 3
    for beta in (0.0, 0.5, 1.0):
        sd = 1 / math.sqrt(1 + 100 * beta)
        kernel = path.at(beta)
        state = kernel.init(sd * torch.randn(4000, 3, generator=stream))
        assert 0.5 < float(kernel.step(state, generator=stream)[1].acceptance.mean()) < 0.97


def test_moves_of_bits_are_tuned_and_few(stream):
    """At the end of the path, from exact draws: the aim of dmala, by the mean over ten moves."""
    model, states, log_p = binary(8)
    kernel = energy_path(model, generator=stream).at(1.0)
    assert kernel.steps == 10
    one, ten = (TemperedPath(thin(model.local_kernel("dmala", step_size=0.3), steps)) for steps in (1, 10))
    found = [path.tuned(generator=dg.random.generator(3)).log_steps for path in (one, ten)]
    assert found[0] == found[1]  # by single moves
    x = states[torch.multinomial(log_p.exp(), 4000, True, generator=stream)].float()
    assert 0.45 < float(kernel.step(kernel.init(x), generator=stream)[1].acceptance.mean()) < 0.7


def test_randomness(stream):
    model = wavy()

    def estimate(generator):
        found = log_partition(model, chains=10, temperatures=10, generator=generator)
        return [found.below.value, found.above.value]

    dg.testing.check_random(estimate, generator=stream)


def test_what_is_refused():
    bare, x = EnergyModel(ScalarMLP(2, [4], generator=0), 2), torch.zeros(3, 2)
    with pytest.raises(MissingCapability, match="no base"):
        log_partition(bare, generator=0)
    with pytest.raises(ArgumentError, match="binary rows"):
        log_partition(wavy(), "exact")
    with pytest.raises(ArgumentError, match="its own base"):
        log_partition(wavy(), base=x, generator=0)
    with pytest.raises(MissingCapability, match="pseudo"):
        log_likelihood(wavy(), x, "pseudo")
    with pytest.raises(MissingCapability, match="biased"):
        TemperedPath(wavy().kernel("ula", step_size=0.1))
    with pytest.raises(MissingCapability, match="reference"):
        TemperedPath(bare.kernel("mala", step_size=0.1))
    broken = wavy()
    with torch.no_grad():
        broken.net.last.weight.fill_(math.nan)
    with pytest.raises(DivergenceError, match="NaN"):
        log_partition(broken, generator=0)


def test_a_log_density_is_of_machines_and_their_rows():
    rbm = dg.RBM(4, 3, generator=0)
    with pytest.raises(dg.errors.ShapeError):
        dg.evaluate.log_density(rbm, torch.zeros(2, 5))
    for value in (math.nan, 0.5):
        with pytest.raises(dg.errors.SupportError):
            dg.evaluate.log_density(rbm, torch.full((2, 4), value))
    with pytest.raises(dg.errors.MissingCapability):
        dg.evaluate.log_density(dg.explicit.MAF(4, generator=0), torch.zeros(2, 4))
