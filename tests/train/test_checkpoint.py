"""save, load, load_weights: models come back the same, and a stranger's directory runs no code."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import CheckpointError
from deepgen.train.store import read, seal, write

MODELS = {
    "rbm": lambda: dg.explicit.RBM(visible=6, hidden=4),
    "gaussian": lambda: dg.explicit.RBM(dg.explicit.Gaussian(3, precision=2.5, learned=True), dg.explicit.Spin(2)),
    "product": lambda: dg.explicit.RBM(
        dg.explicit.Product(dg.explicit.Bernoulli(2), dg.explicit.Softmax(2, 3), dg.explicit.Gaussian(1)), 3
    ),
    "mixture": lambda: dg.explicit.BernoulliMixture(5, components=3),
}


def scrambled(model):
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(generator=dg.random.generator(None))
    return model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_models_come_back_bit_for_bit(tmp_path, name, dtype):
    model = scrambled(MODELS[name]().to(dtype))
    dg.save(model, tmp_path / "new" / "folder")
    back = dg.load(str(tmp_path / "new" / "folder"))
    assert type(back) is type(model)
    assert repr(back) == repr(model)
    assert back.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(back.state_dict()[key], value)
        assert back.state_dict()[key].dtype == value.dtype
    assert [p.requires_grad for p in back.parameters()] == [p.requires_grad for p in model.parameters()]


def test_numbers_of_numpy_among_the_arguments_are_written_down(tmp_path):
    for model in (
        dg.explicit.MADE(4, hidden=list(np.array([8, 8])), generator=0),
        dg.layers.CausalConv(1, 2, np.int64(3), generator=0),
        dg.layers.MLP(np.int64(3), 2, np.int64(5), hidden=[np.int32(4)], generator=0),
    ):
        dg.save(model, tmp_path / "model")
        back = dg.load(tmp_path / "model")
        assert repr(back) == repr(model)


def test_a_saved_model_shares_no_memory_with_the_file_or_the_original(tmp_path):
    model = scrambled(MODELS["rbm"]())
    dg.save(model, tmp_path)
    before = model.weight.detach().clone()
    with torch.no_grad():
        dg.load(tmp_path).weight.zero_()
        model.weight.zero_()
    assert torch.equal(dg.load(tmp_path).weight, before)


def test_loading_leaves_the_global_stream_alone(tmp_path):
    dg.save(MODELS["rbm"](), tmp_path)
    before = torch.get_rng_state()
    dg.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_of_the_users_own_come_back_by_load_weights(tmp_path):
    net = scrambled(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    dg.save(net, tmp_path)
    with pytest.raises(CheckpointError, match="build it yourself and call"):
        dg.load(tmp_path)
    fresh = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    dg.load_weights(fresh, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), fresh.state_dict().values(), strict=True))


def test_tied_weights_survive(tmp_path):
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    net["b"].weight = net["a"].weight
    dg.save(net, tmp_path)
    dg.load_weights(net, tmp_path)
    assert net["b"].weight is net["a"].weight


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: dg.explicit.RBM(visible=6, hidden=5), "weight is .6, 4. there, .6, 5. here"),
        (lambda: nn.Linear(6, 4), "not in both: .*hidden_bias"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path, other, message):
    dg.save(MODELS["rbm"](), tmp_path)
    model = other()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        dg.load_weights(model, tmp_path)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    "cls",
    [
        "os.system",
        "builtins.eval",
        "torch.nn.Linear",
        "explicit.rbm.RBM",
        "errors.ArgumentError",
        "train.fit",
        "train.TensorBoard",
        "explicit.RBM.__class__",
        "explicit.Units",
        "explicit.torch",
        "typing.Rebuilt",
        ["explicit", "RBM"],
        None,
        7,
    ],
)
def test_only_deepgens_own_modules_can_be_named(tmp_path, cls):
    dg.save(MODELS["rbm"](), tmp_path)
    content = read(tmp_path)
    content["model"]["rebuild"] = {"class": cls, "arguments": {"visible": 6, "hidden": 4}}
    write(tmp_path, content)
    with pytest.raises(CheckpointError, match="which is no model or layer"):
        dg.load(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"visible": 6},
        {"visible": 6, "hidden": 4, "extra": 1},
        {"visible": -6, "hidden": 4},
        {"visible": "six", "hidden": 4},
        {"visible": 6, "hidden": {"class": "os.system", "arguments": {"command": "true"}}},
        {"visible": 7, "hidden": 4},
        {"*": 3},
        [6, 4],
        None,
    ],
)
def test_arguments_that_do_not_fit_are_a_typed_error(tmp_path, arguments):
    dg.save(MODELS["rbm"](), tmp_path)
    content = read(tmp_path)
    content["model"]["rebuild"]["arguments"] = arguments
    write(tmp_path, content)
    with pytest.raises(CheckpointError):
        dg.load(tmp_path)


def test_a_layer_is_not_a_model_of_these_weights(tmp_path):
    dg.save(MODELS["rbm"](), tmp_path)
    content = read(tmp_path)
    content["model"]["rebuild"] = {"class": "explicit.Bernoulli", "arguments": {"width": 3}}
    write(tmp_path, content)
    with pytest.raises(CheckpointError, match="another model"):
        dg.load(tmp_path)


@pytest.mark.parametrize("missing", ["kind", "model"])
def test_content_with_parts_missing_is_a_typed_error(tmp_path, missing):
    dg.save(MODELS["rbm"](), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["checksum"], manifest["content"][missing]
    (tmp_path / "manifest.json").write_bytes(seal(manifest))
    with pytest.raises(CheckpointError):
        dg.train.load_run(tmp_path)


def test_a_path_outside_the_directory_is_not_followed(tmp_path):
    dg.save(MODELS["rbm"](), tmp_path / "inside")
    manifest = json.loads((tmp_path / "inside" / "manifest.json").read_text())
    del manifest["checksum"]
    ((name, facts),) = manifest["files"].items()
    (tmp_path / "inside" / name).rename(tmp_path / name)
    manifest["files"] = {f"../{name}": facts}
    (tmp_path / "inside" / "manifest.json").write_bytes(seal(manifest))
    with pytest.raises(CheckpointError, match="which is no file of a checkpoint"):
        dg.load(tmp_path / "inside")


def test_a_model_without_a_run_has_no_history(tmp_path):
    dg.save(MODELS["rbm"](), tmp_path)
    with pytest.raises(CheckpointError, match="without a history"):
        dg.train.load_run(tmp_path)


@pytest.mark.parametrize(
    "rebuild",
    [
        {"class": "explicit.RBM", "arguments": {"visible": 10**5, "hidden": 10**5}},
        {"class": "explicit.RBM", "arguments": {"visible": 10**15, "hidden": 1}},
        {"class": "explicit.MADE", "arguments": {"features": 10**9, "hidden": [2]}},
        {"class": "explicit.MADE", "arguments": {"features": 3, "hidden": [2] * 10**5}},
        {"class": "explicit.BernoulliMixture", "arguments": {"features": 2**20, "components": 2**20}},
    ],
)
def test_a_model_much_larger_than_its_checkpoint_is_not_built(tmp_path, rebuild):
    dg.save(MODELS["rbm"](), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["checksum"]
    manifest["content"]["model"]["rebuild"] = rebuild
    (tmp_path / "manifest.json").write_bytes(seal(manifest))
    with pytest.raises(CheckpointError, match=r"the model would have over|is the most for what is stored"):
        dg.load(tmp_path)
