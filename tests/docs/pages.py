"""Reading documentation pages: the Python blocks in their order, and what the page says each of them prints."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A fence of any indentation (a block may stand inside an admonition), its info string, its body, its end.
_FENCE = re.compile(r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.M | re.S)
OUTPUT = 'text title="output"'


@dataclass(frozen=True)
class Block:
    """A fenced block: where it starts, its info string, its text without the fence's indentation."""

    line: int
    info: str
    text: str


@dataclass(frozen=True)
class Example:
    """A Python block, and the output that the page prints right after it (None when it prints none)."""

    line: int
    code: str
    output: str | None


def pages() -> list[Path]:
    """All pages whose code must run: the documentation and the two pages of the root folder with code in them."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return found + [path for name in ("README.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()]


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page, in order.

    >>> blocks("a\\n\\n```python\\nx = 1\\n```\\n")
    [Block(line=3, info='python', text='x = 1\\n')]
    """
    found = []
    for match in _FENCE.finditer(text):
        width = len(match["indent"])
        body = "".join(line[width:] if line.strip() else "\n" for line in match["body"].splitlines(keepends=True))
        found.append(Block(text.count("\n", 0, match.start()) + 1, match["info"].strip(), body))
    return found


def examples(text: str) -> list[Example]:
    """The Python blocks of a page, each with the output block that follows it directly."""
    found = blocks(text)
    result = []
    for block, following in zip_longest(found, found[1:]):
        if block.info.split()[:1] == ["python"]:
            output = following.text if following is not None and following.info == OUTPUT else None
            result.append(Example(block.line, block.text, output))
    return result


def commands(text: str) -> list[list[str]]:
    """The ``deepgen`` commands of a page's console blocks, split into words, continuation lines joined.

    >>> commands("```console\\n$ deepgen data list\\n$ make test\\n```\\n")
    [['data', 'list']]
    """
    found = []
    for block in blocks(text):
        if block.info.split()[:1] == ["console"]:
            for line in block.text.replace("\\\n", " ").splitlines():
                words = line.removeprefix("$ ").split("&&") if line.startswith("$ ") else []
                parts = [shlex.split(part, comments=True) for part in words]
                found += [part[1:] for part in parts if part[:1] == ["deepgen"]]
    return found
