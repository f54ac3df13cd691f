"""Models whose density is not in closed form: what they draw passes through a network from a simpler law."""

from deepgen.implicit.decoder import Decoder

__all__ = [
    "Decoder",
]
