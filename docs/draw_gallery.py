"""The pictures of ``docs/gallery.md`` and what it says that each example prints, both from a run of the example.

Each script runs in a folder of its own on one thread. A small copy of its picture goes to ``docs/images/gallery``; the
text block of the script's section is replaced by what was printed, with the CPU seconds taken in its title.

    python docs/draw_gallery.py             # all, one after the other; two want DEEPGEN_DATA
    python docs/draw_gallery.py rbm_digits karate_club
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
EXAMPLES, PICTURES, PAGE = DOCS.parent / "examples", DOCS / "images" / "gallery", DOCS / "gallery.md"
LIMIT = 60_000  # bytes of a picture
ARGUMENTS = {
    "families": ["--budget", "5m"],  # wall time, of which other work takes most on a busy machine
    "vae_manifold": ["--data", "mnist"],
}


def run(name: str, folder: Path) -> tuple[Path, str, float]:
    """The picture of an example run in ``folder``, what it printed, and its CPU seconds."""
    setting = {**os.environ, "PYTHONPATH": str(DOCS.parent), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *ARGUMENTS.get(name, ())],
        cwd=folder,
        env=setting,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{name}.py ended with {done.returncode}:\n{done.stderr[-2000:]}")
    (picture,) = (folder / "runs" / "examples").glob("*.png")
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return picture, done.stdout, seconds


def shrink(picture: Path, target: Path) -> int:
    """A copy of at most ``LIMIT`` bytes, as wide as that allows; its bytes."""
    with Image.open(picture) as image:
        full = image.convert("RGB")
    for width in range(min(1000, full.width), 200, -40):  # most are 1,000 wide, and small as they are
        small = full.resize((width, round(full.height * width / full.width)), Image.Resampling.LANCZOS)
        for colours in (256, 128, 64):  # by the range that they cover: few points of a colour keep it
            palette = small.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            palette.save(target, optimize=True)
            if target.stat().st_size < LIMIT:
                return target.stat().st_size
    raise SystemExit(f"{picture} does not fit into {LIMIT} bytes")


def tell(name: str, printed: str, seconds: float) -> None:
    """Put what was printed into the example's section of the page."""
    lines = [line.rstrip() for line in printed.splitlines() if "runs/examples" not in line]
    body = "\n".join(lines).strip("\n")
    block = f'```text title="{name}.py: {seconds:.0f} CPU s"\n{body}\n```'
    page, count = re.subn(rf'```text title="{name}\.py.*?\n```', lambda _: block, PAGE.read_text(), flags=re.S)
    if count != 1:
        raise SystemExit(f'{PAGE.name} needs one block ```text title="{name}.py"; it has {count}\n{block}')
    PAGE.write_text(page)


def main(names: list[str]) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in names or sorted(path.stem for path in EXAMPLES.glob("*.py")):
        with tempfile.TemporaryDirectory() as folder:
            picture, printed, seconds = run(name, Path(folder))
            size = shrink(picture, PICTURES / f"{name}.png")
        tell(name, printed, seconds)
        print(f"{name}: {seconds:.0f} CPU s, {size} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
