"""One thread for all but large models: several would mostly wait for one another, on a busy machine a hundred times.

Measured as training steps on two cores that others used too: with two threads no model of up to 3 million weights was
quicker (RBM 784-500 took 1.3 to 1.6 times as long, a spline flow of two columns twice, a PixelCNN of 28 x 28 1.1 to 1.2
times), at 4.5 million an LSTM was by a fifth, at 12.6 million a MADE by a few per cent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LARGE = 4_000_000  # weights; from there on the matrix products are worth sharing out
CHOSEN = "OMP_NUM_THREADS"  # the environment variable by which a user says how many


@contextmanager
def fitting_threads(weights: int) -> Iterator[None]:
    """Until the block ends, use one thread where a model has few ``weights`` and torch's own number otherwise.

    A number that the environment variable ``OMP_NUM_THREADS`` names is the user's choice, and stands for any model.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if CHOSEN in os.environ or weights >= LARGE else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
