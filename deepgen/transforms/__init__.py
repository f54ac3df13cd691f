"""Invertible maps with their log-determinants, both directions in one pass each: the parts that flows are built of."""

from deepgen.transforms.affine import Affine
from deepgen.transforms.autoregressive import Autoregressive
from deepgen.transforms.base import Chain, Cost, Inverse, Transform
from deepgen.transforms.coupling import Coupling
from deepgen.transforms.univariate import Scale, Shift, Univariate

__all__ = [
    "Affine",
    "Autoregressive",
    "Chain",
    "Cost",
    "Coupling",
    "Inverse",
    "Scale",
    "Shift",
    "Transform",
    "Univariate",
]
