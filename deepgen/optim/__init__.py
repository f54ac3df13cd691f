"""What `torch.optim` lacks: optimizers that descend, averages of weights, penalties, and optimizers that sample."""

from deepgen.optim.average import WeightAverage, average_checkpoints
from deepgen.optim.hamiltonian import SGHMC
from deepgen.optim.kfac import KFAC
from deepgen.optim.langevin import PSGLD, SGLD
from deepgen.optim.regularise import Clip, ElasticNet, weights
from deepgen.optim.rmsprop_nesterov import RMSpropNesterov
from deepgen.optim.schedules import InverseTimeLR

__all__ = [
    "KFAC",
    "PSGLD",
    "SGHMC",
    "SGLD",
    "Clip",
    "ElasticNet",
    "InverseTimeLR",
    "RMSpropNesterov",
    "WeightAverage",
    "average_checkpoints",
    "weights",
]
