"""`deepgen train --max-norm --non-negative --networks maxout`: weights stay in their set, or the words are refused."""

import pytest
import torch

import deepgen as dg
from deepgen.cli.options import DEFAULTS, settle
from deepgen.cli.recipes import build
from deepgen.errors import ArgumentError
from deepgen.layers.entering import weights_that_enter

LIMIT = 0.05  # less than first weights have
SHORT = ["--data", "digits", "--epochs", "2", "--patience", "0", "--quiet"]
LIMITED = [model for model, own in DEFAULTS.items() if "max_norm" in own]


def norms(model):
    for weight, (axis, mask, groups) in weights_that_enter(model):
        there = weight.detach() if mask is None else weight.detach() * mask
        for part in there.chunk(groups):
            yield part.movedim(axis, 0).flatten(1).norm(dim=1)


@pytest.mark.parametrize("model", LIMITED)
def test_norms_are_limited_after_every_step(model):
    data = dg.data.load("digits")
    made = build(model, data, {**settle(model, {"max_norm": LIMIT, "epochs": 2}), "seed": 0})
    dg.fit(made.model, made.train, made.objective, epochs=2, batch_size=50, optimizer=made.optimizer, progress=False)
    found = torch.cat([*norms(made.model)])
    assert float(found.max()) <= LIMIT + 1e-6
    assert float(found.max()) > LIMIT - 1e-3  # it is the limit that holds them


def test_no_weight_of_a_machine_is_below_zero_and_it_learns(deepgen, tmp_path):
    words = ["rbm", *SHORT, "--non-negative", "--hidden", 30, "--out", tmp_path / "a"]
    words[words.index("--epochs") + 1] = 40
    assert deepgen("train", *words).status == 0
    rbm, x = dg.load(tmp_path / "a"), dg.data.load("digits")
    assert bool((rbm.weight >= 0).all())
    found = dg.evaluate.log_likelihood(rbm, x.test, method="bidirectional", base=x.train, generator=0)
    assert found.interval()[0] > -25  # independent pixels have -25.35
    assert deepgen("train", *words).out.count("already complete") == 1
    words.remove("--non-negative")
    refused = deepgen("train", *words)
    assert refused.status == 2
    assert "begun with non-negative given, now not given" in refused.err


def test_sparse_weights_are_those_of_the_seed():
    found = []
    for _ in range(2):  # the global stream goes on between them
        made = build("rbm", dg.data.load("digits"), {**settle("rbm", {"non_negative": True}), "seed": 5})
        found.append(made.model.weight.detach().clone())
        torch.rand(1)
    assert torch.equal(*found)
    assert found[0].count_nonzero(0).le(round(64 / 5)).all()  # of which half were below 0
    assert 0.05 < float((found[0] > 0).float().mean()) < 0.15


@pytest.mark.parametrize("rate", [0.001, 3])
def test_steps_too_short_and_too_long_are_told(rate, deepgen, tmp_path):
    """Both end below independence: short ones leave the sparse start where it is."""
    words = ["rbm", *SHORT, "--non-negative", "--rate", rate, "--out", tmp_path / "a"]
    (line,) = deepgen("train", *words).err.splitlines()
    assert line.startswith("deepgen: warning: this model is worse than independent columns")
    assert line.endswith("try again with --fresh and another --rate, or go on with more --epochs")


def test_an_autoencoder_of_weights_above_zero(deepgen, tmp_path):
    words = ["autoencoder", *SHORT, "--non-negative", "--networks", "tied", "--hidden", "20", "--out", tmp_path / "a"]
    assert deepgen("train", *words).status == 0
    assert all(bool((layer.weight >= 0).all()) for layer in dg.load(tmp_path / "a").encoder.layers)


def test_a_discriminator_of_maxout_units(deepgen, tmp_path):
    words = ["gan", *SHORT, "--networks", "maxout", "--hidden", "12,8", "--out", tmp_path / "a"]
    assert deepgen("train", *words).status == 0
    model = dg.load(tmp_path / "a")
    assert [layer.pieces for layer in model.discriminator.layers[:2]] == [5, 5]
    assert model.sample(3, generator=0).shape == (3, 64)
    assert deepgen("sample", tmp_path / "a", "-n", 4, "--out", tmp_path / "a.npy").status == 0


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        ("rbm", {"max_norm": 2.0, "non_negative": True}, "drop one of them"),
        ("vae", {"max_norm": 0.0}, "--max-norm must be a finite number above 0, got 0.0"),
        ("vae", {"max_norm": float("inf")}, "--max-norm must be a finite number above 0, got inf"),
        ("gan", {"max_norm": 1.0, "spectral_norm": True}, "computes from others"),
        ("vae", {"non_negative": True}, "--non-negative is an option of rbm, autoencoder"),
        ("gan", {"networks": "maxout", "channels": 8}, "--channels is of convolutions, and maxout networks have none"),
    ],
)
def test_what_does_not_go_together_is_refused(model, given, said):
    with pytest.raises(ArgumentError, match=said):
        settle(model, given)
