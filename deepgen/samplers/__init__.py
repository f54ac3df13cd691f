"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.checkerboard import Checkerboard
from deepgen.samplers.compose import cycle, mixture, thin
from deepgen.samplers.composed import Cycle, Mixture, Thinned
from deepgen.samplers.conditionals import Block, Gibbs, gibbs
from deepgen.samplers.constant_rate import ConstantSGD, constant_sgd, optimal_preconditioner, optimal_rate
from deepgen.samplers.discrete_langevin import DiscreteLangevin, UnadjustedDiscreteLangevin, dmala, dula
from deepgen.samplers.flips import Flip, flips
from deepgen.samplers.gradient_gibbs import GibbsWithGradients, gibbs_with_gradients
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.independence import Independence, IndependenceKernel, heaviest, independence
from deepgen.samplers.involution import Involution, Reversible, velocity_couplings
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.minibatch import Minibatches, Posterior
from deepgen.samplers.posterior import NetworkPosterior
from deepgen.samplers.random_walk import RandomWalk, random_walk
from deepgen.samplers.replicas import Tempering
from deepgen.samplers.rmsprop_langevin import RMSpropLangevin, psgld
from deepgen.samplers.stationary import lyapunov, stationary_covariance
from deepgen.samplers.stochastic_gradient import Polynomial, StochasticLangevin, sgld
from deepgen.samplers.stochastic_hamiltonian import StochasticHamiltonian, sghmc
from deepgen.samplers.swaps import Ladder, ladder
from deepgen.samplers.target import Target, as_target
from deepgen.samplers.temperature import Temperable
from deepgen.samplers.tempered_path import TemperedPath, kernel_path
from deepgen.samplers.tempering import AdaptiveTempering, tempering
from deepgen.samplers.train_proposal import BreakEven, TrainedProposal, train_proposal

__all__ = [
    "EXACT",
    "Adaptive",
    "AdaptiveTempering",
    "Block",
    "BlockGibbs",
    "BreakEven",
    "Checkerboard",
    "ConstantSGD",
    "Cycle",
    "DiscreteLangevin",
    "Exactness",
    "Flip",
    "Gibbs",
    "GibbsWithGradients",
    "Hamiltonian",
    "Independence",
    "IndependenceKernel",
    "Involution",
    "Kernel",
    "KernelPath",
    "Ladder",
    "Langevin",
    "Metropolis",
    "Minibatches",
    "Mixture",
    "NetworkPosterior",
    "Path",
    "Polynomial",
    "Posterior",
    "Proposal",
    "RBMPath",
    "RMSpropLangevin",
    "RandomWalk",
    "Reversible",
    "StochasticHamiltonian",
    "StochasticLangevin",
    "Target",
    "Temperable",
    "TemperedPath",
    "Tempering",
    "Thinned",
    "Trace",
    "TrainedProposal",
    "UnadjustedDiscreteLangevin",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "constant_sgd",
    "cycle",
    "dmala",
    "dula",
    "flips",
    "gibbs",
    "gibbs_with_gradients",
    "heaviest",
    "hmc",
    "independence",
    "kernel_path",
    "ladder",
    "lyapunov",
    "mala",
    "metropolis",
    "mixture",
    "optimal_preconditioner",
    "optimal_rate",
    "psgld",
    "random_walk",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "sghmc",
    "sgld",
    "stationary_covariance",
    "tempering",
    "thin",
    "train_proposal",
    "ula",
    "velocity_couplings",
]
