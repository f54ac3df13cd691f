"""Faults of files: every loader under damage, and checkpoints and archives made to harm."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import random
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faults_common as common
import numpy as np
import scipy.io
import torch
from faults_common import DAMAGE, ROWS, Hang, Tally

import deepgen as dg
from deepgen.errors import DeepgenError
from deepgen.samplers import mala, sample_chain
from deepgen.train.store import read, seal


class Form(NamedTuple):
    """A format: how it is written to a path, how it is read, and whether it has a checksum over all that matters."""

    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    sealed: bool


TABLE = "a,b,c\n" + "".join(f"{i},{i * i % 7}.5,{i % 3}\n" for i in range(40))
EDGES = "".join(f"{i} {(7 * i + 1) % 30} {i % 4 + 1}\n" for i in range(60))
TEXT = "to be or not to be that is the question\n" * 12
X = np.arange(60, dtype="<f4").reshape(15, 4) / 7


def idx() -> bytes:
    grey = (np.arange(5 * 4 * 4) * 37 % 256).astype("u1")
    return bytes([0, 0, 8, 3]) + struct.pack(">3I", 5, 4, 4) + grey.tobytes()


def embeddings() -> dg.Embeddings:
    return dg.Embeddings([f"w{i}" for i in range(15)], X - 4, X + 1, np.arange(15))


def data(path: Path) -> Any:
    found = dg.data.load(path)
    return [torch.as_tensor(split) for split in (found.train, found.valid, found.test)]


def vectors(path: Path) -> Any:
    found = dg.Embeddings.load(path)
    return [found.tokens, found.vectors, found.context, found.counts]


def graph(path: Path) -> Any:
    found = dg.graphs.graph(path)
    weights = None if found.weights is None else np.array(found.weights)
    return [list(found.nodes), np.array(found.indptr), np.array(found.indices), weights]


def words(path: Path) -> Any:
    found = dg.words.Corpus(path)
    return [found.vocabulary.tokens, *found.batches(0)]


def chains(path: Path) -> Any:
    return sample_chain(
        mala(lambda x: -x.square().sum(-1) / 2, 0.5), torch.zeros(3, 2), 8, out=path, generator=1, progress=False
    ).draws


def fit(path: Path) -> Any:
    return common.fitted(path)


def gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


FORMS: dict[str, Form] = {
    "model/": Form(lambda p: dg.save(common.machine(), p), dg.load, True),
    "run/": Form(fit, lambda p: dg.train.load_run(p).model, True),
    "resumed/": Form(fit, fit, True),
    "chains/": Form(chains, chains, True),
    "graph/": Form(lambda p: dg.graphs.graph(EDGES.splitlines()).save(p), graph, True),
    "x.npy": Form(lambda p: np.save(p, X), data, False),
    "x.npz": Form(lambda p: np.savez(p, x=X), data, True),
    "packed.npz": Form(lambda p: np.savez_compressed(p, x=X), data, True),
    "x.csv": Form(lambda p: p.write_text(TABLE), data, False),
    "x.csv.gz": Form(lambda p: p.write_bytes(gz(TABLE.encode())), data, True),
    "x.amat": Form(lambda p: np.savetxt(p, ROWS.numpy(), "%d"), data, False),
    "x.txt": Form(lambda p: p.write_text(TEXT), data, False),
    "x.idx": Form(lambda p: p.write_bytes(idx()), data, False),
    "x.idx.gz": Form(lambda p: p.write_bytes(gz(idx())), data, True),
    "plain.mat": Form(lambda p: scipy.io.savemat(p, {"x": X[:4]}), dg.data.read_mat, False),
    "zlib.mat": Form(lambda p: scipy.io.savemat(p, {"x": X[:4]}, do_compression=True), dg.data.read_mat, True),
    "edges.txt": Form(lambda p: p.write_text(EDGES), graph, False),
    "edges.txt.gz": Form(lambda p: p.write_bytes(gz(EDGES.encode())), graph, True),
    "corpus.txt": Form(lambda p: p.write_text(TEXT), words, False),
    "corpus.txt.gz": Form(lambda p: p.write_bytes(gz(TEXT.encode())), words, True),
    **{
        f"emb.{end}": Form(lambda p: embeddings().save(p), vectors, end in ("npz", "txt.gz", "bin.gz"))
        for end in ("npz", "safetensors", "txt", "txt.gz", "bin", "bin.gz")
    },
}


def loaders(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """Each format under each kind of damage, to one file of it."""
    found = [Tally(f"files: {kind}") for kind in DAMAGE]
    made = {name: place / name.rstrip("/") for name in FORMS}
    for name, form in FORMS.items():
        form.write(made[name])
    everything = [f for f in sorted(place.rglob("*")) if f.is_file() and f.stat().st_size]
    blobs = {f: f.read_bytes() for f in everything}
    for name, form in FORMS.items():
        path, good = made[name], form.read(made[name])
        files = [f for f in everything if (f == path or path in f.parents) and f.name != "run.lock"]
        for tally in found:
            for _ in range(tries):
                file = dice.choice(files)
                others = [blob for f, blob in blobs.items() if f.suffix != file.suffix]
                kind = tally.name.split()[-1]
                _attempt(tally, name, form, path, good, file, common.damaged(blobs[file], kind, dice, others))
                for each in files:  # a resumed run may have gone on from it
                    each.write_bytes(blobs[each])
    return found


def _attempt(tally: Tally, name: str, form: Form, path: Path, good: Any, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    what = f"{name} ({file.name})"
    try:
        with common.in_time():
            got = form.read(path)
    except (Exception, Hang) as error:
        tally.refusal(error, what)
        return
    equal = common.same(good, got)
    # a whole file in the place of another one is another file; in a folder the seal of the others tells
    sealed = form.sealed and (not tally.name.endswith("swap") or name.endswith("/"))
    tally.check(equal or not sealed, f"{what} came back as something else")
    tally.unsealed += not equal and not sealed


class Evil:
    """A pickle that writes a file when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def hostile(place: Path, dice: random.Random, tries: int) -> list[Tally]:
    """Each in a process with a GiB of memory to spare: a typed error, within the time, and no code of theirs runs."""
    tally, canary = Tally("hostile checkpoints"), place / "canary"
    attacks = {**_manifests(place), **_archives(place, canary)}
    for name, attack in attacks.items():

        def work(attack: Callable[[], object] = attack, name: str = name) -> int:
            resource.setrlimit(resource.RLIMIT_AS, (common.in_use() + 2**30, resource.RLIM_INFINITY))
            try:
                with common.in_time():
                    attack()
            except (Exception, Hang) as error:
                if isinstance(error, DeepgenError) and "\n" not in str(error):
                    return 0
                print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
                return 2
            return 1

        status = common.ended(common.child(work))
        if status == 0 and not canary.exists():
            tally.failed += 1
        else:
            why = {0: "code ran", 1: "was taken", 2: "no typed error"}.get(status, f"status {status}")
            tally.lost.append(f"hostile: {name}: {why}")
    return [tally]


