"""Columns of real values in which a density has no bound: constant, determined by others, or values repeated.

A constant one has no width to scale by either, which every network is trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from deepgen.cli.asking import rows_of
from deepgen.cli.values import column
from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.data import Data

REPEATED = 0.2  # share of the rows with one value in a column, above which a density may chase it
DISTINCT = 0.5  # different values in a column over rows, up to which it may chase them all: whole numbers, mostly
NAMED = 5  # columns at most of a dependence that is written out


def varying(name: str, data: Data, *, density: bool = True) -> Tensor:
    """The training rows of the model ``name``, unless a column is constant, or of a ``density`` they lie in a plane.

    There its likelihood has no bound. Of more columns than rows they always do: `caution` warns of that.
    """
    x = rows_of(data.train)
    if len(x) < 2:
        raise ArgumentError(f"{name} needs at least 2 training rows to see how wide the columns are, got {len(x)}")
    constant = (x == x[0]).all(0).nonzero().flatten().tolist()
    if constant:
        raise ArgumentError(
            f"{column(data, constant[0])} has the same value {float(x[0, constant[0]]):g} in all {len(x)} training "
            f"rows ({len(constant)} of {x.shape[1]} columns do): there is nothing in it to learn, and a density has no "
            "bound there, so leave it out"
        )
    involved = dependent(x) if density and len(x) > x.shape[1] else []
    if involved:
        *others, last = [column(data, index) for index in involved]
        named = " and ".join(others) if len(others) <= NAMED else f"{len(others)} other columns"
        raise ArgumentError(
            f"{last} is a linear function of {named} in all {len(x)} training rows: no density has a bound there, so "
            "leave it out"
        )
    return x


def dependent(x: Tensor) -> list[int]:
    """Columns of ``x`` of which the others determine the last; none if the rows fill the space.

    The combination of standardised columns that varies least is the last eigenvector of their correlation matrix. Its
    variance, the eigenvalue, counts as none where it is less than rounding the values to float32 makes by itself.
    """
    values = x.double()
    deviation = values.std(0, correction=0)
    standard = (values - values.mean(0)) / deviation
    eigenvalues, vectors = torch.linalg.eigh(standard.t() @ standard / len(x))
    rounding = float((torch.finfo(torch.float32).eps * values.abs().amax(0) / deviation).square().max())
    rounding += x.shape[1] * torch.finfo(torch.float64).eps * float(eigenvalues[-1])  # of the eigenvalues themselves
    if x.shape[1] < 2 or float(eigenvalues[0]) > rounding:
        return []
    share = vectors[:, 0].abs()
    return (share > 1e-3 * share.max()).nonzero().flatten().tolist()  # in order: sums stand behind their terms


def caution(data: Data) -> str | None:
    """Say so if a density can rise as long as it is trained: fewer rows than columns, or values that come again."""
    x = rows_of(data.train)
    if len(x) <= x.shape[1]:
        return (
            f"{len(x)} training rows of {x.shape[1]} columns lie in a plane, where a density can rise without bound "
            "and the likelihood with it: take more rows, or fewer columns"
        )
    return None if len(x) < 2 / REPEATED else _repeated(data, x) or _stepped(data, x)


def _repeated(data: Data, x: Tensor) -> str | None:
    value = x.mode(0).values
    share = (x == value).double().mean(0)
    most = int(share.argmax())
    if float(share[most]) <= REPEATED:
        return None
    return (
        f"{column(data, most)} has the value {float(value[most]):g} in {float(share[most]):.0%} of the training "
        "rows, where a density can rise without bound and the likelihood with it: leave that column out, or add noise "
        "as wide as the step to the next value"
    )


def _stepped(data: Data, x: Tensor) -> str | None:
    different = [len(values.unique()) for values in x.t()]
    few = [index for index, count in enumerate(different) if count <= DISTINCT * len(x)]
    if not few:
        return None
    others = f" ({len(few)} of {x.shape[1]} columns are like that)" if len(few) > 1 else ""
    return (
        f"{column(data, few[0])} has only {different[few[0]]} different values in {len(x)} training rows{others}: a "
        "density can rise without bound at each, and the likelihood with it. Dequantise: add to each value a uniform "
        "number below the step to the next, 1 for whole numbers (the mean log p then lies below their "
        "log-probability), or store whole numbers 0 to 255 as a .npy of bytes, which flows dequantise by themselves"
    )
