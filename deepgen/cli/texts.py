"""What ``deepgen sample`` does for a model of characters: write as it draws."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deepgen.cli.values import encoded
from deepgen.data.files import replacing
from deepgen.errors import ArgumentError
from deepgen.random import generator

if TYPE_CHECKING:
    from deepgen.explicit.tokens import TokenModel

LENGTH = 500  # characters drawn unless said otherwise
RULE = "-" * 10  # between one text and the next


def write_texts(
    model: TokenModel,
    alphabet: str,
    n: int,
    out: Path | None,
    *,
    prompt: str,
    length: int,
    temperature: float,
    seed: int,
) -> None:
    """``n`` texts that begin with ``prompt``, into the file ``out`` or to stdout, each character when it is drawn."""
    if out is not None and out.suffix != ".txt":
        raise ArgumentError(f"the samples of a text go to a .txt file (or without --out to stdout), got {str(out)!r}")
    if not temperature > 0:
        raise ArgumentError(f"--temperature must be above 0, got {temperature}")
    stream, codes = generator(seed), encoded(prompt, alphabet)

    def pieces() -> Iterator[str]:
        for i in range(n):
            yield f"{RULE}\n{prompt}" if i else prompt
            for code in model.stream(codes, length, temperature=temperature, generator=stream):
                yield alphabet[code]
            yield "\n"

    if out is None:
        for piece in pieces():
            print(piece, end="", flush=sys.stdout.isatty())
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        file.write("".join(pieces()).encode())
