"""What a model is trained towards: the one step that differs from method to method."""

from deepgen.objectives.contrastive import ContrastiveDivergence, PersistentCD
from deepgen.objectives.likelihood import ExpectationMaximisation, MaximumLikelihood

__all__ = ["ContrastiveDivergence", "ExpectationMaximisation", "MaximumLikelihood", "PersistentCD"]
