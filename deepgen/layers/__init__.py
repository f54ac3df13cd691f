"""Networks under the models: masked, coupling and residual nets, with initial weights from a generator."""

from deepgen.layers.causal_conv import CausalConv
from deepgen.layers.linear import linear
from deepgen.layers.masked import MaskedNet
from deepgen.layers.mlp import MLP

__all__ = ["MLP", "CausalConv", "MaskedNet", "linear"]
