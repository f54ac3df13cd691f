"""Rows that are exact copies of others: counted, and said in words.

A copy is equal in every value, in the rows as they are and not in their features, so nothing is rounded. Of discrete
rows some come twice by chance, so beside the copies among the fakes stand those among real rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import torch
from torch import Tensor


def copies_in(rows: Tensor, base: Tensor) -> int:
    """How many of ``rows`` are rows of ``base`` too.

    >>> copies_in(torch.tensor([[0.0, 1.0], [2.0, 3.0], [2.0, 3.0]]), torch.tensor([[2.0, 3.0], [4.0, 5.0]]))
    2
    """
    known = set(_keys(base, rows))
    return sum(key in known for key in _keys(rows, base))


def twins_in(rows: Tensor) -> int:
    """How many of ``rows`` are equal to another one of them.

    >>> twins_in(torch.tensor([[0.0], [1.0], [1.0], [-0.0]]))
    4
    """
    return sum(number for number in Counter(_keys(rows, rows)).values() if number > 1)


def same_rows(real: Tensor, fake: Tensor) -> bool:
    """Whether ``fake`` are the rows of ``real``, in their order, or in another where chance cannot make that.

    It can where there are few different rows, so that more than half of them must differ.

    >>> x = torch.arange(6.0).view(3, 2)
    >>> same_rows(x, x.flip(0)), same_rows(x, x.flip(0) + 1)
    (True, False)
    >>> bits = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    >>> same_rows(bits, bits), same_rows(bits, bits.flip(0))
    (True, False)
    """
    if real.shape != fake.shape:
        return False
    ours, theirs = _keys(fake, real), _keys(real, fake)
    return ours == theirs or (2 * len(set(ours)) > len(ours) and Counter(ours) == Counter(theirs))


def within(real: Tensor, train: Tensor) -> bool:
    """Whether ``real`` are rows of ``train``: `same_rows`, or all among them, and more than half of them differ.

    >>> x = torch.arange(6.0).view(3, 2)
    >>> within(x[:2], x), within(x, x[:2]), within(torch.zeros(3, 1), torch.zeros(9, 1))
    (True, False, False)
    """
    ours = _keys(real, train)
    return same_rows(real, train) or (2 * len(set(ours)) > len(ours) and set(ours) <= set(_keys(train, real)))


def in_words(*, real: Tensor, fake: Tensor, train: Tensor | None = None) -> str:
    """How many fakes are copies of real rows, and of training rows; empty where none is.

    >>> x = torch.arange(20.0).view(10, 2)
    >>> in_words(real=x[:4], fake=x[3:8], train=x[6:])
    '1 of 5 fake rows is an exact copy of a real row (0 of 4 real rows have a twin); 2 of 5 of a training row ...'
    """
    of_real, of_train = copies_in(fake, real), 0 if train is None else copies_in(fake, train)
    said = []
    if of_real:
        twins = f"({twins_in(real):,} of {len(real):,} real rows have a twin)"
        said.append(f"{_verb(of_real, len(fake), 'real')} {twins}")
    if of_train and train is not None:
        known = f"(of the real rows {copies_in(real, train):,} of {len(real):,})"
        said.append(
            f"{of_train:,} of {len(fake):,} of a training row {known}"
            if said
            else f"{_verb(of_train, len(fake), 'training')} {known}"
        )
    return "; ".join(said)


def _verb(number: int, total: int, kind: str) -> str:
    what = f"is an exact copy of a {kind} row" if number == 1 else f"are exact copies of {kind} rows"
    return f"{number:,} of {total:,} fake rows {what}"


def _keys(rows: Tensor, beside: Tensor) -> list[bytes]:
    """A key of each row: equal for equal rows, -0 being 0, in the dtype that holds both."""
    x = rows.detach().flatten(1).to("cpu", torch.promote_types(rows.dtype, beside.dtype))
    x = x.to(torch.float32) if x.dtype in (torch.bfloat16, torch.float16) else x  # numpy has no bfloat16
    values = (x + 0 if x.is_floating_point() else x).contiguous().numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in values]