def _manifests(place: Path) -> dict[str, Callable[[], object]]:
    """Checkpoints with a valid seal and content that is none."""
    good = place / "good"
    common.fitted(good)
    manifest = json.loads((good / "manifest.json").read_text())
    del manifest["checksum"]
    (tensors,) = manifest["files"]
    content = manifest["content"]
    assert read(good)["kind"] == "run"

    def model(rebuild: Any) -> dict[str, Any]:
        return {**manifest, "content": {**content, "model": {**content["model"], "rebuild": rebuild}}}

    def made(name: str, **arguments: Any) -> dict[str, Any]:
        return model({"class": name, "arguments": arguments})

    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    weight = next(iter(content["model"]["weights"].values()))
    strided = {**content["model"]["weights"], "weight": {**weight, "stride": [10**9, 10**9]}}
    facts = manifest["files"][tensors]
    cases: dict[str, Any] = {
        "a wide machine": made("explicit.RBM", visible=10**6, hidden=10**6),
        "a huge machine": made("explicit.RBM", visible=10**15, hidden=1),
        "a deep network": made("explicit.MADE", features=3, hidden=[2] * 10**5),
        "many features": made("explicit.MADE", features=10**9, hidden=[2]),
        "many components": made("explicit.BernoulliMixture", features=10**5, components=10**5),
        "many nested models": model({"class": "explicit.RBM", "arguments": deep}),
        "a class of torch": made("torch.nn.Linear", in_features=2, out_features=2),
        "a function": made("os.system", command=f"touch {place / 'canary'}"),
        "no arguments": made("explicit.RBM"),
        "extra arguments": made("explicit.RBM", visible=3, hidden=2, shell="ls"),
        "a zero": made("explicit.RBM", visible=12, hidden=0),
        "text for numbers": made("explicit.RBM", visible="12", hidden="5"),
        "no rebuild": model(7),
        "strides of terabytes": {**manifest, "content": {**content, "model": {**content["model"], "weights": strided}}},
        "a file outside": {**manifest, "files": {"../../etc/passwd": facts}},
        "an absolute file": {**manifest, "files": {"/etc/passwd": facts}},
        "the folder itself": {**manifest, "files": {"..": facts}},
        "a device": {**manifest, "files": {"tensors-0.safetensors": {"bytes": 0, "sha256": ""}}},
        "files without facts": {**manifest, "files": {tensors: None}},
        "no content": {**manifest, "content": None},
        "another kind": {**manifest, "content": {**content, "kind": {"$tensor": "weight"}}},
        "no history": {**manifest, "content": {**content, "history": []}},
        "a tensor that is not there": {**manifest, "content": {**content, "model": {"$tensor": "none"}}},
        "floats": {**manifest, "content": {**content, "position": {"$float": "1e"}}},
        "a version of text": {**manifest, "version": "1"},
    }
    attacks: dict[str, Callable[[], object]] = {}
    for number, (name, case) in enumerate(cases.items()):
        folder = place / f"case{number}"
        folder.mkdir()
        (folder / tensors).write_bytes((good / tensors).read_bytes())
        (folder / "manifest.json").write_bytes(seal(case))
        if name == "a device":
            (folder / "tensors-0.safetensors").symlink_to("/dev/zero")
        attacks[name] = lambda folder=folder: dg.train.load_run(folder)  # type: ignore[misc]
    nested = place / "nested"
    nested.mkdir()
    head = b'{"version": 1, "deepgen": "1", "files": {}, "content": ' + b"[" * 10**6 + b"]" * 10**6 + b",\n "
    (nested / "manifest.json").write_bytes(
        head + b'"checksum": "' + hashlib.sha256(head).hexdigest().encode() + b'"\n}\n'
    )
    attacks["a million brackets"] = lambda: dg.load(nested)
    pipe = place / "pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "manifest.json")
    attacks["a pipe"] = lambda: dg.load(pipe)
    device = place / "device"
    device.mkdir()
    (device / "manifest.json").symlink_to("/dev/zero")
    attacks["a manifest without end"] = lambda: dg.load(device)
    large = place / "large"
    large.mkdir()
    with open(large / "manifest.json", "wb") as file:
        file.truncate(2**40)
    attacks["a manifest of a terabyte"] = lambda: dg.load(large)
    return attacks


