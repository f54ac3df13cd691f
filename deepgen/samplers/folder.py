"""Runs of chains on the disk: taken up again they end in the same draws, bit for bit.

    manifest.json, tensors-*     how far the run is, its state, the tuned kernel's numbers and the streams' counters
    part-00000/, part-00001/     draws and Info since the save before, written once

A save writes the new part first and then the manifest, which says how many parts there are (see
`deepgen.train.store` for how each is made whole). Killed anywhere, the folder holds this save or the one before. What a
kernel is made of that is no number (functions, models) is not stored: it comes with the same call, and is recognised by
its classes and numbers, and by the log density of the saved positions.
"""

from __future__ import annotations

import dataclasses
import os
import time
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import CheckpointError
from deepgen.samplers.run import Run, Tunable
from deepgen.samplers.target import Target
from deepgen.streams import Streams

SECONDS = 30.0  # between saves
ANEW = "pass resume=False to start anew in its place, or another out="


class Folder:
    """Where a run is kept. ``settings`` are those that a run taken up again must share."""

    def __init__(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        self.path, self.settings = Path(path), settings
        self.parts, self.saved, self.last = 0, 0, time.monotonic()
        self.begun: dict[str, Any] | None = None

    def __str__(self) -> str:
        return str(self.path)

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.last >= SECONDS

    def save(self, run: Run) -> None:
        """Make what ``run`` is now the content."""
        from deepgen.train.store import write

        if run.kept > self.saved and run.draws is not None:
            rows = slice(self.saved, run.kept)
            info = {name: value[rows] for name, value in run.info.items()}
            content = {"kind": "draws", "from": self.saved, "draws": run.draws[rows], "info": info}
            write(self._part(self.parts), {**content, "settings": self.settings})
            self.parts, self.saved = self.parts + 1, run.kept
        self.begun = self.begun or counters(run.stream)
        tuned = isinstance(run.kernel, Tunable)
        head = {
            "kind": "chains",
            "settings": self.settings,
            "begun": self.begun,
            "step": run.step,
            "kept": run.kept,
            "parts": self.parts,
            "state": run.state,
            "stream": counters(run.stream),
            "kernel": None if tuned else numbers_of(run.kernel),
            "sums": None if run.sums is None else run.sums._asdict(),
        }
        write(self.path, head)
        self.last = time.monotonic()

    def restore(self, run: Run) -> bool:
        """Take ``run`` to where the folder's is; False if there is none.

        Raises:
            CheckpointError: damaged, or of another run; the message says what differs.
        """
        from deepgen.train.store import MANIFEST, malformed, read

        if not (self.path / MANIFEST).exists():
            return False
        head = read(self.path)
        with malformed(self.path):
            compare(head, "chains", self.settings, self.path)
            self._restore(head, run)
        return True

    def _restore(self, head: dict[str, Any], run: Run) -> None:
        from deepgen.evaluate.sums import Sums
        from deepgen.train.state import like

        self.begun = head["begun"]
        device = run.state.position.device
        rewind(run.stream, self.begun)
        frozen = not isinstance(run.kernel, Tunable) or head["kernel"] is None
        kernel = run.kernel if frozen else thawed(run.kernel, head["kernel"], device)
        if kernel is None:  # its parts cannot be put together from numbers, but its warm-up can be repeated
            run.tune(lambda: None)
            kernel = run.kernel
            if not same(numbers_of(kernel), head["kernel"]):
                raise CheckpointError(
                    f"{self.path} was tuned from other starting points, or for another target: {ANEW}"
                )
        run.kernel, run.state = kernel, like(run.state, head["state"])
        rewind(run.stream, head["stream"])
        self._check_target(run)
        if head["sums"] is not None:
            run.sums = _onto(Sums(**head["sums"]), device)
        if head["kept"] > run.plan.draws:
            raise CheckpointError(
                f"{self.path} holds {head['kept']} draws, and {run.plan.draws} were asked for: {ANEW}"
            )
        for number in range(head["parts"]):
            self._read_part(number, run)
        if run.plan.store and run.kept != head["kept"]:
            raise CheckpointError(f"{self.path} is incomplete: {head['kept']} draws were saved, {run.kept} are there")
        run.step, run.kept, self.parts, self.saved = head["step"], head["kept"], head["parts"], run.kept

    def _read_part(self, number: int, run: Run) -> None:
        from deepgen.train.store import read

        path = self._part(number)
        content = read(path)
        compare(content, "draws", self.settings, path)
        if content["from"] != run.kept:
            raise CheckpointError(f"{path} begins at draw {content['from']}, expected {run.kept}: it is of another run")
        draws, device = content["draws"], run.state.position.device
        if run.draws is None:
            run.draws = draws.new_empty(run.plan.draws, *draws.shape[1:], device=device)
        rows = slice(run.kept, run.kept + len(draws))
        run.draws[rows] = draws.to(device)
        for name, value in content["info"].items():
            room = run.info.setdefault(name, value.new_empty(run.plan.draws, *value.shape[1:], device=device))
            room[rows] = value.to(device)
        run.kept += len(draws)

    def _check_target(self, run: Run) -> None:
        """The log density of the saved positions must be what it was."""
        if not isinstance(getattr(run.state, "log_density", None), Tensor):
            return
        again = run.kernel.init(run.state.position)
        then, now = run.state.log_density, getattr(again, "log_density", None)
        if not isinstance(now, Tensor) or now.shape != then.shape:
            return
        if not torch.allclose(then, now, rtol=1e-3, atol=1e-2, equal_nan=True):
            raise CheckpointError(f"{self.path} holds chains of another target, with other log densities: {ANEW}")

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:05d}"


