"""Deep autoencoders from stacks of machines."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.explicit import RBM, Gaussian, Softmax, Spin
from deepgen.implicit import rbm_stack, unrolled
from deepgen.objectives import Reconstruction
from deepgen.testing.models import check_model


def shaken(rbm, stream):
    """With weights and biases that matter."""
    with torch.no_grad():
        for p in rbm.parameters():
            p.normal_(generator=stream)
    return rbm.double()


@pytest.mark.parametrize("top", ["binary", "real"])
@pytest.mark.parametrize("data", ["binary", "real"])
def test_each_layer_is_the_mean_of_its_machine(top, data, stream):
    visible = 6 if data == "binary" else Gaussian(6, precision=4.0)
    code = 3 if top == "binary" else Gaussian(3, precision=2.0)
    rbms = [shaken(RBM(visible, 5, generator=stream), stream), shaken(RBM(5, code, generator=stream), stream)]
    x = torch.randint(2, (7, 6), generator=stream).double()
    model = unrolled(rbms)
    first = rbms[0].transform(x)
    hidden = torch.sigmoid(model.encoder.layers[0](x))
    assert torch.allclose(hidden, first, atol=1e-14)
    z = rbms[1].hidden.mean(rbms[1].hidden_field(first))
    assert torch.allclose(model.encode(x), z, atol=1e-13)
    back = rbms[1].visible.mean(rbms[1].visible_field(z))
    assert torch.allclose(model.decode(z), rbms[0].visible.mean(rbms[0].visible_field(back)), atol=1e-13)
    if data == "real":
        assert float(model.observation.sigma) == pytest.approx(0.5)
    assert not model.encoder.layers[0].weight.data_ptr() == rbms[0].weight.data_ptr()  # noqa: SIM201
    check_model(model.float(), x.float(), generator=stream)


def test_spins_are_unrolled_with_tanh(stream):
    rbms = [shaken(RBM(6, Spin(5), generator=stream), stream), shaken(RBM(Spin(5), 3, generator=stream), stream)]
    x = torch.randint(2, (7, 6), generator=stream).double()
    z = torch.sigmoid(rbms[1].hidden_field(rbms[0].transform(x)))
    assert torch.allclose(unrolled(rbms).encode(x), z, atol=1e-13)


def test_a_stack_is_trained_layer_by_layer_and_fine_tuning_lowers_the_loss():
    data = dg.data.load("digits")
    x = data.train[:600]
    model = unrolled(rbm_stack(x, [24, Gaussian(4)], epochs=25, batch_size=10, seed=1))
    before = float(model.reconstruction_loss(data.valid).detach().mean())
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    dg.fit(model, x, Reconstruction(), epochs=15, batch_size=20, optimizer=adam, seed=0, progress=False)
    assert float(model.reconstruction_loss(data.valid).detach().mean()) < before - 2


def test_a_stack_is_a_function_of_its_seed():
    stacks = [rbm_stack(torch.eye(6), [4, 2], epochs=2, seed=seed) for seed in (1, 1, 2)]
    for a, b, c in zip(*stacks, strict=True):
        assert torch.equal(a.weight, b.weight)
        assert not torch.equal(a.weight, c.weight)


def test_a_stack_goes_on_from_its_folder_with_the_optimizer_and_schedule_asked_for(tmp_path):
    rates = []

    def optimizer(machine):
        rates.append(torch.optim.SGD(machine.parameters(), lr=0.25))
        return rates[-1]

    def run(out=None):
        schedule = {"optimizer": optimizer, "schedule": lambda done: 1 - done / 2}
        return rbm_stack(torch.eye(6), [4, 2], epochs=2, seed=1, out=out, **schedule)

    whole, kept, again = run(), run(tmp_path), run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["machine-0", "machine-1"]
    for a, b, c in zip(whole, kept, again, strict=True):
        assert torch.equal(a.weight, b.weight)
        assert torch.equal(a.weight, c.weight)
    assert [made.param_groups[0]["lr"] for made in rates] == [0.125] * 6


def test_layers_that_do_not_meet_are_told(stream):
    for rbms, message in (
        ([], "a list of RBMs"),
        ([RBM(6, 5), torch.nn.Linear(5, 2)], "a list of RBMs"),
        ([RBM(6, 5), RBM(4, 2)], "do not meet"),
        ([RBM(6, Spin(5)), RBM(5, 2)], "do not meet"),
        ([RBM(6, Gaussian(5)), RBM(Gaussian(5), 2)], "must be Bernoulli"),
        ([RBM(6, Spin(5)), RBM(Spin(5), 4), RBM(4, 2)], "must be Bernoulli"),
        ([RBM(6, Softmax(2, 3))], "must be Bernoulli"),
        ([RBM(Softmax(2, 3), 4)], "no likelihood is over"),
    ):
        with pytest.raises(ArgumentError, match=message):
            unrolled(rbms)
    uneven = RBM(Gaussian(3, learned=True), 2)
    with torch.no_grad():
        uneven.visible.log_precision[0] = 1.0
    with pytest.raises(ArgumentError, match="one sigma"):
        unrolled([uneven])
    with pytest.raises(ArgumentError, match="lowest first"):
        rbm_stack(torch.eye(6), 4)
    with pytest.raises(ArgumentError, match="lowest first"):
        rbm_stack(torch.eye(6), Gaussian(2))
    for wrong in ([[0.0, 1.0]], torch.zeros(3), torch.zeros(0, 3), torch.zeros(())):
        with pytest.raises(ShapeError, match="x must be"):
            rbm_stack(wrong, [2])
