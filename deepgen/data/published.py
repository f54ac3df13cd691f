"""The published sets, each read from its own files in its own format and split as its literature splits it.

Every function takes ``root`` (None: the environment variable DEEPGEN_DATA) and returns a `Raw`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepgen.data.downloads import REMOTES, checksum
from deepgen.data.files import PathLike, find, needed
from deepgen.data.idx import read_idx
from deepgen.data.mat import read_mat
from deepgen.data.packed import Array, member, read_npz, unpack
from deepgen.data.prepare import Raw
from deepgen.data.splits import SPLIT_SEED, split_rows
from deepgen.data.text import characters
from deepgen.data.text_table import read_amat, read_table
from deepgen.errors import ArgumentError, DataError

SPLITS = ("train", "valid", "test")
IDX = tuple(f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1"))


def mnist(root: PathLike | None) -> Raw:
    """MNIST: the last sixth of the training file (10,000 of 60,000 rows) is the validation set."""
    return _idx_images("mnist", needed(root, "mnist", ("mnist", "MNIST/raw"), IDX))


def fashion_mnist(root: PathLike | None) -> Raw:
    """Fashion-MNIST, split like MNIST."""
    folders = ("fashion_mnist", "fashion-mnist", "fashion", "FashionMNIST/raw")
    return _idx_images("fashion_mnist", needed(root, "fashion_mnist", folders, IDX))


def _idx_images(name: str, paths: list[Path]) -> Raw:
    for other in {"mnist", "fashion_mnist"} - {name}:  # their files have the same names
        if checksum(paths[0]) == REMOTES[other].files[IDX[0]]:
            raise DataError(f"{paths[0]}: this is the file of {other}, not of {name}")
    x, y, x_test, y_test = (read_idx(path) for path in paths)
    for images, labels, path in ((x, y, paths[0]), (x_test, y_test, paths[2])):
        same = labels.shape == images.shape[:1] and images.shape[1:] == x.shape[1:]
        if images.ndim != 3 or images.dtype != np.uint8 or not same:
            raise DataError(
                f"{path}: images are {images.dtype} {list(images.shape)} and labels {list(labels.shape)}, expected "
                "uint8 [rows, height, width] and as many labels"
            )
    cut = len(x) - len(x) // 6
    return Raw(
        splits=(_flat(x[:cut]), _flat(x[cut:]), _flat(x_test)),
        kind="grey",
        image_shape=_shape(x),
        labels=(y[:cut], y[cut:], y_test),
        split="published test file; valid is the last sixth of the training file",
    )


def binarized_mnist(root: PathLike | None) -> Raw:
    """MNIST binarised once (Salakhutdinov & Murray 2008; Larochelle): three .amat texts, or packed bits in an .npz."""
    folders = ("binarized_mnist", "MNIST_static")
    if found := find(root, "binarized_mnist", folders, ["binarized_mnist_packed.npz"]):
        arrays = read_npz(found[0])
        parts = [unpack(member(arrays, s, found[0], 2), 784, found[0], s) for s in SPLITS]
    else:
        paths = needed(
            root,
            "binarized_mnist",
            folders,
            [f"binarized_mnist_{s}.amat" for s in SPLITS],
            "binarized_mnist_packed.npz",
        )
        parts = [_bits(read_amat(path), 784, path) for path in paths]
    return Raw((parts[0], parts[1], parts[2]), "binary", "published", image_shape=(28, 28))


def omniglot(root: PathLike | None, version: str = "gray") -> Raw:
    """OMNIGLOT drawings at 28x28, ``gray`` (256 levels) or ``binary``, or ``original`` at 105x105.

    Test is the evaluation set (20 alphabets that training never sees); valid is a tenth of the background set.
    """
    file, side = {
        "gray": ("omniglot28_gray.npz", 28),
        "binary": ("omniglot28_binary_packed.npz", 28),
        "original": ("omniglot105_packed.npz", 105),
    }[version]
    path = needed(root, "omniglot", ("omniglot", "OMNIGLOT"), [file])[0]
    arrays = read_npz(path)
    if version == "gray":
        images = _flat(_images(member(arrays, "images", path, 3, "u"), (side, side), path))
    else:
        images = unpack(member(arrays, "images", path, 2, "u"), side * side, path, "images")
    character = member(arrays, "character", path, 1, "iu")
    background = int(member(arrays, "n_background", path, 0, "iu"))
    if not 1 <= background < len(images) or len(character) != len(images):
        raise DataError(f"{path}: n_background={background} and {len(character)} characters for {len(images)} images")
    train, valid = _seeded(background, 0.9)
    parts = (train, valid, np.arange(background, len(images)))
    return Raw(
        splits=(images[parts[0]], images[parts[1]], images[parts[2]]),
        kind="grey" if version == "gray" else "binary",
        image_shape=(side, side),
        labels=[character[part] for part in parts],
        split="evaluation set is test; valid is a tenth of the background set, by a seeded permutation",
        split_seed=SPLIT_SEED,
        notes={"version": version},
    )


def omniglot_burda(root: PathLike | None) -> Raw:
    """The 28x28 OMNIGLOT of Burda, Grosse & Salakhutdinov 2016 (chardata.mat): 24,345 train and 8,070 test, grey.

    Images are stored column by column and turned here; valid is the share 1345/24345 of the training rows.
    """
    path = needed(root, "omniglot_burda", ("omniglot_burda", "omniglot", "OMNIGLOT"), ["chardata.mat"])[0]
    arrays = read_mat(path)
    x, test = (_turned(member(arrays, key, path, 2).T, (28, 28), path) for key in ("data", "testdata"))
    _unit(x, path)
    _unit(test, path)
    train, valid = _seeded(len(x), 1 - 1345 / 24345)
    return Raw(
        splits=(x[train], x[valid], test),
        kind="unit",
        image_shape=(28, 28),
        split="published test; valid is 1345/24345 of the training rows, by a seeded permutation",
        split_seed=SPLIT_SEED,
    )


def frey_faces(root: PathLike | None) -> Raw:
    """1,965 frames of a face, 28x20, 256 levels. No split is published: neighbours in time fall into all three."""
    path = needed(root, "frey_faces", ("frey_faces", "freyfaces"), ["frey_rawface.mat"])[0]
    faces = member(read_mat(path), "ff", path, 2, "u").T
    if faces.shape[1] != 560:
        raise DataError(f"{path}: 'ff' has {faces.shape[1]} rows, expected 560 = 28 x 20 pixels")
    first, second, third = (faces[part.numpy()] for part in split_rows(len(faces), (0.8, 0.1, 0.1)))
    return Raw((first, second, third), "grey", "80/10/10 by a seeded permutation", SPLIT_SEED, image_shape=(28, 20))


def caltech_silhouettes(root: PathLike | None) -> Raw:
    """CalTech 101 silhouettes, 28x28 bits as published (Marlin et al. 2010); stored column by column, turned here."""
    folders = ("caltech_silhouettes", "caltech101_silhouettes", "caltech")
    path = needed(root, "caltech_silhouettes", folders, ["caltech101_silhouettes_28_split1.mat"])[0]
    arrays = read_mat(path)
    keys = ("train", "val", "test")
    parts = [_bits(_turned(member(arrays, f"{key}_data", path, 2), (28, 28), path), 784, path) for key in keys]
    classes = [arrays[f"{key}_labels"].reshape(-1) if f"{key}_labels" in arrays else None for key in keys]
    for part, labels in zip(parts, classes, strict=True):
        if labels is not None and len(labels) != len(part):
            raise DataError(f"{path}: {len(labels)} labels for {len(part)} images")
    return Raw(
        (parts[0], parts[1], parts[2]),
        "binary",
        "published (split 1)",
        image_shape=(28, 28),
        labels=classes,
    )


def jsb_chorales(root: PathLike | None, step: str = "quarter") -> Raw:
    """Bach's chorales as piano rolls of 88 keys (MIDI 21 to 108), one row per time ``step``: quarter, 8th or 16th."""
    if step not in ("quarter", "8th", "16th"):
        raise ArgumentError(f"jsb_chorales come in steps quarter, 8th and 16th, got {step!r}")
    path = needed(root, "jsb_chorales", ("jsb_chorales",), [f"jsb_chorales_{step}.npz"])[0]
    arrays = read_npz(path)
    parts, lengths = [], []
    for s in SPLITS:
        key = f"{s}_roll_packed"
        parts.append(unpack(member(arrays, key, path, 2, "u"), 88, path, key))
        lengths.append(member(arrays, f"{s}_lengths", path, 1, "iu").astype(np.int64))
        if int(lengths[-1].sum()) != len(parts[-1]) or int(lengths[-1].min()) < 1:
            raise DataError(f"{path}: {s}_lengths add up to {lengths[-1].sum()}, and {key} has {len(parts[-1])} rows")
    return Raw(
        (parts[0], parts[1], parts[2]),
        "binary",
        "published (229/76/77 chorales)",
        lengths=lengths,
        notes={"step": step},
    )


