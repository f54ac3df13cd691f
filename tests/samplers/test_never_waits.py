"""No step of any kernel waits for the device: each runs where tensors have no numbers to wait for."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, constraints

import deepgen as dg
from deepgen import samplers
from deepgen.distributions import OneHotGroups
from deepgen.explicit import RBM, EnergyModel, Gaussian, Ising, Potts, Product, RealNVP, Softmax
from deepgen.layers import ScalarMLP
from deepgen.samplers import Block, Langevin, Target, metropolis
from deepgen.testing import CheckFailed, check_never_waits, never_waits

D = 3
FACTOR = torch.tensor([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.2, 2.0]])


def bowl(device):
    spread = torch.arange(1.0, D + 1).to(device)
    return lambda x: -(x / spread).square().flatten(1).sum(-1) / 2


def checked(law):
    """With torch's checks of values, which would wait; those of parameters, made once, meta has no numbers for."""
    law._validate_args = True
    return law


def law(device):
    """As a reader writes it, with torch's checks of values on."""
    return checked(MultivariateNormal(torch.zeros(D).to(device), scale_tril=FACTOR.to(device), validate_args=False))


def flow(device, base=None):
    return RealNVP(D, hidden=[8], base=base, generator=0).to(device)


def walk(device, step=1.0):
    return metropolis(bowl(device), samplers.RandomWalk(step))


def lumps(device):
    parts = checked(Normal(torch.zeros(2, D).to(device), torch.ones(2, D).to(device), validate_args=False))
    which = checked(Categorical(logits=torch.zeros(2).to(device), validate_args=False))
    return checked(MixtureSameFamily(which, checked(Independent(parts, 1)), validate_args=False))


def wide(device):
    parts = checked(Normal(torch.zeros(D).to(device), torch.ones(D).to(device), validate_args=False))
    return Target(bowl(device), reference=checked(Independent(parts, 1)))


def posterior(device, **options):
    rows = torch.linspace(-1, 1, 40).reshape(20, 2).to(device)
    prior = checked(Normal(torch.zeros(2).to(device)[0], torch.ones(2).to(device)[0], validate_args=False))
    whole = samplers.Posterior(prior, lambda x, y: -(y.sum(-1) - x.sum(-1, keepdim=True)).square(), rows)
    return whole.minibatches(4, **options)


def normal(mean):
    """Of a scale that is a tensor: torch would copy a number to the device."""
    return Normal(mean, torch.ones_like(mean), validate_args=False)


def energy(device, **options):
    return EnergyModel(ScalarMLP(D, generator=0), D, **options).to(device)


