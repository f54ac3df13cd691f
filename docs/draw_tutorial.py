"""Run the chapters of the tutorial, and write what their blocks print into them and what they draw beside them.

So a chapter's text, numbers and picture come from one run of the code that it shows.

    python docs/draw_tutorial.py                # all chapters
    python docs/draw_tutorial.py vae flows      # these
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs.pages import OUTPUT, agrees, printed  # noqa: E402  the reader of pages is that of the tests

IMAGES = ROOT / "docs" / "images" / "tutorial"
CHAPTERS = sorted(path.stem for path in (ROOT / "docs" / "tutorial").glob("*.md") if path.name != "index.md")


def redraw(page: Path) -> float:
    """Run one chapter, update its outputs and pictures, and return its CPU seconds."""
    text, begun = page.read_text(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for example, got in printed(text, page.name):
            if example.output is None or agrees(example.output, got):
                continue
            # the first output block behind the code is its own
            head, tail = text.split(example.code, 1)
            fence = f"```{OUTPUT}\n"
            tail = tail.replace(f"{fence}{example.output}```", f"{fence}{got}```", 1)
            text = head + example.code + tail
        for picture in Path(folder).glob("*.png"):
            IMAGES.mkdir(parents=True, exist_ok=True)
            Image.open(picture).convert("RGB").quantize(128).save(IMAGES / picture.name, optimize=True)  # a third
        os.chdir(ROOT)
    page.write_text(text)
    return time.process_time() - begun


if __name__ == "__main__":
    torch.set_num_threads(1)  # as in the tests
    for chapter in sys.argv[1:] or CHAPTERS:
        print(f"{chapter}: {redraw(ROOT / 'docs' / 'tutorial' / f'{chapter}.md'):.1f} CPU s")
