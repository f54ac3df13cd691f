"""Kinds of one model: cells, networks, priors, posteriors, units. Numbers are those of the library's own parts."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.cli.compare import asked
from deepgen.cli.recipes import build
from deepgen.cli.recipes.class_rbm import LogLabels
from deepgen.cli.recipes.flows import FAMILIES
from deepgen.cli.recipes.semi_supervised import labelled_rows
from deepgen.errors import ArgumentError, ShapeError, UnknownName

# models of one epoch have posteriors far from the true ones, and that is said
pytestmark = pytest.mark.filterwarnings("default::deepgen.errors.DegenerateWeights")

BARS = "--data bars_and_stripes --epochs 1 --batch 16"
SMALL = f"{BARS} --hidden 8 --latent 2"
DIGITS = "--data digits --epochs 1 --batch 200"


@pytest.fixture
def trained(deepgen, tmp_path, monkeypatch):
    """``trained("vae ...")`` -> the model, in the directory ``run`` of the current folder."""
    monkeypatch.chdir(tmp_path)

    def command(words):
        done = deepgen("train", *words.split(), "--quiet", "--out", "run")
        assert done.status == 0, done.err
        return dg.load("run")

    return command


def told(deepgen, *words):
    done = deepgen("evaluate", "run", "--json", *words)
    assert done.status == 0, done.err
    return json.loads(done.out)


BUILT = {
    "bars_and_stripes": "rbm --visible spin; dbn; dbm; bernoulli; made; nade; deep-nade; energy; pixelcnn; "
    "gated-pixelcnn; nsf; vae --prior vamp --components 2 --posterior full; vae --posterior flow --networks conv; "
    "gan --networks conv; gan --networks resnet; autoencoder --networks tied",
    "digits": "rbm --visible softmax; vae; cvae; cgan; cgan --condition concatenation; cgan --spectral-norm; m2",
    "grey.npy": "vae",
    "pairs.npz": "class-rbm",
    "moons": "vae; gan",
    "rows.txt": "gru; transformer",
}
# What is built in Python alone, and why: options.py or the manual says so of each model among these.
PYTHON = {
    "explicit": {"IAF", "Ising", "MeanFieldNetwork", "Potts", "PlanarFlow", "Seq2Seq"},
    "implicit": {"Decoder", "SaltAndPepper"},
}


def test_every_model_of_the_library_is_built_or_refused_with_what_to_do(tmp_path, monkeypatch, stream):
    monkeypatch.chdir(tmp_path)
    np.save("grey.npy", torch.randint(256, (60, 4, 4), generator=stream).numpy().astype(np.uint8))
    bits = torch.randint(2, (60, 4), generator=stream)
    np.savez("pairs.npz", x=bits.numpy(), y=bits[:, 0].numpy())
    (tmp_path / "rows.txt").write_text("abc" * 200)
    seen = {family.__name__ for family in FAMILIES.values()}  # whose transforms stand behind an affine map
    for name, commands in BUILT.items():
        rows = dg.data.load(name, **({"binarise": "none"} if name == "digits" else {}))
        for words in commands.split(";"):
            model, options = asked.options(words.strip())
            made = build(model, rows, {**options, "seed": 0}).model
            seen |= {cls.__name__ for part in made.modules() for cls in type(part).__mro__}
    for module, python in PYTHON.items():
        public = [getattr(getattr(dg, module), name) for name in getattr(dg, module).__all__]
        models = {one.__name__ for one in public if inspect.isclass(one) and issubclass(one, nn.Module)}
        assert models - seen == python & models, f"say how to train {models - seen - python} on the command line"


@pytest.mark.parametrize("cell", ["rnn", "gru", "mlstm"])
def test_each_cell_is_a_model(deepgen, trained, tmp_path, stream, cell):
    letters = torch.randint(3, (1500,), generator=stream).tolist()
    (tmp_path / "rows.txt").write_text("".join("abc"[i] for i in letters))
    model = trained(f"{cell} --data rows.txt --epochs 1 --length 16 --batch 8 --hidden 6 --layers 2")
    assert (model.arguments()["cell"], len(model.layers)) == (cell, 2)
    x = dg.data.load("rows.txt", length=16).test
    found = told(deepgen)
    assert found["model"] == f"{cell.upper()} 3-6-6"
    assert found["log_likelihood"]["side"] == "exact"
    with torch.no_grad():
        assert found["log_likelihood"]["value"] == pytest.approx(float(model.log_prob(x).double().mean()), rel=1e-5)
    assert deepgen("sample", "run", "--length", 9, "--out", "a.txt").status == 0


LAWS = {
    "vae --prior mixture --components 3": ("VAE, 2 latents, mixture prior", "NormalMixture", "DiagonalGaussian"),
    "vae --prior vamp --components 4 --posterior full": (
        "VAE, 2 latents, VampPrior, full posterior",
        "VampPrior",
        "FullGaussian",
    ),
    "iwae --k 3 --prior flow --posterior flow": ("IWAE, 2 latents, flow prior, flow posterior", "MAF", "Flow"),
    "vae --prior vamp --components 3 --posterior flow": (
        "VAE, 2 latents, VampPrior, flow posterior",
        "VampPrior",
        "Flow",
    ),
    "vae --networks conv --channels 2": ("convolutional VAE, 2 latents", "StandardNormal", "DiagonalGaussian"),
}


@pytest.mark.parametrize("words", LAWS)
def test_a_vae_has_the_networks_and_laws_that_were_asked_for(deepgen, trained, words):
    model = trained(f"{words} {SMALL}")
    title, prior, posterior = LAWS[words]
    assert (type(model.prior_law).__name__, type(model.posterior_law).__name__) == (prior, posterior)
    x = dg.data.load("bars_and_stripes").test
    expected = dg.evaluate.latent_bound(model, x, 1000, generator=4).estimate()
    found = told(deepgen, "--seed", 4)
    assert (found["model"], found["log_likelihood"]["side"]) == (title, "below")
    assert found["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-9)
    assert deepgen("sample", "run", "-n", 5, "--out", "a.npy").status == 0
    assert np.array_equal(np.load("a.npy"), model.sample(5, generator=0).numpy())


def test_pseudo_inputs_start_as_rows_of_the_data_and_are_learned(trained):
    words = f"vae --prior vamp --components 5 {SMALL} --patience 0 --fresh"
    x = dg.data.load("bars_and_stripes").train
    start, moved = (trained(f"{words} --rate {rate}").prior_law for rate in (1e-12, 0.1))
    inputs = start.inputs().detach()
    assert set(map(tuple, inputs.round().tolist())) <= set(map(tuple, x.tolist()))
    torch.testing.assert_close((inputs - 0.5).abs(), torch.full_like(inputs, 0.48))  # rows of near certainty
    assert float((start.raw - moved.raw).detach().abs().min()) > 1e-3  # a step of Adam is about the rate


def test_with_labels_a_flow_prior_is_one_for_each_label(deepgen, trained, tmp_path, stream):
    x, y = torch.randint(256, (100, 4, 4), generator=stream), torch.randint(3, (100,), generator=stream)
    np.savez(tmp_path / "pairs.npz", x=x.numpy().astype(np.uint8), y=y.numpy())
    model = trained(
        "cvae --prior flow --networks conv --channels 2 --hidden 8 --latent 2 --data pairs.npz --binarise none "
        "--epochs 1"
    )
    z = torch.zeros(2, 2)
    with torch.no_grad():
        first, second = model(torch.tensor([0, 1])).prior().log_prob(z)
    assert float(first) != float(second)
    found = told(deepgen)
    assert (found["given"], found["bits/dim"]["side"]) == ("labels", "above")
    assert deepgen("sample", "run", "-n", 3, "--label", 2, "--out", "a.csv").status == 0


def test_a_convolutional_vae_of_rows_is_that_of_images(trained):
    model = trained(f"vae --networks conv --channels 2 {SMALL}")
    same = dg.implicit.conv_vae((1, 4, 4), (2, 4), latent=2, hidden=8, generator=0)
    same.load_state_dict({name.replace(".net.", "."): value for name, value in model.state_dict().items()})
    x = dg.data.load("bars_and_stripes").test
    with torch.no_grad():
        flat, square = (m.bound(rows, generator=1) for m, rows in ((model, x), (same, x.view(-1, 1, 4, 4))))
    torch.testing.assert_close(flat, square)
    with pytest.raises(ShapeError, match=r"\[rows, 16\]"):
        model.encoder(torch.zeros(2, 1, 4, 4))


def test_the_unit_of_an_image_moves_the_bound_by_its_logarithm(deepgen, trained, tmp_path, stream):
    """Convolutional networks of real values are standardised inside as dense ones are."""
    x = torch.randn(120, 4, 4, generator=stream).double()
    np.save(tmp_path / "one.npy", x.numpy())
    np.save(tmp_path / "thousand.npy", (1000 * x + 5000).numpy())
    bounds = []
    for name in ("one", "thousand"):
        trained(f"vae --data {name}.npy --epochs 1 --networks conv --channels 2 --hidden 8 --latent 2 --fresh")
        bounds.append(told(deepgen)["log_likelihood"]["value"])
    assert bounds[0] - bounds[1] == pytest.approx(16 * np.log(1000), abs=0.05)


@pytest.mark.parametrize("hidden", ["bernoulli", "spin", "gaussian"])
def test_spins_give_bits_the_probabilities_of_their_machine(deepgen, trained, hidden):
    model = trained(f"rbm --visible spin --hidden-units {hidden} --hidden 3 {BARS}")
    every = ((torch.arange(2**16)[:, None] >> torch.arange(16)) & 1).double()
    x = dg.data.load("bars_and_stripes").test.double()
    wide = model.double()
    with torch.no_grad():
        log_z = wide.log_density(2 * every - 1).logsumexp(0)
        expected = float((wide.log_density(2 * x - 1) - log_z).mean())
    found = told(deepgen)
    assert found["log_likelihood"]["side"] == "exact"
    assert found["log_likelihood"]["value"] == pytest.approx(expected, abs=1e-4)
    assert found["baseline"]["model"] == "independent columns"
    assert deepgen("sample", "run", "-n", 20, "--steps", 5, "--out", "a.npy").status == 0
    assert set(np.unique(np.load("a.npy"))) <= {0.0, 1.0}


def test_softmax_units_have_a_probability_for_each_grey_level(deepgen, trained):
    model = trained(f"rbm --visible softmax --hidden 5 --rate 0.02 {DIGITS} --binarise none")
    x = (dg.data.load("digits", binarise="none").test * 16).round().long()
    states = ((torch.arange(2**5)[:, None] >> torch.arange(5)) & 1).double()
    wide = model.double()
    with torch.no_grad():  # log sum over h of e^(b.h), times that over each pixel's levels
        fields = (wide.visible_bias + states @ wide.weight.t()).view(-1, 64, 17)
        log_z = (states @ wide.hidden_bias + fields.logsumexp(-1).sum(-1)).logsumexp(0)
        inside = torch.stack([
            states @ wide.hidden_bias + fields[:, torch.arange(64), row].sum(-1) for row in x
        ])  # fmt: skip
        expected = float((inside.logsumexp(1) - log_z).mean())
    found = told(deepgen)
    assert found["log_likelihood"]["value"] == pytest.approx(expected, abs=1e-3)
    assert found["bits/dim"]["value"] == pytest.approx(-expected / (64 * np.log(2)), rel=1e-5)
    assert deepgen("sample", "run", "-n", 4, "--steps", 5, "--out", "a.npy").status == 0
    draws = np.load("a.npy")
    assert draws.shape == (4, 64)
    assert set(np.unique(draws)) <= set(range(17))
    page = deepgen("report", "run", "--steps", 5)
    assert page.status == 0, page.err


@pytest.mark.parametrize(("networks", "part"), [("conv", "DCGANGenerator"), ("resnet", "ResNetGenerator")])
def test_networks_of_a_gan(deepgen, trained, networks, part):
    model = trained(f"gan --networks {networks} --channels 2 --latent 3 {DIGITS}")
    assert part in {type(module).__name__ for module in model.modules()}
    assert deepgen("sample", "run", "-n", 5, "--out", "a.npy").status == 0
    assert set(np.unique(np.load("a.npy"))) <= {0.0, 1.0}
    assert told(deepgen)["sample_quality"]["n_fake"] == 360


@pytest.mark.parametrize("networks", ["dense", "maxout", "conv", "resnet"])
@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_a_gan_is_given_labels(deepgen, trained, networks, condition):
    size = "--hidden 8" if networks in ("dense", "maxout") else "--channels 2"
    model = trained(f"cgan --condition {condition} --networks {networks} {size} --latent 3 {DIGITS}")
    parts = [type(module).__name__ for module in model.discriminator.modules()]
    assert (model.classes, parts[0]) == (10, "Projected" if condition == "projection" else "Concatenated")
    found = told(deepgen)
    assert (found["given"], found["log_likelihood"]) == ("labels", None)
    assert found["model"] == f"{'residual ' if networks == 'resnet' else ''}conditional GAN, 3 latents, 10 labels"
    assert found["sample_quality"]["n_fake"] == 360
    for words, labels in (((), torch.arange(20) % 10), (("--label", 7), torch.full((20,), 7))):
        assert deepgen("sample", "run", "-n", 20, *words, "--out", "a.npy").status == 0
        assert np.array_equal(np.load("a.npy"), model.sample(20, labels, generator=0).flatten(1).numpy())
    assert "which has labels 0 to 9" in deepgen("sample", "run", "--label", 10).err


@pytest.mark.parametrize("condition", ["projection", "concatenation"])
def test_draws_of_a_label_are_like_the_rows_that_have_it(deepgen, trained, tmp_path, stream, condition):
    """Three bits are the label's, and three say nothing; without a look at the label half of the draws would agree."""
    labels = torch.randint(2, (600,), generator=stream)
    bits = torch.randint(2, (600, 3), generator=stream)
    np.savez(tmp_path / "pairs.npz", x=torch.cat([labels.unsqueeze(1).expand(600, 3), bits], 1).numpy(), y=labels)
    words = f"--data pairs.npz --epochs 30 --batch 20 --hidden 16 --latent 4 --rate 3e-3 --condition {condition}"
    model = trained(f"cgan {words}")
    for label in (0, 1):
        assert deepgen("sample", "run", "-n", 500, "--label", label, "--out", "a.npy").status == 0
        draws = np.load("a.npy")
        assert (draws[:, :3] == label).all(1).mean() > 0.9
    assert model.classes == 2


