"""Labels of nodes from their vectors, by the protocol of the papers on embeddings.

Of the nodes that have a label a share is labelled, for each label a logistic regression is fitted to their vectors (one
against the rest, L2), and the others are judged by F1 = 2 TP / (2 TP + FP + FN):

    macro-F1    mean over labels of each label's F1, 0 where a label has neither true nor predicted nodes
    micro-F1    F1 of all pairs of node and label together

Which labels a node is given is not in most papers, and moves the figures more than most methods do:

    counts      the k most probable, where k is how many it has in truth (DeepWalk's scoring, and most replications)
    threshold   those of probability 0.5 and more

Sources: Perozzi, Al-Rfou & Skiena 2014, "DeepWalk", section 5; Grover & Leskovec 2016, "node2vec", section 4.3.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count, check_real, unknown_name
from deepgen.evaluate.estimate import Estimate

RULES = ("counts", "threshold")


class NodeLabels(NamedTuple):
    """Two Estimates over the splits, whose ``each`` are the splits' own values: ``macro`` and ``micro`` F1."""

    macro: Estimate
    micro: Estimate


def classify_nodes(
    vectors: Any,
    labels: Any,
    *,
    labelled: float = 0.5,
    splits: int = 10,
    rule: Literal["counts", "threshold"] = "counts",
    strength: float = 1.0,
    held_out: float = 0.0,
    seed: int = 0,
) -> NodeLabels:
    """Macro- and micro-F1 on nodes whose labels were not shown, over random splits.

    To choose settings, ``held_out`` judges a part of the nodes that were to be shown and leaves the others alone: the
    same split with ``held_out=0`` is then judged on labels that had no part in the choice.

    Args:
        vectors: ``[nodes, d]``, an array or a tensor.
        labels: ``[nodes, labels]`` of 0 and 1, dense or scipy.sparse, or one whole number a node, ``[nodes]``.
        labelled: share of the labelled nodes that is shown, between 0 and 1.
        splits: how many random splits, at least 2.
        rule: how many labels a node is given; see above.
        strength: C of scikit-learn's LogisticRegression: the weight of the data against L2.
        held_out: share of each split's labelled nodes that is judged in the place of its test nodes, below 1.
        seed: of the splits: the same seed gives the same splits whatever the vectors, so that methods can be paired.

    Returns:
        Estimates in F1. stderr is that of the choice of the splits, not of training the vectors again.

    Raises:
        ShapeError, SupportError: not as many labels as vectors, NaN or infinite vectors, labels that are not 0 or 1.
        UnknownName: no such rule.
        ArgumentError: shares that leave no node to show or to judge, fewer than 2 splits, a strength or seed below 0.

    >>> import deepgen as dg
    >>> kind = torch.arange(200) % 2
    >>> vectors = kind.unsqueeze(1) + 0.1 * dg.random.normal((200, 3), generator=dg.random.generator(0))
    >>> print(classify_nodes(vectors, kind).macro)
    1.00 ± 0 F1 (unbiased; macro-F1, 50 % labelled, counts known)
    """
    check_count(2, splits=splits)
    check_fit(strength, seed)
    if rule not in RULES:
        raise unknown_name("rule", rule, RULES)
    x, y = node_vectors(vectors), _labels(labels)
    if len(x) != len(y):
        raise ShapeError(f"labels must be [{len(x)}, labels], one row for each vector, got {list(y.shape)}")
    some = y.any(1)
    x, y = x[some], y[some]
    shown = round(labelled * len(x)) if 0 < labelled < 1 else 0
    if not 0 < shown < len(x):
        raise ArgumentError(
            f"labelled must be a share between 0 and 1 that leaves nodes to show and to judge, got {labelled} of "
            f"{len(x)} nodes with labels"
        )
    fitted = round((1 - held_out) * shown) if 0 <= held_out < 1 else 0
    if not 0 < fitted <= shown - (held_out != 0):
        raise ArgumentError(f"held_out must be a share of the {shown} labelled nodes that leaves some, got {held_out}")
    found = []
    for split in range(splits):
        order = np.random.default_rng([seed, split]).permutation(len(x))
        train, test = order[:fitted], order[fitted:shown] if held_out else order[shown:]
        scores = one_against_rest(x[train], y[train], x[test], strength)
        found.append(_f1(y[test], _chosen(scores, y[test], rule)))
    known = "counts known" if rule == "counts" else "threshold 0.5"
    if held_out:
        known += f", {100 * held_out:.3g} % of the labelled held out"
    about = {"labelled": labelled, "rule": rule, "C": strength, "held out": held_out, "seed": seed, "nodes": len(x),
             "labels": y.shape[1]}  # fmt: skip
    return NodeLabels(*(
        _over(np.array(values), f"{name}-F1, {100 * labelled:g} % labelled, {known}", about)
        for name, values in zip(("macro", "micro"), zip(*found, strict=True), strict=True)
    ))  # fmt: skip


