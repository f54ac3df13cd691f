"""The checkpoint format: what goes in comes out, whatever breaks is found and named, the last good one stays."""

import errno
import json
import math
import os
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepgen.errors import CheckpointError
from deepgen.train import store
from deepgen.train.pack import pack, unpack
from deepgen.train.store import read, seal, write

tensor = st.integers(0, 3).map(torch.arange)
plain = tensor | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.text(max_size=4) | st.integers(0, 9)
trees = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype and a.stride() == b.stride()
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b or (a != a and b != b)


def content(value=0.0):
    return {"kind": "model", "model": {"weights": {"w": torch.full((30, 7), value)}}, "note": "x" * 40}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, content(1.0))
    return tmp_path


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_tree_survives_json(tree):
    tensors = {}
    packed = json.loads(json.dumps(pack(tree, tensors), allow_nan=False))
    assert same(unpack(packed, dict(tensors.values())), tree)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
def test_tensors_survive_with_dtype_layout_and_sharing(tmp_path, dtype):
    base = (torch.arange(12).reshape(3, 4) % 2).to(dtype)
    tree = {"a": base, "again": base, "turned": base.t(), "row": base[1], "empty": base[:0], "deep": [(base[:, 1],)]}
    write(tmp_path, tree)
    back = read(tmp_path)
    assert same({k: back[k] for k in ("a", "turned", "empty")}, {k: tree[k] for k in ("a", "turned", "empty")})
    assert back["a"] is back["again"]  # tied weights are stored once
    assert torch.equal(back["row"], base[1])
    assert torch.equal(back["deep"][0][0], base[:, 1])


def test_names_that_look_alike_stay_apart(tmp_path):
    tree = {
        "a.b": torch.zeros(2),
        "a": {"b": torch.ones(2), "": torch.zeros(0)},
        "a.": torch.zeros(0, dtype=torch.int32),
    }
    write(tmp_path, tree)
    assert same(read(tmp_path), tree)


def test_non_finite_numbers_are_valid_json(tmp_path):
    write(tmp_path, {"a": math.inf, "b": -math.inf, "c": math.nan, "w": torch.tensor([math.nan, -math.inf])})

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    json.loads((tmp_path / "manifest.json").read_text(), parse_constant=refuse)
    back = read(tmp_path)
    assert back["a"] == math.inf
    assert back["b"] == -math.inf
    assert math.isnan(back["c"])
    assert back["w"].isnan().tolist() == [True, False]


def test_what_cannot_be_stored_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot store outer\.inner: .* got set"):
        write(tmp_path, {"outer": {"inner": {1, 2}}})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["manifest.json", "tensors"])
def test_one_flipped_bit_anywhere_is_found(folder, name, seed):
    path = next(p for p in folder.iterdir() if p.name.startswith(name))
    raw = path.read_bytes()
    dice = random.Random(seed)
    places = {0, len(raw) - 1, *(dice.randrange(len(raw)) for _ in range(150))}
    for place in places:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(flipped))
        with pytest.raises(CheckpointError, match=path.name.replace(".", r"\.")):
            read(folder)
    path.write_bytes(raw)
    assert same(read(folder), content(1.0))


