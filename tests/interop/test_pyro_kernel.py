"""Kernels inside Pyro's MCMC: its samples have the right law, names, shapes and randomness."""

import pyro
import pyro.distributions as law
import pytest
import torch
from pyro.infer import MCMC
from pyro.infer.mcmc import StreamingMCMC

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError
from deepgen.interop.pyro_kernel import as_pyro_kernel
from deepgen.streams import Streams
from tests.interop.programs import coin, hierarchy, logged, normal_posterior, normals, simplex
from tests.interop.test_pyro_program import check_moments, of_law


def mcmc(kernel, stream, *args, draws=200, warmup=200, **settings):
    runner = MCMC(kernel, num_samples=draws, warmup_steps=warmup, disable_progbar=True, **settings)
    with dg.random.lend(stream):
        runner.run(*args)
    return runner


def walk(target):
    return dg.samplers.metropolis(target, dg.samplers.RandomWalk(0.5))


@pytest.mark.parametrize(
    ("model", "site", "exact"),
    [
        (coin, "p", law.Beta(9.0, 6.0)),
        (normals, "m", normal_posterior()),
        (simplex, "w", law.Dirichlet(torch.tensor([3.0, 3.0, 7.0]))),
    ],
    ids=["beta", "normal", "dirichlet"],
)
def test_moments_of_many_chains_and_the_kernel_is_tuned_and_frozen(model, site, exact, stream):
    kernel = as_pyro_kernel(dg.samplers.mala, model, chains=256)
    runner = mcmc(kernel, stream)
    check_moments(runner.get_samples()[site], *of_law(exact))
    assert kernel.kernel.exactness == dg.samplers.EXACT
    found = runner.diagnostics()
    assert found["exactness"] == {"chain 0": "exact"}
    assert abs(found["acceptance"]["chain 0"] - kernel.kernel.proposal.acceptance) < 0.15


def test_moments_of_one_chain(stream, capsys):
    runner = mcmc(
        as_pyro_kernel(lambda target: dg.samplers.mala(target, 0.08), normals), stream, draws=1500, warmup=100
    )
    m = runner.get_samples()["m"]
    assert m.shape == (1500,)
    error = float(dg.evaluate.mcse(m.unsqueeze(1)))
    exact = normal_posterior()
    assert error < 0.1 * float(exact.stddev)
    assert abs(float(m.mean()) - float(exact.mean)) < 6 * error
    runner.summary()
    assert " m " in capsys.readouterr().out
    assert runner.diagnostics()["m"]["r_hat"] < 1.1


def test_sites_come_with_their_shapes_and_constrained(stream):
    one = mcmc(as_pyro_kernel(walk, hierarchy), stream, draws=5, warmup=3).get_samples()
    assert {name: x.shape for name, x in one.items()} == {"mean": (5,), "scale": (5,), "effect": (5, 4)}
    many = mcmc(as_pyro_kernel(walk, simplex, chains=6), stream, draws=5, warmup=0).get_samples()["w"]
    assert many.shape == (5, 6, 3)
    torch.testing.assert_close(many.sum(-1), torch.ones(5, 6))


def test_the_chain_is_that_of_sample_chain(seed):
    """Number by number, from given starting points."""
    start = torch.linspace(-1, 1, 4)
    kernel = as_pyro_kernel(walk, coin, chains=4)
    found = mcmc(kernel, dg.random.generator(seed), draws=20, warmup=5, initial_params={"p": start})
    stream = Streams(dg.random.key(dg.random.generator(seed)))
    trace = dg.samplers.sample_chain(walk(kernel.target), start[:, None], 20, warmup=5, generator=stream)
    assert torch.equal(found.get_samples()["p"], trace.draws.squeeze(-1).sigmoid())
    acceptance = found.diagnostics()["accepted"]["chain 0"]
    assert acceptance == pytest.approx(float(trace.info["accepted"].double().mean()))


