"""deepgen: probabilistic generative modelling on PyTorch, with likelihoods that can be believed."""

from deepgen import data, errors, evaluate, explicit, objectives, plot, random, samplers, train, typing
from deepgen.explicit import RBM
from deepgen.train import fit, load, load_weights, save

__version__ = "0.1.0"
__all__ = [
    "RBM",
    "data",
    "errors",
    "evaluate",
    "explicit",
    "fit",
    "load",
    "load_weights",
    "objectives",
    "plot",
    "random",
    "samplers",
    "save",
    "train",
    "typing",
]