def claim(path: str | os.PathLike[str], settings: dict[str, Any], resume: bool) -> None:
    """Mark ``path`` as holding blocks of chains, each in a folder of its own, or check that it does.

    Raises:
        CheckpointError: it holds something else.
    """
    from deepgen.train.store import MANIFEST, malformed, read, write

    if resume and (Path(path) / MANIFEST).exists():
        content = read(path)
        with malformed(path):
            compare(content, "blocks", settings, Path(path))
    else:
        write(path, {"kind": "blocks", "settings": settings})


def _onto(tree: Any, device: torch.device) -> Any:
    """The sums on ``device``."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        if isinstance(value, dict):
            return {key: moved(item) for key, item in value.items()}
        return tuple(moved(item) for item in value) if isinstance(value, tuple) else value

    return type(tree)(*(moved(value) for value in tree))


def compare(content: dict[str, Any], kind: str, settings: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` unless ``content`` is of this kind and has these settings; None stands for any."""
    if content["kind"] != kind:
        raise CheckpointError(f"{path} holds a {content['kind']}, not a run of chains to go on with: {ANEW}")
    stored = content["settings"]
    differing = [
        {"kernel": "another kernel", "start": "other starting points"}.get(
            key, f"{key}: {stored.get(key)} there, {value} here"
        )
        for key, value in settings.items()
        if stored.get(key) != value and not (key == "stream" and value is None)
    ]
    if differing:
        raise CheckpointError(f"{path} holds chains with other settings ({'; '.join(differing)}): {ANEW}")


def counters(stream: Streams) -> dict[str, Any]:
    """Where a stream stands; with torch's own state, for kernels that draw from it directly."""
    return {"seed": stream.seed_key, "first": stream.first, "calls": stream.calls, "torch": stream.get_state()}


def rewind(stream: Streams, to: dict[str, Any]) -> None:
    """Set ``stream`` to where `counters` says."""
    stream.seed_key, stream.first, stream.calls = to["seed"], to["first"], to["calls"]
    stream.set_state(to["torch"])


def numbers_of(thing: Any, path: str = "") -> dict[str, Any]:
    """Classes and numbers of a kernel, by their place in the tree of its dataclasses.

    >>> from deepgen.samplers import mala
    >>> numbers_of(mala(lambda x: -x.square().sum(-1), 0.1))["proposal.step_size"]
    0.1
    """
    if isinstance(thing, nn.Module):
        return {path: digest(thing)}
    found: dict[str, Any] = {path: type(thing).__qualname__}
    if isinstance(thing, (list, tuple)) and not hasattr(thing, "_fields"):
        parts = {str(index): item for index, item in enumerate(thing)}
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, Target):
        parts = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.compare}
    else:
        parts = {}
    for name, value in parts.items():
        place = f"{path}.{name}" if path else name
        plain = value is None or isinstance(value, (bool, int, float, str, Tensor))
        found |= {place: value} if plain else numbers_of(value, place)
    return found


def thawed(kernel: Any, numbers: dict[str, Any], device: torch.device) -> Any:
    """The frozen kernel that has these numbers, made of the parts of ``kernel``; None if it cannot be made of them."""
    base = kernel.kernel if isinstance(kernel, Tunable) and hasattr(kernel, "kernel") else kernel
    try:
        made = _with(base, numbers, device)
    except TypeError:
        return None
    return made if same(numbers_of(made), numbers) else None


def _with(thing: Any, numbers: dict[str, Any], device: torch.device, path: str = "") -> Any:
    if isinstance(thing, Target) or not dataclasses.is_dataclass(thing) or isinstance(thing, type):
        return thing
    changed = {}
    for part in dataclasses.fields(thing):
        place, value = f"{path}.{part.name}" if path else part.name, getattr(thing, part.name)
        stored = numbers.get(place)
        if dataclasses.is_dataclass(value):
            changed[part.name] = _with(value, numbers, device, place)
        elif place in numbers and (stored is None or isinstance(stored, (bool, int, float, Tensor))):
            changed[part.name] = stored.to(device) if isinstance(stored, Tensor) else stored
    return dataclasses.replace(thing, **changed)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions by `numbers_of` agree to the last bit."""
    return digest(one) == digest(other)


def digest(value: Any) -> Any:
    """``value`` in a form that JSON keeps and that can be compared: tensors and models by a checksum."""
    if isinstance(value, Tensor):
        bits = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        return [str(value.dtype), list(value.shape), zlib.crc32(bits)]
    if isinstance(value, nn.Module):
        return {name: digest(tensor) for name, tensor in value.state_dict().items()}
    if isinstance(value, dict):
        return {key: digest(item) for key, item in value.items()}
    return value
