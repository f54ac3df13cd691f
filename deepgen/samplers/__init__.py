"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.alternating import AdaptiveAlternating, Alternating
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.flips import Flip, flips
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.independence import Independence
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.random_walk import RandomWalk
from deepgen.samplers.target import Target, as_target
from deepgen.samplers.target_path import TargetPath

__all__ = [
    "EXACT",
    "Adaptive",
    "AdaptiveAlternating",
    "Alternating",
    "BlockGibbs",
    "Exactness",
    "Flip",
    "Hamiltonian",
    "Independence",
    "Kernel",
    "KernelPath",
    "Langevin",
    "Metropolis",
    "Path",
    "Proposal",
    "RBMPath",
    "RandomWalk",
    "Target",
    "TargetPath",
    "Trace",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "flips",
    "hmc",
    "mala",
    "metropolis",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "ula",
]
