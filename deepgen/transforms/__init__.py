"""Invertible maps with their log-determinants, both directions in one pass each: the parts that flows are built of."""

from deepgen.transforms.actnorm import ActNorm
from deepgen.transforms.affine import Affine, ContextAffine
from deepgen.transforms.autoregressive import Autoregressive
from deepgen.transforms.base import Chain, Cost, Inverse, Transform
from deepgen.transforms.coupling import Coupling
from deepgen.transforms.linear import LULinear
from deepgen.transforms.logit import Logit
from deepgen.transforms.permutation import Permutation
from deepgen.transforms.planar import Planar
from deepgen.transforms.radial import Radial
from deepgen.transforms.spline import Spline
from deepgen.transforms.univariate import Scale, Shift, Univariate

__all__ = [
    "ActNorm",
    "Affine",
    "Autoregressive",
    "Chain",
    "ContextAffine",
    "Cost",
    "Coupling",
    "Inverse",
    "LULinear",
    "Logit",
    "Permutation",
    "Planar",
    "Radial",
    "Scale",
    "Shift",
    "Spline",
    "Transform",
    "Univariate",
]
