"""Griffe extension: show the doctest examples of docstrings as code blocks (Markdown knows only fences)."""

from __future__ import annotations

import re
from typing import Any

import griffe

# From a line that starts with ">>> " to the next empty line or the end.
_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)


def fenced(text: str) -> str:
    """Put a fence around each doctest example that is not in one already."""
    if "```" in text:
        return text
    return _EXAMPLE.sub(lambda m: f"{m['indent']}```pycon\n{m[0]}\n{m['indent']}```", text)


class DoctestBlocks(griffe.Extension):
    """Rewrite every docstring before it is rendered."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
