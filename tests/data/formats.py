"""Small files in the published formats, written without the library's own readers."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import scipy.io

SPLITS = {"train": 24, "valid": 6, "test": 12}


def idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def grey(rows: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, *shape), dtype=np.uint8)


def bits(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (rows, columns), dtype=np.uint8)


def write_mnist(folder: Path, rows: int = 24, test_rows: int = 12) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for part, n in (("train", rows), ("t10k", test_rows)):
        made[part] = grey(n, 28, 28, seed=n)
        made[f"{part}_labels"] = np.arange(n, dtype=np.uint8) % 10
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(made[part]), mtime=0))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(made[f"{part}_labels"]), mtime=0))
    return made


def write_packed(path: Path, width: int, *, counts: bool) -> dict[str, np.ndarray]:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {s: bits(n, width, seed=n) for s, n in SPLITS.items()}
    arrays = {s: np.packbits(x, axis=1) for s, x in made.items()}
    extra = {f"{s}_nvars": np.int32(width) for s in SPLITS} if counts else {}
    np.savez_compressed(path, **arrays, **extra)
    return made


def write_amat(folder: Path, *, zipped: bool = False) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    made = {s: bits(n, 784, seed=n) for s, n in SPLITS.items()}
    for s, x in made.items():
        text = "".join(" ".join(map(str, row)) + " \n" for row in x.tolist()).encode()
        name = f"binarized_mnist_{s}.amat" + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(text, mtime=0) if zipped else text)
    return made


def write_omniglot(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"character": np.arange(1, 41, dtype=np.int16), "n_background": np.int32(30)}
    made = {"gray": grey(40, 28, 28), "binary": bits(40, 784), "original": bits(40, 11025)}
    np.savez(folder / "omniglot28_gray.npz", images=made["gray"], **facts)
    np.savez(folder / "omniglot28_binary_packed.npz", images=np.packbits(made["binary"], axis=1), **facts)
    np.savez(folder / "omniglot105_packed.npz", images=np.packbits(made["original"], axis=1), **facts)
    return made


def write_mat(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, arrays, do_compression=True)


def write_chorales(path: Path) -> dict[str, np.ndarray]:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {s: bits(n, 88, seed=n) for s, n in SPLITS.items()}
    rolls = {f"{s}_roll_packed": np.packbits(x, axis=1) for s, x in made.items()}
    lengths = {f"{s}_lengths": np.array([n // 2, n - n // 2], np.int32) for s, n in SPLITS.items()}
    np.savez(path, **rolls, **lengths)
    return made