REALS = {
    "random walk": walk,
    "random walk, a step a chain": lambda d: walk(d, torch.linspace(0.5, 1, 5).to(d)),
    "random walk, dense": lambda d: metropolis(bowl(d), samplers.RandomWalk(1.0, FACTOR.to(d))),
    "mala": lambda d: samplers.mala(bowl(d), 0.5),
    "mala, dense": lambda d: metropolis(bowl(d), Langevin(0.5, FACTOR.to(d))),
    "mala, diagonal": lambda d: metropolis(bowl(d), Langevin(0.5, torch.ones(D).to(d))),
    "mala, a beta a chain": lambda d: samplers.mala(bowl(d), 0.5).at(torch.linspace(0, 1, 5).to(d)),
    "mala of a Distribution": lambda d: samplers.mala(law(d), 0.5),
    "mala of a flow": lambda d: samplers.mala(flow(d), 0.5),
    "mala towards a reference": lambda d: samplers.mala(wide(d), 0.5).at(torch.full((5,), 0.5).to(d)),
    "hmc": lambda d: samplers.hmc(bowl(d), 0.5, leaps=3),
    "hmc, dense": lambda d: metropolis(bowl(d), samplers.Hamiltonian(0.5, 2, FACTOR.to(d), 0.2)),
    "ula": lambda d: samplers.ula(bowl(d), 0.5),
    "independence, RealNVP": lambda d: samplers.independence(bowl(d), flow(d), ahead=2),
    "independence, none ahead": lambda d: metropolis(bowl(d), samplers.Independence(flow(d))),
    "independence, t": lambda d: samplers.independence(bowl(d), flow(d, dg.distributions.StudentT(D)), ahead=2),
    "independence, mixture": lambda d: samplers.independence(
        bowl(d), flow(d, dg.distributions.NormalMixture(D, generator=0)), ahead=2
    ),
    "independence, logistic": lambda d: samplers.independence(
        bowl(d), flow(d, dg.distributions.StandardLogistic(D)), ahead=2
    ),
    "independence, a mixture that is checked": lambda d: samplers.independence(bowl(d), lumps(d), ahead=2),
    "independence, a Distribution": lambda d: samplers.independence(bowl(d), law(d), ahead=2),
    "reversible": lambda d: metropolis(
        bowl(d), samplers.Reversible(samplers.velocity_couplings(D, dg.transforms.Scale, hidden=[8], generator=0).to(d))
    ),
    "involution": lambda d: metropolis(bowl(d), samplers.Involution(flow(d), 0.5)),
    "tempering": lambda d: samplers.tempering(samplers.mala(bowl(d), 0.5), [0.2, 0.5, 1.0], step_sizes=torch.ones(3)),
    "tempering, a reference": lambda d: samplers.tempering(samplers.mala(wide(d), 0.5), [0.0, 1.0]),
    "cycle": lambda d: samplers.cycle(samplers.mala(bowl(d), 0.5), walk(d)),
    "cycle with a flow": lambda d: samplers.cycle(
        samplers.mala(bowl(d), 0.5), samplers.independence(bowl(d), flow(d), ahead=2)
    ),
    "mixture": lambda d: samplers.mixture(samplers.hmc(bowl(d), 0.5), walk(d)),
    "cycle with tempering": lambda d: samplers.cycle(
        samplers.tempering(samplers.mala(bowl(d), 0.5), [0.5, 1.0]), walk(d)
    ),
    "thin": lambda d: samplers.thin(walk(d), 3),
    "gibbs": lambda d: samplers.gibbs([
        Block(0, lambda x: normal(x[:, 1])),
        Block([1, 2], lambda x: normal(x[:, :2])),
        Block(torch.tensor([True, False, True]), lambda x: normal(x[:, :2])),
    ]),
    "gibbs, random scan": lambda d: samplers.gibbs(
        [Block(slice(i, i + 1), lambda x: normal(x[:, :1])) for i in range(D)], scan="random"
    ),
    "energy model": lambda d: energy(d).kernel("mala", step_size=0.1),
    "energy model, base": lambda d: energy(d, base=dg.distributions.MultivariateNormal(D)).kernel("hmc", step_size=0.1),
    "energy model, a flow beside": lambda d: energy(d, proposal=flow("cpu")).kernel("mala", step_size=0.1),
    "sgld": lambda d: samplers.sgld(posterior(d), 1e-3),
    "sgld, a schedule": lambda d: samplers.sgld(posterior(d, common=True), samplers.Polynomial(0.1)),
    "sgld, whole gradient": lambda d: samplers.sgld(bowl(d), torch.full((5,), 0.1).to(d)),
    "sgld, control variate": lambda d: samplers.sgld(posterior(d, centre=torch.zeros(D).to(d)), 1e-3),
    "psgld": lambda d: samplers.psgld(posterior(d), 1e-3),
    "sghmc": lambda d: samplers.sghmc(posterior(d), 1e-3),
    "sghmc, noise known": lambda d: samplers.StochasticHamiltonian(posterior(d), 1e-3, 0.5, torch.ones(D).to(d)),
    "constant_sgd": lambda d: samplers.constant_sgd(posterior(d), 1e-3),
    "a network's posterior": lambda d: samplers.mala(
        samplers.NetworkPosterior(
            torch.nn.Linear(2, 1).to(d), lambda mean, y: -(y - mean.squeeze(-1)).square(),
            torch.ones(7, 2).to(d), torch.ones(7).to(d),
        ), 0.1,
    ),
}  # fmt: skip


def grid(d):
    return Ising((4, 4), 0.3, 0.1).to(d)


