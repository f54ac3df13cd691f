"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.alternating import AdaptiveAlternating, Alternating
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.checkerboard import Checkerboard
from deepgen.samplers.conditionals import Block, Gibbs, gibbs
from deepgen.samplers.discrete_langevin import DiscreteLangevin, UnadjustedDiscreteLangevin, dmala, dula
from deepgen.samplers.gradient_gibbs import GibbsWithGradients, gibbs_with_gradients
from deepgen.samplers.compose import cycle, mixture, thin
from deepgen.samplers.composed import Cycle, Mixture, Thinned
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.independence import Independence, IndependenceKernel, heaviest, independence
from deepgen.samplers.involution import Involution, Reversible, velocity_couplings
from deepgen.samplers.flips import Flip, flips
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.independence import Independence
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.random_walk import RandomWalk
from deepgen.samplers.replicas import Tempering
from deepgen.samplers.swaps import Ladder, ladder, log_partition
from deepgen.samplers.target import Target, as_target
from deepgen.samplers.temperature import Temperable
from deepgen.samplers.tempered_path import kernel_path
from deepgen.samplers.tempering import AdaptiveTempering, tempering
from deepgen.samplers.train_proposal import BreakEven, TrainedProposal, train_proposal
from deepgen.samplers.target_path import TargetPath

__all__ = [
    "EXACT",
    "Adaptive",
    "Block",
    "AdaptiveAlternating",
    "Alternating",
    "BlockGibbs",
    "Checkerboard",
    "DiscreteLangevin",
    "AdaptiveTempering",
    "BlockGibbs",
    "Cycle",
    "BreakEven",
    "Exactness",
    "Gibbs",
    "GibbsWithGradients",
    "Hamiltonian",
    "Independence",
    "IndependenceKernel",
    "Involution",
    "Flip",
    "Hamiltonian",
    "Independence",
    "Kernel",
    "KernelPath",
    "Ladder",
    "Langevin",
    "Metropolis",
    "Mixture",
    "Path",
    "Proposal",
    "RBMPath",
    "RandomWalk",
    "Reversible",
    "Target",
    "Temperable",
    "Tempering",
    "Thinned",
    "TargetPath",
    "Trace",
    "UnadjustedDiscreteLangevin",
    "TrainedProposal",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "dmala",
    "dula",
    "gibbs",
    "gibbs_with_gradients",
    "cycle",
    "flips",
    "hmc",
    "kernel_path",
    "ladder",
    "log_partition",
    "heaviest",
    "hmc",
    "independence",
    "mala",
    "metropolis",
    "mixture",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "tempering",
    "thin",
    "train_proposal",
    "ula",
    "velocity_couplings",
]
