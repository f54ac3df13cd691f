"""What a model is trained towards: the one step that differs from method to method."""

from deepgen.objectives.chains import AdversarialChains, PersistentChains
from deepgen.objectives.contrastive import ContrastiveDivergence, PersistentCD
from deepgen.objectives.elbo import ELBO, IWAE
from deepgen.objectives.gradient_noise import GradientNoise, gradient_noise
from deepgen.objectives.likelihood import ExpectationMaximisation, MaximumLikelihood
from deepgen.objectives.mixing import AdversarialMixing
from deepgen.objectives.order_agnostic import OrderAgnostic
from deepgen.objectives.score import DenoisingScoreMatching
from deepgen.objectives.semi_supervised import SemiSupervisedELBO

__all__ = [
    "ELBO",
    "IWAE",
    "AdversarialChains",
    "AdversarialMixing",
    "ContrastiveDivergence",
    "DenoisingScoreMatching",
    "ExpectationMaximisation",
    "GradientNoise",
    "MaximumLikelihood",
    "OrderAgnostic",
    "PersistentCD",
    "PersistentChains",
    "SemiSupervisedELBO",
    "gradient_noise",
]
