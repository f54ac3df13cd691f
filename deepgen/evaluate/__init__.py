"""Likelihood and sample quality, each with its error and its side."""

from deepgen.evaluate.estimate import Bracket, Estimate, bits_per_dim

__all__ = ["Bracket", "Estimate", "bits_per_dim"]