def binary_density(root: PathLike | None, name: str) -> Raw:
    """A binary density-estimation benchmark: NAME.npz of packed bits, or the texts NAME.{train,valid,test}.data."""
    folders = ("binary_density", name)
    if found := find(root, name, folders, [f"{name}.npz"]):
        parts = packed_splits(read_npz(found[0]), found[0])
    else:
        paths = needed(root, name, folders, [f"{name}.{s}.data" for s in SPLITS], f"{name}.npz")
        tables = [read_table(path, header=False).values for path in paths]
        parts = [_bits(x, tables[0].shape[1], path) for x, path in zip(tables, paths, strict=True)]
    return Raw((parts[0], parts[1], parts[2]), "binary", "published")


def shakespeare(root: PathLike | None, length: int = 64) -> Raw:
    """Tiny Shakespeare (input.txt of char-rnn), as rows of ``length`` characters."""
    return characters(shakespeare_file(root), length)


def shakespeare_file(root: PathLike | None) -> Path:
    """Where that text is."""
    return needed(root, "tinyshakespeare", ("tinyshakespeare", "shakespeare"), ["input.txt"])[0]


def packed_splits(arrays: dict[str, Array], path: PathLike) -> list[Array]:
    """Return train, valid and test of an .npz that holds ``<split>`` packed and ``<split>_nvars``."""
    parts = []
    for s in SPLITS:
        count = int(member(arrays, f"{s}_nvars", path, 0, "iu"))
        parts.append(unpack(member(arrays, s, path, 2, "u"), count, path, s))
    if len({part.shape[1] for part in parts}) != 1:
        raise DataError(f"{path}: splits of different widths {[part.shape[1] for part in parts]}")
    return parts


