"""check_units passes every layer and catches every defect planted in one: its mutation score."""

import pytest
import torch

from deepgen.explicit import Bernoulli, Gaussian, Product, Softmax, Spin
from deepgen.testing import CheckFailed, check_units, field_law

LAYERS = {
    "bernoulli": lambda: Bernoulli(4),
    "one bernoulli": lambda: Bernoulli(1),
    "spin": lambda: Spin(4),
    "softmax": lambda: Softmax(2, 3),
    "softmax of one": lambda: Softmax(2, 1),
    "gaussian": lambda: Gaussian(3),
    "precise gaussian": lambda: Gaussian(2, precision=25.0),
    "learned gaussian": lambda: Gaussian(2, precision=0.1, learned=True),
    "product": lambda: Product(Bernoulli(2), Softmax(1, 3), Spin(1)),
    "mixed product": lambda: Product(Spin(1), Gaussian(2, 3.0), Softmax(1, 3)),
    "nested product": lambda: Product(Product(1, Spin(2)), Product(Softmax(1, 2), 1)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_keeps_its_promises(kind, stream):
    check_units(LAYERS[kind](), generator=stream)


def mutate(units, **methods):
    """The layer with some of its methods replaced by ``method(original, *arguments)``."""
    for name, change in methods.items():
        original = getattr(units, name)
        setattr(units, name, lambda *a, _c=change, _o=original, **k: _c(_o, *a, **k))
    return units


def states_of_one_less(original, start, stop):
    return original(max(start - 1, 0), stop - 1) if start else original(start, stop)


MUTANTS = {
    "cumulant twice": lambda: mutate(Bernoulli(3), cumulant=lambda o, f: 2 * o(f)),
    "cumulant without log 2": lambda: mutate(Spin(3), cumulant=lambda o, f: o(f) - 3 * torch.tensor(2.0).log()),
    "cumulant of half the field": lambda: mutate(Softmax(2, 3), cumulant=lambda o, f: o(f / 2)),
    "gaussian without log precision": lambda: mutate(Gaussian(2, 4.0), cumulant=lambda o, f: o(f) + 1.3862944),
    "mean shifted": lambda: mutate(Bernoulli(3), mean=lambda o, f: o(f) + 1e-6),
    "mean of twice the field": lambda: mutate(Spin(3), mean=lambda o, f: o(2 * f)),
    "sampler of p^0.9": lambda: mutate(Bernoulli(3), sample=lambda o, f, generator: o(0.9 * f, generator=generator)),
    "sampler upside down": lambda: mutate(Spin(3), sample=lambda o, f, generator: -o(f, generator=generator)),
    "sampler of spins with half the field": lambda: mutate(
        Spin(2), sample=lambda o, f, generator: o(f / 2, generator=generator)
    ),
    "softmax sampler shifted by one category": lambda: mutate(
        Softmax(1, 3), sample=lambda o, f, generator: o(f, generator=generator).roll(1, -1)
    ),
    "variance for standard deviation": lambda: mutate(
        Gaussian(2, 4.0), sample=lambda o, f, generator: f / 4 + torch.empty_like(f).normal_(generator=generator) / 4
    ),
    "one noise for all units": lambda: mutate(
        Gaussian(2),
        sample=lambda o, f, generator: f + torch.empty_like(f[..., :1]).normal_(generator=generator),
    ),
    "one uniform for all units": lambda: mutate(
        Bernoulli(3),
        sample=lambda o, f, generator: (torch.empty_like(f[..., :1]).uniform_(generator=generator) < f.sigmoid()).to(
            f.dtype
        ),
    ),
    "sampler of the global stream": lambda: mutate(Bernoulli(3), sample=lambda o, f, generator: o(f, generator=None)),
    "enumeration repeats a state": lambda: mutate(Bernoulli(3), enumerate=lambda o, a, b: o(a, b).clamp_max(a + 0.0)),
    "enumeration off in pieces": lambda: mutate(Bernoulli(4), enumerate=states_of_one_less),
    "enumeration in float32": lambda: mutate(Spin(2), enumerate=lambda o, a, b: o(a, b).float()),
    "base field of twice the mean": lambda: mutate(Gaussian(2, 3.0), base_field=lambda o, m, n: o(2 * m, n)),
    "base field unsmoothed": lambda: mutate(Bernoulli(2), base_field=lambda o, m, n: m.logit()),
    "accepts anything": lambda: mutate(Bernoulli(2), check=lambda o, x: None),
    "accepts NaN": lambda: mutate(Gaussian(2), check=lambda o, x: o(x.nan_to_num(0, 0, 0))),
    "accepts thirds": lambda: mutate(Softmax(1, 3), check=lambda o, x: o(x.round() if x.isfinite().all() else x)),
    "energy twice": lambda: mutate(Gaussian(2), energy=lambda o, x: 2 * o(x)),
    "overflows": lambda: mutate(Bernoulli(2), cumulant=lambda o, f: f.exp().log1p().sum(-1)),
    "double precision lost": lambda: mutate(Bernoulli(2), mean=lambda o, f: o(f.float()).to(f.dtype)),
    "dtype changed": lambda: mutate(Spin(2), sample=lambda o, f, generator: o(f, generator=generator).double()),
    "product with crossed parts": lambda: mutate(Product(Spin(1), 1), mean=lambda o, f: o(f.flip(-1)).flip(-1)),
}


@pytest.mark.parametrize("defect", MUTANTS)
def test_planted_defects_are_caught(defect, stream):
    with pytest.raises(CheckFailed):
        check_units(MUTANTS[defect](), n=16384, generator=stream)


def test_brute_force_law_by_hand():
    law = field_law(Softmax(1, 3), torch.tensor([0.0, 1.0, 2.0]))
    weights = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).exp()
    order = law.rows.argmax(1)
    assert torch.allclose(law.probabilities, (weights / weights.sum())[order])
    real = field_law(Gaussian(1, precision=4.0), torch.tensor([2.0]))
    assert real.mean.item() == pytest.approx(0.5, rel=1e-6)
    assert real.factor.item() == pytest.approx(2.0, rel=1e-6)


def test_too_large_a_layer_is_refused(stream):
    with pytest.raises(CheckFailed, match="smaller layer"):
        check_units(Bernoulli(20), generator=stream)
