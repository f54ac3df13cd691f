"""deepgen: probabilistic generative modelling on PyTorch, with likelihoods that can be believed."""

from deepgen import errors, evaluate, explicit, random, samplers, typing
from deepgen.explicit import RBM

__version__ = "0.1.0"
__all__ = ["RBM", "errors", "evaluate", "explicit", "random", "samplers", "typing"]
