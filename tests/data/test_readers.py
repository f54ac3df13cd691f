"""The readers of single files: right on good ones, one clear DataError on bad ones."""

import errno
import gzip
import io
import os
import re
import resource

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepgen.data import files, read_amat, read_idx, read_mat, read_npy, read_npz, read_table, read_text, unpack
from deepgen.data.own import own
from deepgen.data.packed import write_npy
from deepgen.errors import ArgumentError, DataError
from tests.data.formats import bits, grey, idx, write_mat


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_of_every_type_reads_back(tmp_path, dtype, zipped):
    array = (np.arange(24).reshape(2, 3, 4) - (0 if dtype == "u1" else 9)).astype(dtype)
    path = tmp_path / "a-idx3-ubyte"
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    made = read_idx(path)
    assert made.dtype == np.dtype(dtype)
    assert np.array_equal(made, array)


GOOD = idx(grey(5, 4, 4))
BAD_IDX = {
    "empty": (b"", "empty"),
    "magic": (b"\x89PNG" + GOOD[4:], "not an idx file"),
    "type": (b"\0\0\x07\x03" + GOOD[4:], "not an idx file"),
    "header cut": (GOOD[:9], "truncated inside the idx header"),
    "cut": (GOOD[:-1], "announces shape"),
    "longer": (GOOD + b"\0", "announces shape"),
    "huge": (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "announces shape"),
    "gzip cut": (gzip.compress(GOOD)[:-9], "broken"),
    "gzip checksum": (gzip.compress(GOOD)[:-8] + b"\0" * 8, "broken"),
}


@pytest.mark.parametrize("name", BAD_IDX)
def test_broken_idx_files_are_named(tmp_path, name):
    content, message = BAD_IDX[name]
    path = tmp_path / "broken-idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"broken-idx.*{message}"):
        read_idx(path)


READERS = {"idx": read_idx, "npy": read_npy, "npz": read_npz, "mat": read_mat, "table": read_table, "text": read_text}


@pytest.mark.parametrize("reader", READERS)
def test_missing_files_folders_and_empty_files_are_named(tmp_path, reader):
    empty = tmp_path / "empty.file"
    empty.write_bytes(b"")
    for path, message in ((tmp_path / "none.file", "no such file"), (tmp_path, "cannot be read"), (empty, "is empty")):
        with pytest.raises(DataError, match=f"{re.escape(str(path))}: .*{message}"):
            READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
def test_foreign_files_are_refused(tmp_path, reader):
    path = tmp_path / "foreign"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 4)
    with pytest.raises(DataError, match="foreign"):
        READERS[reader](path)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    for reader, name in ((read_npy, "a.npy"), (read_npz, "a.npz")):
        with pytest.raises(DataError, match=name):
            reader(tmp_path / name)


def test_arrays_that_are_no_numbers_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["x"]))
    with pytest.raises(DataError, match="expected an array of numbers"):
        read_npy(tmp_path / "a.npy")
    write_mat(tmp_path / "a.mat", name="words")
    with pytest.raises(DataError, match="no numeric array"):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4", "i8", "u8", "f4", "f8", "?"])
def test_mat_arrays_read_back(tmp_path, dtype, zipped):
    made = {
        "matrix": (np.arange(15).reshape(5, 3) % 7).astype(dtype),
        "one": np.array([[1]], dtype),
        "box": np.arange(24).reshape(2, 3, 4).astype(dtype),
    }
    others = {"words": "text", "cells": np.array([[1, "a"]], object), "z": np.array([[1j]]), "s": {"field": 1}}
    sparse = {"sparse": scipy.sparse.eye(3).tocsc()}
    scipy.io.savemat(tmp_path / "a.mat", {**made, **others, **sparse}, do_compression=zipped)
    found = read_mat(tmp_path / "a.mat")
    assert set(found) == set(made)
    for name, array in made.items():
        assert found[name].dtype == (np.uint8 if dtype == "?" else np.dtype(dtype))
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "?"])
def test_sparse_mat_arrays_read_back_where_asked_for(tmp_path, dtype, zipped):
    rng = np.random.default_rng(0)
    made = (rng.integers(0, 3, (7, 5)) * (rng.random((7, 5)) < 0.4)).astype(dtype)
    arrays = {"m": scipy.sparse.csc_array(made), "none": scipy.sparse.csc_array((4, 3)), "full": np.eye(2)}
    arrays["complex"] = scipy.sparse.csc_array(np.array([[1j]]))
    scipy.io.savemat(tmp_path / "a.mat", arrays, do_compression=zipped)
    found = read_mat(tmp_path / "a.mat", sparse=True)
    assert set(found) == {"m", "none", "full"}
    assert np.array_equal(found["m"].toarray(), made)
    assert found["m"].dtype == np.float64
    assert found["none"].shape == (4, 3)
    assert found["none"].nnz == 0
    content = (tmp_path / "a.mat").read_bytes()
    if not zipped:  # rows beyond the array
        place = content.index(scipy.sparse.csc_array(made).indices.astype("<i4").tobytes())
        (tmp_path / "b.mat").write_bytes(content[:place] + b"\x63\0\0\0" + content[place + 4 :])
        with pytest.raises(DataError, match="broken"):
            read_mat(tmp_path / "b.mat", sparse=True)


