"""Likelihood and sample quality, each with its error and its side; and whether chains have mixed."""

from deepgen.evaluate.bound import importance_bound
from deepgen.evaluate.chains import diagnose, ess, mcse, nested_rhat, rhat
from deepgen.evaluate.estimate import Bracket, Estimate, bits_per_dim
from deepgen.evaluate.importance import log_mean_exp
from deepgen.evaluate.likelihood import log_density, log_likelihood, log_partition
from deepgen.evaluate.plus_minus import plus_minus
from deepgen.evaluate.pseudo import pseudo_likelihood
from deepgen.evaluate.summary import Summary
from deepgen.evaluate.sums import Sums

__all__ = [
    "Bracket",
    "Estimate",
    "Summary",
    "Sums",
    "bits_per_dim",
    "diagnose",
    "ess",
    "importance_bound",
    "log_density",
    "log_likelihood",
    "log_mean_exp",
    "log_partition",
    "mcse",
    "nested_rhat",
    "plus_minus",
    "pseudo_likelihood",
    "rhat",
]
