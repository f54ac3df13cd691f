"""The 8x8 digits that come with scikit-learn: real scans, always there, small enough for exact likelihoods.

1,797 test-set digits of "Optical recognition of handwritten digits" (Alpaydin & Kaynak 1998, UCI), 8x8 counts of ink
pixels from 0 to 16.
"""

from __future__ import annotations

from deepgen.data.prepare import Raw
from deepgen.data.splits import SPLIT_SEED, split_rows


def digits() -> Raw:
    """Read the digits and split them 60/20/20 by the permutation of seed 0 (1078, 359 and 360 rows)."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    parts = [part.numpy() for part in split_rows(len(images), (0.6, 0.2, 0.2))]
    return Raw(
        splits=(images[parts[0]], images[parts[1]], images[parts[2]]),
        kind="grey",
        levels=17,
        image_shape=(8, 8),
        labels=[classes[part] for part in parts],
        split="60/20/20 by a seeded permutation",
        split_seed=SPLIT_SEED,
        binarise="threshold",
    )
