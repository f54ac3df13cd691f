"""Markov kernels as pure functions, and the chains that repeat them."""

from deepgen.samplers.gibbs import BlockGibbs
from deepgen.samplers.kernel import EXACT, Exactness, Kernel, Trace, accept, advance, require_exact, sample_chain

__all__ = [
    "EXACT",
    "BlockGibbs",
    "Exactness",
    "Kernel",
    "Trace",
    "accept",
    "advance",
    "require_exact",
    "sample_chain",
]