def check_fit(strength: float, seed: int) -> None:
    """Raise `ArgumentError` unless a logistic regression can have this C, and splits this seed."""
    check_count(0, seed=seed)
    check_real("strength", strength, 0)
    if strength == 0:
        raise ArgumentError("strength must be above 0, where the data count for something")


def one_against_rest(
    train: npt.NDArray[Any], labels: npt.NDArray[np.bool_], test: npt.NDArray[Any], strength: float = 1.0
) -> npt.NDArray[np.float64]:
    """Log odds ``[test rows, labels]`` of a logistic regression for each label; without bound where all have one."""
    from sklearn.linear_model import LogisticRegression

    scores = np.empty((len(test), labels.shape[1]))
    for k, y in enumerate(labels.T):
        if y.all() or not y.any():
            scores[:, k] = math.inf if y.all() else -math.inf
            continue
        fitted = LogisticRegression(C=strength, solver="liblinear").fit(train, y)
        scores[:, k] = fitted.decision_function(test)
    return scores


def _chosen(scores: npt.NDArray[np.float64], y: npt.NDArray[np.bool_], rule: str) -> npt.NDArray[np.bool_]:
    if rule == "threshold":
        return scores >= 0
    rank = (-scores).argsort(1, kind="stable").argsort(1, kind="stable")
    chosen: npt.NDArray[np.bool_] = rank < y.sum(1, keepdims=True)
    return chosen


def _f1(truth: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> tuple[float, float]:
    right, wrong = (truth & said).sum(0), (truth ^ said).sum(0)
    each = 2 * right / np.maximum(2 * right + wrong, 1)
    return float(each.mean()), float(2 * right.sum() / max(2 * right.sum() + wrong.sum(), 1))


def _over(values: npt.NDArray[np.float64], method: str, settings: dict[str, Any]) -> Estimate:
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(
        float(values.mean()), error, "unbiased", method, len(values), unit="F1", settings=settings,
        each=torch.from_numpy(values),
    )  # fmt: skip


def node_vectors(vectors: Any) -> npt.NDArray[np.float64]:
    """``[nodes, d]`` as finite float64, or a typed error."""
    plain = vectors.detach().double().cpu() if isinstance(vectors, torch.Tensor) else vectors
    x = np.asarray(plain, dtype=np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise ShapeError(f"vectors must be [nodes, d], got {list(x.shape)}")
    if not np.isfinite(x).all():
        raise SupportError(f"vectors hold NaN or infinite values, first in row {np.argwhere(~np.isfinite(x))[0][0]}")
    return x


def _labels(labels: Any) -> npt.NDArray[np.bool_]:
    y = np.asarray(labels.todense() if hasattr(labels, "todense") else labels)
    if y.ndim == 1:
        if not (np.issubdtype(y.dtype, np.integer) or y.dtype == bool):
            raise SupportError(
                f"labels of one axis must be whole numbers, got {y.dtype}: number those that are names by "
                "np.unique(labels, return_inverse=True)[1]"
            )
        if len(classes := np.unique(y)) == 1:
            raise SupportError(f"all {len(y)} labels are {classes[0]}: there is nothing to tell apart")
        return y[:, None] == classes
    if y.ndim != 2 or 0 in y.shape:
        raise ShapeError(f"labels must be [nodes, labels] of 0 and 1, or [nodes] of whole numbers, got {list(y.shape)}")
    if not ((y == 0) | (y == 1)).all():
        raise SupportError("labels of two axes must be 0 or 1")
    return y.astype(bool)