def _bits(x: Array, width: int, path: PathLike) -> Array:
    if x.ndim != 2 or x.shape[1] != width:
        raise DataError(f"{path}: expected rows of {width} bits, got {list(x.shape)}")
    if not bool(((x == 0) | (x == 1)).all()):
        raise DataError(f"{path}: expected only 0 and 1, got {float(x[(x != 0) & (x != 1)][0]):g}")
    return x.astype(np.uint8)


def _unit(x: Array, path: PathLike) -> None:
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise DataError(f"{path}: expected grey levels from 0 to 1, got {float(x.min()):g} to {float(x.max()):g}")


def _images(x: Array, shape: tuple[int, int], path: PathLike) -> Array:
    if x.shape[1:] != shape or x.dtype != np.uint8:
        raise DataError(f"{path}: expected uint8 images of {shape[0]} x {shape[1]}, got {x.dtype} {list(x.shape)}")
    return x


def _turned(x: Array, shape: tuple[int, int], path: PathLike) -> Array:
    if x.shape[1] != shape[0] * shape[1]:
        raise DataError(f"{path}: expected {shape[0]} x {shape[1]} pixels a row, got {x.shape[1]}")
    return _flat(x.reshape(-1, shape[1], shape[0]).transpose(0, 2, 1))


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


def _shape(x: Array) -> tuple[int, int]:
    return int(x.shape[1]), int(x.shape[2])


def _seeded(rows: int, fraction: float) -> tuple[Array, Array]:
    first, second, _ = split_rows(rows, (fraction, 1 - fraction, 0.0))
    return first.numpy(), second.numpy()
