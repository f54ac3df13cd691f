"""Data sets by name or from files, and the batches that training takes from them."""

from deepgen.data.batches import as_tensor, batches
from deepgen.data.named import load
from deepgen.data.redrawn import Redrawn
from deepgen.data.splits import Data, Splits, provenance

__all__ = ["Data", "Redrawn", "Splits", "as_tensor", "batches", "load", "provenance"]