def test_mat_files_of_other_formats_are_told(tmp_path):
    scipy.io.savemat(tmp_path / "four.mat", {"x": np.eye(2)}, format="4")
    (tmp_path / "hdf.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(126) + b"IM" + b"\x89HDF\r\n")
    for name, message in (("four", "not a MATLAB file of format 5"), ("hdf", "format 7.3")):
        with pytest.raises(DataError, match=f"{name}.mat.*{message}"):
            read_mat(tmp_path / f"{name}.mat")


@pytest.mark.parametrize("count", [1, 7, 8, 9, 88, 784])
def test_bits_are_unpacked_most_significant_first(count):
    x = bits(6, count)
    by_hand = [sum(int(b) << (7 - i) for i, b in enumerate(row[:8])) for row in x]
    packed = np.packbits(x, axis=1)
    assert packed[:, 0].tolist() == by_hand
    assert np.array_equal(unpack(packed, count, "file", "key"), x)
    for wrong in (packed.astype(np.int32), packed[:, :-1], packed[0]):
        with pytest.raises(DataError, match="key"):
            unpack(wrong, count, "file", "key")


TABLES = {
    "csv": "1,2\n3,4.5\n",
    "tsv": "1\t2\r\n3\t4.5\r\n",
    "semicolons": "1;2\n3;4.5",
    "spaces": "  1 2 \n\n 3   4.5\n",
    "header": "a,b\n1,2\n3,4.5\n",
    "quoted header": '"a","b"\n1,2\n3,4.5\n',
    "byte order mark": "\ufeffa,b\n1,2\n3,4.5\n",
    "spaces after commas": "1, 2\n3, 4.5\n",
    "exponents": "1e0,20e-1\n+3,4.5e0\n",
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_of_any_separator_read_the_same(tmp_path, name, zipped):
    path = tmp_path / "t.csv"
    content = TABLES[name].encode()
    path.write_bytes(gzip.compress(content) if zipped else content)
    table = read_table(path)
    assert table.values.tolist() == [[1.0, 2.0], [3.0, 4.5]]
    assert table.columns == (["a", "b"] if "header" in name or "mark" in name else None)


BAD_TABLES = {
    "ragged": ("1,2\n3,4\n5\n", "line 3: 1 columns, expected 2"),
    "ragged after blank lines": ("1,2\n\n\n3,4,5\n", "line 4: 3 columns, expected 2"),
    "word": ("1,2\n3,x\n", r"line 2, column 2: 'x' is not a finite number"),
    "named column": ("a,b\n1,2\n3,x\n", r"line 3, column 2 \(b\): 'x'"),
    "nan": ("1,2\nnan,4\n", "line 2, column 1: 'nan' is not a finite number: no model is fitted to missing"),
    "not available": ("1,2\n3,NA\n", "line 2, column 2: 'NA' is not a finite number: no model is fitted to missing"),
    "inf": ("1,2\n3,-inf\n", "line 2, column 2: '-inf' is not a finite number$"),
    "above float32": ("1,2\n3,1e39\n", "line 2, column 2: '1e39'"),
    "empty cell": (
        "1,2\n,4\n,5\n",
        "line 2, column 1: the cell is empty; 2 such cells in all: no model is",
    ),
    "empty cell in the first line": ("1,,2\n3,4,5\n", "line 1, column 2: the cell is empty: no model is fitted to"),
    "missing in the first line": ("NA,2\n3,4\n", "line 1, column 1: 'NA' is not a finite number: no model is"),
    "nothing but missing": ("?,\n3,4\n", r"line 1, column 1: '\?' is not a finite number; 2 such cells"),
    "word in the first line": ("x,2\n3,4\n", "line 1, column 1: 'x' .*: a first line that names the columns has no"),
    "only a header": ("a,b\n", "no rows of numbers"),
    "blank": ("\n \n", "no rows of numbers"),
    "open quote": ('1,2\n"3,4\n', "line 2"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_faults_of_a_table_are_told_with_line_and_column(tmp_path, name):
    text, message = BAD_TABLES[name]
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        read_table(tmp_path / "t.csv")


def test_a_line_that_is_not_text_is_told(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"1,2\n3,\xff\n")
    for reader in (read_table, read_text):
        with pytest.raises(DataError, match=r"t\.csv.*line 2 is not UTF-8"):
            reader(tmp_path / "t.csv")


@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_bits_in_text_read_the_quick_way_as_the_slow_way(tmp_path, separator):
    x = bits(50, 9)
    path = tmp_path / "t.amat"
    lines = [separator.join(map(str, row)) for row in x.tolist()]
    path.write_text("\n".join(lines) + "\n")
    assert np.array_equal(read_amat(path), x)
    path.write_text("\n".join(lines).replace("1", "1.0", 1) + "\n")  # no longer single digits
    assert np.array_equal(read_amat(path), x)
    for fault in ("11", "2x"):
        broken = [*lines[:30], separator.join([fault, *lines[30].split(separator)[2:]]), *lines[31:]]
        path.write_text("\n".join(broken))
        with pytest.raises(DataError, match="line 31"):
            read_amat(path)


@pytest.mark.parametrize("lines", ["0,1\n01,\n,10\n1,1\n", "0,1,0\n0,,10\n", "0 1 1\n0  11\n"])
def test_lines_whose_characters_add_up_are_no_bits_for_that(tmp_path, lines):
    (tmp_path / "t.csv").write_text(lines)
    with pytest.raises(DataError, match="line 2"):
        read_table(tmp_path / "t.csv")


def test_a_two_among_the_bits_is_a_number_like_any_other(tmp_path):
    (tmp_path / "t.amat").write_text("0 1\n2 1\n")
    assert read_amat(tmp_path / "t.amat").tolist() == [[0, 1], [2, 1]]


def test_a_label_column_becomes_classes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,kind,b\n1,cat,2\n3,ant,4\n5,cat,6\n")
    for label in ("kind", 1, -2):
        table = read_table(path, label=label)
        assert table.values.tolist() == [[1, 2], [3, 4], [5, 6]]
        assert table.labels.tolist() == [1, 0, 1]
        assert (table.columns, table.classes) == (["a", "b"], ["ant", "cat"])
    path.write_text("10,1\n9,0\n")
    assert read_table(path, label=0).classes == ["9", "10"]  # numbers in order of size
    path.write_text("10,cat\n9,ant\n")  # a number in the first line: no header, and no row is lost
    assert read_table(path, label=1).values.tolist() == [[10], [9]]
    for label in ("none", 2, -3):
        with pytest.raises(ArgumentError, match="no column"):
            read_table(path, label=label)


def test_a_first_line_of_numbers_can_be_a_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("0,1\n0,1\n")
    assert len(read_table(path).values) == 2
    assert read_table(path, header=True).columns == ["0", "1"]
    path.write_text("year,2024\n0,1\n")
    assert read_table(path, header=True).columns == ["year", "2024"]


def test_a_header_may_leave_a_column_without_a_name(tmp_path):
    (tmp_path / "t.csv").write_text(",a\n0,1.5\n")
    assert read_table(tmp_path / "t.csv").columns == ["", "a"]


def test_columns_that_float32_cannot_hold_are_named(tmp_path):
    """Steps of float32 are 128 at 1.7e9 and 65536 at 1e12; a column of one value, and one spread wide, lose nothing."""
    noise = np.random.default_rng(0).standard_normal((50, 4))
    good = np.stack([1.7e9 + 1e6 * noise[:, 0], np.full(50, 0.1), 0.5 + 1e-3 * noise[:, 2], 0.1 * noise[:, 3]], 1)
    for mean, spread in ((1.7e9, 100), (1e12, 1), (0.5, 1e-5)):
        x = np.concatenate([good, mean + spread * noise[:, :1]], 1)
        np.save(tmp_path / "x.npy", x)
        np.savez(tmp_path / "x.npz", x=x)
        np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%.17g", header="a,b,c,d,time", comments="")
        for name, column in (("x.npy", "column 5"), ("x.npz", "column 5"), ("x.csv", r"column 5 \(time\)")):
            with pytest.raises(DataError, match=rf"{name}, {column}: mean .* subtract an offset"):
                own(tmp_path / name)
    np.save(tmp_path / "good.npy", good)
    np.savetxt(tmp_path / "good.csv", good, delimiter=",", fmt="%.17g")
    for name in ("good.npy", "good.csv"):
        assert own(tmp_path / name).kind == "real"


def test_bytes_beyond_an_array_are_told(tmp_path):
    """Bytes put into a .npy file shift its numbers, and one too many at its end is all that tells."""
    np.save(tmp_path / "a.npy", np.arange(9.0))
    good = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(good[:150] + b"\0" + good[150:])
    with pytest.raises(DataError, match=r"a\.npy: broken, .*there is more in it"):
        read_npy(tmp_path / "a.npy")


def test_a_header_that_takes_less_than_its_member_is_told(tmp_path):
    """The checksum of an archive is looked at where a member ends, which a smaller shape never reaches."""
    np.savez(tmp_path / "a.npz", x=np.arange(9000.0))
    good = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(good.replace(b"(9000,)", b"(1000,)"))
    with pytest.raises(DataError, match=r"a\.npz: broken, .*CRC"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.csv.gz", "a.mat"])
def test_bombs_are_not_unpacked(tmp_path, name, monkeypatch):
    monkeypatch.setattr(files, "LARGE", 2**16)
    zeros = np.zeros((2000, 200))
    if name == "a.npz":
        np.savez_compressed(tmp_path / name, x=zeros)
    elif name == "a.mat":
        scipy.io.savemat(tmp_path / name, {"x": zeros}, do_compression=True)
    else:
        (tmp_path / name).write_bytes(gzip.compress(b"0,0\n" * 10**6))
    with pytest.raises(DataError, match=f"{re.escape(name)}: its .* bytes unpack to"):
        {"a.npz": read_npz, "a.mat": read_mat, "a.csv.gz": read_table}[name](tmp_path / name)


@pytest.mark.parametrize("reader", READERS)
def test_pipes_are_not_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: cannot be read"):
        READERS[reader](tmp_path / "pipe")


@pytest.mark.parametrize("code", [errno.ENOSPC, None])
def test_what_is_written_takes_its_place_as_a_whole_or_not_at_all(tmp_path, monkeypatch, code):
    path = tmp_path / "a.txt"
    with files.replacing(path) as file:
        file.write(b"old")
    said = os.strerror(code) if code else "only a part of it was taken"  # numpy's error has neither number nor reason

    def refused(*_):
        raise OSError(code, said) if code else OSError("9 requested and 0 written")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refused)
        with pytest.raises(DataError, match=f"cannot write .*a.txt: {said}"), files.replacing(path) as file:
            file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(DataError, match="Not a directory"), files.replacing(path / "below.txt"):
        pass


@pytest.mark.parametrize("room", [100, 200, 1000])
def test_an_array_that_finds_no_room_is_told(tmp_path, room):
    """numpy's own writing says nothing of the last 4,096 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(DataError, match=r"cannot write .*a\.npy"), files.replacing(tmp_path / "a.npy") as file:
            write_npy(file, np.arange(125.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "array", [np.arange(6.0), np.arange(6).reshape(2, 3).T, np.zeros((0, 2)), np.float32(1)], ids=str
)
def test_arrays_are_written_as_numpy_writes_them(array):
    ours, theirs = io.BytesIO(), io.BytesIO()
    write_npy(ours, array)
    np.save(theirs, array)
    assert ours.getvalue() == theirs.getvalue()


def good(name):
    """A small whole file of each format."""
    buffer, rows = io.BytesIO(), np.arange(12, dtype="<f4").reshape(4, 3)
    if name == "idx":
        return idx(grey(2, 3, 3))
    if name == "mat":
        scipy.io.savemat(buffer, {"x": rows})
    elif name in ("npy", "npz"):
        np.save(buffer, rows) if name == "npy" else np.savez(buffer, x=rows)
    else:
        return b"1,2\n3,4.5\n"
    return buffer.getvalue()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.data())
def test_any_damage_is_read_or_a_typed_error(tmp_path, name, drawn):
    """Bytes put in the place of others, anywhere in a good file, and again behind gzip."""
    whole = good(name)
    start = drawn.draw(st.integers(0, len(whole)))
    content = whole[:start] + drawn.draw(st.binary(max_size=20)) + whole[drawn.draw(st.integers(start, len(whole))) :]
    path = tmp_path / "damaged"
    path.write_bytes(gzip.compress(content) if name not in ("npy", "npz") and drawn.draw(st.booleans()) else content)
    try:
        found = READERS[name](path)
    except DataError as error:
        assert "damaged" in str(error)  # noqa: PT017 (that it is raised is not asked for)
    else:
        assert found is not None
