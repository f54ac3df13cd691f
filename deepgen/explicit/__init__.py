"""Explicit densities: models that say how probable an example is, exactly or up to a constant."""

from deepgen.explicit.conditional import UnitDistribution
from deepgen.explicit.gaussian import Gaussian
from deepgen.explicit.mixture import BernoulliMixture
from deepgen.explicit.product import Product
from deepgen.explicit.rbm import RBM
from deepgen.explicit.softmax import Softmax
from deepgen.explicit.units import Bernoulli, Spin, Units

__all__ = [
    "RBM",
    "Bernoulli",
    "BernoulliMixture",
    "Gaussian",
    "Product",
    "Softmax",
    "Spin",
    "UnitDistribution",
    "Units",
]
