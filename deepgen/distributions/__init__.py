"""Distributions that torch lacks, and the modules that hold a model's base."""

from deepgen.distributions.base import NormalMixture, StandardLogistic, StandardNormal, StudentT
from deepgen.distributions.bits import IndependentBits
from deepgen.distributions.constraints import OneHotGroups, spin
from deepgen.distributions.flow import FlowDistribution
from deepgen.distributions.levels import DiscretisedLogisticMixture, LevelCategorical
from deepgen.distributions.logistic import Logistic
from deepgen.distributions.moments import IndependentBernoulli, MultivariateNormal

__all__ = [
    "DiscretisedLogisticMixture",
    "FlowDistribution",
    "IndependentBernoulli",
    "IndependentBits",
    "LevelCategorical",
    "Logistic",
    "MultivariateNormal",
    "NormalMixture",
    "OneHotGroups",
    "StandardLogistic",
    "StandardNormal",
    "StudentT",
    "spin",
]
