"""Likelihood and sample quality, each with its error and its side."""

from deepgen.evaluate.bound import importance_bound
from deepgen.evaluate.estimate import Bracket, Estimate, bits_per_dim
from deepgen.evaluate.importance import log_mean_exp
from deepgen.evaluate.likelihood import log_density, log_likelihood, log_partition
from deepgen.evaluate.plus_minus import plus_minus
from deepgen.evaluate.pseudo import pseudo_likelihood

__all__ = [
    "Bracket",
    "Estimate",
    "bits_per_dim",
    "importance_bound",
    "log_density",
    "log_likelihood",
    "log_mean_exp",
    "log_partition",
    "plus_minus",
    "pseudo_likelihood",
]
