"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.hamiltonian import Hamiltonian, hmc
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact
from deepgen.samplers.langevin import Langevin, UnadjustedLangevin, mala, ula
from deepgen.samplers.metropolis import Metropolis, Proposal, metropolis
from deepgen.samplers.random_walk import RandomWalk
from deepgen.samplers.replicas import Tempering
from deepgen.samplers.swaps import Ladder, ladder
from deepgen.samplers.target import Target, as_target
from deepgen.samplers.temperature import Temperable
from deepgen.samplers.tempering import AdaptiveTempering, tempering

__all__ = [
    "EXACT",
    "Adaptive",
    "AdaptiveTempering",
    "BlockGibbs",
    "Exactness",
    "Hamiltonian",
    "Kernel",
    "KernelPath",
    "Ladder",
    "Langevin",
    "Metropolis",
    "Path",
    "Proposal",
    "RBMPath",
    "RandomWalk",
    "Target",
    "Temperable",
    "Tempering",
    "Trace",
    "UnadjustedLangevin",
    "accept",
    "advance",
    "anneal",
    "as_target",
    "hmc",
    "ladder",
    "mala",
    "metropolis",
    "rbm_path",
    "require_exact",
    "sample_chain",
    "tempering",
    "ula",
]
