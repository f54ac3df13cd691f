"""Reading and running documentation pages: the Python blocks in their order, and what each of them should print."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# A fence of any indentation (a block may stand inside an admonition), its info string, its body, its end.
_FENCE = re.compile(r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.M | re.S)
OUTPUT = 'text title="output"'
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"(?<![\w.])[-\N{MINUS SIGN}]?\d+(?:\.(\d+))?(?:e([+-]?\d+))?(?![\w])")


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


def printed(text: str, name: str) -> list[tuple[Example, str]]:
    """Run the examples of a page in one namespace; each with what it printed."""
    namespace: dict[str, Any] = {"__name__": "__page__"}
    result = []
    for example in examples(text):
        # empty lines in front, so that a traceback shows the line of the page
        code = compile("\n" * example.line + example.code, name, "exec")
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            exec(code, namespace)
        result.append((example, stream.getvalue()))
    return result


def agrees(promised: str, got: str, units: int = 0) -> bool:
    """Whether an output is the promised one, its numbers to ``units`` of their last digit.

    Other machines round differently, so a number that was printed to two digits after the point may be off by 0.01 for
    each unit allowed. Words, and whole numbers of one digit, must be the same.

    >>> agrees("3 of 20: -1.25 nats", "3 of 21: -1.24 nats", units=1), agrees("3 of 20", "4 of 20", units=1)
    (True, False)
    >>> agrees("-1.25", "-1.24"), agrees("2e-05", "4e-05", units=1)
    (False, False)
    """
    if doctest.OutputChecker().check_output(promised, got, FLAGS):
        return True
    pairs = list(zip(NUMBER.finditer(promised), NUMBER.finditer(got), strict=False))
    near = all(_near(one, other, units) for one, other in pairs)
    return units > 0 and near and NUMBER.sub("#", promised).split() == NUMBER.sub("#", got).split()


def value(number: str) -> float:
    """A number of a text, which may have a typographical minus sign."""
    return float(number.replace("\N{MINUS SIGN}", "-"))


def _near(one: re.Match[str], other: re.Match[str], units: int) -> bool:
    if one[0] == other[0]:
        return True
    digits, power = one[1] or "", int(one[2] or 0)
    if not digits and not power and len(one[0].lstrip("-")) < 2:
        return False
    return abs(value(one[0]) - value(other[0])) < (units + 0.01) * 10.0 ** (power - len(digits))


def run(text: str, name: str, units: int = 0) -> None:
    """Run the examples of ``text`` in one namespace and compare what they print; numbers as in `agrees`."""
    for example, got in printed(text, name):
        if example.output is not None and not agrees(example.output, got, units):
            raise AssertionError(f"{name}:{example.line} says that it prints\n{example.output}\nbut it printed\n{got}")
