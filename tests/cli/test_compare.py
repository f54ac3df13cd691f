"""`deepgen compare`: one budget, one set of held-out rows, sides apart, and nothing that is done is done again."""

import html
import itertools
import json
import math
import os
import re
import shlex
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.cli.collapse import collapse
from deepgen.cli.compare import asked, comparison, judging, run, tables, training
from deepgen.cli.compare.cooling import Cooling, Falling
from deepgen.cli.compare.judged import Judged, leaders, ranked
from deepgen.cli.compare.page import page
from deepgen.cli.compare.paired import paired
from deepgen.cli.compare.run import UNTRAINED
from deepgen.cli.options import settle
from deepgen.cli.progress import Lines
from deepgen.errors import ArgumentError, DivergenceError, UnknownName
from deepgen.evaluate import Bracket, Estimate, plus_minus
from deepgen.train import EarlyStopping, Record, load_run

# What a barely trained VAE is warned of is no fault of the command.
pytestmark = pytest.mark.filterwarnings("default::deepgen.errors.DegenerateWeights")

SMALL = ("--data", "bars_and_stripes", "--budget", "0.6s", "--quiet", "--out")
PLAN = {"rows": 64, "looks": 20}
KEYS = {"format", "version", "data", "budget", "rows", "seed", "command", "unit", "verdict", "models"}


