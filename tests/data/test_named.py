import subprocess
import sys

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DataError, SupportError, UnknownName
from deepgen.train.source import check_rows
from tests.data.formats import bits, grey, idx, write_packed

load = dg.data.load
EMBEDDED = [name for name, entry in dg.data.names().items() if not entry.needs_files]
PLANAR = [name for name, entry in dg.data.names().items() if entry.source == "deepgen.data.planar"]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_what_the_catalogue_says(name):
    data, entry = load(name), dg.data.names()[name]
    rows = [str(len(x)) for x in (data.train, data.valid, data.test)]
    assert "/".join(rows) == entry.rows or entry.rows == f"{rows[0]}, all patterns"
    assert tuple(data.event_shape) == (entry.features,) == tuple(data.train.shape[1:])
    assert all(bool(data.support.check(x).all()) for x in (data.train, data.valid, data.test))
    assert entry.source
    assert entry.licence


def test_digits_are_scikit_learns_at_half_ink():
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    data = load("digits")
    rows = torch.cat([data.train, data.valid, data.test])
    labels = torch.cat([*data.labels])
    everything = torch.cat([rows, labels.unsqueeze(1).float()], 1)
    expected = torch.from_numpy(np.hstack([images >= 8, classes[:, None]]).astype(np.float32))
    order = [sorted(map(tuple, x.tolist())) for x in (everything, expected)]
    assert order[0] == order[1]
    assert data.provenance["split_seed"] == 0
    grey_levels = load("digits", binarise="none")
    assert torch.equal((grey_levels.train >= 0.5).float(), data.train)
    assert grey_levels.train.unique().numel() == 17


def test_the_split_does_not_move_with_the_seed():
    assert torch.equal(load("digits", seed=1).train, load("digits", seed=2).train)


@pytest.mark.parametrize("name", PLANAR)
def test_planar_sets_follow_their_seed(name):
    state = torch.get_rng_state()
    a, b, c = (load(name, seed=s, rows=50) for s in (1, 1, 2))
    assert torch.equal(a.train, b.train)
    assert not torch.equal(a.train, c.train)
    assert [len(x) for x in (a.train, a.valid, a.test)] == [30, 10, 10]
    assert torch.equal(torch.get_rng_state(), state)


def test_planar_sets_take_the_arguments_of_their_law_and_carry_its_score_of_the_test_rows():
    data = load("gaussian_ring", rows=500, components=3, std=0.3)
    law = dg.data.gaussian_ring(3, std=0.3)
    assert data.provenance["ceiling"] == pytest.approx(float(law.log_prob(data.test).mean()), abs=1e-6)
    assert data.provenance["components"] == 3
    with pytest.raises(ArgumentError, match="it has rows, std"):
        load("moons", radius=2.0)
    with pytest.raises(ArgumentError, match="rows must be an integer of at least 2, got 0"):
        load("moons", rows=0)


def test_the_ceiling_of_a_pattern_set_is_carried_along():
    assert load("bars-and-stripes").provenance["ceiling"] * 32 == pytest.approx(-108.13, abs=0.005)
    assert load("bars_and_stripes", size=3).image_shape == (3, 3)
    assert load("labelled_shifter").provenance["ceiling"] == pytest.approx(-6.644, abs=0.0005)
    assert load("shifting_bar", flipped=True).train.mean() == pytest.approx(8 / 9)


def test_unknown_names_and_missing_paths_are_told_apart():
    with pytest.raises(UnknownName, match="did you mean 'digits'"):
        load("digit")
    with pytest.raises(UnknownName, match="mnist"):
        load("minst")
    for path in ("none.csv", "no/such/place", "./digits_of_mine"):
        with pytest.raises((DataError, UnknownName)):
            load(path)


def test_options_that_a_set_does_not_have_are_told():
    with pytest.raises(ArgumentError, match="'digits' has no option 'size'; it has none"):
        load("digits", size=3)
    with pytest.raises(ArgumentError, match="it has size, distinct"):
        load("bars_and_stripes", length=3)
    with pytest.raises(ArgumentError, match="no option 'version'"):
        load("omniglot_binary", version="gray")
    with pytest.raises(ArgumentError, match="rows must be an integer of at least 2"):
        load("moons", rows=1)
    assert len(load("moons", rows=2).test) == 1


def table(path, x, header=""):
    path.write_text(header + "\n".join(",".join(f"{v:g}" for v in row) for row in x) + "\n")
    return path


