"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.independence import Independence, IndependenceKernel, heaviest, independence
from deepgen.samplers.involution import Involution, Reversible, velocity_couplings
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.random_walk import RandomWalk
from deepgen.samplers.target import Target, as_target
from deepgen.samplers.train_proposal import BreakEven, TrainedProposal, train_proposal

__all__ = [
    "EXACT",
    "Adaptive",
    "BlockGibbs",
    "BreakEven",
    "Exactness",
    "Hamiltonian",
    "Independence",
    "IndependenceKernel",
    "Involution",
    "Kernel",
    "KernelPath",
    "Langevin",
    "Metropolis",
    "Path",
    "Proposal",
    "RBMPath",
    "RandomWalk",
    "Reversible",
    "Target",
    "Trace",
    "TrainedProposal",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "heaviest",
    "hmc",
    "independence",
    "mala",
    "metropolis",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "train_proposal",
    "ula",
    "velocity_couplings",
]