@pytest.mark.parametrize("name", ["manifest.json", "tensors"])
def test_truncation_and_appending_are_found(folder, name):
    path = next(p for p in folder.iterdir() if p.name.startswith(name))
    raw = path.read_bytes()
    for broken in (b"", raw[:1], raw[: len(raw) // 2], raw[:-1], raw + b"\n", raw + raw):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=path.name.replace(".", r"\.")):
            read(folder)


@pytest.mark.parametrize("foreign", [b"{}", b"null", b"\x80\x04pickle", b'{"checksum": ""}\n', b"[1, 2]", b"\xff" * 99])
def test_foreign_manifests_are_refused(tmp_path, foreign):
    (tmp_path / "manifest.json").write_bytes(foreign)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        read(tmp_path)


def test_sealed_nonsense_is_refused(tmp_path):
    for manifest in (
        {"format": "other"},
        {"version": 1, "deepgen": "9"},
        {"version": 1, "deepgen": "9", "files": [], "content": {}},
        {"version": 1, "deepgen": "9", "files": {}, "content": {"w": {"$tensor": "w"}}},
        {"version": 1, "deepgen": "9", "files": {}, "content": {"w": {"$float": "one"}}},
    ):
        (tmp_path / "manifest.json").write_bytes(seal(manifest))
        with pytest.raises(CheckpointError, match=r"manifest\.json"):
            read(tmp_path)


def test_a_newer_format_says_so(tmp_path):
    (tmp_path / "manifest.json").write_bytes(seal({"version": 99, "deepgen": "7.0", "files": {}, "content": {}}))
    with pytest.raises(CheckpointError, match=r"format version 99, written by deepgen 7\.0"):
        read(tmp_path)


def test_missing_files_are_named(folder, tmp_path_factory):
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        read(tmp_path_factory.mktemp("empty"))
    tensors = next(folder.glob("tensors-*"))
    tensors.unlink()
    with pytest.raises(CheckpointError, match=tensors.name):
        read(folder)


def test_tensors_of_another_checkpoint_are_found(folder, tmp_path):
    mine = next(folder.glob("tensors-*"))
    write(tmp_path / "other", content(2.0))
    mine.write_bytes(next((tmp_path / "other").glob("tensors-*")).read_bytes())
    with pytest.raises(CheckpointError, match=mine.name):
        read(folder)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that tidies up after an Exception sees it."""


def failing(real, fatal, failure, after):
    """``real``, whose call number ``fatal`` raises ``failure``, before or after doing its work."""
    calls = iter(range(1000))

    def call(*args):
        if next(calls) != fatal:
            return real(*args)
        if after:
            real(*args)
        raise failure

    return call


@pytest.mark.parametrize(
    ("function", "fatal"), [*(("replace", n) for n in range(3)), *(("fsync", n) for n in range(5))]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_write_killed_anywhere_leaves_the_old_or_the_new(folder, monkeypatch, function, fatal, after):
    with monkeypatch.context() as patch:
        patch.setattr(store.os, function, failing(getattr(os, function), fatal, Killed(), after))
        try:
            write(folder, content(2.0))
            finished = True
        except Killed:
            finished = False
    assert finished == (fatal == {"replace": 2, "fsync": 4}[function])  # all others broke it off
    committed = finished or (function, fatal, after) == ("replace", 1, True) or (function, fatal) == ("fsync", 3)
    assert same(read(folder), content(2.0 if committed else 1.0))
    write(folder, content(3.0))
    assert same(read(folder), content(3.0))
    assert len(list(folder.iterdir())) == 2  # what the broken write left is gone


@pytest.mark.parametrize(("function", "fatal"), [("replace", 0), ("replace", 1), ("fsync", 0), ("fsync", 2)])
def test_a_full_disk_is_a_typed_error_and_leaves_the_old(folder, monkeypatch, function, fatal):
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(store.os, function, failing(getattr(os, function), fatal, full, False))
        with pytest.raises(CheckpointError, match=r"cannot write .*No space left.* still there"):
            write(folder, content(2.0))
    assert same(read(folder), content(1.0))
    assert len(list(folder.iterdir())) == 2  # the half-written file takes no room


def test_an_unwritable_place_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="file"):
        write(tmp_path / "file", content())
    assert (tmp_path / "file").read_text() == "in the way"


def test_rewriting_the_same_content_and_old_files(folder):
    first = next(folder.glob("tensors-*")).name
    write(folder, content(1.0))
    assert [p.name for p in folder.glob("tensors-*")] == [first]
    write(folder, content(5.0))
    assert first not in {p.name for p in folder.iterdir()}
    assert len(list(folder.iterdir())) == 2


def test_turned_weights_that_are_one_come_back_as_one(tmp_path):
    turned = torch.arange(12.0).reshape(3, 4).t()
    write(tmp_path, {"a": turned, "b": turned})
    back = read(tmp_path)
    assert back["a"] is back["b"]
    assert same(back["a"], turned)


def test_a_column_of_a_wide_matrix_comes_back_without_the_matrix(tmp_path):
    write(tmp_path, {"w": torch.zeros(3000, 2000)[:, 1]})
    assert read(tmp_path)["w"].untyped_storage().nbytes() <= 4 * (64 * 3000 + 1024)


def forged(folder, **changes):
    """The manifest of ``folder`` with other entries, and its seal renewed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["checksum"]
    (folder / "manifest.json").write_bytes(seal({**manifest, **changes}))
    return manifest


@pytest.mark.parametrize("stride", [[10**12, 1], [1, -7], [0, 0], [1], "ab", [1.5, 1]])
def test_strides_of_a_stranger_take_no_memory(folder, stride):
    name = forged(folder)["content"]["model"]["weights"]["w"]["$tensor"]
    forged(folder, content={"w": {"$tensor": name, "stride": stride}})
    with pytest.raises(CheckpointError, match=r"manifest\.json does not hold"):
        read(folder)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "manifest.json", "a/tensors-1.safetensors", ""])
def test_files_of_a_stranger_are_in_the_folder(folder, name):
    (facts,) = forged(folder)["files"].values()
    forged(folder, files={name: facts})
    with pytest.raises(CheckpointError, match="which is no file of a checkpoint"):
        read(folder)


def test_pipes_and_devices_are_not_waited_for(folder):
    tensors = next(folder.glob("tensors-*"))
    tensors.unlink()
    tensors.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="no regular file"):
        read(folder)
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    with pytest.raises(CheckpointError, match="no regular file"):
        read(folder)


def test_deep_nesting_and_long_manifests_are_refused(tmp_path, monkeypatch):
    deep = 0
    for _ in range(400):
        deep = [deep]
    raw = seal({"version": 1, "deepgen": "1", "files": {}, "content": deep})
    raw = raw.replace(b"0", b"[" * 10**5 + b"]" * 10**5)
    (tmp_path / "manifest.json").write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        read(tmp_path)
    monkeypatch.setattr(store, "_LARGEST", 100)
    with pytest.raises(CheckpointError, match="more than the manifest of any run"):
        read(tmp_path)


def test_a_run_that_saves_while_it_is_read_is_read_again(folder, monkeypatch):
    real = store._get

    def slow(path):
        if path.name.startswith("tensors") and not (folder / "once").exists():
            (folder / "once").touch()
            write(folder, content(2.0))  # takes the tensors away that the manifest in hand names
        return real(path)

    monkeypatch.setattr(store, "_get", slow)
    assert same(read(folder), content(2.0))


def test_no_memory_is_told(folder, monkeypatch):
    def none(*_):
        raise MemoryError

    monkeypatch.setattr(store, "unpack", none)
    with pytest.raises(CheckpointError, match="more memory than there is"):
        read(folder)