def test_misspelt_options_get_a_hint():
    with pytest.raises(ArgumentError, match="'digits' has no option 'binarize': did you mean 'binarise'"):
        load("digits", binarize="fixed")
    with pytest.raises(ArgumentError, match="did you mean 'distinct'"):
        load("bars_and_stripes", distinkt=True)


def test_a_table_of_ones_own(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 3)).round(3)
    data = load(table(tmp_path / "mine.csv", x, "a,b,c\n"))
    rows = torch.cat([data.train, data.valid, data.test])
    assert [len(p) for p in (data.train, data.valid, data.test)] == [30, 10, 10]
    assert np.allclose(np.sort(rows.numpy(), 0), np.sort(x, 0))
    assert data.provenance["columns"] == ["a", "b", "c"]
    assert data.provenance["name"] == "mine.csv"
    assert str(tmp_path) not in str(data.provenance)
    assert len(load(tmp_path / "mine.csv", split=(1.0, 0.0, 0.0)).train) == 50
    assert set(load(tmp_path / "mine.csv", binarise="threshold", threshold=0.0).train.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("values", "support"),
    [
        (np.array([[0, 1], [1, 0]]), torch.distributions.constraints.boolean),
        (np.array([[0, 0.5], [1, 0]]), torch.distributions.constraints.unit_interval),
        (np.array([[0, 1.5], [1, 0]]), torch.distributions.constraints.real),
    ],
)
def test_what_values_are_is_read_off_them(tmp_path, values, support):
    np.save(tmp_path / "x.npy", values)
    for path in (table(tmp_path / "x.csv", values), tmp_path / "x.npy"):
        assert load(path).support is support


def test_the_value_that_spoils_bits_is_found(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, size=(100, 4)).astype(float)
    x[41, 2] = 0.3
    data = load(table(tmp_path / "x.csv", x))
    assert data.provenance["nearly_binary"] == "row 42, column 3 is 0.3; 1 of 400 values are not 0 or 1"
    spoilt = next(part for part in (data.train, data.valid, data.test) if bool((part == np.float32(0.3)).any()))
    with pytest.raises(SupportError, match=r"in the file, row 42, column 3 is 0\.3"):
        check_rows(dg.RBM(visible=4, hidden=1), spoilt)
    named = load(table(tmp_path / "named.csv", x, "a,b,c,d\n"), label="a")
    assert named.provenance["nearly_binary"].startswith("row 42, column 2 (c) is 0.3; 1 of 300")
    folder = tmp_path / "split"
    folder.mkdir()
    for split, rows in (("train", x[:20]), ("valid", x[20:40]), ("test", x[40:])):
        table(folder / f"{split}.csv", rows)
    assert load(folder).provenance["nearly_binary"].startswith("row 2 of test, column 3 is 0.3; 1 of 400")
    x[x == 0] = 0.5
    assert "nearly_binary" not in load(table(tmp_path / "half.csv", x)).provenance


def test_bits_are_labelled_by_whose_they_are(tmp_path):
    bits = table(tmp_path / "bits.csv", np.eye(10))
    np.savez(tmp_path / "splits.npz", train=np.eye(3), valid=np.eye(3), test=np.eye(3))
    packed = tmp_path / "packed.npz"
    write_packed(packed, 6, counts=True)
    for own in (bits, tmp_path / "splits.npz", packed):
        assert load(own).provenance["binarisation"] == "as given"
    assert load("bars_and_stripes").provenance["binarisation"] == "as generated"


def test_labels_of_a_table_follow_their_rows(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n" + "".join(f"{i},{'even' if i % 2 == 0 else 'odd'}\n" for i in range(30)))
    data = load(tmp_path / "t.csv", label="kind")
    for split in ("train", "valid", "test"):
        assert torch.equal(getattr(data.labels, split), getattr(data, split)[:, 0].long() % 2)
    assert data.provenance["classes"] == ["even", "odd"]


def test_one_row_and_constant_columns_load(tmp_path):
    one = load(table(tmp_path / "one.csv", [[1, 0, 1]]))
    assert [len(x) for x in (one.train, one.valid, one.test)] == [1, 0, 0]
    assert one.provenance["split_rule"].endswith("too few rows (1) for any in valid or test")
    assert (
        load(table(tmp_path / "all.csv", [[1, 0]], ""), split=(1, 0, 0))
        .provenance["split_rule"]
        .endswith("permutation")
    )
    constant = load(table(tmp_path / "constant.csv", [[1, 0]] * 10))
    assert constant.train.var(0).tolist() == [0, 0]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".idx"])
