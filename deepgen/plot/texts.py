"""The section of a report for texts: what the model writes beside held-out text, and the longest passage it copied."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor

from deepgen.plot import page

if TYPE_CHECKING:
    from deepgen.plot.html_report import Entry

_SHOWN = 800  # characters


def samples(entries: Sequence[Entry], train: Tensor | None, real: Tensor | None, alphabet: str) -> str:
    """Samples ``[n, T]`` of codes and held-out rows, decoded by ``alphabet``; empty where no entry has samples."""
    having = [(e.name, e.samples) for e in entries if e.samples is not None]
    if not having:
        return ""
    # the rows of a text follow one another
    texts = [] if real is None else [("Real text", ", held out of training", decoded(real.flatten(), alphabet))]
    texts += [(name, "", "\n\n".join(decoded(row, alphabet) for row in x)) for name, x in having]
    known = None if train is None else decoded(train.flatten(), alphabet)
    cards = []
    for name, what, text in texts:
        told = ""
        if known is not None:
            copied = longest_shared(text[:_SHOWN], known)
            told = f" Longest passage that is in the training text: {len(copied)} characters, “{escape(copied)}”."
        cards.append(page.figure(f"<pre>{escape(text[:_SHOWN])}</pre>", f"<b>{escape(name)}</b>{what}.{told}"))
    lead = (
        "<p>Words and punctuation come first, sense last if at all. A long passage that stands in the training text as "
        "it is may be copied from it: compare with how long such passages are in held-out text.</p>"
    )
    return f'{lead}<div class="cards wide">{"".join(cards)}</div>'


def decoded(codes: Tensor, alphabet: str) -> str:
    """Codes ``[T]`` as a text.

    >>> import torch
    >>> decoded(torch.tensor([1.0, 0.0, 1.0]), "ab")
    'bab'
    """
    return "".join(alphabet[int(code)] for code in codes.tolist())


def longest_shared(text: str, other: str) -> str:
    """The longest stretch of ``text`` that is found in ``other``; of several the first.

    >>> longest_shared("a cat sat", "the cat ran")
    ' cat '
    """
    best = ""
    for start in range(len(text)):
        while start + len(best) < len(text) and text[start : start + len(best) + 1] in other:
            best = text[start : start + len(best) + 1]
    return best
