"""Distributions that torch lacks, and the modules that hold a flow's base."""

from deepgen.distributions.base import NormalMixture, StandardNormal, StudentT
from deepgen.distributions.flow import FlowDistribution

__all__ = ["FlowDistribution", "NormalMixture", "StandardNormal", "StudentT"]
