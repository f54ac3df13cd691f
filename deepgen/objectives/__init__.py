"""What a model is trained towards: the one step that differs from method to method."""

from deepgen.objectives.adversarial import Adversarial
from deepgen.objectives.adversarial_losses import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from deepgen.objectives.adversarial_penalties import R1, R2, GradientPenalty
from deepgen.objectives.adversarial_watch import AdversarialWarning
from deepgen.objectives.chains import AdversarialChains, PersistentChains
from deepgen.objectives.coding_penalties import L1, Contraction, KLSparsity
from deepgen.objectives.contrastive import ContrastiveDivergence, PersistentCD
from deepgen.objectives.elbo import ELBO
from deepgen.objectives.equilibrium_watch import EquilibriumWarning
from deepgen.objectives.fast_weights import FastPersistentCD
from deepgen.objectives.gradient_noise import GradientNoise, gradient_noise
from deepgen.objectives.hybrid import Hybrid
from deepgen.objectives.incomplete import Incomplete
from deepgen.objectives.iwae import IWAE
from deepgen.objectives.layer_wise import LayerWise
from deepgen.objectives.likelihood import ExpectationMaximisation, MaximumLikelihood
from deepgen.objectives.mixing import AdversarialMixing
from deepgen.objectives.order_agnostic import OrderAgnostic
from deepgen.objectives.parallel_tempering import ParallelTempering
from deepgen.objectives.reconstruction import Reconstruction
from deepgen.objectives.score import DenoisingScoreMatching
from deepgen.objectives.semi_supervised import SemiSupervisedELBO
from deepgen.objectives.trajectory import TrajectoryTempering
from deepgen.objectives.up_down import UpDown

__all__ = [
    "ELBO",
    "IWAE",
    "L1",
    "R1",
    "R2",
    "Adversarial",
    "AdversarialChains",
    "AdversarialMixing",
    "AdversarialWarning",
    "Contraction",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "EquilibriumWarning",
    "ExpectationMaximisation",
    "FastPersistentCD",
    "GradientNoise",
    "GradientPenalty",
    "Hinge",
    "Hybrid",
    "Incomplete",
    "KLSparsity",
    "LayerWise",
    "LeastSquares",
    "MaximumLikelihood",
    "Minimax",
    "NonSaturating",
    "OrderAgnostic",
    "ParallelTempering",
    "PersistentCD",
    "PersistentChains",
    "Reconstruction",
    "Relativistic",
    "SemiSupervisedELBO",
    "TrajectoryTempering",
    "UpDown",
    "Wasserstein",
    "gradient_noise",
]
