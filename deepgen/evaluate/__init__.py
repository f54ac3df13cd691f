"""Likelihood and sample quality, each with its error and its side; and whether chains have mixed."""

from deepgen.evaluate.analogies import read_analogies, word_analogies
from deepgen.evaluate.attributes import AttributeEffect, attribute_effect, attribute_vectors, class_vectors
from deepgen.evaluate.bennett import bennett
from deepgen.evaluate.bound import importance_bound
from deepgen.evaluate.chains import autocorrelation_time, diagnose, ess, mcse, nested_rhat, rhat
from deepgen.evaluate.classifier_test import classifier_test
from deepgen.evaluate.clusters import cluster_agreement
from deepgen.evaluate.collapse import CollapseWarning, LatentUsage, WatchLatents, latent_usage
from deepgen.evaluate.density import log_density
from deepgen.evaluate.error_bars import plus_minus
from deepgen.evaluate.estimate import Bracket, Estimate, bits_per_dim
from deepgen.evaluate.features import DigitFeatures, digit_features
from deepgen.evaluate.frechet import frechet_distance, frechet_infinity, gaussian_frechet
from deepgen.evaluate.importance import log_mean_exp
from deepgen.evaluate.information import Information, mutual_information
from deepgen.evaluate.kernel_distance import kernel_distance
from deepgen.evaluate.latent import LikelihoodLadder, likelihood_ladder
from deepgen.evaluate.latent_ais import LatentAIS, latent_ais
from deepgen.evaluate.latent_bound import LatentBound, latent_bound
from deepgen.evaluate.latent_gap import BidirectionalGap, bidirectional_gap
from deepgen.evaluate.latent_units import ActiveUnits, active_units
from deepgen.evaluate.likelihood import log_likelihood, log_partition
from deepgen.evaluate.links import LinkSplit, hold_out_links, link_auc
from deepgen.evaluate.memorisation import memorisation_test
from deepgen.evaluate.mmd import mmd_test
from deepgen.evaluate.modes import Modes, mode_coverage, multinomial_kl
from deepgen.evaluate.node_labels import NodeLabels, classify_nodes
from deepgen.evaluate.pareto import pareto_k
from deepgen.evaluate.pseudo import pseudo_likelihood
from deepgen.evaluate.quality import Quality, sample_quality
from deepgen.evaluate.score import Score
from deepgen.evaluate.skipgram import skipgram_loss
from deepgen.evaluate.summary import Summary
from deepgen.evaluate.sums import Sums
from deepgen.evaluate.supports import Overlap, support_overlap

__all__ = [
    "ActiveUnits",
    "AttributeEffect",
    "BidirectionalGap",
    "Bracket",
    "CollapseWarning",
    "DigitFeatures",
    "Estimate",
    "Information",
    "LatentAIS",
    "LatentBound",
    "LatentUsage",
    "LikelihoodLadder",
    "LinkSplit",
    "Modes",
    "NodeLabels",
    "Overlap",
    "Quality",
    "Score",
    "Summary",
    "Sums",
    "WatchLatents",
    "active_units",
    "attribute_effect",
    "attribute_vectors",
    "autocorrelation_time",
    "bennett",
    "bidirectional_gap",
    "bits_per_dim",
    "class_vectors",
    "classifier_test",
    "classify_nodes",
    "cluster_agreement",
    "diagnose",
    "digit_features",
    "ess",
    "frechet_distance",
    "frechet_infinity",
    "gaussian_frechet",
    "hold_out_links",
    "importance_bound",
    "kernel_distance",
    "latent_ais",
    "latent_bound",
    "latent_usage",
    "likelihood_ladder",
    "link_auc",
    "log_density",
    "log_likelihood",
    "log_mean_exp",
    "log_partition",
    "mcse",
    "memorisation_test",
    "mmd_test",
    "mode_coverage",
    "multinomial_kl",
    "mutual_information",
    "nested_rhat",
    "pareto_k",
    "plus_minus",
    "pseudo_likelihood",
    "read_analogies",
    "rhat",
    "sample_quality",
    "skipgram_loss",
    "support_overlap",
    "word_analogies",
]
