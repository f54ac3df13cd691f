"""Griffe extension: docstrings are written for the eye and for doctest; make Markdown read them the same way.

Doctest examples get a fence. Shapes side by side in prose, ``[rows, visible][visible, hidden]``, would be a link to
Markdown; their brackets are escaped.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# From a line that starts with ">>> " to the next empty line or the end.
_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)

# Code spans and indented blocks, which are left alone; or the brackets in question.
_SHAPES = re.compile(r"``.+?``|`[^`\n]+`|^ {4,}.*$|\]\[", re.M)


def escaped(text: str) -> str:
    """Escape ``][`` in prose."""
    return _SHAPES.sub(lambda m: "]\\[" if m[0] == "][" else m[0], text)


def fenced(text: str) -> str:
    """Put a fence around each doctest example that is not in one already."""
    if "```" in text:
        return text
    return _EXAMPLE.sub(lambda m: f"{m['indent']}```pycon\n{m[0]}\n{m['indent']}```", text)


class DoctestBlocks(griffe.Extension):
    """Rewrite every docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(escaped(obj.docstring.value))
