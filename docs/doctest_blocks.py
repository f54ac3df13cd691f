"""Griffe extension: docstrings are written for the eye and for doctest; make Markdown read them the same way.

Doctest examples get a fence. In prose, shapes side by side (``[rows, visible][visible, hidden]``) would be a link to
Markdown, and a mean (``<h>``) a tag: both are escaped. A full name in backticks links to its entry where it has one.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# From a line that starts with ">>> " to the next empty line or the end.
_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*?(?=\n\s*\n|\Z)", re.M | re.S)

# Code spans and indented blocks, which are left alone but for full names; or the characters in question.
_PROSE = re.compile(r"``.+?``|`[^`\n]+`|^ {4,}.*$|\]\[|<(?=\w)", re.M)
_NAME = re.compile(r"`(deepgen(?:\.\w+)+)`")
_ESCAPES = {"][": "]\\[", "<": "&lt;"}


def escaped(text: str) -> str:
    """Escape what Markdown would take for its own in prose, and link full names."""

    def replace(match: re.Match[str]) -> str:
        name = _NAME.fullmatch(match[0])
        if name:
            return f'<autoref optional identifier="{name[1]}"><code>{name[1]}</code></autoref>'
        return _ESCAPES.get(match[0], match[0])

    return _PROSE.sub(replace, text)


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
