"""The exact densities on the command line: numbers are the library's, units are the data's, refusals say what to do."""

import json
import math
import os
import shlex
import signal

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.cli.progress import Lines
from deepgen.train import load_run

BARS = "--data bars_and_stripes --epochs 2 --batch 16"
GREY = "--data grey.npy --epochs 2 --batch 16"
TABLE = "--data table.csv --epochs 2 --batch 16 --transforms 2 --hidden 8"
TEXT = "--data rows.txt --epochs 2 --length 16 --batch 8 --layers 1"
EXACT = {
    "made": BARS + " --hidden 8,8",
    "MADE": BARS + " --hidden 8 --orders 3",
    "nade": BARS + " --hidden 8",
    "deep-nade": BARS + " --hidden 8,8 --orders 2",
    "pixelcnn": BARS + " --channels 4 --layers 2",
    "gated_pixelcnn": BARS + " --channels 4 --layers 2",
    "nice": TABLE,
    "realnvp": TABLE,
    "maf": TABLE,
    "nsf": TABLE,
    "lstm": TEXT + " --hidden 8 --dropout 0.2",
    "transformer": TEXT + " --width 8 --heads 2",
}


@pytest.fixture
def files(tmp_path, monkeypatch, stream):
    """A folder with a table of real values, images of 5 grey levels, and two texts."""
    monkeypatch.chdir(tmp_path)
    x = torch.randn(100, 3, generator=stream) @ torch.randn(3, 3, generator=stream) + 5
    np.savetxt("table.csv", x.numpy(), delimiter=",")
    grey = torch.randint(5, (60, 3, 4), generator=stream)
    np.savez("grey5.npz", x=(grey / 4).numpy().astype(np.float32))
    np.save("grey.npy", torch.randint(256, (60, 3, 4), generator=stream).numpy().astype(np.uint8))
    letters = torch.randint(3, (2000,), generator=stream).tolist()
    (tmp_path / "rows.txt").write_text("".join("abc"[i] for i in letters))
    (tmp_path / "other.txt").write_text("".join("ac"[i % 2] for i in letters))
    (tmp_path / "stranger.txt").write_text("abcd" * 100)
    return tmp_path


def trained(deepgen, words, out="run"):
    done = deepgen("train", *words.split(), "--quiet", "--out", out)
    assert done.status == 0, done.err
    return dg.load(out)


def answer(deepgen, *words):
    return json.loads(deepgen("evaluate", "run", "--json", *words).out)


@pytest.mark.parametrize(("name", "words"), EXACT.items(), ids=EXACT)
def test_the_likelihood_printed_is_the_mean_log_prob_of_the_model(deepgen, files, name, words):
    model = trained(deepgen, f"{name} {words}")
    source = load_run("run").settings["extras"]
    data = dg.data.load(source["data"], **({"length": 16} if "txt" in source["data"] else {}))
    with torch.no_grad():
        each = model.log_prob(data.test).double()
    told = answer(deepgen)["log_likelihood"]
    assert told["value"] == pytest.approx(float(each.mean()), rel=1e-6)
    assert told["stderr_data"] == pytest.approx(float(each.std()) / len(each) ** 0.5, rel=1e-6)
    assert f"{float(each.mean()):.2f} nats/example (exact; mean log_prob)" in deepgen("evaluate", "run").out


def test_few_grey_levels_are_categories(deepgen, files):
    """The embedded digits as they stand in their file, 0 to 16."""
    model = trained(deepgen, "made --data digits --binarise none --hidden 8 --epochs 1")
    x = (dg.data.load("digits", binarise="none").test * 16).round()
    with torch.no_grad():
        exact = float(model.log_prob(x).double().mean())
    told = answer(deepgen)
    assert told["log_likelihood"]["value"] == pytest.approx(exact, rel=1e-6)
    assert told["bits/dim"]["value"] == pytest.approx(-exact / (64 * math.log(2)), rel=1e-6)
    plainest = told["baseline"]
    expected = -plainest["log_likelihood"]["value"] / (64 * math.log(2))
    assert plainest["bits/dim"]["value"] == pytest.approx(expected, rel=1e-6)
    shown = deepgen("evaluate", "run").out
    assert f"that is {-exact / (64 * math.log(2)):.3f} bits/dim (exact)" in shown
    assert f"{expected:.3f} bits/dim (exact)" in shown.splitlines()[2]
    assert deepgen("sample", "run", "-n", 20, "--seed", 3, "--out", "a.npy").status == 0
    assert np.array_equal(np.load("a.npy"), model.sample(20, generator=3).numpy())
    assert deepgen("sample", "run", "-n", 4).status == 0
    assert (files / "samples.png").read_bytes().startswith(b"\x89PNG")
    refused = deepgen("evaluate", "run", "--data", "grey.npy")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "takes 17 grey levels" in refused.err


