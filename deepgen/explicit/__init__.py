"""Explicit densities: models that say how probable an example is, exactly or up to a constant."""

from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli, Gaussian, Product, Softmax, Spin, UnitDistribution, Units

__all__ = ["RBM", "Bernoulli", "Gaussian", "Product", "Softmax", "Spin", "UnitDistribution", "Units"]
