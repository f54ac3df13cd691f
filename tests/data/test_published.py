"""Named sets from folders in their published formats."""

import gzip
import hashlib
import os

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.data.downloads import REMOTES
from deepgen.errors import ArgumentError, DataError
from tests.data.formats import (
    SPLITS,
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

load = dg.data.load


def same(x, array):
    return torch.equal(x, torch.from_numpy(np.asarray(array).reshape(len(array), -1).astype(np.float32)))


@pytest.mark.parametrize(("name", "folder"), [("mnist", "mnist"), ("mnist", "."), ("fashion-mnist", "fashion_mnist")])
def test_mnist_is_split_behind_its_training_file(tmp_path, name, folder):
    made = write_mnist(tmp_path / folder)
    data = load(name, root=tmp_path)
    train = made["train"].astype(np.float32) / 255
    assert same(data.train, train[:20])
    assert same(data.valid, train[20:])
    assert same(data.test, made["t10k"].astype(np.float32) / 255)
    assert data.labels.valid.tolist() == [0, 1, 2, 3]
    assert data.labels.test.tolist() == made["t10k_labels"].tolist()
    assert (data.image_shape, tuple(data.event_shape)) == ((28, 28), (784,))


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("DEEPGEN_DATA", str(tmp_path))
    assert len(load("mnist").train) == 20
    monkeypatch.delenv("DEEPGEN_DATA")
    with pytest.raises(DataError, match="DEEPGEN_DATA"):
        load("mnist")


def test_files_may_be_unzipped(tmp_path):
    write_mnist(tmp_path)
    before = load("mnist", root=tmp_path)
    for path in tmp_path.iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert torch.equal(load("mnist", root=tmp_path).train, before.train)


def test_mnist_and_fashion_mnist_are_not_taken_for_one_another(tmp_path, monkeypatch):
    write_mnist(tmp_path / "here")
    first = tmp_path / "here" / "train-images-idx3-ubyte.gz"
    files = {first.name: hashlib.sha256(first.read_bytes()).hexdigest()}
    monkeypatch.setitem(REMOTES, "fashion_mnist", REMOTES["fashion_mnist"]._replace(files=files))
    with pytest.raises(DataError, match="this is the file of fashion_mnist, not of mnist"):
        load("mnist", root=tmp_path / "here")
    assert len(load("fashion_mnist", root=tmp_path / "here").train) == 20


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz.*folder mnist"):
        load("mnist", root=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load("mnist", root=tmp_path / "none")


@pytest.mark.parametrize("fault", ["labels", "type", "width"])
def test_idx_files_that_do_not_belong_together_are_refused(tmp_path, fault):
    write_mnist(tmp_path)
    if fault == "labels":
        (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(5, np.uint8)))
    elif fault == "type":
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((24, 28, 28), np.float32)))
    else:
        (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(idx(grey(12, 14, 14)))
    with pytest.raises(DataError, match="images are"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize("form", ["packed", "text", "zipped text"])
def test_binarized_mnist_is_the_same_from_text_and_packed(tmp_path, form):
    folder = tmp_path / "binarized_mnist"
    if form == "packed":
        made = write_packed(folder / "binarized_mnist_packed.npz", 784, counts=False)
    else:
        made = write_amat(folder, zipped=form == "zipped text")
    data = load("binarized_mnist", root=tmp_path)
    assert all(same(getattr(data, s), made[s]) for s in SPLITS)
    assert data.provenance["binarisation"] == "as published"
    assert data.labels is None


def test_an_amat_with_another_number_or_width_is_refused(tmp_path):
    write_amat(tmp_path)
    path = tmp_path / "binarized_mnist_valid.amat"
    good = path.read_text()
    path.write_text(good.replace("1", "2", 1))
    with pytest.raises(DataError, match=r"valid\.amat: expected only 0 and 1, got 2"):
        load("binarized_mnist", root=tmp_path)
    path.write_text("0 1\n" * 3)
    with pytest.raises(DataError, match=r"valid\.amat: expected rows of 784"):
        load("binarized_mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "version"), [("omniglot", "gray"), ("omniglot_binary", "binary"), ("omniglot_original", "original")]
)
def test_omniglot_is_tested_on_alphabets_it_never_saw(tmp_path, name, version):
    images = write_omniglot(tmp_path / "omniglot")[version]
    data = load(name, root=tmp_path)
    flat = images.reshape(40, -1).astype(np.float32) / (255 if version == "gray" else 1)
    assert same(data.test, flat[30:])
    assert (len(data.train), len(data.valid)) == (27, 3)
    assert same(data.train, flat[data.labels.train.numpy() - 1])  # character i is row i - 1 here
    assert same(data.valid, flat[data.labels.valid.numpy() - 1])
    assert sorted([*data.labels.train.tolist(), *data.labels.valid.tolist()]) == list(range(1, 31))


def columns_first(images):
    """What MATLAB's x(:) makes of each image: the transposed one, flattened."""
    return images.transpose(0, 2, 1).reshape(len(images), -1)


def test_burdas_omniglot_is_turned_upright(tmp_path):
    x, test = (grey(n, 28, 28, seed=n) / 255 for n in (181, 7))
    write_mat(tmp_path / "chardata.mat", data=columns_first(x).T, testdata=columns_first(test).T)
    data = load("omniglot-burda", root=tmp_path)
    assert same(data.test, test)
    assert (len(data.train), len(data.valid)) == (171, 10)
    write_mat(tmp_path / "chardata.mat", data=columns_first(x).T + 1, testdata=columns_first(test).T)
    with pytest.raises(DataError, match="from 0 to 1"):
        load("omniglot_burda", root=tmp_path)


def test_frey_faces_are_columns_of_the_matrix(tmp_path):
    faces = grey(20, 560)
    write_mat(tmp_path / "frey_faces" / "frey_rawface.mat", ff=faces.T)
    data = load("frey_faces", root=tmp_path)
    assert [len(x) for x in (data.train, data.valid, data.test)] == [16, 2, 2]
    rows = torch.cat([data.train, data.valid, data.test])
    assert torch.equal(rows.unique(dim=0), torch.from_numpy(faces.astype(np.float32) / 255).unique(dim=0))
    assert data.image_shape == (28, 20)


def test_caltech_silhouettes_are_turned_and_keep_their_labels(tmp_path):
    made = {key: bits(n, 784, seed=n).reshape(-1, 28, 28) for key, n in (("train", 9), ("val", 4), ("test", 5))}
    arrays = {f"{key}_data": columns_first(x) for key, x in made.items()}
    labels = {f"{key}_labels": np.arange(1, len(x) + 1).reshape(-1, 1) for key, x in made.items()}
    path = tmp_path / "caltech101_silhouettes_28_split1.mat"
    write_mat(path, **arrays, **labels)
    data = load("caltech_silhouettes", root=tmp_path)
    assert all(same(x, made[key]) for x, key in ((data.train, "train"), (data.valid, "val"), (data.test, "test")))
    assert data.labels.test.tolist() == [1, 2, 3, 4, 5]
    write_mat(path, **arrays, **{**labels, "val_labels": np.ones((3, 1))})
    with pytest.raises(DataError, match="3 labels for 4 images"):
        load("caltech_silhouettes", root=tmp_path)


@pytest.mark.parametrize("step", ["quarter", "16th"])
def test_chorales_are_rolls_with_the_length_of_each_piece(tmp_path, step):
    made = write_chorales(tmp_path / "jsb_chorales" / f"jsb_chorales_{step}.npz")
    data = load("jsb_chorales", root=tmp_path, step=step)
    for s, n in SPLITS.items():
        assert same(getattr(data, s), made[s])
        assert int(getattr(data.lengths, s).sum()) == n
    assert data.provenance["step"] == step


def test_a_step_that_chorales_do_not_come_in_is_a_wrong_argument():
    with pytest.raises(ArgumentError, match="quarter, 8th and 16th, got 'half'"):
        load("jsb_chorales", step="half")


def test_lengths_that_do_not_add_up_are_refused(tmp_path):
    path = tmp_path / "jsb_chorales_quarter.npz"
    write_chorales(path)
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "valid_lengths": np.array([2, 2], np.int32)})
    with pytest.raises(DataError, match="valid_lengths add up to 4"):
        load("jsb_chorales", root=tmp_path)


