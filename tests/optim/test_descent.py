"""Every optimizer of the lectures takes the path of its formula, on a quadratic and on Rosenbrock's function."""

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adagrad, Adam

from deepgen.errors import ArgumentError
from deepgen.optim import KFAC, RMSpropNesterov
from deepgen.train.store import read, write
from tests.optim import problems
from tests.optim.problems import Quadratic, Rosenbrock, check_closure, run

STEPS = 60
RATE = {Quadratic: 5e-3, Rosenbrock: 2e-4}
KFAC_SETTINGS = [
    {"lr": 1.0, "momentum": 0.0, "damping": 1e-3, "decay": 0.0, "every": 1, "max_kl": None},
    {"lr": 0.1, "momentum": 0.9, "damping": 1.0, "decay": 0.95, "every": 7, "max_kl": 0.3},
]


def pairs(problem):
    """Name, optimizer, formula."""
    lr, g = RATE[type(problem)], problem.gradient
    return {
        "SGD": (lambda net: SGD(net.parameters(), lr), problems.descend(g, STEPS, lr=lr)),
        "momentum": (lambda net: SGD(net.parameters(), lr, momentum=0.9), problems.momentum(g, STEPS, lr=lr, a=0.9)),
        "Nesterov": (
            lambda net: SGD(net.parameters(), lr, momentum=0.9, nesterov=True),
            problems.nesterov(g, STEPS, lr=lr, a=0.9),
        ),
        "AdaGrad": (
            lambda net: Adagrad(net.parameters(), 0.1, eps=1e-7),
            problems.adagrad(g, STEPS, lr=0.1, delta=1e-7),
        ),
        "RMSProp": (
            lambda net: RMSpropNesterov(net.parameters(), 0.01, momentum=0.0, alpha=0.9, eps=1e-6),
            problems.rmsprop(g, STEPS, lr=0.01, rho=0.9, delta=1e-6),
        ),
        "Adam": (lambda net: Adam(net.parameters(), 0.05), problems.adam(g, STEPS, lr=0.05)),
    } | {
        f"K-FAC {number}": (
            lambda net, how=how: KFAC(net, **how, fisher="sampled"),
            problems.kfac(problem, STEPS, a=how["momentum"], **{k: how[k] for k in how if k != "momentum"}),
        )
        for number, how in enumerate(KFAC_SETTINGS)
    }


@pytest.mark.parametrize("problem", [Quadratic(), Rosenbrock()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("name", pairs(Quadratic()))
def test_the_path_is_that_of_the_formula(name, problem):
    make, formula = pairs(problem)[name]
    path = np.stack([theta for theta, _ in run(problem, make, STEPS)])
    expected = np.stack(list(formula))
    assert np.allclose(path, expected, rtol=1e-8, atol=1e-10)
    assert np.abs(path[-1] - problems.START).max() > 0.05  # it has gone somewhere


@pytest.mark.parametrize("problem", [Quadratic(), Rosenbrock()], ids=lambda p: type(p).__name__)
def test_nesterov_rmsprop_is_the_formula_behind_the_point_of_the_gradient(problem):
    how = {"lr": 0.02, "momentum": 0.8, "alpha": 0.95, "eps": 1e-6}
    formula = problems.rmsprop_nesterov(problem.gradient, STEPS, lr=0.02, rho=0.95, delta=1e-6, a=0.8)
    made = run(problem, lambda net: RMSpropNesterov(net.parameters(), **how), STEPS)
    for (ahead, optimizer), (theta, v) in zip(made, formula, strict=True):
        (state,) = optimizer.state.values()
        velocity = state["velocity"].numpy()[:, 0]
        assert np.allclose(velocity, v, rtol=1e-8, atol=1e-12)
        assert np.allclose(ahead - 0.8 * velocity, theta, rtol=1e-8, atol=1e-12)


def test_natural_gradient_solves_the_quadratic_in_one_step_and_rosenbrock_in_two():
    newton = {"lr": 1.0, "momentum": 0.0, "damping": 1e-20, "decay": 0.0, "every": 1, "max_kl": None}
    for problem, steps, best in ((Quadratic(), 1, [0, 0]), (Rosenbrock(), 2, [1, 1])):
        *_, (theta, _) = run(problem, lambda net: KFAC(net, **newton, fisher="sampled"), steps)
        assert np.allclose(theta, best, atol=1e-6)


MAKERS = {
    "RMSpropNesterov": lambda net: RMSpropNesterov(net.parameters()),
    "KFAC": lambda net: KFAC(net, every=4, fisher="sampled"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_saved_state_goes_on_bit_for_bit_and_is_left_alone(name, tmp_path):
    whole = [theta for theta, _ in run(Rosenbrock(), MAKERS[name], 12)]
    saved = {}

    def saving(net):
        optimizer = MAKERS[name](net)
        saved["net"] = net
        return optimizer

    *_, (_, optimizer) = run(Rosenbrock(), saving, 6)
    write(tmp_path, {"optimizer": optimizer.state_dict(), "weight": saved["net"].weight})
    content = read(tmp_path)
    before = {key: value.clone() for key, value in content["optimizer"]["state"][0].items() if torch.is_tensor(value)}
    assert before

    def resumed(net):
        net.weight.data.copy_(content["weight"])
        again = MAKERS[name](net)
        again.load_state_dict(content["optimizer"])
        return again

    second = [theta for theta, _ in run(Rosenbrock(), resumed, 6)]
    assert np.array_equal(np.stack(whole[6:]), np.stack(second))
    assert all(torch.equal(content["optimizer"]["state"][0][key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"lr": -0.1}, "lr"), ({"lr": float("nan")}, "lr"), ({"momentum": 1.0}, "momentum"), ({"alpha": 1.0}, "alpha"),
        ({"alpha": -0.1}, "alpha"), ({"eps": 0.0}, "eps"),
    ],
)  # fmt: skip
def test_settings_of_each_group_are_checked(setting, match):
    w, other = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=match):
        RMSpropNesterov([w], **setting)
    optimizer = RMSpropNesterov([w])
    with pytest.raises(ArgumentError, match=match):
        optimizer.add_param_group({"params": [other], **setting})
    assert len(optimizer.param_groups) == 1


def test_no_parameters_are_refused_and_those_without_gradient_stay():
    with pytest.raises(ArgumentError, match="nothing to train"):
        RMSpropNesterov([])
    check_closure(RMSpropNesterov)