def _archives(place: Path, canary: Path) -> dict[str, Callable[[], object]]:
    """Pickles, and what unpacks to gigabytes."""
    evil = np.array([Evil(canary)], object)
    np.save(place / "evil.npy", evil, allow_pickle=True)
    np.savez(place / "evil.npz", x=evil)
    np.savez(place / "emb.npz", tokens=evil, vectors=evil)
    folder = place / "pickled"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(pickle.dumps(Evil(canary)))
    torch.save({"model": [Evil(canary)]}, place / "model.npz")
    zeros = bytes(2**24)
    with zipfile.ZipFile(place / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as file:
        head = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1), "u1"))
        np.lib.format.write_array_header_1_0(file, {**head, "shape": (2**9, 2**20)})
        for _ in range(32):
            file.write(zeros)
    with gzip.open(place / "bomb.csv.gz", "wb") as packed:
        for _ in range(32):
            packed.write(zeros)
    with gzip.open(place / "bomb.txt.gz", "wb") as packed:
        packed.write(b"1000000000 1000000\nw ")
        for _ in range(32):
            packed.write(zeros)
    with open(place / "wide.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**10)})
    attacks: dict[str, Callable[[], object]] = {"a pickle for a manifest": lambda: dg.load(folder)}
    for name in ("evil.npy", "evil.npz", "model.npz", "bomb.npz", "bomb.csv.gz", "wide.npy"):
        attacks[name] = lambda path=place / name: dg.data.load(path)  # type: ignore[misc]
    for name in ("emb.npz", "bomb.txt.gz"):
        attacks[f"embeddings {name}"] = lambda path=place / name: dg.Embeddings.load(path)  # type: ignore[misc]
    return attacks
