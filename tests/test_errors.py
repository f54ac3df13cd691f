"""Each error is also the builtin that a caller would catch, and unknown names get a hint."""

import math

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen import errors


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ShapeError", ValueError),
        ("SupportError", ValueError),
        ("ArgumentError", ValueError),
        ("UnknownName", LookupError),
        ("DataError", ValueError),
        ("MissingCapability", TypeError),
        ("CheckpointError", RuntimeError),
        ("DivergenceError", RuntimeError),
    ],
)
def test_errors_are_builtins_too(name, builtin):
    kind = getattr(errors, name)
    assert issubclass(kind, builtin)
    assert issubclass(kind, errors.DeepgenError)


def test_degenerate_weights_is_a_warning():
    assert issubclass(errors.DegenerateWeights, RuntimeWarning)


def test_divergence_carries_where_it_happened():
    error = errors.DivergenceError("weights are NaN", step=7, state={"w": 1})
    assert (str(error), error.step, error.state) == ("weights are NaN", 7, {"w": 1})
    assert errors.DivergenceError("x", step=0).state is None


def test_the_nearest_known_name_is_offered():
    error = errors.unknown_name("data set", "mnits", ["digits", "mnist"])
    assert isinstance(error, errors.UnknownName)
    assert str(error) == "unknown data set 'mnits': did you mean 'mnist'? Known: digits, mnist"
    assert "did you mean" not in str(errors.unknown_name("data set", "qqqqqq", ["digits"]))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1, 1.1, True, "0.5", None, 1j, 10**400, -(10**400)])
def test_real_arguments_are_finite_numbers_in_range(wrong):
    with pytest.raises(errors.ArgumentError, match="rate must be a finite number from 0 to 1, got"):
        errors.check_real("rate", wrong, 0, 1)


@pytest.mark.parametrize("right", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_every_kind_of_real_number_will_do(right):
    errors.check_real("rate", right, 0, 1)


@pytest.mark.parametrize("wrong", [1, 5, True, 3.0, "3", None, float("nan")])
def test_counts_are_integers_in_range(wrong):
    with pytest.raises(errors.ArgumentError, match="side must be an integer from 2 to 4, got"):
        errors.check_count(2, 4, side=wrong)


@pytest.mark.parametrize("right", [2, 4, np.int64(3)])
def test_every_kind_of_integer_will_do(right):
    errors.check_count(2, 4, side=right)


@pytest.mark.parametrize("model", [dg.explicit.MAF(3, generator=0), dg.RBM(3, 4), dg.explicit.DeepNADE(3, [4])])
def test_missing_values_are_refused_with_advice(model):
    """And the advice is good: what it names does draw the missing value."""
    x = torch.zeros(4, 3)
    x[2, 1] = math.nan
    where = r"row 2, column 1" if isinstance(model, dg.explicit.MAF) else r"got nan at \[2, 1\]"
    with pytest.raises(dg.errors.SupportError, match=f"{where}.*drop those rows or fill them in"):
        model.check(x)
    if hasattr(model, "conditional_sample"):
        filled = model.conditional_sample(x, ~x.isnan(), **({"steps": 5} if isinstance(model, dg.RBM) else {}))
        assert not filled.isnan().any()


HIDDEN = {"epochs": 1, "progress": False}


@pytest.mark.parametrize(
    ("call", "argument", "nearest"),
    [
        (lambda: dg.objectives.Adversarial(loss="hinge"), "loss", "objectives.Hinge"),
        (lambda: dg.objectives.Adversarial("non-saturating"), "loss", "objectives.NonSaturating"),
        (lambda: dg.objectives.Adversarial(penalty=("r1",)), "penalty", "objectives.R1"),
        (lambda: dg.objectives.Adversarial(penalty="gradient_penalty"), "penalty", "objectives.GradientPenalty"),
        (lambda: dg.implicit.mlp_vae(3, [4], latent=2, likelihood="bernouli"), "likelihood", "implicit.Bernoulli"),
        (lambda: dg.implicit.mlp_vae(3, [4], latent=2, prior="mixture"), "prior", "distributions.NormalMixture"),
        (lambda: dg.implicit.mlp_vae(3, [4], latent=2, prior="vamp"), "prior", "implicit.VampPrior"),
        (lambda: dg.implicit.mlp_vae(3, [4], latent=2, posterior="full"), "posterior", "implicit.FullGaussian"),
        (lambda: dg.explicit.NSF(2, transforms=1, hidden=[4], base="normal"), "base", "distributions.StandardNormal"),
        (lambda: dg.fit(dg.RBM(3, 2), torch.ones(4, 3), "zzz", **HIDDEN), "objective", ""),
        (lambda: dg.fit(dg.RBM(3, 2), torch.ones(4, 3), "elbo", **HIDDEN), "objective", "objectives.ELBO"),
    ],
)
def test_a_name_where_an_object_is_expected_is_answered_by_the_nearest_class(call, argument, nearest):
    with pytest.raises(errors.ArgumentError, match=f"^{argument} takes an object and no name") as caught:
        call()
    said = str(caught.value)
    assert f"did you mean deepgen.{nearest}(...)?" in said if nearest else "did you mean" not in said
    for known in said.partition("Known: ")[2].split(", "):  # that there are
        where, name = known.removeprefix("deepgen.").split(".")
        assert isinstance(getattr(getattr(dg, where), name), type)


def test_a_network_of_a_gan_that_is_none_is_refused_by_name():
    with pytest.raises(errors.ArgumentError, match=r"generator must be a torch.nn.Module, got str"):
        dg.implicit.GAN("dense", torch.nn.Linear(2, 1), latent=2)


def test_integers_of_numpy_are_counts_everywhere():
    two, rbm, x = np.int64(2), dg.RBM(4, 3, generator=0), torch.zeros(2, 4)
    found = [
        dg.evaluate.log_partition(rbm, "ais", chains=two + 8, temperatures=50 * n, generator=0) for n in (1, two // 2)
    ]
    assert found[0] == found[1]
    assert bool(dg.evaluate.nested_rhat(torch.randn(5, 4), two) > 0)
    assert dg.implicit.VampPrior(two, two).arguments() == {"event_shape": [2], "components": 2, "bounded": True}
    assert dg.implicit.Decoder(torch.nn.Linear(2, 4), two, 0.5).prior().event_shape == (2,)
    dbm = dg.explicit.DBM(4, [3, 2], generator=0)
    drawn = [dg.evaluate.log_likelihood(dbm, x, samples=n, generator=0) for n in (2, two)]
    assert drawn[0] == drawn[1]
    toy = dg.testing.LinearGaussian(3, 2, generator=0)
    plain, numpy = (
        dg.evaluate.latent_ais(toy, toy.sample(3, generator=0), temperatures=10 * n, leaps=2, generator=0).values
        for n in (1, two // 2)
    )
    assert torch.equal(plain, numpy)
