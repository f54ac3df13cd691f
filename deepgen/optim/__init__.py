"""Optimizers that sample: what `torch.optim` lacks. Their iterates are draws, and not an optimum."""

from deepgen.optim.hamiltonian import SGHMC
from deepgen.optim.langevin import PSGLD, SGLD

__all__ = ["PSGLD", "SGHMC", "SGLD"]
