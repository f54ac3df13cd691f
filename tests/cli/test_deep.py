"""`deepgen train`, `sample`, `evaluate`, `report` and `compare` of deep belief networks and deep Boltzmann machines."""

import json

import pytest
import torch

import deepgen as dg
from deepgen.cli.baseline import worse
from deepgen.cli.compare.judged import Judged
from deepgen.cli.compare.tables import cells
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.explicit import DBM, DBN
from deepgen.plot.intervals import side_of
from deepgen.train import load_run

SMALL = ["--data", "bars_and_stripes", "--hidden", "6,4", "--batch", "16", "--epochs", "3", "--quiet"]


@pytest.mark.parametrize("name", ["dbn", "dbm"])
def test_it_is_trained_drawn_from_and_judged(name, deepgen, tmp_path):
    out = tmp_path / name
    done = deepgen("train", name, *SMALL, "--seed", 5, "--out", out)
    assert done.status == 0, done.err
    assert f"{name.upper()} 16-6-4 on bars_and_stripes: 3 epochs" in done.out
    run = load_run(out)
    assert isinstance(run.model, DBN if name == "dbn" else DBM)
    drawn = deepgen("sample", out, "-n", 5, "--steps", 3, "--out", tmp_path / "x.csv")
    assert drawn.status == 0, drawn.err
    found = json.loads(deepgen("evaluate", out, "--split", "train", "--json").out)
    x = dg.data.load("bars_and_stripes").train
    assert found["log_likelihood"]["side"] == "exact"
    assert found["log_likelihood"]["value"] == pytest.approx(log_likelihood(run.model, x, "exact").value)
    bound = deepgen("evaluate", out, "--split", "train", "--method", "raise")
    assert "(below; RAISE" in bound.out
    assert deepgen("report", out, "--out", tmp_path / "page.html").status == 0


@pytest.mark.parametrize(
    ("name", "kind", "objective"),
    [
        ("dbn", DBN, dg.objectives.LayerWise(dg.objectives.PersistentCD(k=1, chains=100))),
        ("dbm", DBM, dg.objectives.PersistentCD(k=1, chains=100, posterior_steps=2)),
    ],
)
def test_it_is_the_fit_a_script_would_make(name, kind, objective, deepgen, tmp_path):
    assert deepgen("train", name, *SMALL, "--rate", 0.2, "--seed", 3, "--out", tmp_path / "a").status == 0
    x = dg.data.load("bars_and_stripes").train
    model = kind(16, [6, 4], generator=3).initialise(x)
    dg.fit(model, x, objective, epochs=3, batch_size=16, optimizer=torch.optim.SGD(model.parameters(), lr=0.2),
           schedule=lambda done: 1 - done, seed=3, progress=False)  # fmt: skip
    for there, here in zip(dg.load(tmp_path / "a").parameters(), model.parameters(), strict=True):
        assert torch.equal(there, here)


def test_a_table_says_once_what_both_ends_share():
    bound = Bracket(*(Estimate(-3.0, 0.1, "undetermined", f"mean-field bound; log Z: {way}", 100)
                      for way in ("reverse AIS from a chain", "AIS")))  # fmt: skip
    assert cells(bound)[3] == "mean-field bound; log Z: reverse AIS, AIS"
    plain = Bracket(Estimate(-3.0, 0.1, "below", "reverse AIS", 100), Estimate(-2.9, 0.1, "above", "AIS", 100))
    assert cells(plain)[3] == "reverse AIS, AIS"


def test_it_may_be_stopped_by_validation_rows(deepgen, tmp_path):
    data = ["--data", "digits", "--hidden", "12,8", "--epochs", "2", "--patience", "2", "--quiet"]
    assert deepgen("train", "dbn", *data, "--out", tmp_path / "a").status == 0
    assert all(record.monitor is not None for record in load_run(tmp_path / "a").history)


def test_other_data_are_refused(deepgen, tmp_path):
    table = tmp_path / "real.csv"
    table.write_text("\n".join(f"{i / 7},{i % 3 - 0.5}" for i in range(40)))
    for name in ("dbn", "dbm"):
        refused = deepgen("train", name, "--data", table, "--out", tmp_path / name)
        assert refused.status == 2
        assert f"{name} takes zeros and ones" in refused.err


def test_compare_knows_them(tmp_path):
    names = ["bernoulli", "dbn", "dbm"]
    found = dg.compare("bars_and_stripes", names, budget="3s", out=tmp_path, progress=False)
    for name in names[1:]:
        assert not found[name].failed, found[name].failed
        assert found[name].likelihood


def test_the_upper_end_of_a_bound_is_no_ceiling():
    known = {"log f": "mean-field bound"}
    low = Estimate(-3.0, 0.1, "undetermined", "mean-field bound; log Z: reverse AIS", 100, settings=known)
    high = Estimate(-2.8, 0.1, "undetermined", "mean-field bound; log Z: AIS", 100, settings=known)
    bound, pair = Bracket(low, high), Bracket(low, Estimate(-2.8, 0.1, "above", "AIS", 100, stderr_data=0.01))
    plainest = Estimate(-1.0, 0.0, "exact", "mean log_prob", stderr_data=0.01)
    assert (bound.of_bound, pair.of_bound) == (True, False)
    assert (worse(bound, plainest), worse(pair, plainest)) == (False, True)
    assert (side_of(bound), side_of(pair)) == ("bound", "tentative")
    one, two = Judged("dbm", "DBM", [bound]), Judged("rbm", "RBM", [pair])
    assert (one.group, two.group) == ("bound", "tentative")
    assert one.range() == (-float("inf"), float("inf"))
    assert one.range(mixed=True) == (pair.interval()[0], float("inf"))
    assert two.range() == (-float("inf"), pair.interval()[1])
    assert two.range(mixed=True) == pair.interval()
    assert Judged.from_dict(one.to_dict()).likelihood[0].of_bound