def test_a_flow_of_grey_levels_states_a_bound_in_both_units(deepgen, files):
    model = trained(deepgen, f"realnvp {GREY} --transforms 2 --hidden 8")
    assert (model.levels, model.features) == (256, 12)
    told = answer(deepgen, "--seed", 5)
    x = (dg.data.load("grey.npy").test * 255).round()
    expected = dg.evaluate.log_likelihood(model, x, generator=5)
    assert told["log_likelihood"]["side"] == "below"
    assert told["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-6)
    assert told["bits/dim"]["side"] == "above"
    assert told["bits/dim"]["value"] == pytest.approx(-expected.value / (12 * math.log(2)), rel=1e-6)
    # uniform noise on 256 levels that are themselves uniform: 8 bits/dim is the entropy, which no model can beat
    assert told["bits/dim"]["value"] > 8 - 6 * told["bits/dim"]["stderr_data"]
    assert deepgen("sample", "run", "-n", 8, "--out", "a.csv").status == 0
    rows = np.loadtxt("a.csv", delimiter=",")
    assert rows.shape == (8, 12)
    assert np.array_equal(rows, rows.round())


def test_a_flow_of_bits_states_a_bound_on_probabilities(deepgen, files):
    model = trained(deepgen, "nsf --data bars_and_stripes --epochs 20 --batch 16 --transforms 2 --hidden 16")
    assert (model.levels, model.features) == (2, 16)
    told = answer(deepgen, "--seed", 5)
    expected = dg.evaluate.log_likelihood(model, dg.data.load("bars_and_stripes").test, generator=5)
    assert told["log_likelihood"]["side"] == "below"
    assert told["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-6)
    assert told["log_likelihood"]["value"] < 0  # an unbounded density of bits would soon be above
    assert deepgen("sample", "run", "-n", 8, "--out", "a.csv").status == 0
    assert set(np.loadtxt("a.csv", delimiter=",").flatten()) <= {0.0, 1.0}


def test_a_density_of_grey_values_between_0_and_1_has_no_bits_of_their_levels(deepgen, files):
    """A flow fitted in a script takes them as the loader scales them: its density is 256^12 times a probability."""
    flow = dg.explicit.NICE(12, transforms=2, hidden=[8], generator=0)
    dg.save(flow, "run")
    told = answer(deepgen, "--data", "grey.npy")
    with torch.no_grad():
        exact = float(flow.log_prob(dg.data.load("grey.npy").test).double().mean())
    assert told["log_likelihood"]["value"] == pytest.approx(exact, rel=1e-6)
    assert "bits/dim" not in told
    assert "bits/dim" not in deepgen("evaluate", "run", "--data", "grey.npy").out


@pytest.mark.parametrize("split", ["test", "valid"])
def test_the_law_of_a_planar_set_is_its_ceiling(deepgen, files, split):
    trained(deepgen, "maf --data rings --transforms 1 --hidden 8 --epochs 1 --batch 500")
    x = getattr(dg.data.load("rings"), split)
    each = dg.data.rings().log_prob(x).double()
    told = answer(deepgen, "--split", split)
    assert told["law"]["model"] == "the law of rings"
    assert told["law"]["log_likelihood"]["value"] == pytest.approx(float(each.mean()), rel=1e-6)
    assert told["law"]["log_likelihood"]["stderr_data"] == pytest.approx(float(each.std()) / len(x) ** 0.5, rel=1e-6)
    line = deepgen("evaluate", "run", "--split", split).out.splitlines()[2]
    assert line == f"ceiling, the law of rings: {float(each.mean()):.2f} nats/example (exact; mean log_prob)"
    np.savetxt("rings.csv", x.numpy(), delimiter=",")
    assert "law" not in answer(deepgen, "--data", "rings.csv")
    assert deepgen("report", "run").status == 0
    assert "the law of rings" in (files / "run" / "report.html").read_text()


@pytest.mark.parametrize("name", ["nice", "maf"])
def test_likelihoods_and_samples_are_in_the_units_of_the_table(deepgen, files, stream, name):
    """Columns 1024 times as wide are the same problem, so the density is that much smaller: log p less D log 1024."""
    values = []
    for scale in (1, 1024):
        x = scale * (torch.randn(200, 2, generator=dg.random.generator(0)) + torch.tensor([3.0, -1.0]))
        np.savetxt(f"scale{scale}.csv", x.numpy(), delimiter=",", fmt="%.9g")
        words = f"{name} --data scale{scale}.csv --transforms 2 --hidden 8 --epochs 3 --fresh"
        trained(deepgen, words)
        values.append(answer(deepgen)["log_likelihood"]["value"])
        assert deepgen("sample", "run", "-n", 2000, "--out", "a.csv").status == 0
        drawn = np.loadtxt("a.csv", delimiter=",")
        assert np.abs(drawn.mean(0) - x.mean(0).numpy()).max() < 0.5 * scale
    assert values[1] - values[0] == pytest.approx(-2 * math.log(1024), abs=0.01)


def test_samples_in_a_table_read_back_to_the_bit_under_the_names_of_the_columns(deepgen, files, stream):
    """Offsets that are large beside the spread: six digits would leave one value of each column."""
    x = torch.randn(100, 2, generator=stream).double() * torch.tensor([1e5, 1e-3]) + torch.tensor([1.7e9, 0.5])
    np.savetxt("named.csv", x.numpy(), delimiter=",", fmt="%.12g", header='time,"a, b"', comments="")
    model = trained(deepgen, "maf --data named.csv --transforms 1 --hidden 4 --epochs 1")
    assert deepgen("sample", "run", "-n", 50, "--seed", 3, "--out", "a.csv").status == 0
    table = dg.data.read_table("a.csv")
    assert table.columns == ["time", "a, b"]
    assert np.array_equal(table.values, model.sample(50, generator=3).numpy())


def test_the_affine_map_of_a_flow_is_not_trained(deepgen, files):
    model = trained(deepgen, f"nsf {TABLE}")
    x = dg.data.load("table.csv").train
    first = model.transform.transforms[0]
    assert torch.allclose(first.shift, x.mean(0))
    assert torch.allclose(first.log_scale.exp(), x.std(0, correction=0))


def test_a_column_that_a_density_could_chase_is_told(deepgen, files):
    rows = np.loadtxt("table.csv", delimiter=",")
    rows[::2, 1] = 0.5
    np.savetxt("repeated.csv", rows, delimiter=",")
    words = "--transforms 1 --hidden 4 --epochs 1 --quiet --out"
    told = deepgen("train", "nice", "--data", "repeated.csv", *words.split(), "a")
    assert told.status == 0
    (line,) = told.err.splitlines()
    assert line.startswith("deepgen: warning: column 2 has the value 0.5 in ")
    assert deepgen("train", "nice", "--data", "table.csv", *words.split(), "b").err == ""


def test_columns_of_whole_numbers_are_told_and_noise_of_their_step_ends_it(deepgen, files, stream):
    digits = torch.stack([torch.randperm(60, generator=stream) % 9 for _ in range(3)], 1)  # each of 9 at most 7 times
    x = digits * torch.tensor([1, 10, 1]) + torch.tensor([-3, 5, 0])
    words = "--transforms 1 --hidden 4 --epochs 1 --quiet --out"
    np.savetxt("counts.csv", x.numpy(), delimiter=",", fmt="%d", header="a,b,c", comments="")
    told = deepgen("train", "maf", "--data", "counts.csv", *words.split(), "a")
    assert told.status == 0
    (line,) = told.err.splitlines()
    assert line.startswith("deepgen: warning: column 1 (a) has only ")
    assert "in 36 training rows (3 of 3 columns are like that)" in line
    assert "Dequantise" in line
    noise = torch.rand(60, 3, generator=stream) * torch.tensor([1, 10, 1])
    np.savetxt("noisy.csv", (x + noise).numpy(), delimiter=",")
    assert deepgen("train", "maf", "--data", "noisy.csv", *words.split(), "b").err == ""
    refused = deepgen("train", "made", "--data", "counts.csv", "--out", "c")
    seen = dg.data.load("counts.csv").train  # which may lack the least or the greatest
    assert f"counts.csv holds whole numbers from {seen.min():g} to {seen.max():g}, which count as real" in refused.err


@pytest.mark.parametrize("form", ["%d", "%.1f", "%.18e"])
def test_zeros_and_ones_in_a_table_are_bits_however_they_are_written(deepgen, files, stream, form):
    x = torch.randint(2, (60, 4), generator=stream)
    np.savetxt("bits.csv", x.numpy(), delimiter=",", fmt=form, header="a,b,c,d", comments="")
    model = trained(deepgen, "made --data bits.csv --hidden 8 --epochs 1")
    assert model.categories == 2


def test_columns_that_are_nearly_dependent_are_taken_and_too_few_rows_told(deepgen, files, stream):
    """A part in 1e4 of its own is a density; of 6 rows of 8 columns every column is a function of the others."""
    x = np.loadtxt("table.csv", delimiter=",")
    own = 1e-4 * torch.randn(len(x), generator=stream).numpy()
    np.savetxt("nearly.csv", np.c_[x, 2 * x[:, 0] + own], delimiter=",")
    np.savetxt("wide.csv", torch.randn(10, 8, generator=stream).numpy(), delimiter=",")
    words = "--transforms 1 --hidden 4 --epochs 1 --quiet --out"
    assert deepgen("train", "maf", "--data", "nearly.csv", *words.split(), "a").err == ""
    told = deepgen("train", "maf", "--data", "wide.csv", *words.split(), "b")
    assert told.status == 0
    assert told.err.startswith("deepgen: warning: 6 training rows of 8 columns lie in a plane")


@pytest.mark.parametrize("model", ["gan", "autoencoder"])
def test_what_has_no_density_of_rows_takes_columns_that_others_determine(deepgen, files, model):
    x = np.loadtxt("table.csv", delimiter=",")
    np.savetxt("sum.csv", np.c_[x, x[:, 0] - x[:, 1]], delimiter=",")
    done = deepgen("train", model, "--data", "sum.csv", "--out", "run", "--epochs", 1, "--quiet")
    assert done.status == 0, done.err


def test_what_an_exact_density_does_not_take_is_refused_in_words_of_the_command_line(deepgen, files):
    trained(deepgen, f"nice {TABLE}")
    for words, said in (
        ("evaluate run --method ais", "has an exact likelihood, so it needs no --method ais: leave --method out"),
        (
            "sample run --steps 50",
            "--steps is for the chains of an rbm, dbn, dbm, energy model or autoencoder, and this run is of NICE, 2 "
            "transforms, which has none",
        ),
        ("evaluate run --data wide.csv", "wide.csv has 5 columns, and run was trained on the 3 of table.csv"),
    ):
        np.savetxt("wide.csv", np.random.default_rng(0).standard_normal((20, 5)), delimiter=",")
        refused = deepgen(*words.split())
        assert (refused.status, refused.out) == (2, "")
        assert said in refused.err


def test_a_run_that_diverged_is_not_advised_to_go_on(deepgen, files):
    words = f"maf {TABLE} --quiet --out run --rate"
    refused = deepgen("train", *words.split(), 1e9)
    assert refused.status == 2
    assert "training diverged" in refused.err
    assert ".state" not in refused.err
    reason = (files / "run" / "diverged.txt").read_text().strip()
    assert reason.startswith("training diverged")
    assert reason in refused.err
    assert "its training diverged, so begin anew with --fresh" in deepgen("evaluate", "run").err
    assert "its training diverged: discard it with --fresh" in deepgen("train", *words.split(), 1e-3).err
    assert deepgen("train", *words.split(), 1e-3, "--fresh").status == 0
    assert not (files / "run" / "diverged.txt").exists()
    assert deepgen("evaluate", "run").err == ""


def test_evaluate_says_when_a_density_is_worse_than_its_baseline(deepgen, files, stream):
    """A Gaussian table, where one Gaussian is right, and a flow that has not learned how its columns hang together."""
    x = torch.randn(400, 2, generator=stream)
    x[:, 1] = x[:, 0] + 0.01 * x[:, 1]
    np.savetxt("narrow.csv", x.numpy(), delimiter=",")
    told = "this model is worse than its baseline"
    trained(deepgen, "nice --data narrow.csv --transforms 1 --hidden 4 --epochs 1")
    assert told in deepgen("evaluate", "run").out
    np.savetxt("apart.csv", torch.randn(400, 2, generator=stream).numpy(), delimiter=",")
    trained(deepgen, "nice --data apart.csv --transforms 1 --hidden 4 --epochs 1", "apart")
    assert told not in deepgen("evaluate", "apart").out


def test_a_text_is_judged_by_the_character_and_in_its_own_alphabet(deepgen, files):
    model = trained(deepgen, f"lstm {TEXT} --hidden 8")
    told = answer(deepgen)
    assert told["nats/character"]["value"] == pytest.approx(told["log_likelihood"]["value"] / 16)
    assert told["nats/character"]["stderr_data"] == pytest.approx(told["log_likelihood"]["stderr_data"] / 16)
    assert told["baseline"]["model"] == "independent characters"
    # "a" and "c" are 0 and 1 in a text of their own, and 0 and 2 in the one that the model knows
    other = dg.data.load("other.txt", length=16).test
    with torch.no_grad():
        expected = float(model.log_prob(other * 2).double().mean())
    assert answer(deepgen, "--data", "other.txt")["log_likelihood"]["value"] == pytest.approx(expected, rel=1e-6)
    refused = deepgen("evaluate", "run", "--data", "stranger.txt")
    assert refused.status == 2
    assert "stranger.txt has 'd', which the text that this model was trained on has not" in refused.err


def test_a_text_is_written_on_from_its_prompt(deepgen, files):
    model = trained(deepgen, f"transformer {TEXT} --width 8 --heads 2")
    expected = "ab" + "".join("abc"[i] for i in model.stream([0, 1], 40, generator=7)) + "\n"
    words = ["sample", "run", "--prompt", "ab", "--length", 40, "--seed", 7]
    done = deepgen(*words)
    assert (done.status, done.out) == (0, expected)
    assert deepgen(*words, "-n", 3, "--out", "deep/er.txt").status == 0
    texts = (files / "deep/er.txt").read_text().split("----------\n")
    assert len(texts) == 3
    assert texts[0] == expected
    assert all(text.startswith("ab") and len(text) == 43 for text in texts)
    for wrong, said in ((["--prompt", "ax"], "--prompt has 'x'"), (["--out", "a.png"], ".txt"),
                        (["--temperature", 0], "--temperature must be above 0")):  # fmt: skip
        refused = deepgen("sample", "run", *wrong)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert said in refused.err


@pytest.mark.parametrize(
    "words",
    [
        "made --data bars_and_stripes --hidden 8 --orders 3 --epochs 4 --batch 16",
        "nice --data grey.npy --transforms 2 --hidden 8 --epochs 4 --batch 16",
        "lstm --data rows.txt --length 16 --hidden 8 --dropout 0.3 --epochs 4 --patience 2",
    ],
)
def test_a_run_that_was_stopped_ends_in_the_same_weights(deepgen, files, monkeypatch, words):
    def press(self, record, model):
        if record.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Lines, "__call__", press)
        stopped = deepgen("train", *words.split(), "--out", "stopped")
    assert stopped.status == 130
    assert len(load_run("stopped").history) == 2
    again = shlex.split(stopped.err.splitlines()[-1].partition("to resume: ")[2])
    assert deepgen(*again[1:]).status == 0
    whole = trained(deepgen, words, "whole").state_dict()
    mine = dg.load("stopped").state_dict()
    assert mine.keys() == whole.keys()
    assert all(torch.equal(mine[name], whole[name]) for name in whole)


def test_patience_is_the_default_and_zero_ends_it(deepgen, files):
    """Random bits: whatever is learned of 24 rows is wrong for others."""
    np.save("bits.npy", torch.randint(2, (40, 20), generator=dg.random.generator(0)).numpy())
    words = "made --data bits.npy --hidden 32 --epochs 60 --rate 0.02 --batch 8"
    trained(deepgen, f"{words} --patience 1")
    assert len(load_run("run").history) < 60
    assert "those of epoch" in deepgen("train", *words.split(), "--patience", 1, "--out", "run").out
    trained(deepgen, f"{words} --patience 0", "all")
    assert len(load_run("all").history) == 60


def test_a_report_of_each_kind(deepgen, files):
    """Points of two columns, bits per dimension of grey images, and the text of a text."""
    x = torch.randn(200, 2, generator=dg.random.generator(0))
    np.savetxt("plane.csv", x.numpy(), delimiter=",")
    trained(deepgen, "nice --data plane.csv --transforms 2 --hidden 8 --epochs 2", "plane")
    trained(deepgen, f"nice {GREY} --transforms 2 --hidden 8", "grey")
    trained(deepgen, f"lstm {TEXT} --hidden 8", "text")
    pages = {}
    for run in ("plane", "grey", "text"):
        assert deepgen("report", run).status == 0
        pages[run] = (files / run / "report.html").read_text()
    assert "NICE, 2 transforms" in pages["plane"]
    assert 'aria-label="1000 rows of NICE, 2 transforms as points"' in pages["plane"]
    assert "histogram of column 2" in pages["plane"]
    assert "bits/dim (above)" in pages["grey"]
    assert "Nearest training images" in pages["grey"]
    assert "nats/character" in pages["text"]
    assert "<pre>" in pages["text"]
    assert "Longest passage that is in the training text" in pages["text"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lstm --data digits", "--binarise none"),
        ("lstm --data bars_and_stripes", "train rbm, mixture, made"),
        ("made --data table.csv", "table.csv holds real numbers: train nice, realnvp, maf, nsf, vae, gan or energy"),
        ("made --data grey.npy", "at most 32 levels, and grey.npy has 256"),
        ("made --data grey5.npz", "holds numbers from 0 to 1: make bits of them by --binarise threshold"),
        ("nade --data digits --binarise none", "nade takes zeros and ones; digits holds 17 grey levels"),
        ("pixelcnn --data labelled_shifter", "no height and width"),
        ("lstm --data digits", "lstm takes a text"),
        ("made --data rows.txt", "train lstm or transformer"),
        ("nsf --data rows.txt", "train lstm or transformer"),
        ("rbm --data rows.txt", "train lstm or transformer"),
        ("nice --data one.csv", "train maf"),
        ("maf --data constant.csv", "column 2 has the same value 3"),
        ("maf --data named.csv", "column 2 (depth) has the same value 3"),
        ("nsf --data twice.csv", "column 4 (d) is a linear function of column 1 (a) in all 60 training rows"),
        ("nice --data sum.csv", "column 4 is a linear function of column 1 and column 2 in all"),
        ("energy --data sum.csv", "column 4 is a linear function of column 1 and column 2 in all"),
        ("vae --data sum.csv", "column 4 is a linear function of column 1 and column 2 in all"),
        ("gan --data constant.csv", "column 2 has the same value 3"),
        ("autoencoder --data constant.csv", "column 2 has the same value 3"),
        ("maf --data short.csv", "maf needs at least 2 training rows"),
        ("gan --data short.csv", "gan needs at least 2 training rows"),
        ("iaf --data table.csv", "maf is the same flow"),
        ("planar --data table.csv", "realnvp, maf and nsf have both"),
        ("ising --data digits", "nothing to learn"),
        ("seq2seq --data digits", "come in pairs"),
        ("real-nvp --data table.csv", "did you mean 'realnvp'"),
        ("made --data digits --hidden 5,x", "--hidden must be whole numbers"),
        ("nade --data digits --hidden 5,5", "--hidden of nade is one number"),
        ("rbm --data digits --hidden 5,5", "an RBM has one hidden layer"),
        ("nade --data digits --orders 2", "--orders is an option of made, deep-nade"),
        ("made --data digits --rate 0", "--rate must be above 0"),
        ("lstm --data rows.txt --dropout 1.5", "dropout"),
    ],
)
def test_every_refusal_is_one_line_with_status_2(deepgen, files, words, said):
    (files / "one.csv").write_text("1.5\n2.5\n0.1\n7\n2\n")
    (files / "constant.csv").write_text("".join(f"{i}.5,3\n" for i in range(20)))
    (files / "short.csv").write_text("1.5,2\n")
    (files / "named.csv").write_text("a,depth\n" + "".join(f"{i}.5,3\n" for i in range(20)))
    x = np.loadtxt("table.csv", delimiter=",")
    np.savetxt("twice.csv", np.c_[x, 2 * x[:, 0]], delimiter=",", header="a,b,c,d", comments="")
    np.savetxt("sum.csv", np.c_[x, x[:, 0] - x[:, 1] + 1000], delimiter=",")
    refused = deepgen("train", *words.split(), "--out", "run")
    assert refused.status == 2
    assert refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("deepgen: ")
    assert said in line
    assert not (files / "run" / "manifest.json").exists()
