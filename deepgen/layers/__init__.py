"""Networks under the models, and layers that torch lacks, with initial weights from a generator."""

from deepgen.layers.adaline import Adaline
from deepgen.layers.additive_attention import AdditiveAttention
from deepgen.layers.attention import CausalSelfAttention, KeyValueCache
from deepgen.layers.causal_conv import CausalConv
from deepgen.layers.conv_decoder import ConvDecoder
from deepgen.layers.conv_encoder import ConvEncoder
from deepgen.layers.convolution import conv
from deepgen.layers.deep_recurrent import DeepRecurrent
from deepgen.layers.dense import Dense
from deepgen.layers.dense_block import DenseBlock, transition
from deepgen.layers.dropout import dropout
from deepgen.layers.inception import Inception
from deepgen.layers.initialisation import data_dependent, lsuv
from deepgen.layers.linear import linear
from deepgen.layers.masked import MaskedNet
from deepgen.layers.maxout import Maxout, maxout
from deepgen.layers.mlp import MLP
from deepgen.layers.p4_conv import P4Conv, p4_max_pool, p4_pool, p4_turn
from deepgen.layers.p4_encoder import P4Encoder
from deepgen.layers.perceptron import NotConverged, Perceptron, mistake_bound
from deepgen.layers.recurrent import MultiplicativeLSTM, recurrent
from deepgen.layers.reshaped import Reshaped
from deepgen.layers.residual import ResidualBlock
from deepgen.layers.scalar import ScalarMLP
from deepgen.layers.sparse import sparse_
from deepgen.layers.standardised import Restored, Standardised
from deepgen.layers.weight_constraints import MaxNorm, NonNegative, constrain
from deepgen.layers.whitening import Whitening

__all__ = [
    "MLP",
    "Adaline",
    "AdditiveAttention",
    "CausalConv",
    "CausalSelfAttention",
    "ConvDecoder",
    "ConvEncoder",
    "DeepRecurrent",
    "Dense",
    "DenseBlock",
    "Inception",
    "KeyValueCache",
    "MaskedNet",
    "MaxNorm",
    "Maxout",
    "MultiplicativeLSTM",
    "NonNegative",
    "NotConverged",
    "P4Conv",
    "P4Encoder",
    "Perceptron",
    "Reshaped",
    "ResidualBlock",
    "Restored",
    "ScalarMLP",
    "Standardised",
    "Whitening",
    "constrain",
    "conv",
    "data_dependent",
    "dropout",
    "linear",
    "lsuv",
    "maxout",
    "mistake_bound",
    "p4_max_pool",
    "p4_pool",
    "p4_turn",
    "recurrent",
    "sparse_",
    "transition",
]


def __getattr__(name: str) -> object:
    if name == "Seq2Seq":  # made of these layers, and a model: it lives with the others, which load the layers
        from deepgen.explicit.seq2seq import Seq2Seq

        return Seq2Seq
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
