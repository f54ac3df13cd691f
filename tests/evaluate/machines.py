"""Small machines over every kind of unit, and exact draws from them."""

import torch

from deepgen.explicit import RBM, Bernoulli, Gaussian, Product, Softmax, Spin

PAIRS = {
    "bernoulli-bernoulli": (lambda: Bernoulli(7), lambda: Bernoulli(5)),
    "spin-bernoulli": (lambda: Spin(6), lambda: Bernoulli(5)),
    "bernoulli-spin": (lambda: Bernoulli(6), lambda: Spin(5)),
    "softmax-spin": (lambda: Softmax(3, 3), lambda: Spin(4)),
    "spin-softmax": (lambda: Spin(6), lambda: Softmax(2, 3)),
    "gaussian-bernoulli": (lambda: Gaussian(4, precision=2.0), lambda: Bernoulli(5)),
    "bernoulli-gaussian": (lambda: Bernoulli(6), lambda: Gaussian(3)),
    "gaussian-softmax": (lambda: Gaussian(3), lambda: Softmax(2, 3)),
    "product-bernoulli": (lambda: Product(Bernoulli(3), Gaussian(2), Softmax(1, 3)), lambda: Bernoulli(4)),
    "bernoulli-product": (lambda: Bernoulli(6), lambda: Product(Spin(2), Gaussian(2), Softmax(1, 3))),
    "product-product": (lambda: Product(Spin(3), Softmax(1, 3)), lambda: Product(Bernoulli(2), Spin(2))),
}


def machine(pair, scale, generator):
    """A machine over ``PAIRS[pair]`` (or a pair of layers) with N(0, scale^2) weights and N(0, 0.5^2) biases."""
    layers = [make() for make in PAIRS[pair]] if isinstance(pair, str) else pair
    model = RBM(*layers, generator=generator)
    with torch.no_grad():
        model.weight.normal_(0.0, scale, generator=generator)
        model.visible_bias.normal_(0.0, 0.5, generator=generator)
        model.hidden_bias.normal_(0.0, 0.5, generator=generator)
    return model


@torch.no_grad()
def brute_log_z(model):
    """log Z by the plain sum over one side's states, in float64."""
    model = model.double()
    if model.visible.states is not None:
        return float(model.log_density(model.visible.enumerate(0, model.visible.states)).logsumexp(0))
    h = model.hidden.enumerate(0, model.hidden.states)
    return float((h @ model.hidden_bias + model.visible.cumulant(model.visible_field(h))).logsumexp(0))


@torch.no_grad()
def exact_samples(model, n, generator):
    """``n`` independent exact draws of the visible layer."""
    if model.hidden.states is None:
        v = model.visible.enumerate(0, model.visible.states).to(model.weight)
        return v[torch.multinomial(model.log_density(v).double().softmax(0), n, True, generator=generator)]
    h = model.hidden.enumerate(0, model.hidden.states).to(model.weight)
    weights = (h @ model.hidden_bias + model.visible.cumulant(model.visible_field(h))).double().softmax(0)
    h = h[torch.multinomial(weights, n, True, generator=generator)]
    return model.visible.sample(model.visible_field(h), generator=generator)
