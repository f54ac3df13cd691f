"""Likelihood and sample quality, each with its error and its side; and whether chains have mixed."""

from deepgen.evaluate.bound import importance_bound
from deepgen.evaluate.chains import diagnose, ess, mcse, nested_rhat, rhat
from deepgen.evaluate.estimate import Bracket, Estimate, bits_per_dim
from deepgen.evaluate.importance import log_mean_exp
from deepgen.evaluate.latent import LikelihoodLadder, likelihood_ladder
from deepgen.evaluate.latent_ais import BidirectionalGap, LatentAIS, bidirectional_gap, latent_ais
from deepgen.evaluate.latent_bound import LatentBound, latent_bound
from deepgen.evaluate.likelihood import log_density, log_likelihood, log_partition
from deepgen.evaluate.pareto import pareto_k
from deepgen.evaluate.plus_minus import plus_minus
from deepgen.evaluate.pseudo import pseudo_likelihood
from deepgen.evaluate.summary import Summary
from deepgen.evaluate.sums import Sums

__all__ = [
    "BidirectionalGap",
    "Bracket",
    "Estimate",
    "LatentAIS",
    "LatentBound",
    "LikelihoodLadder",
    "Summary",
    "Sums",
    "bidirectional_gap",
    "bits_per_dim",
    "diagnose",
    "ess",
    "importance_bound",
    "latent_ais",
    "latent_bound",
    "likelihood_ladder",
    "log_density",
    "log_likelihood",
    "log_mean_exp",
    "log_partition",
    "mcse",
    "nested_rhat",
    "pareto_k",
    "plus_minus",
    "pseudo_likelihood",
    "rhat",
]
