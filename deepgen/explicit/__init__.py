"""Explicit densities: models that say how probable an example is, exactly or up to a constant."""

from deepgen.explicit.autoregressive_flows import IAF, MAF
from deepgen.explicit.char_rnn import CharRNN
from deepgen.explicit.class_rbm import ClassRBM
from deepgen.explicit.conditional import UnitDistribution
from deepgen.explicit.coupling_flows import NICE, RealNVP
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.deep_nade import DeepNADE
from deepgen.explicit.dequantised import Dequantised
from deepgen.explicit.energy import EnergyModel
from deepgen.explicit.flow import Flow
from deepgen.explicit.gated_pixelcnn import GatedPixelCNN
from deepgen.explicit.gaussian import Gaussian
from deepgen.explicit.lattice import Ising, Potts
from deepgen.explicit.made import MADE
from deepgen.explicit.mean_field_network import MeanFieldNetwork
from deepgen.explicit.mixture import BernoulliMixture
from deepgen.explicit.nade import NADE
from deepgen.explicit.nsf import NSF
from deepgen.explicit.pixelcnn import PixelCNN
from deepgen.explicit.planar import PlanarFlow
from deepgen.explicit.pretraining import pretrain
from deepgen.explicit.product import Product
from deepgen.explicit.rbm import RBM
from deepgen.explicit.seq2seq import Seq2Seq
from deepgen.explicit.softmax import Softmax
from deepgen.explicit.stack import mirrored, rbm_stack
from deepgen.explicit.transformer import Transformer
from deepgen.explicit.units import Bernoulli, Spin, Units

__all__ = [
    "DBM",
    "DBN",
    "IAF",
    "MADE",
    "MAF",
    "NADE",
    "NICE",
    "NSF",
    "RBM",
    "Bernoulli",
    "BernoulliMixture",
    "CharRNN",
    "ClassRBM",
    "DeepNADE",
    "Dequantised",
    "EnergyModel",
    "Flow",
    "GatedPixelCNN",
    "Gaussian",
    "Ising",
    "MeanFieldNetwork",
    "PixelCNN",
    "PlanarFlow",
    "Potts",
    "Product",
    "RealNVP",
    "Seq2Seq",
    "Softmax",
    "Spin",
    "Transformer",
    "UnitDistribution",
    "Units",
    "mirrored",
    "pretrain",
    "rbm_stack",
]