def test_a_run_comes_again_with_its_seed_and_no_other(seed):
    def samples(of):
        return mcmc(as_pyro_kernel(dg.samplers.hmc, coin), dg.random.generator(of), draws=10, warmup=30).get_samples()

    first = samples(seed)["p"]
    assert torch.equal(first, samples(seed)["p"])
    assert not torch.equal(first, samples(seed + 1)["p"])


def test_chains_of_pyro_are_runs_of_their_own(stream, monkeypatch):
    monkeypatch.setattr("pyro.infer.mcmc.api.mp.cpu_count", lambda: 1)  # so that they run here, one after another
    with pytest.warns(UserWarning, match="sequentially"):
        runner = mcmc(as_pyro_kernel(dg.samplers.mala, coin), stream, num_chains=2, warmup=100)
    p = runner.get_samples(group_by_chain=True)["p"]
    assert p.shape == (2, 200)
    assert not torch.equal(p[0], p[1])
    assert runner.diagnostics()["p"]["r_hat"] < 1.5


def test_it_goes_on_from_whatever_it_is_given(stream):
    kernel = as_pyro_kernel(walk, coin)
    with dg.random.lend(stream):
        kernel.setup(0)
    assert kernel.initial_params["p"].shape == ()
    kernel.sample({"p": torch.tensor(30.0)})
    moved = kernel.sample(kernel.initial_params)
    assert moved["p"] > 20


def test_pyros_streaming_runner_takes_it_too(stream):
    kernel = as_pyro_kernel(dg.samplers.mala, coin, chains=256)
    runner = StreamingMCMC(kernel, num_samples=100, warmup_steps=200, disable_progbar=True)
    with dg.random.lend(stream):
        runner.run()
    mean = runner.get_statistics()[(0, "p")]["mean"].mean()
    assert abs(float(mean) - 9 / 15) < 0.02  # of 256 independent chains: sd 0.12 / 16 at most


def test_a_composed_kernel_reports_what_it_has(stream):
    def make(target):
        return dg.samplers.cycle(local=walk(target), other=walk(target))

    runner = mcmc(as_pyro_kernel(make, coin, chains=3), stream, draws=5, warmup=2)
    assert {"local_acceptance", "other_acceptance"} <= set(runner.diagnostics())


def test_what_is_refused(stream):
    with pytest.raises(ArgumentError, match="warmup_steps="):
        mcmc(as_pyro_kernel(dg.samplers.mala, coin), stream, warmup=0)
    with pytest.raises(MissingCapability, match=r"u depends on other sites.*sample_chain"):
        mcmc(as_pyro_kernel(walk, logged), stream)
    with pytest.raises(ArgumentError, match=r"dg\.samplers\.mala itself"):
        as_pyro_kernel(walk(lambda x: -x.square().sum(-1)), coin)
    with pytest.raises(ArgumentError, match="chains"):
        as_pyro_kernel(walk, coin, chains=0)
    with pytest.raises(MissingCapability, match="kernel"):
        mcmc(as_pyro_kernel(lambda target: target, coin), stream)
    with pytest.raises(ShapeError, match=r"axes \[4\], got \[3\]"):
        mcmc(as_pyro_kernel(walk, coin, chains=4), stream, initial_params={"p": torch.zeros(3)})


def test_the_store_of_parameters_is_read_as_it_is(stream):
    def model():
        centre = pyro.param("centre", torch.tensor(5.0))
        pyro.sample("x", law.Normal(centre, 1.0))

    x = mcmc(as_pyro_kernel(dg.samplers.mala, model, chains=256), stream).get_samples()["x"]
    check_moments(x, torch.tensor(5.0), torch.tensor(26.0))


def test_what_a_kernel_counts_begins_after_the_warm_up(stream):
    tempered = as_pyro_kernel(
        lambda t: dg.samplers.tempering(dg.samplers.mala(t, 0.1), [0.0, 0.3, 1.0]), coin, chains=4
    )
    mcmc(tempered, stream, draws=20, warmup=30)
    assert tempered._state.clock.tolist() == [20] * 4
