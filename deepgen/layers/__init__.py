"""Networks under the models: masked, coupling and residual nets, with initial weights from a generator."""

from deepgen.layers.linear import linear
from deepgen.layers.masked import MaskedNet
from deepgen.layers.mlp import MLP

__all__ = ["MLP", "MaskedNet", "linear"]
