"""Data sets by name."""

from __future__ import annotations

import os
from typing import Any

from deepgen.data.embedded import digits
from deepgen.data.prepare import Binarise, Dequantise, prepare
from deepgen.data.splits import Data
from deepgen.errors import unknown_name


def load(
    name_or_path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    binarise: Binarise | None = None,
    threshold: float = 0.5,
    dequantise: Dequantise | None = None,
    seed: int = 0,
    **options: Any,
) -> Data:
    """Load a data set by name or path.

    >>> data = load("digits")
    >>> data.train.shape, data.image_shape
    (torch.Size([1078, 64]), (8, 8))
    """
    if name_or_path != "digits":
        raise unknown_name("data set", name_or_path, ["digits"])
    source = "scikit-learn's load_digits (UCI optical recognition of handwritten digits)"
    return prepare(
        digits(), name="digits", source=source, binarise=binarise, threshold=threshold, dequantise=dequantise, seed=seed
    )
