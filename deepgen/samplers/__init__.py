"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.annealing import KernelPath, Path, RBMPath, anneal, rbm_path
from deepgen.samplers.chain import Trace, sample_chain
from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, accept, advance, require_exact

__all__ = [
    "EXACT",
    "BlockGibbs",
    "Exactness",
    "Kernel",
    "KernelPath",
    "Path",
    "RBMPath",
    "Trace",
    "accept",
    "advance",
    "anneal",
    "rbm_path",
    "require_exact",
    "sample_chain",
]