def test_a_model_of_few_labels_classifies_and_has_a_bound(deepgen, trained):
    model = trained(f"m2 {DIGITS} --hidden 8 --latent 2 --labelled 50")
    data = dg.data.load("digits")
    x, labels = data.test, data.labels.test
    found = told(deepgen, "--seed", 4)
    assert (found["model"], found["log_likelihood"]["side"]) == ("M2, 2 latents, 10 labels", "below")
    expected = dg.evaluate.log_likelihood(model, x, generator=4)
    assert found["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-6)
    wrong = (model.predict(x) != torch.as_tensor(labels)).double()
    assert found["classification_error"]["value"] == pytest.approx(float(wrong.mean()))
    assert found["classification_error"]["stderr"] == pytest.approx(float(wrong.std()) / 360**0.5)
    nearest, told_rows = (
        found["classification_error"]["nearest"],
        labelled_rows(data.labels.train, {"labelled": 50, "seed": 0}),
    )
    by = torch.cdist(x, data.train[told_rows]).argmin(1)
    assert nearest["labelled"] == 50
    assert nearest["value"] == pytest.approx(
        float((data.labels.train[told_rows][by] != labels).double().mean()), abs=0.02
    )
    said = deepgen("evaluate", "run").out
    assert f"of {len(x)} rows; that of the nearest of 50 of the 1,078 training rows" in said
    assert "10 labels, with 50 draws of the code for each" in said
    others = deepgen(
        "evaluate", "run", "--data", "digits"
    )  # named as others are: whether they are the same is not known
    assert "is wrong for" in others.out
    assert "nearest" not in others.out
    assert deepgen("report", "run").status == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Of test rows its likeliest label is wrong for" in page
    for words, made in (((), model.sample(9, generator=0)), (("--label", 3), model(3).sample(9, generator=0))):
        assert deepgen("sample", "run", "-n", 9, *words, "--out", "a.npy").status == 0
        assert np.array_equal(np.load("a.npy"), made.numpy())
    assert "which has labels 0 to 9" in deepgen("sample", "run", "--label", 10).err


def test_labels_that_a_model_does_not_know_are_refused(deepgen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cvae = dg.implicit.mlp_cvae(64, [8], latent=2, classes=3, generator=0)
    dg.save(dg.implicit.SemiSupervised(cvae, dg.implicit.Dense(64, [8], 3, generator=1)), "few")
    dg.save(dg.implicit.mlp_cvae(16, [8], latent=2, context=3, generator=0), "vectors")
    for words, message in (
        (("few", "--data", "digits"), "was trained on labels 0 to 2, and the test rows of digits have 9"),
        (("vectors", "--data", "bars_and_stripes"), "is given vectors, which no file here says"),
    ):
        refused = deepgen("evaluate", *words)
        assert (refused.status, message in refused.err) == (2, True), refused.err
    rows = np.random.default_rng(0).integers(2, size=(300, 6))
    np.savez("gaps.npz", x=rows, y=np.array([0, 2, 7])[np.arange(300) % 3])
    assert (
        deepgen("train", "m2", "--data", "gaps.npz", "--labelled", 3, "--epochs", 1, "--quiet", "--out", "m").status
        == 0
    )
    np.savez("same.npz", x=rows, y=np.zeros(300, dtype=int))
    for model in ("m2", "class-rbm"):
        refused = deepgen("train", model, "--data", "same.npz", "--epochs", 1, "--out", "n")
        assert (refused.status, "all rows of same.npz have label 0" in refused.err) == (2, True), refused.err


def test_a_machine_of_rows_and_labels_states_the_law_of_both_and_classifies(deepgen, trained):
    model = trained("class-rbm --data digits --epochs 3 --hidden 9")
    data = dg.data.load("digits")
    x, labels = data.test, torch.as_tensor(data.labels.test).long()
    found = told(deepgen)
    assert (found["model"], found["of"]) == ("class RBM 64-9, 10 labels", "rows and labels")
    assert found["log_likelihood"]["side"] == "exact"
    expected = dg.evaluate.log_likelihood(model, model.join(x, labels))
    assert found["log_likelihood"]["value"] == pytest.approx(expected.value, rel=1e-6)
    assert "baseline" not in found
    wrong = (model.predict(x) != labels).double()
    assert found["classification_error"]["value"] == pytest.approx(float(wrong.mean()))
    assert deepgen("sample", "run", "-n", 7, "--steps", 20, "--out", "a.npy").status == 0
    assert np.array_equal(np.load("a.npy"), model.sample(7, steps=20, generator=0)[:, :64].numpy())
    assert "leave --label out" in deepgen("sample", "run", "--label", 1).err
    page = deepgen("report", "run", "--steps", 20)
    assert page.status == 0, page.err
    assert "The likelihood is that of rows with their labels." in Path("run/report.html").read_text(encoding="utf-8")
    with pytest.raises(ArgumentError, match="compares with no other"):
        dg.compare("digits", "class-rbm", budget="1s", out="compared", progress=False)


def test_a_monitor_of_labels_is_their_mean_log_probability(stream):
    machine = dg.explicit.ClassRBM(6, classes=3, hidden=4, generator=stream)
    x, y = torch.randint(2, (20, 6), generator=stream).float(), torch.randint(3, (20,), generator=stream)
    with torch.no_grad():
        expected = sum(float(machine.log_labels(x)[i, y[i]]) for i in range(20)) / 20
    assert LogLabels()(machine, machine.join(x, y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n", [10, 37, 1078])
def test_labels_are_kept_evenly_by_the_seed_and_the_others_are_not_told(n):
    rows = dg.data.load("digits")
    made = build("m2", rows, {**asked.options(f"m2 --labelled {n}")[1], "seed": 3})
    y, labels = made.train.tensors[1], torch.as_tensor(rows.labels.train)
    assert int((y >= 0).sum()) == n
    assert torch.equal(y[y >= 0], labels[y >= 0])
    counts = y[y >= 0].bincount()
    assert n == 1078 or int(counts.max() - counts.min()) <= 1
    again, other = (build("m2", rows, {**asked.options(f"m2 --labelled {n}")[1], "seed": seed}) for seed in (3, 4))
    assert torch.equal(again.train.tensors[1], y)
    assert torch.equal(other.train.tensors[1], y) == (n == 1078)


@pytest.mark.parametrize("given", ["labels", "vectors"])
def test_a_saved_gan_is_drawn_from_and_judged_where_files_can_say_what_it_is_given(
    deepgen, tmp_path, monkeypatch, given
):
    monkeypatch.chdir(tmp_path)
    k = {"classes" if given == "labels" else "context": 10}
    made = dg.implicit.Concatenated(dg.implicit.Dense(2, [8], 64, context=10, generator=0), **k)
    judge = dg.implicit.Projected(dg.implicit.Dense(64, [8], 8, generator=1), 8, **k, generator=2)
    dg.save(dg.implicit.GAN(made, judge, latent=2, **k), "run")
    drawn, judged = deepgen("sample", "run", "-n", 5, "--out", "a.npy"), deepgen("evaluate", "run", "--data", "digits")
    if given == "vectors":
        for done in (drawn, judged):
            assert (done.status, "given vectors, which no file here says" in done.err) == (2, True), done.err
        return
    assert (drawn.status, judged.status) == (0, 0), drawn.err + judged.err
    assert "conditional GAN, 2 latents, 10 labels on 360 test rows of digits, given their labels" in judged.out
    assert "its draws are given labels in the shares" in judged.out
    assert "digits is binarised by its own way, threshold 0.5, as run does not say" in judged.out
    grey = deepgen("evaluate", "run", "--data", "digits", "--binarise", "none")
    assert grey.status == 0
    assert "its own way" not in grey.out
    assert deepgen("sample", "run", "--label", 10).status == 2
    assert deepgen("sample", "run", "-n", 23, "--out", "a.npz").status == 0
    assert np.array_equal(np.load("a.npz")["labels"], np.arange(23) % 10)
    assert "run does not say that its rows are images" in deepgen("sample", "run", "--out", "a.png").err
    wide = deepgen("evaluate", "run", "--data", "moons")
    assert (wide.status, "moons has" in wide.err) == (2, True), wide.err


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("--networks conv --channels 2", "convolutional autoencoder"),
        ("--networks tied", "tied autoencoder 16-8-2"),
    ],
)
def test_networks_of_an_autoencoder(deepgen, trained, words, title):
    model = trained(f"autoencoder {words} {SMALL}")
    found = told(deepgen)
    assert found["model"] == title
    x = dg.data.load("bars_and_stripes").test
    with torch.no_grad():
        expected = float(model.reconstruction_loss(x).double().mean())
    assert found["reconstruction_loss"]["value"] == pytest.approx(expected, rel=1e-5)
    assert deepgen("sample", "run", "-n", 3, "--steps", 5, "--out", "a.npy").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("vae --data digits --prior vmap", "unknown prior 'vmap': did you mean 'vamp'"),
        ("vae --data digits --latent 1 --posterior flow", "give --latent 2 or more"),
        ("vae --data digits --prior vamp --components 5000", "give --components 1078, or fewer"),
        ("vae --data digits --components 9", "--components is of --prior mixture or vamp"),
        ("vae --data moons --prior vamp", "take --prior mixture or flow"),
        ("cvae --data digits --prior vamp", "pseudo-inputs have no label"),
        ("vae --data digits --channels 8", "give vae --networks conv"),
        ("vae --data digits --networks conv --hidden 8,8", "give --hidden one number"),
        ("vae --data moons --networks conv", "no height and width"),
        ("autoencoder --data odd.npy --networks conv", "multiples of 4"),
        ("autoencoder --data digits --binarise none --networks tied", "one number for each value"),
        ("vae --data digits --networks tied", "unknown kind of networks"),
        ("gan --data digits --networks resnet --hidden 8", "--channels"),
        ("gan --data real.npy --networks conv", "values from 0 to 1"),
        ("rbm --data digits --visible softmax", "--visible softmax is for grey levels"),
        ("rbm --data bytes.npy --visible softmax", "at most 32 levels"),
        ("rbm --data digits --visible spin --binarise dynamic", "--binarise fixed or threshold"),
        ("rbm --data real.npy --visible spin", "spin units take only zeros and ones"),
        ("rbm --data real.npy --visible gaussian --hidden-units gaussian", "only while their weights are small"),
        ("rbm --data digits --visible product", "Product(Bernoulli(3), Gaussian(2))"),
        ("rbm --data digits --hidden-units softmax", "Softmax(groups, categories)"),
        ("lstm --data digits --cell gru", "--cell"),
        ("conv-vae --data digits", "train vae or cvae with --networks conv"),
        ("dcgan --data digits", "train gan with --networks conv or resnet"),
        ("conditional-gan --data digits", "a gan given labels is cgan here"),
        ("cgan --data digits --condition projected", "unknown condition 'projected': did you mean 'projection'"),
        ("gan --data digits --condition projection", "--condition is an option of cgan"),
        ("cgan --data bars_and_stripes", "bars_and_stripes has none"),
        ("semi-supervised --data digits", "is m2 here"),
        ("classrbm --data digits", "is class-rbm here"),
        ("class-rbm --data moons", "class-rbm takes zeros and ones"),
        ("class-rbm --data bars_and_stripes", "bars_and_stripes has none"),
        ("class-rbm --data digits --binarise dynamic", "bits that stay as they are"),
        ("class-rbm --data digits --hidden 8,8", "--hidden is one number"),
        ("m2 --data digits --labelled 9", "--labelled must be from 10, one row for each label, to the 1078"),
        ("m2 --data digits --labelled 1079", "got 1079"),
        ("m2 --data digits --prior vamp", "pseudo-inputs have no label"),
        ("m2 --data moons", "moons has none"),
    ],
)
def test_what_does_not_go_together_is_one_line_with_status_2(deepgen, tmp_path, monkeypatch, stream, words, said):
    monkeypatch.chdir(tmp_path)
    np.save("odd.npy", torch.randint(256, (60, 6, 6), generator=stream).numpy().astype(np.uint8))
    np.save("bytes.npy", torch.randint(256, (60, 4, 4), generator=stream).numpy().astype(np.uint8))
    np.save("real.npy", torch.randn(60, 4, 4, generator=stream).numpy())
    refused = deepgen("train", *words.split(), "--out", "run")
    assert (refused.status, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert said in line


def test_models_of_a_comparison_have_options(deepgen, tmp_path, monkeypatch):
    monkeypatch.setattr("deepgen.cli.compare.page.page", lambda *_: None)
    models = ["vae --prior mixture --components 2 --hidden 8,8", "rbm --visible spin --hidden 3"]
    found = dg.compare("bars_and_stripes", ",".join(models), budget=0.4, out=tmp_path, progress=False)
    assert [one.model for one in found.models] == models[::-1]  # the exact one first
    mixed, spins = (found[name] for name in models)
    assert mixed.title.endswith("mixture prior")
    assert (mixed.group, spins.group, spins.failed) == ("below", "exact", "")
    assert found.draws(models[0]).shape == (len(found.draws(models[1])), 16)
    done = deepgen("evaluate", tmp_path / "rbm-visible-spin-hidden-3", "--json")
    value = json.loads(done.out)["log_likelihood"]["value"]
    assert value == pytest.approx(spins.likelihood[0].value, rel=1e-9)


@pytest.mark.parametrize(
    ("models", "error", "said"),
    [
        ("vae --prio vamp", ArgumentError, "No such option"),
        ("vae --latent x", ArgumentError, "latent"),
        ("made --prior vamp", ArgumentError, "--prior is an option of vae, iwae, cvae"),
        ("vae --seed 3", ArgumentError, "those of the comparison"),
        ("vae,vmae --latent 3", UnknownName, "vmae"),
    ],
)
def test_a_wrong_option_in_a_comparison_is_refused_before_anything_is_trained(models, error, said):
    with pytest.raises(error, match=said):
        asked.chosen(models, None)
