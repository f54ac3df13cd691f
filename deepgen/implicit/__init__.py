"""Models whose density is not in closed form: what they draw passes through a network from a simpler law."""

from deepgen.implicit.conditions import Concatenated, Projected
from deepgen.implicit.dense import DenseNet
from deepgen.implicit.gan import GAN, Given

__all__ = [
    "GAN",
    "Concatenated",
    "DenseNet",
    "Given",
    "Projected",
]
