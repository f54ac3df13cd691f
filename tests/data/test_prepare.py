import json

import numpy as np
import pytest
import torch

from deepgen.data.prepare import Raw, prepare
from deepgen.data.redrawn import Redrawn
from deepgen.data.splits import provenance
from deepgen.errors import ArgumentError


def raw(kind="grey", levels=256, rows=(4000, 500, 500), **more):
    rng = np.random.default_rng(0)
    draw = {
        "grey": lambda n: rng.integers(0, levels, (n, 6)).astype(np.uint8),
        "codes": lambda n: rng.integers(0, levels, (n, 6)),
        "binary": lambda n: rng.integers(0, 2, (n, 6)).astype(np.uint8),
        "unit": lambda n: rng.random((n, 6)),
        "real": lambda n: rng.normal(size=(n, 6)) * 3,
    }[kind]
    return Raw(tuple(draw(n) for n in rows), kind, "as given", levels=levels, **more)


def make(source, **options):
    return prepare(source, name="name", source="source", **options)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_grey_levels_are_scaled_to_the_unit_interval(levels):
    source = raw(levels=levels)
    data = make(source)
    assert torch.equal((data.train * (levels - 1)).round().long(), torch.from_numpy(source.splits[0]).long())
    assert float(data.train.min()) == 0
    assert float(data.train.max()) == 1


def test_a_threshold_is_inclusive_and_on_the_stated_scale():
    source = raw(levels=17)
    data = make(source, binarise="threshold")
    assert torch.equal(data.train, torch.from_numpy(source.splits[0] >= 8).float())
    assert torch.equal(
        make(source, binarise="threshold", threshold=1.0).test, torch.from_numpy(source.splits[2] == 16).float()
    )
    real = raw("real")
    assert torch.equal(
        make(real, binarise="threshold", threshold=-1.5).train, torch.from_numpy(real.splits[0] >= -1.5).float()
    )


@pytest.mark.parametrize("binarise", ["fixed", "dynamic"])
def test_bits_are_drawn_with_the_grey_level_as_probability(binarise, seed):
    source = Raw(
        tuple(np.tile(np.array([[0, 3, 8, 16]], np.uint8), (20_000, 1)) for _ in range(3)), "grey", "", levels=17
    )
    data = make(source, binarise=binarise, seed=seed)
    p = torch.tensor([0.0, 3 / 16, 8 / 16, 1.0])
    for x in (data.train[:], data.valid, data.test):
        assert bool(((x.mean(0) - p).abs() <= 6 * (p * (1 - p) / 20_000).sqrt()).all())
        assert x.unique().tolist() == [0.0, 1.0]
    assert not torch.equal(data.valid, data.test)


def test_the_seed_fixes_what_is_drawn():
    for options in ({"binarise": "fixed"}, {"dequantise": "fixed"}):
        a, b, c = (make(raw(), seed=s, **options) for s in (1, 1, 2))
        assert torch.equal(a.train, b.train)
        assert torch.equal(a.test, b.test)
        assert not torch.equal(a.train, c.train)
    a, b = (make(raw(), binarise="dynamic", seed=1) for _ in range(2))
    assert isinstance(a.train, Redrawn)
    assert torch.equal(a.train[:], b.train[:])
    assert not torch.equal(a.train[:], a.train[:])
    assert torch.equal(a.valid, b.valid)


@pytest.mark.parametrize(
    ("kind", "options", "binarisation", "dequantisation"),
    [
        ("grey", {}, "none", "none"),
        ("grey", {"binarise": "threshold", "threshold": 0.25}, "threshold 0.25", "none"),
        ("grey", {"binarise": "fixed", "seed": 7}, "fixed, seed 7", "none"),
        ("grey", {"binarise": "dynamic", "seed": 7}, "dynamic (valid and test fixed, seed 7)", "none"),
        ("grey", {"dequantise": "fixed"}, "none", "uniform over 256 levels, fixed, seed 0"),
        ("grey", {"dequantise": "dynamic"}, "none", "uniform over 256 levels, dynamic (valid and test fixed), seed 0"),
        ("binary", {}, "as published", "none"),
        ("unit", {"binarise": "fixed"}, "fixed, seed 0", "none"),
        ("real", {}, "none", "none"),
        ("codes", {}, "none", "none"),
    ],
)
def test_every_split_knows_what_was_done_to_it_and_obeys_its_support(kind, options, binarisation, dequantisation):
    data = make(raw(kind), **options)
    json.dumps(data.provenance)
    for split, rows in (("train", 4000), ("valid", 500), ("test", 500)):
        x = getattr(data, split)
        known = provenance(x)
        assert (known["binarisation"], known["dequantisation"]) == (binarisation, dequantisation)
        assert (known["split"], known["rows"], known["name"]) == (split, rows, "name")
        assert bool(data.support.check(x[:]).all())
        assert x[:].dtype == (torch.int64 if kind == "codes" else torch.float32)
        assert x[:].is_contiguous()
    assert data.provenance["rows"] == {"train": 4000, "valid": 500, "test": 500}
    assert "name" in repr(data)


def test_supports_are_no_wider_than_need_be():
    assert not bool(make(raw("binary")).support.check(torch.tensor(0.5)))
    assert not bool(make(raw(), binarise="fixed").support.check(torch.tensor(0.5)))
    assert not bool(make(raw(), dequantise="fixed").support.check(torch.tensor(1.0)))
    assert not bool(make(raw()).support.check(torch.tensor(1.1)))
    assert not bool(make(raw("codes", levels=5)).support.check(torch.tensor(5)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("grey", {"binarise": "median"}),
        ("grey", {"dequantise": "gauss"}),
        ("grey", {"binarise": "fixed", "dequantise": "fixed"}),
        ("real", {"binarise": "fixed"}),
        ("real", {"binarise": "threshold"}),
        ("binary", {"binarise": "threshold"}),
        ("codes", {"binarise": "threshold"}),
        ("unit", {"dequantise": "fixed"}),
        ("binary", {"dequantise": "dynamic"}),
    ],
)
def test_preparations_that_make_no_sense_are_refused(kind, options):
    with pytest.raises(ArgumentError):
        make(raw(kind, rows=(3, 3, 3)), **options)


def test_the_callers_arrays_stay_as_they_were():
    source = raw()
    before = source.splits[0].copy()
    make(source, binarise="fixed")
    make(raw("real")).train.zero_()
    assert np.array_equal(source.splits[0], before)


def test_labels_become_class_numbers():
    source = raw(rows=(2, 1, 1), labels=(np.array([3, 1], np.uint8), None, np.array([2])))
    labels = make(source).labels
    assert labels.train.tolist() == [3, 1]
    assert labels.valid is None
    assert labels.test.dtype == torch.int64


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), "0.5", True])
def test_a_threshold_is_a_finite_number(threshold):
    with pytest.raises(ArgumentError, match="threshold must be a finite number, got"):
        make(raw(), binarise="threshold", threshold=threshold)


@pytest.mark.parametrize(
    ("kind", "options", "levels"),
    [
        ("grey", {}, 17),
        ("grey", {"dequantise": "fixed"}, 17),
        ("codes", {}, 17),
        ("grey", {"binarise": "threshold"}, None),
        ("binary", {}, None),
        ("unit", {}, None),
        ("real", {}, None),
    ],
)
def test_the_number_of_levels_is_told_where_there_are_any(kind, options, levels):
    assert make(raw(kind, levels=17), **options).levels == levels
