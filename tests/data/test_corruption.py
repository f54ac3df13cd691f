"""Every reader on damaged files: it returns the announced shape or raises a DataError that names the file."""

import atexit
import shutil
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepgen as dg
from deepgen.errors import ArgumentError, DataError
from tests.data.formats import (
    bits,
    grey,
    idx,
    write_amat,
    write_chorales,
    write_mat,
    write_mnist,
    write_omniglot,
    write_packed,
)


def _mnist(folder):
    write_mnist(folder)
    return "train-images-idx3-ubyte.gz", lambda: dg.data.load("mnist", root=folder)


def _unzipped(folder):
    (folder / "x.idx").write_bytes(idx(grey(6, 4, 4)))
    return "x.idx", lambda: dg.data.load(folder / "x.idx")


def _packed(folder):
    write_packed(folder / "binarized_mnist_packed.npz", 784, counts=False)
    return "binarized_mnist_packed.npz", lambda: dg.data.load("binarized_mnist", root=folder)


def _amat(folder):
    write_amat(folder)
    return "binarized_mnist_test.amat", lambda: dg.data.load("binarized_mnist", root=folder)


def _omniglot(folder):
    write_omniglot(folder)
    return "omniglot28_gray.npz", lambda: dg.data.load("omniglot", root=folder)


def _frey(folder):
    write_mat(folder / "frey_rawface.mat", ff=grey(560, 30))
    return "frey_rawface.mat", lambda: dg.data.load("frey_faces", root=folder)


def _uncompressed_mat(folder):
    import scipy.io

    scipy.io.savemat(folder / "frey_rawface.mat", {"ff": grey(560, 30)}, do_compression=False)
    return "frey_rawface.mat", lambda: dg.data.load("frey_faces", root=folder)


def _chorales(folder):
    write_chorales(folder / "jsb_chorales_quarter.npz")
    return "jsb_chorales_quarter.npz", lambda: dg.data.load("jsb_chorales", root=folder)


def _density(folder):
    write_packed(folder / "nltcs.npz", 16, counts=True)
    return "nltcs.npz", lambda: dg.data.load("nltcs", root=folder)


def _npy(folder):
    np.save(folder / "x.npy", grey(9, 5).astype(np.float32))
    return "x.npy", lambda: dg.data.load(folder / "x.npy")


def _csv(folder):
    rows = "\n".join(",".join(map(str, row)) for row in (bits(9, 5) * 1.5).tolist())
    (folder / "x.csv").write_text("a,b,c,d,e\n" + rows + "\n")
    return "x.csv", lambda: dg.data.load(folder / "x.csv")


def _text(folder):
    (folder / "x.txt").write_text("In the beginning was the word.\n" * 20)
    return "x.txt", lambda: dg.data.load(folder / "x.txt", length=8)


FILES = [_mnist, _unzipped, _packed, _amat, _omniglot, _frey, _uncompressed_mat, _chorales, _density, _npy, _csv, _text]
# Formats that carry their shape in a checked header: whatever still loads must have the shape of the good file.
KEEP_THEIR_SHAPE = {_mnist, _packed, _density, _chorales}


@cache
def _good(make):
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name, load = make(folder)
    return folder / name, (folder / name).read_bytes(), load, load()


@st.composite
def damages(draw, size):
    """Flip a few bits, cut the end off, cut a piece out, or write a run of other bytes; near the start more often."""
    place = st.one_of(st.integers(0, min(size - 1, 400)), st.integers(0, size - 1))
    kind = draw(st.sampled_from(["flip", "flip", "cut", "drop", "write"]))
    if kind == "flip":
        return kind, draw(st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=4))
    if kind == "write":
        return kind, (draw(place), draw(st.binary(min_size=1, max_size=16)))
    return kind, (draw(place), draw(st.integers(1, 64)))


def damaged(content, damage):
    kind, what = damage
    if kind == "flip":
        made = bytearray(content)
        for place, mask in what:
            made[place] ^= mask
        return bytes(made)
    place, extra = what
    if kind == "cut":
        return content[:place]
    if kind == "drop":
        return content[:place] + content[place + extra :]
    return content[:place] + extra + content[place + len(extra) :]


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__.strip("_"))
@settings(max_examples=60, deadline=None, database=None)
@given(choice=st.data())
def test_a_damaged_file_loads_or_is_named(make, choice):
    path, content, load, good = _good(make)
    path.write_bytes(damaged(content, choice.draw(damages(len(content)))))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data, message = load(), ""
    except DataError as error:
        data, message = None, str(error)
    finally:
        path.write_bytes(content)
    if data is None:
        assert path.name in message
        assert "\n" not in message
    else:
        assert data.train.ndim == 2
        assert data.train.shape[1:] == data.valid.shape[1:] == data.test.shape[1:] == data.event_shape
        if make in KEEP_THEIR_SHAPE:
            assert [x.shape for x in (data.train, data.valid, data.test)] == [
                x.shape for x in (good.train, good.valid, good.test)
            ]
        assert bool(data.support.check(data.train).all())


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__.strip("_"))
def test_every_way_of_ending_early_is_found_or_harmless(make):
    """Files cut at forty places: binary formats must notice, text may end at any line."""
    path, content, load, _ = _good(make)
    try:
        for end in sorted({int(len(content) * i / 40) for i in range(40)}):
            path.write_bytes(content[:end])
            if make in (_csv, _text, _amat) and end:
                with suppress(DataError):
                    assert load().train.ndim == 2
            else:
                with pytest.raises(DataError, match=path.name):
                    load()
    finally:
        path.write_bytes(content)


def test_the_undamaged_files_load():
    for make in FILES:
        _, _, load, good = _good(make)
        again = load()
        assert again.train.equal(good.train)
        with pytest.raises((ArgumentError, DataError)):
            dg.data.load(_good(make)[0].parent / "missing.csv")