SPINS = {
    "checkerboard": lambda d: grid(d).gibbs(),
    "checkerboard, a beta a chain": lambda d: grid(d).gibbs(torch.linspace(0, 1, 5).to(d)),
    "gibbs with gradients": lambda d: samplers.gibbs_with_gradients(grid(d), flips=2),
    "dmala": lambda d: samplers.dmala(grid(d), 0.5),
    "dula": lambda d: samplers.dula(grid(d), 0.5),
    "tempering, checkerboard": lambda d: samplers.tempering(grid(d).gibbs(), [0.0, 0.5, 1.0]),
    "tempering, dmala": lambda d: samplers.tempering(samplers.dmala(grid(d), 0.5), [0.0, 0.5, 1.0]),
    "cycle, dmala and checkerboard": lambda d: samplers.cycle(samplers.dmala(grid(d), 0.5), grid(d).gibbs()),
}


def board(d):
    return Potts((4, 4), 3, 0.3).to(d)


STATES = {
    "checkerboard, Potts": lambda d: board(d).gibbs(),
    "gibbs with gradients, Potts": lambda d: samplers.gibbs_with_gradients(board(d)),
    "dmala, Potts": lambda d: samplers.dmala(board(d), 0.5),
    "dmala, integers": lambda d: samplers.dmala(
        lambda x: -x.flatten(1).sum(1), 0.5, support=constraints.integer_interval(0, 2)
    ),
}
BITS = {
    "flips": lambda d: samplers.flips(RBM(6, 4, generator=0).to(d)),
    "gibbs with gradients, binary": lambda d: samplers.gibbs_with_gradients(RBM(6, 4, generator=0).to(d)),
    "cycle, flips and gradients": lambda d: samplers.cycle(
        samplers.flips(RBM(6, 4, generator=0).to(d)), samplers.gibbs_with_gradients(RBM(6, 4, generator=0).to(d))
    ),
    "cycle, flips and dula": lambda d: samplers.cycle(
        samplers.flips(RBM(6, 4, generator=0).to(d)), samplers.dula(RBM(6, 4, generator=0).to(d), 0.5)
    ),
    "RBM": lambda d: RBM(6, 4, generator=0).to(d).gibbs(),
    "RBM, clamped": lambda d: samplers.BlockGibbs(RBM(6, 4, generator=0).to(d), clamp=(torch.arange(6) < 2).to(d)),
    "RBM, kinds of units": lambda d: RBM(Product(Softmax(3, 1), Gaussian(3)), 4, generator=0).to(d).gibbs(),
    "tempering, RBM": lambda d: samplers.tempering(RBM(6, 4, generator=0).to(d).gibbs(), [0.0, 0.5, 1.0]),
    "dmala, one-hot": lambda d: samplers.dmala(lambda x: x[:, :2].sum(1), 0.5, support=OneHotGroups(3)),
}
STARTS = (
    (REALS, torch.linspace(-1, 1, 15).reshape(5, D)),
    (SPINS, torch.ones(5, 4, 4)),
    (STATES, torch.ones(5, 4, 4)),
    (BITS, torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]).repeat(5, 1)),
)


@pytest.mark.parametrize(("build", "start"), [
    pytest.param(build, start, id=name) for table, start in STARTS for name, build in table.items()
])  # fmt: skip
def test_no_step_waits_for_the_device(build, start):
    check_never_waits(build, start)


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x.sum().item(),
        lambda x: 1 if (x > 0).all() else 2,
        lambda x: x[x > 0],
        lambda x: x.tolist(),
        lambda x: x[:, [0, 2]],
        lambda x: x.index_put((torch.zeros(1, dtype=torch.int64).to(x.device),), torch.zeros(3).to(x.device)),
        lambda x: x * torch.tensor([1.0, 2.0, 3.0], device=x.device),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.cpu(),
        lambda x: x.copy_(torch.zeros(5, 3)),
        lambda x: torch.as_tensor(0.5, device=x.device),
        lambda x: Normal(x, 1.0, validate_args=False),
    ],
)
def test_what_waits_is_seen(step):
    with pytest.raises(CheckFailed, match="waits for"), never_waits():
        step(torch.zeros(5, 3, device="meta"))


def test_errors_of_other_kinds_are_passed_on():
    with pytest.raises(RuntimeError, match="size of tensor"), never_waits():
        torch.zeros(2) + torch.zeros(3)
