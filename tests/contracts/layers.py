"""Every pair of layers of units, small enough for brute force, with fixed parameters that leave nothing certain."""

import itertools

import torch

from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin

LAYERS = {
    "bernoulli": lambda: Bernoulli(3),
    "spin": lambda: Spin(3),
    "softmax": lambda: Product(Softmax(1, 3), Softmax(1, 2)),
    "gaussian": lambda: Gaussian(2, precision=2.0),
    "learned": lambda: Gaussian(2, precision=1.5, learned=True),
    "mixed": lambda: Product(Bernoulli(1), Gaussian(1, learned=True), Softmax(1, 3), Spin(1)),
}
PAIRS = [f"{visible}-{hidden}" for visible, hidden in itertools.product(LAYERS, LAYERS)]


def machine(pair, dtype=torch.float32):
    """The machine of a pair such as "spin-mixed"; learned precisions differ from unit to unit."""
    visible, hidden = (LAYERS[kind]() for kind in pair.split("-"))
    rbm = RBM(visible, hidden, generator=0).to(dtype)
    real = not (rbm.visible.states and rbm.hidden.states)
    scale = {"weight": 0.5 if real else 0.8, "visible_bias": 0.8, "hidden_bias": 0.8}  # Gaussians stay normalisable
    with torch.no_grad():
        for shift, (name, parameter) in enumerate(rbm.named_parameters()):
            wave = torch.sin(torch.arange(parameter.numel()) * 2.4 + 1 + shift).reshape(parameter.shape).to(dtype)
            parameter.copy_(scale[name] * wave if name in scale else parameter + 0.2 * wave)
    return rbm


def discrete(units):
    return units.states is not None


class Swapped:
    """The same machine seen from the other side: p(v | h) becomes p(h | v)."""

    def __init__(self, rbm):
        self.rbm, self.visible, self.hidden = rbm, rbm.hidden, rbm.visible

    def parameters(self):
        return self.rbm.parameters()

    def double(self):
        self.rbm.double()
        return self

    def cpu(self):
        return self

    def energy(self, v, h):
        return self.rbm.energy(h, v)
