"""Loading a data set by name, or the user's own by path."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from deepgen.data.catalogue import names
from deepgen.data.own import own
from deepgen.data.prepare import Binarise, Dequantise, Raw, prepare
from deepgen.data.splits import Data
from deepgen.errors import ArgumentError, DataError, did_you_mean, unknown_name


def load(
    name_or_path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    binarise: Binarise | None = None,
    threshold: float | None = None,
    dequantise: Dequantise | None = None,
    seed: int = 0,
    **options: Any,
) -> Data:
    """Load a data set by name (see `names`) or the user's own file or folder (see `deepgen.data.own`).

    Grey levels come out scaled to [0, 1]. Splits do not depend on ``seed``.

    Args:
        name_or_path: ``digits``, ``mnist``, ...; or a path such as ``table.csv``.
        root: folder with the files of a named set, directly or in a folder of its name; the environment variable
            DEEPGEN_DATA by default.
        binarise: ``threshold``, ``fixed``, ``dynamic`` or ``none`` (see `deepgen.data.prepare`); None is the set's own
            convention: a threshold for the digits, none for all others.
        threshold: values at or above it become 1: of the grey scale [0, 1] (0.5 if None), or in the unit of real-valued
            data, which have no natural one.
        dequantise: ``fixed`` or ``dynamic`` uniform noise on grey levels; leaves out any binarisation.
        seed: of the binarisation, the noise and the generated sets.
        options: the set's own: ``size``, ``distinct`` (bars_and_stripes), ``bits`` (labelled_shifter), ``size``,
            ``length``, ``flipped`` (shifting_bar), ``rows`` and the arguments of the law (planar sets), ``step``
            (jsb_chorales), ``length`` (shakespeare); ``split``, ``label``, ``header``, ``length`` for files of your
            own.

    Raises:
        UnknownName: neither a known name nor a path.
        DataError: a file is missing or broken.
        ArgumentError: an option that the set does not have, or a preparation that its values do not allow.

    >>> data = load("digits")  # grey levels 8 to 16 of 16 are 1
    >>> data
    Data('digits', rows 1078/359/360, features [64], binarisation 'threshold 0.5')
    >>> load("bars-and-stripes", size=3).provenance["ceiling"]
    -2.59930...
    """
    text = os.fspath(name_or_path)
    key = text.lower().replace("-", "_")
    if isinstance(name_or_path, str) and key in names():
        entry = names()[key]
        raw = _call(entry.read, key, {"root": root, "seed": seed}, options)
        name, source = key, entry.source
    else:
        path = Path(text).expanduser()
        if not path.exists():
            if isinstance(name_or_path, str) and path.name == text and not path.suffix:
                raise unknown_name("data set", text, names())
            raise DataError(f"{path}: no such file or folder")
        raw = _call(own, path.name, {"path": path}, options)
        name, source = path.name, "file of the user's own"
    return prepare(
        raw, name=name, source=source, binarise=binarise, threshold=threshold, dequantise=dequantise, seed=seed
    )


_OWN = [name for name, p in inspect.signature(load).parameters.items() if p.kind is p.KEYWORD_ONLY]  # of all data sets


def _call(read: Callable[..., Raw], name: str, given: dict[str, Any], options: dict[str, Any]) -> Raw:
    """Call ``read`` with those of ``given`` that it takes, and with ``options``, which it must take."""
    takes = inspect.signature(read).parameters
    fixed = set(given) | (set(read.keywords) if isinstance(read, partial) else set())
    free = [p for p in takes if p not in fixed]
    for option in options:
        if option not in free:
            hint = did_you_mean(option, [*free, *_OWN]).strip()
            told = f": {hint}" if hint else f"; it has {', '.join(free) or 'none'}"
            raise ArgumentError(f"{name!r} has no option {option!r}{told}")
    return read(**{k: v for k, v in given.items() if k in takes}, **options)