@pytest.mark.parametrize("form", ["npz", "text"])
def test_binary_density_sets_read_packed_and_as_published(tmp_path, form):
    made = write_packed(tmp_path / "binary_density" / "nltcs.npz", 16, counts=True)
    if form == "text":
        (tmp_path / "binary_density" / "nltcs.npz").unlink()
        for s, x in made.items():
            text = "\n".join(",".join(map(str, row)) for row in x.tolist())
            (tmp_path / "binary_density" / f"nltcs.{s}.data").write_text(text + "\n")
    data = load("nltcs", root=tmp_path)
    assert all(same(getattr(data, s), made[s]) for s in SPLITS)


def test_an_array_that_is_missing_from_an_npz_is_told(tmp_path):
    np.savez(tmp_path / "nltcs.npz", train=np.zeros((3, 2), np.uint8), train_nvars=np.int32(16))
    with pytest.raises(DataError, match=r"nltcs\.npz: no array 'valid_nvars'"):
        load("nltcs", root=tmp_path)


def test_shakespeare_is_rows_of_character_codes(tmp_path):
    text = "To be, or not to be: that is the question. " * 20
    (tmp_path / "input.txt").write_text(text)
    data = load("shakespeare", root=tmp_path, length=10)
    alphabet = data.provenance["alphabet"]
    codes = torch.cat([data.train, data.valid, data.test]).reshape(-1).tolist()
    assert "".join(alphabet[i] for i in codes) == text[: len(codes)]
    assert len(text) - len(codes) < 10
    assert len(data.train) == 86 * 9 // 10


REAL = [name for name, entry in dg.data.names().items() if entry.needs_files]


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_real_files_are_what_the_catalogue_says(name):
    """On the sets that DEEPGEN_DATA holds; for the others, that the error says what to put where."""
    entry, folder = dg.data.names()[name], os.environ.get("DEEPGEN_DATA")
    try:
        data = load(name)
    except DataError as error:
        data, message = None, str(error)
    if data is None:
        assert folder is None or folder in message
        assert ("expected" if folder else "DEEPGEN_DATA") in message
        return
    assert "/".join(str(len(x)) for x in (data.train, data.valid, data.test)) == entry.rows
    assert tuple(data.event_shape) == (entry.features,)
    assert all(bool(data.support.check(x).all()) for x in (data.train, data.valid, data.test))
