"""Distributions that torch lacks, and the modules that hold a flow's base."""

from deepgen.distributions.base import NormalMixture, StandardLogistic, StandardNormal, StudentT
from deepgen.distributions.flow import FlowDistribution
from deepgen.distributions.logistic import Logistic

__all__ = ["FlowDistribution", "Logistic", "NormalMixture", "StandardLogistic", "StandardNormal", "StudentT"]
