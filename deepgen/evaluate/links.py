"""Links that were held out, told from pairs without one, by vectors of nodes.

    average    (x_u + x_v) / 2          hadamard   x_u * x_v          in_out    x_u . c_v + x_v . c_u, no classifier,
    l1         |x_u - x_v|              l2         (x_u - x_v)^2                c the context vectors of skip-gram

(Grover & Leskovec 2016, table 1; in_out is half the log odds that skip-gram itself was trained on.) Operators make
features of a pair, standardised, for a logistic regression that learns from one half of the pairs and judges the other,
and the other way round. The figure is the area under the ROC curve: how often a link scores higher than a pair without.

Uniform negatives reward whoever knows degrees, as both ends of most pairs have few links; ``matched`` ones are the ends
of the held-out links themselves, paired anew, and tell who knows more.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count, check_real, unknown_name
from deepgen.evaluate.estimate import Estimate
from deepgen.evaluate.node_labels import check_fit, node_vectors

Pairs = npt.NDArray[np.int64]
OPERATORS = ("average", "hadamard", "l1", "l2", "in_out")
TRIES = 1000  # draws of negatives before it is given up


class LinkSplit(NamedTuple):
    """Pairs of node numbers ``[n, 2]``: ``kept`` to train on, ``positive`` held out, ``negative`` without a link."""

    kept: Pairs
    positive: Pairs
    negative: Pairs


def hold_out_links(
    links: Any, nodes: int, *, share: float = 0.5, negatives: str = "uniform", seed: int = 0
) -> LinkSplit:
    """Hold out a share of the links, so that nodes which are connected stay so, and as many pairs without a link.

    Args:
        links: undirected, ``[m, 2]`` numbers of nodes below ``nodes``; loops and second copies are left out.
        nodes: how many nodes there are.
        share: of the links; those of one random spanning forest are never held out.
        negatives: ``uniform`` over all pairs without a link, or ``matched``: ends of held-out links, paired anew.
        seed: of the forest, the choice and the negatives.

    Raises:
        ShapeError, ArgumentError: no such links; a share beyond what a forest leaves; a graph too dense for negatives;
            a seed below 0.
        UnknownName: no such negatives.

    >>> ring = np.stack([np.arange(10), (np.arange(10) + 1) % 10], 1)
    >>> split = hold_out_links(ring, 10, share=0.1)
    >>> len(split.kept), len(split.positive), len(split.negative)
    (9, 1, 1)
    """
    if negatives not in ("uniform", "matched"):
        raise unknown_name("negatives", negatives, ("uniform", "matched"))
    check_real("share", share, 0, 1)
    check_count(0, seed=seed)
    links = _pairs(links, nodes)
    generator = np.random.default_rng([seed, 0])
    links = links[generator.permutation(len(links))]
    free = np.flatnonzero(~_forest(links, nodes))
    count = round(share * len(links))
    if not 0 < count <= len(free):
        raise ArgumentError(
            f"of {len(links)} links {len(links) - len(free)} hold the graph together, so that a share of at most "
            f"{len(free) / max(len(links), 1):.3g}, and at least one link, can be held out; got {share}"
        )
    held = np.zeros(len(links), dtype=bool)
    held[free[:count]] = True
    positive = links[held]
    return LinkSplit(links[~held], positive, _negatives(links, positive, nodes, negatives == "matched", generator))


def link_auc(
    vectors: Any,
    positive: Any,
    negative: Any,
    *,
    operator: str = "hadamard",
    context: Any = None,
    strength: float = 1.0,
    seed: int = 0,
) -> Estimate:
    """AUC with which an operator on vectors trained without them tells held-out links from pairs without one.

    Args:
        vectors: ``[nodes, d]``.
        positive, negative: pairs of node numbers, ``[n, 2]`` each, at least 4: see `hold_out_links`.
        operator: ``average``, ``hadamard``, ``l1``, ``l2`` or ``in_out``.
        context: the context vectors ``[nodes, d]``, for ``in_out``.
        strength: C of the logistic regression.
        seed: of the halves.

    Returns:
        An Estimate whose error is by choice of the pairs (DeLong, DeLong & Clarke-Pearson 1988), of given vectors.

    Raises:
        UnknownName: no such operator. MissingCapability: ``in_out`` without context vectors.
        ShapeError, ArgumentError: pairs of nodes that are not there, or too few; a strength or seed below 0.

    >>> x = np.repeat(np.eye(2), 20, 0) + 0.01 * np.arange(80).reshape(40, 2)  # two groups, linked within
    >>> inside, across = [np.stack([np.arange(20), end + np.arange(20) // 2], 1) for end in (10, 20)]
    >>> link_auc(x, inside, across, operator="l2").value
    1.0
    """
    if operator not in OPERATORS:
        raise unknown_name("operator", operator, OPERATORS)
    check_fit(strength, seed)
    x = node_vectors(vectors)
    pairs = [_pairs(part, len(x), once=False) for part in (positive, negative)]
    if min(map(len, pairs)) < 4:
        raise ArgumentError(f"need at least 4 links and 4 pairs without one, got {len(pairs[0])} and {len(pairs[1])}")
    if operator == "in_out":
        if context is None:
            raise MissingCapability("in_out needs the context vectors of skip-gram: pass context=")
        c = node_vectors(context)
        if c.shape != x.shape:
            raise ShapeError(f"context must be {list(x.shape)} as the vectors are, got {list(c.shape)}")
        found = [auc(*(np.einsum("nd,nd->n", x[a], c[b]) + np.einsum("nd,nd->n", x[b], c[a]) for a, b in
                       (part.T for part in pairs)))]  # fmt: skip
    else:
        found = _judged([_feature(x[part[:, 0]], x[part[:, 1]], operator) for part in pairs], strength, seed)
    value = sum(area for area, _ in found) / len(found)
    error = math.sqrt(sum(error**2 for _, error in found)) / len(found)
    about = {"operator": operator, "links": len(pairs[0]), "pairs without": len(pairs[1]), "C": strength, "seed": seed}
    return Estimate(value, error, "unbiased", f"AUC, {operator}", sum(map(len, pairs)), unit="AUC", settings=about)


def auc(high: npt.NDArray[np.float64], low: npt.NDArray[np.float64]) -> tuple[float, float]:
    """P(high > low) + P(equal) / 2 of two samples of scores, and its standard error by DeLong's components.

    >>> auc(np.array([1.0, 2.0, 3.0, 3.0]), np.array([0.0, 0.0, 0.0, 3.0]))[0]
    0.8125
    """
    below, above = (
        (_share(low, high, left=True) + _share(low, high)) / 2,
        (_share(high, low) + _share(high, low, True)) / 2,
    )
    spread = below.var(ddof=1) / len(high) + above.var(ddof=1) / len(low)
    return float(below.mean()), math.sqrt(spread)


def _share(of: npt.NDArray[np.float64], at: npt.NDArray[np.float64], left: bool = False) -> npt.NDArray[np.float64]:
    """What part of ``of`` lies below each of ``at``, or, unless ``left``, below or at it."""
    found: npt.NDArray[np.float64] = np.searchsorted(np.sort(of), at, side="left" if left else "right") / len(of)
    return found


def _judged(features: list[npt.NDArray[np.float64]], strength: float, seed: int) -> list[tuple[float, float]]:
    from sklearn.linear_model import LogisticRegression

    halves = []
    for number, rows in enumerate(features):
        order = np.random.default_rng([seed, 1 + number]).permutation(len(rows))
        halves.append((rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]))
    found = []
    for mine, other in ((0, 1), (1, 0)):
        x = np.concatenate([half[mine] for half in halves])
        y = np.repeat([1, 0], [len(half[mine]) for half in halves])
        mean, scale = x.mean(0), x.std(0)
        scale[scale == 0] = 1.0
        fitted = LogisticRegression(C=strength, max_iter=1000).fit((x - mean) / scale, y)
        found.append(auc(*(fitted.decision_function((half[other] - mean) / scale) for half in halves)))
    return found


def _feature(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], operator: str) -> npt.NDArray[np.float64]:
    if operator == "average":
        return (u + v) / 2
    if operator == "hadamard":
        return u * v
    gap: npt.NDArray[np.float64] = np.abs(u - v)
    return gap if operator == "l1" else gap**2


def _pairs(links: Any, nodes: int, *, once: bool = True) -> Pairs:
    pairs = np.asarray(links)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ShapeError(f"pairs must be whole numbers [n, 2], got {pairs.dtype} {list(pairs.shape)}")
    if pairs.size and (pairs.min() < 0 or pairs.max() >= nodes):
        raise ArgumentError(f"pairs must be of nodes 0 to {nodes - 1}, got {pairs.min()} to {pairs.max()}")
    pairs = pairs.astype(np.int64)
    if once:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1)
        pairs = np.unique(pairs, axis=0)
    return pairs


def _forest(links: Pairs, nodes: int) -> npt.NDArray[np.bool_]:
    """Which links are in the spanning forest that takes them in their order, which is random."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    weight = np.arange(1, len(links) + 1, dtype=float)
    tree = minimum_spanning_tree(csr_array((weight, (links[:, 0], links[:, 1])), shape=(nodes, nodes)))
    inside = np.zeros(len(links), dtype=bool)
    inside[tree.data.astype(int) - 1] = True
    return inside


def _negatives(links: Pairs, positive: Pairs, nodes: int, matched: bool, generator: np.random.Generator) -> Pairs:
    known = set((links[:, 0] * nodes + links[:, 1]).tolist())
    found: list[tuple[int, int]] = []
    ends = positive.ravel()
    for _ in range(TRIES):
        wanted = len(positive) - len(found)
        if wanted == 0:
            return np.array(found, dtype=np.int64)
        drawn = generator.choice(ends, (wanted, 2)) if matched else generator.integers(nodes, size=(wanted, 2))
        for u, v in np.sort(drawn, 1).tolist():
            if u != v and u * nodes + v not in known:
                known.add(u * nodes + v)
                found.append((u, v))
    raise ArgumentError(
        f"found {len(found)} of {len(positive)} pairs without a link: the graph is too dense; hold out less"
    )
