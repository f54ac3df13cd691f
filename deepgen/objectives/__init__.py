"""What a model is trained towards."""

from deepgen.objectives.likelihood import ExpectationMaximisation, MaximumLikelihood

__all__ = ["ExpectationMaximisation", "MaximumLikelihood"]
