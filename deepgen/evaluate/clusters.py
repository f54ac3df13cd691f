"""Do vectors group as the labels do? K-means on them, and how far its groups agree with given ones.

    AMI = (I(groups; labels) - E I) / (mean of both entropies - E I),       E over groups of the same sizes by chance

so that 0 is what chance gives, whatever the number of groups, and 1 is the same partition (Vinh, Epps & Bailey 2010).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from deepgen.errors import ShapeError, check_count
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.node_labels import node_vectors


def cluster_agreement(
    vectors: Any, labels: Any, *, groups: int | None = None, runs: int = 10, seed: int = 0
) -> Estimate:
    """Adjusted mutual information of k-means' groups with the labels, over runs of k-means.

    Args:
        vectors: ``[nodes, d]``.
        labels: one value for each, ``[nodes]``.
        groups: k; as many as there are labels by default.
        runs: of k-means, each from its own start, at least 2.
        seed: of the starts.

    Raises:
        ShapeError, SupportError: not as many labels as vectors, NaN or infinite vectors.
        ArgumentError: fewer than 2 runs or groups, more groups than vectors, or a seed beyond 0 to 2**32 - 1.

    >>> x = np.repeat(np.eye(3), 10, 0) + 0.01 * np.arange(90).reshape(30, 3) / 90
    >>> cluster_agreement(x, np.repeat(["a", "b", "c"], 10)).value
    1.0
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score

    check_count(2, runs=runs)
    check_count(0, 2**32 - 1, seed=seed)
    x, kinds = node_vectors(vectors), np.asarray(labels)
    if kinds.shape != (len(x),):
        raise ShapeError(f"labels must be one value for each of the {len(x)} vectors, got {list(kinds.shape)}")
    k = len(np.unique(kinds)) if groups is None else groups
    check_count(2, len(x), groups=k)
    found = []
    for run in range(runs):
        said = KMeans(k, n_init=1, random_state=np.random.RandomState([seed, run])).fit_predict(x)
        found.append(adjusted_mutual_info_score(kinds, said))
    values = torch.tensor(found, dtype=torch.float64)
    error = float(values.std()) / math.sqrt(runs)
    about = {"groups": k, "seed": seed}
    return Estimate(
        float(values.mean()), error, "unbiased", "adjusted mutual information, k-means", runs, unit="AMI",
        settings=about, each=values,
    )  # fmt: skip
