"""The named data sets: what each is, where it comes from, under which licence, and what reads it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

from deepgen.data import generated, planar, published
from deepgen.data.embedded import digits
from deepgen.data.prepare import Raw
from deepgen.data.splits import cuts
from deepgen.errors import check_count
from deepgen.random import draw, generator


@dataclass(frozen=True)
class Entry:
    """What there is to know of a named set before it is loaded.

    Attributes:
        rows: train/valid/test.
        features: width of a row.
        values: what a value is: binary, grey (levels), unit, real, codes.
        needs_files: whether `load` reads files from ``root``.
        source: where the data come from.
        licence: as stated by that source.
        read: makes the `Raw`; its further keywords are options of `load`.

    >>> names()["bars_and_stripes"].values, names()["nltcs"].rows
    ('binary', '16181/2157/3236')
    """

    rows: str
    features: int
    values: str
    needs_files: bool
    source: str
    licence: str
    read: Callable[..., Raw]


def _patterns(make: Callable[..., Tensor]) -> Callable[..., Raw]:
    def read(**options: Any) -> Raw:
        x = make(**options)
        side = options.get("size", 4) if make is generated.bars_and_stripes else None
        return Raw(
            splits=(x.numpy(), x.numpy(), x.numpy()),
            kind="binary",
            split="all patterns in every split",
            image_shape=(side, side) if side else None,
            origin="generated",
            notes={"ceiling": generated.ceiling(x), **options},
        )

    read.__signature__ = inspect.signature(make)  # type: ignore[attr-defined]
    return read


def _planar(make: Callable[..., Distribution]) -> Callable[..., Raw]:
    def read(seed: int, rows: int = 10_000, **options: Any) -> Raw:
        check_count(2, rows=rows)  # one to train on, one to score
        law = make(**options)
        points = draw(law, (rows,), generator=generator(seed))
        x, (first, second) = points.numpy(), cuts(rows, (0.6, 0.2, 0.2))
        return Raw(
            splits=(x[:first], x[first:second], x[second:]),
            kind="real",
            split=f"60/20/20 of independent draws, seed {seed}",
            notes={"ceiling": float(law.log_prob(points[second:]).double().mean()), **options},
        )

    own = list(inspect.signature(read).parameters.values())[:2]
    read.__signature__ = inspect.Signature([*own, *inspect.signature(make).parameters.values()])  # type: ignore[attr-defined]
    return read


def law_of(facts: Mapping[str, Any]) -> Distribution | None:
    """The law that drew a planar set, from the set's provenance; None of data that have no law.

    >>> import deepgen as dg
    >>> law_of(dg.data.load("rings", std=0.2).provenance).std, law_of(dg.data.load("digits").provenance)
    (0.2, None)
    """
    make = next((make for make in _PLANAR if make.__name__ == facts.get("name")), None)
    if make is None or facts.get("source") != _DRAWN[0]:
        return None
    return make(**{name: facts[name] for name in inspect.signature(make).parameters if name in facts})


_OWN = "MIT, as deepgen"
_GENERATED = ("deepgen.data.generated", _OWN)
_DRAWN = ("deepgen.data.planar", _OWN)
_PLANAR = (
    planar.gaussian_mixture,
    planar.gaussian_grid,
    planar.gaussian_ring,
    planar.rings,
    planar.moons,
    planar.spirals,
    planar.swiss_roll,
    planar.pinwheel,
    planar.checkerboard,
)
_STARAI = ("UCLA StarAI Density-Estimation-Datasets", "none stated")
_LAKE = ("github.com/brendenlake/omniglot", "MIT")
_STARAI_SETS = {
    "accidents": ("12758/1700/2551", 111),
    "baudio": ("15000/2000/3000", 100),
    "bbc": ("1670/225/330", 1058),
    "bnetflix": ("15000/2000/3000", 100),
    "dna": ("1600/400/1186", 180),
    "jester": ("9000/1000/4116", 100),
    "moviereview": ("1600/150/250", 1001),
    "mushrooms": ("2000/500/5624", 112),
    "nips": ("400/100/1240", 500),
    "nltcs": ("16181/2157/3236", 16),
    "plants": ("17412/2321/3482", 69),
    "pumsb_star": ("12262/1635/2452", 163),
    "voting": ("1214/200/350", 1359),
}

_ENTRIES: dict[str, Entry] = {
    "digits": Entry(
        "1078/359/360",
        64,
        "grey (17 levels)",
        False,
        "scikit-learn load_digits: UCI Optical Recognition of Handwritten Digits",
        "CC BY 4.0 (UCI)",
        digits,
    ),
    "bars_and_stripes": Entry(
        "32, all patterns", 16, "binary", False, *_GENERATED, _patterns(generated.bars_and_stripes)
    ),
    "labelled_shifter": Entry(
        "768, all patterns", 19, "binary", False, *_GENERATED, _patterns(generated.labelled_shifter)
    ),
    "shifting_bar": Entry("9, all patterns", 9, "binary", False, *_GENERATED, _patterns(generated.shifting_bar)),
    **{make.__name__: Entry("6000/2000/2000", 2, "real", False, *_DRAWN, _planar(make)) for make in _PLANAR},
    "mnist": Entry(
        "50000/10000/10000",
        784,
        "grey (256 levels)",
        True,
        "LeCun, Cortes & Burges, idx files",
        "none stated by the source; usually cited as CC BY-SA 3.0",
        published.mnist,
    ),
    "fashion_mnist": Entry(
        "50000/10000/10000",
        784,
        "grey (256 levels)",
        True,
        "Zalando Research, idx files",
        "MIT",
        published.fashion_mnist,
    ),
    "binarized_mnist": Entry(
        "50000/10000/10000",
        784,
        "binary",
        True,
        "Salakhutdinov & Murray 2008, Larochelle's .amat files or packed npz",
        "none stated; derived from MNIST",
        published.binarized_mnist,
    ),
    "omniglot": Entry(
        "17352/1928/13180", 784, "grey (256 levels)", True, *_LAKE, partial(published.omniglot, version="gray")
    ),
    "omniglot_binary": Entry(
        "17352/1928/13180", 784, "binary", True, *_LAKE, partial(published.omniglot, version="binary")
    ),
    "omniglot_original": Entry(
        "17352/1928/13180", 11025, "binary", True, *_LAKE, partial(published.omniglot, version="original")
    ),
    "omniglot_burda": Entry(
        "23000/1345/8070",
        784,
        "unit",
        True,
        "github.com/yburda/iwae chardata.mat",
        "none stated",
        published.omniglot_burda,
    ),
    "frey_faces": Entry(
        "1572/196/197", 560, "grey (256 levels)", True, "B. Frey, S. Roweis", "none stated", published.frey_faces
    ),
    "caltech_silhouettes": Entry(
        "4100/2264/2307",
        784,
        "binary",
        True,
        "B. Marlin, CalTech 101 silhouettes, split 1",
        "none stated",
        published.caltech_silhouettes,
    ),
    "jsb_chorales": Entry(
        "13807/4602/4725",
        88,
        "binary",
        True,
        "Boulanger-Lewandowski et al. 2012; czhuang/JSB-Chorales-dataset",
        "none stated (Bach: public domain)",
        published.jsb_chorales,
    ),
    "shakespeare": Entry(
        "15685/871/872",
        64,
        "codes (65)",
        True,
        "github.com/karpathy/char-rnn input.txt",
        "none stated (Shakespeare: public domain)",
        published.shakespeare,
    ),
    **{
        name: Entry(rows, width, "binary", True, *_STARAI, partial(published.binary_density, name=name))
        for name, (rows, width) in _STARAI_SETS.items()
    },
}


def names() -> dict[str, Entry]:
    """Return every named data set with what there is to know of it.

    >>> entry = names()["digits"]
    >>> entry.rows, entry.features, entry.needs_files
    ('1078/359/360', 64, False)
    """
    return dict(_ENTRIES)
