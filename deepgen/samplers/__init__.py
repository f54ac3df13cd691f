"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.constant_rate import ConstantSGD, constant_sgd, optimal_preconditioner, optimal_rate
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.minibatch import Minibatches, Posterior
from deepgen.samplers.posterior import NetworkPosterior
from deepgen.samplers.random_walk import RandomWalk
from deepgen.samplers.rmsprop_langevin import RMSpropLangevin, psgld
from deepgen.samplers.stationary import lyapunov, stationary_covariance
from deepgen.samplers.stochastic_gradient import Polynomial, StochasticLangevin, sgld
from deepgen.samplers.stochastic_hamiltonian import StochasticHamiltonian, sghmc
from deepgen.samplers.target import Target, as_target

__all__ = [
    "EXACT",
    "Adaptive",
    "BlockGibbs",
    "ConstantSGD",
    "Exactness",
    "Hamiltonian",
    "Kernel",
    "KernelPath",
    "Langevin",
    "Metropolis",
    "Minibatches",
    "NetworkPosterior",
    "Path",
    "Polynomial",
    "Posterior",
    "Proposal",
    "RBMPath",
    "RMSpropLangevin",
    "RandomWalk",
    "StochasticHamiltonian",
    "StochasticLangevin",
    "Target",
    "Trace",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "constant_sgd",
    "hmc",
    "lyapunov",
    "mala",
    "metropolis",
    "optimal_preconditioner",
    "optimal_rate",
    "psgld",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "sghmc",
    "sgld",
    "stationary_covariance",
    "ula",
]
