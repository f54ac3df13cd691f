"""Disks that refuse: what was written before is there afterwards, whole, and nothing beside it.

A write that raises nothing must have written all: what it left is read, and is what it leaves on a disk with room.
"""

from __future__ import annotations

import errno
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faults_common as common
import numpy as np
import torch
from faults_common import ROWS, Hang, Tally
from faults_files import EDGES, embeddings

import deepgen as dg
from deepgen.errors import DeepgenError
from deepgen.plot import image_grid
from deepgen.samplers import mala, sample_chain
from deepgen.train.store import read


def tree(place: Path) -> dict[str, bytes]:
    """All files below, locks apart."""
    return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != "run.lock"}


def dated(name: str) -> bool:
    """Whether a file has the time of its writing in it, or is a rest of a killed process."""
    return name.endswith((".gz", ".npz", ".partial"))


def contents(place: Path) -> dict[str, Any]:
    """All files below as bytes; where those have times in them, what is read from the file or its folder."""

    def found(name: str) -> Any:
        if name == "run/manifest.json":
            return common.weights(dg.load(place / "run"))
        if name.startswith("emb.") and dated(name):
            read = dg.Embeddings.load(place / name)
            return [read.tokens, read.vectors]
        if dated(name):
            with np.load(place / name) as arrays:
                return dict(arrays)
        return (place / name).read_bytes()

    return {name: found(name) for name in tree(place)}


def writers(place: Path) -> dict[str, Callable[[int], object]]:
    """What is written, as its first version and as its second."""

    def graph(which: int) -> None:
        dg.graphs.graph(EDGES.splitlines()[: 40 + 20 * which]).save(place / "graph")

    def chains(which: int) -> None:
        normal = mala(lambda x: -x.square().sum(-1) / 2, 0.5)
        sample_chain(normal, torch.zeros(3, 2), 40, out=place / "chains", generator=which, resume=False, progress=False)

    def vectors(end: str) -> Callable[[int], object]:
        emb = embeddings()
        made = [dg.Embeddings(emb.tokens, emb.vectors + which) for which in range(2)]
        return lambda which: made[which].save(place / f"emb.{end}")

    def drawn(end: str) -> Callable[[int], object]:
        from deepgen.cli.sample import write

        return lambda which: write(ROWS + which, place / f"drawn.{end}", None)

    def run(which: int) -> None:
        common.fitted(place / "run", model=common.machine(which, 40), resume=False)

    def page(which: int) -> None:
        dg.plot.figures.write(place / "page.html", b"page %d" % which * 2000)

    models = [common.machine(3, 40), common.machine(4, 40)]
    return {
        "model": lambda which: dg.save(models[which], place / "model"),
        "run": run,
        "chains": chains,
        "graph": graph,
        "figure": lambda which: dg.plot.figures.save(image_grid(ROWS[: 4 + 4 * which], (3, 4)), place / "a.png"),
        "page": page,
        **{f"embeddings {end}": vectors(end) for end in ("npz", "safetensors", "txt", "bin", "txt.gz")},
        **{f"samples {end}": drawn(end) for end in ("npy", "npz", "csv")},
    }


@contextmanager
def broken(function: str, fatal: int, code: int) -> Iterator[None]:
    """Inside the block call number ``fatal`` of ``os.function`` fails, and all after it."""
    real, calls = getattr(os, function), iter(range(10**6))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= fatal:
            raise OSError(code, os.strerror(code), str(arguments[0]))
        return real(*arguments, **named)

    setattr(os, function, call)
    try:
        yield
    finally:
        setattr(os, function, real)


def disks(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """A second version written over a first: the first or the second is there afterwards, whole, and nothing beside."""
    full, odd, shut = Tally("disk full while writing"), Tally("fsync, rename, mkdir refused"), Tally("no such place")
    for name, write in writers(place).items():
        write(0)
        first = tree(place)
        write(1)
        second = contents(place)
        largest = max(len(v) for k, v in tree(place).items() if first.get(k) != v)
        for attempt in range(tries):
            write(0)
            before = tree(place)
            most = dice.randrange(largest + largest // 10 + 2)
            with common.limited(resource.RLIMIT_FSIZE, most):
                _refused(full, f"{name} at byte {most}", place, before, write, second)
            function = ("fsync", "replace", "mkdir")[attempt % 3]
            code = dice.choice((errno.ENOSPC, errno.EROFS, errno.EIO))
            write(0)
            before = tree(place)
            with broken(function, dice.randrange(4), code):
                _refused(odd, f"{name}, {function}", place, before, write, second)
    below = place / "file"
    below.write_text("in the way")
    for name, write in writers(below).items():
        if name.startswith("samples"):  # by the command, which makes the folder first
            continue
        before = tree(place)
        _refused(shut, name, place, before, write)
    run = place / "run"
    for words in (
        ("report", run, "--out", below / "a.html"),
        ("sample", run, "--out", below / "a.npy"),
        ("train", "rbm", "--data", "digits", "--out", below / "run", "--epochs", 1, "--quiet"),
        ("train", "rbm", "--data", "digits", "--out", "/proc/self/run", "--epochs", 1, "--quiet"),
    ):
        status, said = common.shell(*words)
        good = common.one_line(status, said)
        shut.failed += good
        if not good:
            shut.lost.append(f"deepgen {words[0]}: status {status}: {said[-300:]!r}")
    return [full, odd, shut]


def _refused(
    tally: Tally,
    what: str,
    place: Path,
    before: dict[str, bytes],
    write: Callable[[int], object],
    second: dict[str, Any] | None = None,
) -> None:
    """Count one write, which may end well only if it leaves ``second``; without it, not at all."""
    error: BaseException | None = None
    try:
        with common.in_time():
            write(1)
    except (Exception, Hang) as raised:
        error = raised
    after = tree(place)
    beside = [
        n for n in after if n not in before and not n.rpartition("/")[2].startswith(("tensors-", "manifest.json"))
    ]
    # a graph under its old name, where not even that could be renamed back, is read from there
    beside = [n for n in beside if ".old/" not in n] + [n for n in after if "partial" in n]
    unharmed = all(after.get(n) == v for n, v in before.items() if "/" not in n) or error is None
    if beside and error is not None:
        tally.lost.append(f"{tally.name}: {what}: left {beside}")
    elif not unharmed:
        tally.lost.append(f"{tally.name}: {what}: what was there is gone ({error})")
    elif error is not None and not loads(place, before):
        tally.lost.append(f"{tally.name}: {what}: a folder is broken ({error})")
    elif error is None:
        tally.check(second is not None and _written(place, second), f"{what}: nothing was said, and not all is there")
    else:
        tally.refusal(error, what)


def _written(place: Path, second: dict[str, Any]) -> bool:
    """Whether all of ``second`` is there, to the last bit."""
    try:
        after = contents(place)
    except Exception:  # whatever a broken file comes to
        return False
    return all(name in after and common.same(after[name], value) for name, value in second.items())


def loads(place: Path, before: dict[str, bytes]) -> bool:
    """Whether every folder that was whole is."""
    try:
        for name in {n.split("/")[0] for n in before if "/" in n}:
            if name.endswith((".partial", ".old")):  # of a killed one
                continue
            if name == "graph":
                dg.graphs.Graph.open(place / name)
            else:
                read(place / name)
    except DeepgenError:
        return False
    return True
