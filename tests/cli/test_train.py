"""`deepgen train`: what the directory holds, what is refused, and that stopping changes nothing."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import torch

import deepgen as dg
from deepgen.cli.recipes import below_base_rates
from deepgen.train import load_run

SMALL = ["--data", "bars_and_stripes", "--hidden", "4", "--batch", "16", "--epochs", "3", "--quiet"]


def test_the_directory_remembers_model_data_and_options(deepgen, tmp_path):
    done = deepgen("train", "rbm", *SMALL, "--seed", 5, "--k", 2, "--out", tmp_path / "a")
    assert done.status == 0
    assert done.err == ""
    assert "RBM 16-4 on bars_and_stripes: 3 epochs" in done.out
    run = load_run(tmp_path / "a")
    assert (run.model.visible.width, run.model.hidden.width) == (16, 4)
    assert run.settings["objective"]["k"] == 2
    kept = run.settings["extras"]
    assert (kept["data"], kept["seed"], kept["hidden"], kept["image_shape"]) == ("bars_and_stripes", 5, 4, [4, 4])


def test_it_is_the_fit_a_script_would_make(deepgen, tmp_path):
    assert deepgen("train", "rbm", *SMALL, "--rate", 0.2, "--seed", 3, "--out", tmp_path / "a").status == 0
    x = dg.data.load("bars_and_stripes").train
    rbm = dg.explicit.RBM(16, 4, generator=3).initialise(x)
    optimizer = torch.optim.SGD(rbm.parameters(), lr=0.2)
    dg.fit(rbm, x, dg.objectives.PersistentCD(k=1, chains=100), epochs=3, batch_size=16, optimizer=optimizer,
           schedule=lambda done: 1 - done, seed=3, progress=False)  # fmt: skip
    assert torch.equal(dg.load(tmp_path / "a").weight, rbm.weight)


def test_bernoulli_is_the_maximum_likelihood_of_independent_columns(deepgen, tmp_path):
    assert deepgen("train", "bernoulli", "--data", "bars_and_stripes", "--quiet", "--out", tmp_path / "b").status == 0
    x = dg.data.load("bars_and_stripes").train
    torch.testing.assert_close(dg.load(tmp_path / "b").logits.sigmoid()[0], x.mean(0), atol=0.02, rtol=0)


def test_mixture_beats_independent_columns(deepgen, tmp_path):
    words = "train mixture --components 8 --data bars_and_stripes --epochs 40 --quiet --out"
    assert deepgen(*words.split(), tmp_path / "m").status == 0
    x = dg.data.load("bars_and_stripes").train
    independent = dg.explicit.BernoulliMixture(16).initialise(x)
    assert dg.load(tmp_path / "m").log_prob(x).mean() > independent.log_prob(x).mean() + 1


def write(path, rows):
    path.write_text("\n".join(",".join(f"{v:.6f}" for v in row) for row in rows.tolist()))
    return path


def test_real_values_get_gaussian_units_that_find_clusters(deepgen, tmp_path, stream):
    """Four corners of a square: beyond any single Gaussian, whatever its covariance."""
    corners = torch.randint(2, (1000, 2), generator=stream) * 2.0 - 1.0
    noise = 0.3 * torch.randn(1000, 2, generator=stream)
    data = write(tmp_path / "real.csv", (corners + noise) / (1 + 0.3**2) ** 0.5)
    words = "--visible gaussian --hidden 8 --epochs 400 --quiet --out"
    done = deepgen("train", "rbm", "--data", data, *words.split(), tmp_path / "g")
    assert done.status == 0
    assert "RBM 2-8 (Gaussian visible units) on real.csv" in done.out
    rows, rbm = dg.data.load(data), dg.load(tmp_path / "g")
    assert isinstance(rbm.visible, dg.explicit.Gaussian)
    one = torch.distributions.MultivariateNormal(rows.train.mean(0), rows.train.T.cov())
    # the best of all, the mixture itself, is log 4 - log(1 + 1 / 0.09) = 1.11 nats above the Gaussian
    exact = dg.evaluate.log_likelihood(rbm, rows.test, method="exact").value
    assert exact > float(one.log_prob(rows.test).mean()) + 0.3
    assert load_run(tmp_path / "g").settings["extras"]["data"] == str(data)


def test_gaussian_units_start_narrow_on_the_scale_of_the_columns(deepgen, tmp_path, stream):
    data = write(tmp_path / "real.csv", torch.randn(400, 2, generator=stream) * torch.tensor([0.4, 2.0]) + 1.0)
    words = "--visible gaussian --hidden 2 --epochs 1 --rate 1e-9 --quiet --out"
    assert deepgen("train", "rbm", "--data", data, *words.split(), tmp_path / "g").status == 0
    x, rbm = dg.data.load(data).train, dg.load(tmp_path / "g")
    torch.testing.assert_close(rbm.visible.log_precision.exp().detach(), 10 / x.var(0))
    torch.testing.assert_close(rbm.visible.mean(rbm.visible_bias).detach(), x.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (0.001, 0.0), (0.0, 3.0), (1.0, 50.0)])
def test_columns_far_from_standard_are_refused(deepgen, tmp_path, stream, scale, shift):
    x = torch.randn(40, 3, generator=stream)
    x[:, 1] = x[:, 1] * scale + shift
    data = write(tmp_path / "real.csv", x)
    refused = deepgen("train", "rbm", "--data", data, "--visible", "gaussian", "--out", tmp_path / "g")
    assert refused.status == 2
    (line,) = refused.err.splitlines()
    assert "column 2 has mean" in line
    assert "(1 of 3 columns" in line
    assert "standardise" in line


@pytest.mark.parametrize("rows", [1, 2])
def test_too_few_rows_for_gaussian_units_are_refused(deepgen, tmp_path, rows):
    data = write(tmp_path / "real.csv", torch.arange(3.0 * rows).reshape(rows, 3) / 7 - 1)
    refused = deepgen("train", "rbm", "--data", data, "--visible", "gaussian", "--out", tmp_path / "g")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "at least 2 training rows" in refused.err


def test_the_warning_begins_where_it_says(tmp_path):
    """A machine without weights is independent columns, and its pseudo-likelihood their log-likelihood."""
    data = dg.data.load("digits")
    base = dg.evaluate.log_likelihood(dg.explicit.BernoulliMixture(64).initialise(data.train), data.valid[:200])
    limit = 1.01 * base.value - base.stderr_data
    rbm = dg.RBM(64, 2, generator=0).initialise(data.train)
    start = rbm.visible_bias.detach().clone()

    def shifted(by):
        with torch.no_grad():
            rbm.weight.zero_()
            rbm.visible_bias.copy_(start + by)
        return dg.evaluate.pseudo_likelihood(rbm, data.valid[:200]).value - limit

    low, high = 0.0, 5.0  # the shift at which the machine is just that much worse
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if shifted(middle) > 0 else (low, middle)
    assert shifted(low - 1e-3) > 0
    assert below_base_rates(rbm, data) is None
    assert shifted(high + 1e-3) < 0
    assert "worse than independent columns" in below_base_rates(rbm, data)


def test_a_model_worse_than_base_rates_is_told(deepgen, tmp_path):
    words = "--data digits --hidden 8 --epochs 5 --quiet --out"
    bad = deepgen("train", "rbm", "--rate", 1000, *words.split(), tmp_path / "bad")
    assert bad.status == 0
    (line,) = bad.err.splitlines()
    assert line.startswith("deepgen: warning: this model is worse than independent columns: pseudo-likelihood -")
    assert "smaller --rate" in line
    data, rbm = dg.data.load("digits"), dg.load(tmp_path / "bad")
    assert f"{dg.evaluate.pseudo_likelihood(rbm, data.valid[:200]).value:.2f} nats/example on the first 200" in line
    independent = dg.explicit.BernoulliMixture(64).initialise(data.train)
    base = dg.evaluate.log_likelihood(independent, data.valid[:200])
    assert f"{dg.evaluate.plus_minus(base.value, base.stderr_data)} (± by choice of rows) for the base rates" in line
    good = deepgen("train", "rbm", "--rate", 0.1, *words.split(), tmp_path / "good")
    assert good.err == ""


def test_a_stray_two_among_bits_is_refused(deepgen, tmp_path):
    table = tmp_path / "bits.csv"
    table.write_text("0,1\n1,2\n1,1\n0,0\n1,0\n")
    done = deepgen("train", "rbm", "--data", table, "--out", tmp_path / "a")
    assert done.status == 2
    assert "only zeros and ones" in done.err
    assert "--visible gaussian" in done.err


def test_one_row_is_enough_to_train_on(deepgen, tmp_path):
    table, out = tmp_path / "one.csv", tmp_path / "a"
    table.write_text("1,0,1,1\n")
    words = ["--data", table, "--hidden", "2", "--epochs", "2", "--quiet", "--out"]
    assert deepgen("train", "rbm", *words, out).status == 0
    assert "on 1 train row of one.csv" in deepgen("evaluate", out, "--split", "train").out
    assert deepgen("report", out, "--steps", 5).status == 0
    refused = deepgen("evaluate", out)
    assert (refused.status, refused.err) == (
        2,
        "deepgen: one.csv has no test rows: try --split train, or other --data\n",
    )
    refused = deepgen("train", "rbm", *words, tmp_path / "b", "--patience", 3)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "validation rows" in refused.err


def test_patience_stops_early(deepgen, tmp_path):
    words = "train mixture --components 3 --data bars_and_stripes --epochs 500 --patience 2 --quiet --out"
    done = deepgen(*words.split(), tmp_path / "m")
    assert done.status == 0
    assert "(early stopping)" in done.out
    assert len(load_run(tmp_path / "m").history) < 500


def test_the_same_command_again_does_nothing_and_another_is_refused(deepgen, tmp_path):
    out = tmp_path / "a"
    assert deepgen("train", "rbm", *SMALL, "--out", out).status == 0
    before = dg.load(out).weight.clone()
    assert deepgen("train", "rbm", *SMALL, "--out", out).status == 0
    assert torch.equal(dg.load(out).weight, before)
    refused = deepgen("train", "rbm", *SMALL, "--k", 3, "--out", out)
    assert refused.status == 2
    assert "k 1, now 3" in refused.err
    assert "--fresh" in refused.err
    assert deepgen("train", "rbm", *SMALL, "--k", 3, "--fresh", "--out", out).status == 0
    assert not torch.equal(dg.load(out).weight, before)


def test_a_finished_run_says_so_and_how_to_train_longer(deepgen, tmp_path):
    out = tmp_path / "a"
    deepgen("train", "rbm", *SMALL, "--out", out)
    again = deepgen("train", "rbm", *SMALL, "--out", out)
    assert again.status == 0
    assert "3 epochs, already complete in" in again.out
    assert "--fresh" in again.out
    longer = deepgen("train", "rbm", *SMALL, "--epochs", 5, "--out", out)
    assert longer.status == 2
    for words in ("epochs 3, now 5", "planned to fall over", "another --out", "--fresh"):
        assert words in longer.err


def test_a_mixture_may_be_made_longer(deepgen, tmp_path):
    words = "train mixture --components 3 --data bars_and_stripes --quiet --epochs"
    out = tmp_path / "m"
    assert deepgen(*words.split(), 3, "--out", out).status == 0
    again = deepgen(*words.split(), 3, "--out", out)
    assert "3 epochs, already complete" in again.out
    assert "more --epochs" in again.out
    assert "5 epochs, 5 updates" in deepgen(*words.split(), 5, "--out", out).out
    assert deepgen(*words.split(), 5, "--out", tmp_path / "whole").status == 0
    assert torch.equal(dg.load(out).logits, dg.load(tmp_path / "whole").logits)
    shorter = deepgen(*words.split(), 4, "--out", out)
    assert shorter.status == 2
    assert "epochs 5, now 4" in shorter.err


def test_progress_is_a_line_on_stderr_where_there_is_no_terminal(deepgen, tmp_path):
    words = [word for word in SMALL if word != "--quiet"]
    done = deepgen("train", "rbm", *words, "--out", tmp_path / "a")
    assert done.err.startswith("epoch 3/3, ")
    _, hint = done.err.splitlines()
    assert hint.startswith("6 updates are few")


def environment():
    """One thread, as the promise of equal bits is for an equal number of them."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def test_ctrl_c_saves_and_the_printed_command_resumes_to_the_same_weights(deepgen, tmp_path):
    words = "rbm --data bars_and_stripes --hidden 5 --batch 4 --epochs 400 --seed 2 --out".split()  # noqa: SIM905
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = [sys.executable, "-m", "deepgen", "train", *words, str(stopped)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as job:
        deadline = time.monotonic() + 60
        while not (stopped / "manifest.json").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.2)  # into the steps
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
    assert job.returncode == 130, err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("deepgen: interrupted")
    assert len(load_run(stopped).history) < 400
    again = shlex.split(line.partition("to resume: ")[2])
    assert again[0] == "deepgen"
    assert deepgen(*again[1:]).status == 0
    assert deepgen("train", *words, whole).status == 0
    one, other = dg.load(stopped).state_dict(), dg.load(whole).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert len(load_run(stopped).history) == 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train rmb --data digits --out a", "unknown model 'rmb': did you mean 'rbm'?"),
        ("train rbm --data digist --out a", "unknown data set 'digist': did you mean 'digits'?"),
        ("train rbm --data digits --out a --epochz 3", "No such option: --epochz"),
        ("train rbm --data digits", "Missing option '--out'"),
        ("train mixture --data digits --out a --hidden 3", "--hidden is an option of rbm"),
        ("train rbm --data digits --out a --rate -1", "--rate must be above 0"),
        ("train rbm --data digits --out a --epochs 0", "--epochs"),
        ("train rbm --data digits --out a --binarise dynamik", "dynamik"),
        ("train rbm --data nowhere.csv --out a", "nowhere.csv: no such file"),
        ("train rbm --data nan.csv --out a", "nan.csv, line 2, column 2"),
        ("train rbm --data empty.csv --out a", "empty.csv"),
        ("train rbm --data broken.npy --out a", "broken.npy"),
        ("train rbm --data grey.csv --out a", "--binarise threshold"),
        ("train mixture --data grey.csv --out a", "--binarise threshold"),
        ("train rbm --data digits --out file.txt/a", "file.txt"),
        ("train rbm --data digits --out file.txt", "file.txt is a file: choose another name"),
        ("train rbm --data digits --out file.txt --fresh", "file.txt is a file: choose another name"),
    ],
)
def test_every_refusal_is_one_line_with_status_2(deepgen, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nan.csv").write_text("1,0\n0,nan\n1,1\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00 not an array")
    (tmp_path / "grey.csv").write_text("0.5,0\n0.25,1\n1,1\n0,0\n1,0\n")
    (tmp_path / "file.txt").write_text("a file, not a folder")
    refused = deepgen(*words.split())
    assert refused.status == 2
    assert refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("deepgen: ")
    assert said in line
    assert not (tmp_path / "a" / "manifest.json").exists()


def test_divergence_is_one_line_too(deepgen, tmp_path):
    refused = deepgen(
        "train", "rbm", "--data", "rings", "--visible", "gaussian", "--rate", 1e6, "--quiet", "--out", tmp_path / "a"
    )
    assert refused.status == 2
    (line,) = refused.err.splitlines()
    assert "finite" in line


def test_a_damaged_run_is_refused_by_the_name_of_its_file(deepgen, tmp_path):
    out = tmp_path / "a"
    assert deepgen("train", "rbm", *SMALL, "--out", out).status == 0
    (tensors,) = out.glob("tensors-*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-7])
    for words in (("train", "rbm", *SMALL, "--out", out), ("sample", out, "--out", tmp_path / "x.npy")):
        refused = deepgen(*words)
        assert refused.status == 2
        (line,) = refused.err.splitlines()
        assert tensors.name in line
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["format"]
