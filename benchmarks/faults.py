"""What breaks, and what is lost then: files, disks, processes, numbers, two at once, hostile content, memory.

    python benchmarks/faults.py [--only files,disks,kills,...] [--tries 6] [--seed 0] [--out FILE]

Faults are drawn at random and made on purpose, on small data of its own. Each attempt is counted as

    survived     the work was done, or what was read is equal to the last bit
    failed       a typed error of one line (of a command: one line and status 2), and what was there before is whole
    LOST         anything else: other numbers where there is a checksum, a bare exception, a hang, a part of a file

Of what survived, "other values" are those of formats that have no checksum (text, .npy, idx), in which a flipped bit of
a number is another number and cannot be told. The exit status is 1 if anything is lost. For Linux: limits and signals.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import warnings
from pathlib import Path

import faults_disks as disks
import faults_files as files
import faults_numbers as numbers
import faults_processes as processes
import torch
from faults_common import Tally, fitted
from told import tell

KINDS = {
    "files": files.loaders,
    "disks": disks.disks,
    "kills": processes.kills,
    "workers": processes.workers,
    "nans": numbers.nans,
    "pairs": processes.pairs,
    "hostile": files.hostile,
    "memory": processes.memory,
}


def table(found: list[Tally]) -> list[str]:
    lines = [f"{'fault':32} {'tried':>6} {'survived':>9} {'failed in one line':>19} {'LOST':>5}   other values"]
    for each in found:
        other = f"{each.unsealed:6d}" if each.unsealed else ""
        line = f"{each.name:32} {each.tried:6d} {each.survived:9d} {each.failed:19d} {len(each.lost):5d}   {other}"
        lines.append(line.rstrip())
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"kinds, with commas between: {','.join(KINDS)}")
    parser.add_argument("--tries", type=int, default=6, help="of each kind of fault with each format or case")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; fresh by default")
    parser.add_argument("--out", type=Path, help="write the printed lines to this file too")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    chosen = options.only.split(",") if options.only else list(KINDS)
    if unknown := [name for name in chosen if name not in KINDS]:
        parser.error(f"no kind of fault {unknown[0]!r}: known are {', '.join(KINDS)}")
    fitted()  # imports what torch imports late, so that children have it
    found, begun = list[Tally](), time.monotonic()
    for name in chosen:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            found += KINDS[name](Path(place), random.Random(f"{seed} {name}"), options.tries)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    lost = [line for each in found for line in each.lost]
    lines = [*table(found), *(f"LOST {line}" for line in lost[:50])]
    tried = sum(each.tried for each in found)
    lines.append(
        f"{tried} faults, {len(lost)} lost; seed {seed}, {options.tries} tries, {time.monotonic() - begun:.0f} s, "
        f"torch {torch.__version__}"
    )
    tell(lines, options.out)
    return int(bool(lost))


if __name__ == "__main__":
    raise SystemExit(main())
