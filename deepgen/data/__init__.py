"""Data sets by name or from files, and the batches that training takes from them."""

from deepgen.data.batches import as_tensor, batches
from deepgen.data.catalogue import Entry, names
from deepgen.data.downloads import download, fetch
from deepgen.data.files import read_text
from deepgen.data.generated import (
    bars_and_stripes,
    ceiling,
    labelled_shifter,
    shifting_bar,
)
from deepgen.data.idx import read_idx
from deepgen.data.mat import read_mat
from deepgen.data.named import load
from deepgen.data.packed import read_npy, read_npz, unpack
from deepgen.data.planar import (
    checkerboard,
    gaussian_grid,
    gaussian_mixture,
    gaussian_ring,
    mixture,
    moons,
    pinwheel,
    rings,
    spirals,
    swiss_roll,
)
from deepgen.data.redrawn import Redrawn
from deepgen.data.splits import Data, Splits, provenance
from deepgen.data.text_table import Table, read_amat, read_table
from deepgen.data.unlabelled import Unlabelled

__all__ = [
    "Data",
    "Entry",
    "Redrawn",
    "Splits",
    "Table",
    "Unlabelled",
    "as_tensor",
    "bars_and_stripes",
    "batches",
    "ceiling",
    "checkerboard",
    "download",
    "fetch",
    "gaussian_grid",
    "gaussian_mixture",
    "gaussian_ring",
    "labelled_shifter",
    "load",
    "mixture",
    "moons",
    "names",
    "pinwheel",
    "provenance",
    "read_amat",
    "read_idx",
    "read_mat",
    "read_npy",
    "read_npz",
    "read_table",
    "read_text",
    "rings",
    "shifting_bar",
    "spirals",
    "swiss_roll",
    "unpack",
]