def test_images_of_ones_own_keep_their_shape(tmp_path, suffix):
    x, path = grey(10, 5, 4), tmp_path / f"images{suffix}"
    if suffix == ".npz":
        np.savez(path, x=x, y=np.arange(10))
    elif suffix == ".npy":
        np.save(path, x)
    else:
        path.write_bytes(idx(x))
    data = load(path)
    assert data.image_shape == (5, 4)
    assert bool((data.train * 255 == (data.train * 255).round()).all())
    assert (data.labels is not None) == (suffix == ".npz")


def test_splits_of_ones_own_are_kept(tmp_path):
    made = {s: bits(n, 6, seed=n) for s, n in (("train", 9), ("valid", 3), ("test", 4))}
    np.savez(tmp_path / "a.npz", **made)
    packed = write_packed(tmp_path / "b.npz", 6, counts=True)
    folder = tmp_path / "c"
    folder.mkdir()
    for s, x in made.items():
        table(folder / f"{'val' if s == 'valid' else s}.csv", x)
    for path, expected in ((tmp_path / "a.npz", made), (tmp_path / "b.npz", packed), (folder, made)):
        data = load(path)
        for s, x in expected.items():
            assert np.array_equal(getattr(data, s).numpy(), x)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("nan.npy", np.array([[0, 1], [np.nan, 0]]), "row 2, column 1: NaN; .* drop those rows or fill them in"),
        (
            "inf.npy",
            np.array([[0, 1], [0, np.inf]]),
            "row 2, column 2: not a finite float32 number; 1 .* finite$",
        ),
        ("empty.npy", np.zeros((0, 3)), "expected numbers"),
        ("scalar.npy", np.float32(1), "expected numbers"),
        ("complex.npy", np.ones((2, 2), complex), "expected an array of numbers"),
    ],
)
def test_impossible_values_of_ones_own_are_told(tmp_path, name, values, message):
    np.save(tmp_path / name, values)
    with pytest.raises(DataError, match=f"{name}.*{message}"):
        load(tmp_path / name)


def test_names_serve_as_labels_of_an_npz(tmp_path):
    names = np.array(["wolf", "ant", "wolf", "bee", "ant"])
    np.savez(tmp_path / "named.npz", x=np.arange(10.0).reshape(5, 2), y=names)
    data = load(tmp_path / "named.npz")
    assert data.provenance["classes"] == ["ant", "bee", "wolf"]
    for part in ("train", "valid", "test"):
        rows, labels = getattr(data, part), getattr(data.labels, part)
        assert [data.provenance["classes"][i] for i in labels] == [*names[(rows[:, 0] / 2).long().numpy()]]


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    np.savez(tmp_path / "part.npz", train=np.ones((2, 2)))
    np.savez(tmp_path / "wide.npz", train=np.ones((2, 2)), valid=np.ones((2, 3)), test=np.ones((2, 2)))
    np.savez(tmp_path / "labels.npz", x=np.ones((4, 2)), y=np.ones(3))
    np.savez(tmp_path / "halves.npz", x=np.ones((4, 2)), y=np.array([0.0, 1.0, 0.5, 1.0]))
    np.savez(tmp_path / "nan.npz", x=np.ones((4, 2)), y=np.array([np.nan, 1.0, 0.0, 1.0]))
    np.savez(tmp_path / "pairs.npz", x=np.ones((4, 2)), y=np.array([["a", "b"]] * 4))
    (tmp_path / "what.ever").write_text("1,2")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("two.npz", "one named x; found a, b"),
        ("part.npz", "valid and test beside it"),
        ("wide.npz", "differ in shape"),
        ("labels.npz", "labels are"),
        ("halves.npz", "labels must be whole numbers, got 0.5 in row 2"),
        ("nan.npz", "labels must be whole numbers, got nan in row 0"),
        ("pairs.npz", "whole numbers or text"),
        ("what.ever", "cannot tell the format"),
        ("folder", r"one file train\.\*"),
    ):
        with pytest.raises(DataError, match=message):
            load(tmp_path / name)
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    with pytest.raises(ArgumentError, match="column of a table"):
        load(tmp_path / "x.npy", label=0)


def test_importing_reads_no_heavy_package():
    """Nothing beyond what torch itself imports."""
    code = (
        "import sys, torch; before = set(sys.modules); import deepgen.data; "
        "print({m.split('.')[0] for m in set(sys.modules) - before} & {'sklearn', 'scipy', 'tqdm', 'http', 'urllib'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
