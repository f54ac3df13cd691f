"""One thread for small models: several would only wait for one another, on a busy machine a hundred times as long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 100_000  # weights; above it the matrix products are worth sharing out


@contextmanager
def fitting_threads(weights: int) -> Iterator[None]:
    """Use one thread where a model has few ``weights``, torch's own number otherwise, until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if weights < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