@pytest.fixture
def pageless(monkeypatch):
    """Figures take seconds, and one page is enough to look at."""
    monkeypatch.setattr("deepgen.cli.compare.page.page", lambda *_: None)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three models: an exact one, a lower bound, and one that does not fit the data."""
    out = tmp_path_factory.mktemp("compare")
    names = ["bernoulli", "vae", "lstm"]
    return dg.compare("bars_and_stripes", names, budget=0.6, out=out, progress=False)


def test_table_page_numbers_and_runs_are_left(small):
    out = small.directory
    stored = json.loads((out / "results.json").read_text())
    assert stored.keys() == KEYS
    assert stored["budget"] == {"seconds": 0.6, "each": pytest.approx(0.2)}
    assert [one["group"] for one in stored["models"]] == ["exact", "below", "failed"]
    for one in stored["models"]:
        assert all({"value", "stderr", "side", "method"} <= each.keys() for each in one["likelihood"])
    page = (out / "report.html").read_text()
    assert "lower bounds: the truth is at or above" in page
    assert "lstm takes a text" in page
    assert type(dg.load(out / "vae")).__name__ == "VAE"
    text = (out / "results.md").read_text()
    assert "| **exact** |" in text
    assert "| **failed** |" in text


def test_its_runs_evaluate_to_the_numbers_of_the_table(small, deepgen):
    done = deepgen("evaluate", small.directory / "bernoulli", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["log_likelihood"]["value"] == pytest.approx(small["bernoulli"].likelihood[0].value, rel=1e-9)
    done = deepgen("evaluate", small.directory / "vae", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert told["log_likelihood"]["value"] == pytest.approx(small["vae"].likelihood[0].value, rel=1e-6)


def test_a_record_comes_back_from_json(small):
    for one in small.models:
        assert json.dumps(Judged.from_dict(json.loads(json.dumps(one.to_dict()))).to_dict()) == json.dumps(
            one.to_dict()
        )


def test_what_is_done_is_kept(small, monkeypatch):
    monkeypatch.setattr(run, "_one", lambda *_, **__: pytest.fail("a model was trained again"))
    again = dg.compare("bars_and_stripes", "bernoulli,vae,lstm", budget="0.6s", out=small.directory, progress=False)
    assert json.dumps(again.to_dict()) == json.dumps(small.to_dict())


def test_ctrl_c_before_anything_is_saved_says_so(deepgen, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "compare", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    stopped = deepgen("compare", "--models", "bernoulli", "--data", "bars_and_stripes", "--out", tmp_path / "none")
    assert stopped.status == 130
    assert "interrupted; nothing is saved yet; to start again: deepgen compare --models bernoulli" in stopped.err


def test_another_comparison_in_the_directory_is_refused(small):
    with pytest.raises(ArgumentError, match=r"begun with budget 0.6, now 5.0: .*--fresh"):
        dg.compare("bars_and_stripes", "bernoulli,vae,lstm", budget="5s", out=small.directory, progress=False)


def test_begun_anew_nothing_of_before_is_taken(tmp_path, monkeypatch, pageless):
    first = dg.compare("bars_and_stripes", "bernoulli", budget="1s", out=tmp_path, progress=False)
    with monkeypatch.context() as patched:
        patched.setattr(training, "fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            dg.compare("bars_and_stripes", "bernoulli", budget="1s", seed=1, out=tmp_path, resume=False, progress=False)
    assert not (tmp_path / "bernoulli" / "manifest.json").exists()
    again = dg.compare("bars_and_stripes", "bernoulli", budget="1s", seed=1, out=tmp_path, progress=False)
    assert again["bernoulli"].likelihood[0].value == first["bernoulli"].likelihood[0].value  # it draws nothing
    assert load_run(tmp_path / "bernoulli").settings["seed"] == 1


def test_a_run_that_was_stopped_goes_on(deepgen, tmp_path, monkeypatch, pageless):
    """Ctrl-C in the second model: the first is kept, and the second goes on from its step and its seconds."""
    words = ("compare", "--models", "bernoulli,made", "--data", "bars_and_stripes", "--budget", "1000s", "--quiet")
    words = (*words, "--out", tmp_path)
    steps = []

    def press(self):
        steps.append(self.share())
        if len(steps) == 4:  # one of bernoulli, and three of made
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training, "measured", lambda *_: PLAN)
    with monkeypatch.context() as patched:
        patched.setattr(training.Spent, "advance", press)
        stopped = deepgen(*words)
    assert stopped.status == 130
    # batches of 50: two steps go twice over 32 rows, and the third is the first half of another such slice
    assert "interrupted in made after 3 updates, 3 passes over the training rows;" in stopped.err
    assert "epoch" not in stopped.err
    assert f"{tmp_path} keeps what is done; to resume: deepgen compare" in stopped.err
    assert (tmp_path / "bernoulli" / "judged.json").exists()
    assert not (tmp_path / "made" / "judged.json").exists()
    before = load_run(tmp_path / "made")
    kept = (tmp_path / "bernoulli" / "judged.json").stat().st_mtime_ns
    assert before.settings["extras"]["plan"] == PLAN
    assert before.history["step"] == [2]

    def end(self):
        steps.append(self.share())

    monkeypatch.setattr(training, "measured", lambda *_: pytest.fail("the plan was made again"))
    with monkeypatch.context() as patched:
        patched.setattr(training.Spent, "advance", end)
        patched.setattr(training.Spent, "stop", property(lambda self: len(steps) >= 7))
        done = deepgen(*words)
    assert done.status == 0, done.err
    assert load_run(tmp_path / "made").history["step"] == [2, 4, 6]  # three steps before, and three after
    assert steps[3] < steps[4]  # the clock went on from where it stood
    assert (tmp_path / "bernoulli" / "judged.json").stat().st_mtime_ns == kept


def test_a_model_that_diverges_stays_in_the_table(deepgen, tmp_path, monkeypatch, pageless):
    def explode(*_, **__):
        raise DivergenceError("training diverged: a metric is no longer finite at step 7", step=7)

    with monkeypatch.context() as patched:
        patched.setattr(training, "fit", explode)
        done = deepgen("compare", "--models", "made", *SMALL, tmp_path)
    assert done.status == 0
    assert "made: training diverged: a metric is no longer finite at step 7" in done.out
    (one,) = json.loads((tmp_path / "results.json").read_text())["models"]
    assert (one["group"], one["likelihood"]) == ("failed", [])


@pytest.mark.parametrize("error", [RuntimeError, KeyError, IndexError, AssertionError, ZeroDivisionError])
def test_a_fault_in_one_model_does_not_end_the_comparison(deepgen, tmp_path, monkeypatch, pageless, error):
    real = run.build

    def broken(name, *rest):
        if name == "made":
            raise error("shapes do not match")
        return real(name, *rest)

    monkeypatch.setattr(run, "build", broken)
    done = deepgen("compare", "--models", "made,bernoulli", *SMALL, tmp_path)
    assert done.status == 0
    assert f"made: a fault in deepgen: {error.__name__}: {error('shapes do not match')}" in done.out
    assert "[exact]" in done.out


def test_names_and_budgets_that_are_none_are_refused(deepgen, tmp_path):
    unknown = deepgen("compare", "--models", "mads", *SMALL, tmp_path)
    assert (unknown.status, unknown.err.count("\n")) == (2, 1)
    assert "did you mean 'made'?" in unknown.err
    assert [asked.seconds(text) for text in ("90s", "10m", "1h", "1.5m", 7)] == [90, 600, 3600, 90, 7]
    for wrong in ("soon", "10 d", "-3s", "", 0, float("nan")):
        with pytest.raises(ArgumentError, match="--budget"):
            asked.seconds(wrong)
    for wrong in ([1], ["vae --help"]):
        with pytest.raises(ArgumentError, match=r"--models must be names|--help in 'vae --help'"):
            asked.chosen(wrong, None)
    with pytest.raises(UnknownName, match="digits"):
        dg.compare("digitz", out=tmp_path, progress=False)
    assert not any(tmp_path.iterdir())


def exact(name, value):
    return Judged(name, name, [Estimate(value, 0.0, "exact", "sum", unit="nats/example")])


def bound(name, value, side="below"):
    return Judged(name, name, [Estimate(value, 0.1, side, "bound", n=1000, unit="nats/example")])


def bracket(name, low, high):
    return Judged(name, name, [Bracket(bound("", low).likelihood[0], bound("", high, "above").likelihood[0])])


def test_sides_are_never_mixed():
    """The greatest value is an optimistic one, the next a bound: neither may stand above the exact ones."""
    mixed = [bound("optimist", -1.0, "above"), bound("vae", -2.0), bracket("rbm", -4.0, -3.5), exact("a", -6.0)]
    mixed += [exact("b", -5.0), Judged("gan", "gan"), Judged("cvae", "cvae", bound("", 0.0).likelihood, given="labels")]
    shown = ranked([*mixed, Judged("nsf", "nsf", failed="refused")])
    assert [one.model for one in shown] == ["b", "a", "rbm", "vae", "optimist", "cvae", "gan", "nsf"]
    lines = tables.table(shown).splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("[")]
    assert len(heads) == len({one.group for one in shown}) == 7
    markdown = tables.table(shown, markdown=True).splitlines()
    assert {line.replace("\\|", "").count("|") for line in markdown} == {len(tables.HEAD) + 1}


def test_the_verdict_says_no_more_than_the_sides_allow():
    first, surest = leaders([exact("a", -5.0), bracket("rbm", -7.0, -6.0)])
    assert ([one.model for one in first], surest.model) == (["a"], "a")
    first, _ = leaders([exact("a", -5.0), bracket("rbm", -7.0, -4.0), bound("vae", -9.0)])
    assert [one.model for one in first] == ["a", "rbm", "vae"]  # a bound from below excludes nothing above it
    first, surest = leaders([bound("optimist", -1.0, "above")])
    assert ([one.model for one in first], surest) == (["optimist"], None)
    given = Judged("cvae", "cvae", bound("", 0.0).likelihood, given="labels")
    assert leaders([given, exact("a", -5.0)])[0] == [exact("a", -5.0)]
    assert tables.verdict([given]) == "no log-likelihood to compare"
    crossed = bracket("rbm", -3.0, -6.0)
    assert crossed.range() == (-math.inf, math.inf)


def test_the_rate_falls_with_the_time_and_the_clock_outlives_a_stop(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    spent = training.Spent(10.0)
    rate = Falling(Cooling(spent, EarlyStopping()))
    now[0] += 4.0
    assert rate(0.99) == pytest.approx(0.6)
    later = training.Spent(10.0)
    later.load_state_dict(spent.state_dict())
    now[0] += 3.0
    assert Falling(Cooling(later, EarlyStopping()))(0.0) == pytest.approx(0.3)
    now[0] += 100.0
    assert Falling(Cooling(later, EarlyStopping()))(0.0) == 0.0
    assert rate.arguments() == {"seconds": 10.0}


def test_what_was_best_early_goes_back_there_and_cools_down(monkeypatch):
    now, model = [0.0], torch.nn.Linear(1, 1)
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    spent = training.Spent(100.0)
    stopping = EarlyStopping(patience=99)
    cooling = Cooling(spent, stopping)
    rate, weights = Falling(cooling), []
    for look, monitor in enumerate([-3.0, -2.0, -2.5, -2.2, -4.0, -2.1], 1):  # best after ten seconds, at the second
        now[0] = 5.0 * look
        with torch.no_grad():
            model.weight.fill_(look)
        for callback in (stopping, cooling):
            callback(Record(look, look, 0.0, 0.0, {}, monitor=monitor), model)
        weights.append(float(model.weight.detach()))
    assert weights == [1, 2, 3, 4, 5, 2]
    assert rate(0.0) == pytest.approx(0.9)  # as it was at the best
    now[0] = 35.0
    assert (rate(0.0), cooling.stop) == (pytest.approx(0.45), False)  # half of the ten seconds that led there
    later = Cooling(spent, stopping)
    later.load_state_dict(cooling.state_dict())
    assert Falling(later)(0.0) == pytest.approx(0.45)
    now[0] = 40.0
    assert (rate(0.0), cooling.stop) == (0.0, True)
    for callback in (stopping, cooling):
        callback(Record(7, 7, 0.0, 0.0, {}, monitor=-9.0), model)
    assert float(model.weight.detach()) == 2


def test_an_epoch_of_one_step_is_no_way_around_the_clock(tmp_path):
    recipe = run.build("made", dg.data.load("bars_and_stripes"), {**settle("made", {}), "seed": 0, "hidden": [4]})
    out = tmp_path / "plan"
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "measured", lambda *_: {"rows": 1, "looks": 2})
        done = training.trained(recipe, out, 0.2, seed=0, extras={})
    assert done.history.stopped == "early stopping"
    assert 1 <= done.kept <= done.updates == len(done.history)
    assert done.passes == pytest.approx(done.updates / 32)  # slices of one row each, of 32: no epochs
    assert done.history[-1].passes == pytest.approx(done.passes)
    again = training.trained(recipe, out, 0.2, seed=0, extras={})
    assert again[2:] == done[2:]
    assert time.monotonic() - began < 60


def test_a_step_is_timed_where_an_epoch_is_one_batch(monkeypatch):
    """Half a second for each step and for the look: 22 steps are timed, and 99 of them lie between two looks."""
    recipe = run.build("made", dg.data.load("bars_and_stripes"), {**settle("made", {}), "seed": 0, "hidden": [4]})
    ticks = itertools.count(0, 0.5)
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(ticks))
    plan = training.measured(recipe, recipe.valid, 1000.0)
    assert plan == {"rows": 99 * recipe.batch, "looks": 20}


def test_the_same_rows_are_held_out_for_all():
    data = dg.data.load("digits")
    assert judging.held_out(data) is data
    test = data.test.repeat(8, 1)
    labels = dg.data.Splits(None, None, torch.arange(len(test)))
    fewer, again = (judging.held_out(replace(data, test=test, labels=labels)) for _ in range(2))
    assert len(fewer.test) == judging.ROWS
    assert torch.equal(fewer.test, again.test)
    assert torch.equal(test[fewer.labels.test], fewer.test)  # each row kept its label
    assert fewer.test.provenance["rows"] == "2000 of 2880 at random"


@pytest.mark.parametrize(("name", "expected"), [("digits", "pixelcnn"), ("moons", "nsf")])
def test_usual_models_fit_the_data(name, expected):
    assert expected in asked.usual(dg.data.load(name))
    assert ("rbm" in asked.usual(dg.data.load(name))) == (name == "digits")


def test_usual_models_of_a_text_and_of_few_and_many_levels(tmp_path, stream):
    (tmp_path / "verse.txt").write_text("to be or not to be\n" * 200)
    assert asked.usual(dg.data.load(str(tmp_path / "verse.txt"))) == ["lstm", "transformer"]
    np.save(tmp_path / "grey.npy", torch.randint(256, (300, 64), generator=stream).to(torch.uint8).numpy())
    for grey, few in ((dg.data.load("digits", binarise="none"), True), (dg.data.load(tmp_path / "grey.npy"), False)):
        assert grey.levels == (17 if few else 256)
        for shape in ((8, 8), None):
            models = asked.usual(replace(grey, image_shape=shape))
            assert ("made" in models) == few
            assert ("pixelcnn" in models) == (few and shape is not None)
            assert {"nsf", "vae", "gan"} <= set(models)


def test_draws_are_judged_beside_real_rows(deepgen, tmp_path):
    done = deepgen(
        "compare", "--models", "mixture,gan", "--data", "digits", "--budget", "1s", "--quiet", "--out", tmp_path
    )
    assert done.status == 0, done.err
    assert "real rows among themselves" in done.out
    assert "a GAN has no likelihood" in done.out
    stored = {one["model"]: one for one in json.loads((tmp_path / "results.json").read_text())["models"]}
    floors = {
        tuple(round(one["quality"]["scores"][k]["floor"], 9) for k in ("frechet", "recall")) for one in stored.values()
    }
    assert len(floors) == 1  # one floor for all, whatever the model
    assert stored["gan"]["quality"]["n_fake"] == stored["gan"]["quality"]["n_real"] == 360
    draws = comparison.draws_of(tmp_path, "gan")
    assert draws.shape == (360, 64)
    assert set(draws.unique().tolist()) <= {0.0, 1.0}
    page = (tmp_path / "report.html").read_text()
    assert "Sample quality" in page
    assert torch.equal(comparison.draws_of(tmp_path, "mixture"), comparison.draws_of(tmp_path, "mixture").round())


def test_passes_and_updates_are_what_was_done(small, deepgen):
    """Looks at validation rows are no epochs, and neither are those of the options, which no clock asks for."""
    for one in json.loads((small.directory / "results.json").read_text())["models"]:
        assert "epochs" not in one
        assert "epochs" not in one["settings"]
        if one["group"] == "failed":
            continue
        run = load_run(small.directory / one["model"])
        batch = run.settings["batch_size"]
        assert one["updates"] == run.step >= one["kept"]
        assert bool(one["updates"]) != (UNTRAINED in one["notes"])
        assert one["passes"] <= run.step * batch / 32
    page = (small.directory / "report.html").read_text()
    assert "passes over the training rows" in page
    assert "epoch" not in page
    written = deepgen("report", small.directory / "vae", "--out", small.directory / "vae.html")
    assert written.status == 0, written.err
    assert "1000000" not in (small.directory / "vae.html").read_text()
    assert "epochs" not in (small.directory / "vae.html").read_text()


def test_a_run_of_a_comparison_that_was_cut_short_says_so_in_passes(deepgen, tmp_path, monkeypatch, pageless):
    monkeypatch.setattr(training, "measured", lambda *_: PLAN)
    monkeypatch.setattr(
        training.Spent, "advance", lambda self: os.kill(os.getpid(), signal.SIGINT) if self.share() > 1e-6 else None
    )
    words = ("compare", "--models", "made", "--data", "bars_and_stripes", "--budget", "1000s", "--quiet", "--out")
    assert deepgen(*words, tmp_path).status == 130
    told = deepgen("evaluate", tmp_path / "made")
    assert "passes over the training rows done, of a time that is not over" in told.err
    assert "repeat its `deepgen compare` command to go on" in told.err


def test_a_line_of_progress_names_what_is_watched_and_its_unit(capsys):
    watched = {"lower": Estimate(-9.0, 0.1, "below", "AIS", n=9, unit="nats/example").to_dict()}
    rows = [(dg.explicit.RBM, watched), (dg.implicit.GAN, None), (dg.implicit.Autoencoder, None)]
    for kind, estimate in rows:
        Lines(1)(Record(1, 1, 1.0, 1.0, {}, -3162.0, estimate), object.__new__(kind))
    rbm, gan, restored = capsys.readouterr().err.splitlines()
    assert rbm.endswith("validation log-likelihood (AIS) -3162 nats per example")
    assert gan.endswith("kernel distance of draws from validation rows, no unit: 3162")
    assert restored.endswith("reconstruction loss of validation rows, nats per example: 3162")


def test_an_end_of_no_certain_side_is_called_nothing_else():
    """Of an RBM reverse AIS starts from its own chain: nothing is sure from below, in the verdict or in JSON."""
    low = Estimate(-4.0, 0.1, "undetermined", "reverse AIS", n=100, unit="nats/example")
    rbm = Judged("rbm", "RBM", [Bracket(low, bound("", -3.5, "above").likelihood[0])])
    assert rbm.group == "tentative"
    assert rbm.range()[0] == -math.inf
    (plain,) = rbm.to_dict()["likelihood"]
    assert {end: one["side"] for end, one in plain.items()} == {"lower": "undetermined", "upper": "above"}
    below, beside = (tables.verdict([rbm, other]) for other in (bound("gan", -7.0, "above"), exact("made", -6.0)))
    if_mixed = "if the chains behind the undetermined ends of RBM have mixed, RBM has the largest"
    assert below.startswith(f"no log-likelihood is known from below; {if_mixed}")
    told = "made has at least -6.00 nats/example; that RBM lies above is not excluded"
    assert beside.startswith(f"{told}; {if_mixed}")
    assert tables.verdict([bracket("rbm", -4.0, -3.5)]) == "rbm is the only model with a log-likelihood of these rows"


def test_what_is_needed_to_repeat_it_is_stated_and_what_does_not_apply_is_not(small, deepgen, monkeypatch):
    monkeypatch.setattr(run, "_one", lambda *_, **__: pytest.fail("a model was trained again"))
    assert "--seed 0" in small.command
    again = deepgen(*shlex.split(small.command)[1:], "--quiet")
    assert again.status == 0, again.err
    page = (small.directory / "report.html").read_text()
    assert html.escape(small.command) in page
    assert small.command in (small.directory / "results.md").read_text()
    details = page[page.index('id="details"') :]
    rows = dict(re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', details))
    assert "None" not in rows.values()
    assert (rows["seed"], rows["latent"], rows["networks"]) == ("0", "2", "dense")  # an eighth of 16 columns
    assert not {"channels", "components", "epochs", "patience"} & rows.keys()


def test_too_few_rows_are_refused_before_anything_is_trained(deepgen, tmp_path):
    table = tmp_path / "four.csv"
    table.write_text("a,b\n1,2.5\n2,3.5\n4,1.5\n3,2.2\n")
    refused = deepgen("compare", "--data", table, "--models", "realnvp", "--budget", "4s", "--out", tmp_path / "out")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert f"needs at least {judging.FEWEST} to judge by" in refused.err
    assert not (tmp_path / "out").exists()
    assert len(dg.data.load("bars_and_stripes").test) >= judging.FEWEST
    few = dg.data.load("digits")
    few = replace(few, test=few.test[:1])
    assert judging.graded(few, few.train[:1], seed=0) == (
        None,
        "no sample quality: real needs at least 100 rows, got 1",
    )


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="root must be a folder's path, got int"):
        dg.compare("digits", "bernoulli", budget="1s", out=tmp_path, root=3, progress=False)


def test_a_model_named_twice_is_refused(deepgen, tmp_path):
    twice = deepgen("compare", "--models", "made,vae,VAE", *SMALL, tmp_path)
    assert (twice.status, twice.err.count("\n")) == (2, 1)
    assert "--models names 'vae' twice: give one of them other options" in twice.err
    assert asked.chosen("vae,vae --prior vamp", None) == ["vae", "vae --prior vamp"]
    with pytest.raises(ArgumentError, match=r"names 'made --hidden 5' and 'made --hidden=5', which share a folder"):
        asked.chosen(["made --hidden 5", "made --hidden=5"], None)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["evaluate", "report", ("sample", "--out", "a.png")])
def test_the_folder_of_a_comparison_names_those_of_its_models(small, deepgen, command):
    name, *more = [command] if isinstance(command, str) else command
    refused = deepgen(name, small.directory, *more)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert refused.err.endswith(f"name one of {small.directory / 'bernoulli'}, {small.directory / 'vae'}\n")


def test_folders_of_others_are_refused_in_words_of_the_command_line(small, deepgen, tmp_path):
    train = ("train", "vae", "--data", "bars_and_stripes", "--epochs", 1, "--quiet", "--out")
    told = {
        small.directory: "holds a comparison",
        small.directory / "vae": "holds a model of a comparison",
        tmp_path / "python": "holds a run that was begun in Python",
        tmp_path / "saved": "holds a saved model without a history",
    }
    rbm, x = dg.RBM(16, 4, generator=0), dg.data.load("bars_and_stripes").train
    dg.fit(rbm, x, dg.objectives.PersistentCD(), epochs=1, out=tmp_path / "python", progress=False)
    dg.save(rbm, tmp_path / "saved")
    for folder, words in told.items():
        refused = deepgen(*train, folder)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert words in refused.err
        assert "choose another --out" in refused.err
        assert not {"{", "resume=", "out="} & set(re.findall(r"\{|resume=|\bout=", refused.err))
    inside = deepgen("compare", "--models", "made", *SMALL, tmp_path / "python")
    assert "holds a run or a model of its own" in inside.err


def test_data_that_changed_since_are_told_in_words(deepgen, tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "run"
    words = ("train", "bernoulli", "--data", table, "--epochs", 1, "--quiet", "--out", out)
    table.write_text("0,1,0\n1,0,1\n" * 5)
    assert deepgen(*words).status == 0
    table.write_text("0,1,0\n1,1,1\n" * 5)
    refused = deepgen(*words)
    assert "training rows: other values in 6 of t.csv" in refused.err
    assert refused.err.endswith("choose another --out, or discard it with --fresh\n")
    assert "{" not in refused.err
    assert deepgen(*words, "--fresh").status == 0


def test_differences_are_taken_row_by_row_and_every_error_is_named(deepgen, tmp_path, pageless):
    words = ("--models", "bernoulli,mixture --components 2,vae,iwae", "--data", "digits", "--budget", "2s", "--quiet")
    done = deepgen("compare", *words, "--out", tmp_path)
    assert done.status == 0, done.err
    stored = {one["model"]: one for one in json.loads((tmp_path / "results.json").read_text())["models"]}
    x = dg.data.load("digits").test
    with torch.no_grad():
        apart = dg.load(tmp_path / "bernoulli").log_prob(x) - dg.load(tmp_path / "mixture-components-2").log_prob(x)
    found, first = stored["bernoulli"]["difference"], stored["mixture --components 2"]
    assert first["difference"] is None
    assert found["to"] == first["title"]
    assert found["value"] == pytest.approx(float(apart.double().mean()), rel=1e-5)
    assert found["stderr"] == pytest.approx(float(apart.double().std()) / len(x) ** 0.5, rel=1e-4)
    bounds = [stored[name] for name in ("vae", "iwae")]
    (worse,) = (one for one in bounds if one["difference"] is not None)
    (better,) = (one for one in bounds if one["difference"] is None)
    gap = worse["likelihood"][0]["value"] - better["likelihood"][0]["value"]
    assert worse["difference"]["value"] == pytest.approx(gap, rel=1e-6)
    noise = math.hypot(*(one["likelihood"][0]["stderr"] for one in bounds))
    assert worse["difference"]["stderr"] > noise
    rows = f"{stored['bernoulli']['likelihood'][0]['stderr_data']:.2f}"
    for text in (done.out, (tmp_path / "results.md").read_text()):
        (line,) = (one for one in text.splitlines() if "independent Bernoulli" in one and "exact" in one)
        assert rows in line
        assert plus_minus(found["value"], found["stderr"], signed=True) in line
        assert "± is one standard error" in text
        assert "± Monte Carlo" in text
        assert "± test rows" in text


def test_two_settings_of_one_model_are_told_apart(tmp_path, pageless):
    names = ["bernoulli", "made --hidden 4", "made --hidden 4 --batch 20"]
    found = dg.compare("bars_and_stripes", names, budget=0.6, out=tmp_path, progress=False)
    assert [found[name].title for name in names] == ["independent Bernoulli", *(f"MADE 16-4 ({n})" for n in names[1:])]
    lines = [line for line in tables.table(found.models).splitlines() if "  exact  " in line]
    assert [line.split("  ")[0] for line in lines] == [one.title for one in found.models]
    assert sum("best" in line for line in lines) == 1
    assert found.models[0].title in tables.verdict(found.models)
    assert found.models[1].difference.to == found.models[0].title
    assert " 4,500 s of training each (36,000 s in all)" in str(replace(found, each=4500.0, budget=36000.0))


def test_of_brackets_the_lower_ends_are_compared_with_their_monte_carlo(tmp_path):
    each = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
    pair = [bracket("a", -4.0, -3.5), bracket("b", -5.0, -4.5)]
    pair = [
        replace(one, likelihood=[replace(one.likelihood[0], below=replace(one.likelihood[0].below, each=e))])
        for one, e in zip(pair, (each, each * 2), strict=True)
    ]
    for one in pair:
        comparison.keep(tmp_path / one.model, one, None)
    _, second = paired(tmp_path, pair)
    assert (second.difference.to, second.difference.value) == ("a", 3.0)
    assert second.difference.stderr == pytest.approx(math.hypot(float(each.std()) / 3**0.5, 0.1, 0.1))


def test_a_collapsed_model_is_called_so_and_noise_is_not(tmp_path):
    data, stream = dg.data.load("digits"), dg.random.generator(0)
    kinds = torch.as_tensor(data.labels.train)
    noise = dg.random.uniform((360, 64), generator=stream).round()
    cases = {
        "sound": (data.train[:360], False),
        "three": (data.train[kinds < 3][:360], True),
        "blob": (data.train.mean(0).round().expand(360, 64).clone(), True),
        "noise": (noise, False),
    }
    found = {}
    for name, (draws, collapsed) in cases.items():
        quality, _ = judging.graded(data, draws, seed=0)
        said = collapse(quality, data.test, draws)
        assert said.startswith("collapsed: ") == collapsed, name
        found[name] = Judged(name, name, quality=quality, collapsed=said)
    assert "of 10 modes in the real rows" in found["three"].collapsed
    assert "of the variance" in found["blob"].collapsed
    assert collapse(None, data.test, cases["blob"][0])  # where the rows are too few for any figure
    everywhere = [found["sound"], found["three"]]
    text = tables.table(everywhere) + "\n".join(tables.remarks(everywhere))
    seen = found["three"].quality.scores
    assert "three (collapsed)" in text
    assert "sound (collapsed)" not in text
    assert "three has collapsed: draws reach" in text
    assert f"{seen['modes'].value:.0f} of 10" in text
    floor = found["sound"].quality.scores["mode_kl"]
    assert plus_minus(floor.floor, floor.floor_spread) in text
    whole = comparison.Comparison(everywhere, "digits", 2.0, 1.0, 360, tmp_path, 0, "deepgen compare")
    page(whole, data)
    text = whole.page.read_text()
    assert text.count("three has collapsed: its draws are of few kinds") == 1
    assert "<small>collapsed</small>" in text
    assert "KL of modes" in text
    assert "three has collapsed" in whole.to_markdown()
    assert Judged.from_dict(json.loads(json.dumps(found["three"].to_dict()))).collapsed == found["three"].collapsed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(({"seed": seed}, "seed must be an integer of at least 0") for seed in ("a", -1, True, 1.5, None)),
        ({"models": 3}, "must be names of models"),
        ({"models": [3]}, "must be names of models"),
        ({"out": 3}, "out must be a folder's path, got int"),
        ({"data": torch.zeros(40, 3)}, "data must be a name or the path of a file, .* got Tensor"),
        ({"budget": None}, "must be above 0"),
    ],
    ids=str,
)
def test_a_wrong_call_is_refused_before_anything_is_written(tmp_path, given, said):
    right = {"data": "bars_and_stripes", "models": ["bernoulli"], "budget": "1s", "out": tmp_path / "out"}
    with pytest.raises(ArgumentError, match=said):
        dg.compare(**{**right, "progress": False, **given})
    assert not (tmp_path / "out").exists()
