"""What a benchmark has to say, printed and kept."""

from __future__ import annotations

from pathlib import Path


def tell(lines: list[str], path: Path | None) -> None:
    """Print ``lines``, and write them to ``path`` too if there is one."""
    text = "\n".join(lines)
    print(text)
    if path is not None:
        path.write_text(text + "\n")
