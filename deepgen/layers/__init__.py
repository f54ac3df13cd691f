"""Networks under the models: masked, coupling and residual nets, with initial weights from a generator."""

from deepgen.layers.attention import CausalSelfAttention, KeyValueCache
from deepgen.layers.causal_conv import CausalConv
from deepgen.layers.dropout import dropout
from deepgen.layers.linear import linear
from deepgen.layers.masked import MaskedNet
from deepgen.layers.mlp import MLP
from deepgen.layers.recurrent import MultiplicativeLSTM, recurrent
from deepgen.layers.reshaped import Reshaped
from deepgen.layers.scalar import ScalarMLP
from deepgen.layers.standardised import Restored, Standardised

__all__ = [
    "MLP",
    "CausalConv",
    "CausalSelfAttention",
    "KeyValueCache",
    "MaskedNet",
    "MultiplicativeLSTM",
    "Reshaped",
    "Restored",
    "ScalarMLP",
    "Standardised",
    "dropout",
    "linear",
    "recurrent",
]
