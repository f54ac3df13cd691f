"""The plainest model beside every likelihood, and runs that were cut short."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

import deepgen as dg
from deepgen.cli.baseline import baseline


def test_evaluate_shows_independent_columns(deepgen, trained):
    data = dg.data.load("bars_and_stripes")
    rates = (data.train.double().sum(0) + 0.5) / (len(data.train) + 1)
    expected = torch.distributions.Bernoulli(rates).log_prob(data.test.double()).sum(1)
    shown = deepgen("evaluate", trained).out.splitlines()
    assert shown[1].startswith(f"baseline, independent columns: {float(expected.mean()):.2f} nats/example (exact")
    assert (
        f"by about {float(expected.new_tensor(json_of(deepgen, trained)['log_likelihood']['stderr_data'])):.2g}"
        in shown[2]
    )
    assert json_of(deepgen, trained)["baseline"]["log_likelihood"]["value"] == pytest.approx(float(expected.mean()))


def json_of(deepgen, run):
    return json.loads(deepgen("evaluate", run, "--json").out)


def test_one_gaussian_is_that_of_maximum_likelihood(stream):
    """At its own training rows: -(D log 2 pi e + log det S) / 2, S the covariance with 1/n."""
    x = torch.randn(500, 3, generator=stream) @ torch.randn(3, 3, generator=stream)
    data = SimpleNamespace(train=x, support=torch.distributions.constraints.real)
    name, found = baseline(torch.nn.Identity(), data, x)
    _, log_det = torch.linalg.slogdet(x.double().t().cov(correction=0))
    assert name == "one Gaussian, full covariance"
    expected = -0.5 * (3 * torch.log(torch.tensor(2 * torch.pi * torch.e)) + log_det)
    assert found.value == pytest.approx(float(expected), rel=1e-6)


def test_no_baseline_without_enough_rows_or_for_itself(stream):

    real = SimpleNamespace(train=torch.randn(4, 3, generator=stream), support=torch.distributions.constraints.real)
    assert baseline(torch.nn.Identity(), real, real.train) is None
    bits = SimpleNamespace(train=torch.ones(4, 3), support=torch.distributions.constraints.boolean)
    assert baseline(dg.explicit.BernoulliMixture(3), bits, bits.train) is None


def test_an_unfinished_run_says_so_everywhere(deepgen, tmp_path):
    rbm, data = dg.RBM(16, 3, generator=0), dg.data.load("bars_and_stripes")

    class Stop:
        def __call__(self, record, model):
            if record.epoch == 2:
                raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        dg.fit(
            rbm,
            data.train,
            dg.objectives.PersistentCD(chains=5),
            epochs=9,
            out=out,
            callbacks=[Stop()],
            progress=False,
            extras={"data": "bars_and_stripes"},
        )
    for command in (
        ["evaluate", out],
        ["sample", out, "-n", 2, "--out", tmp_path / "a.npy"],
        ["report", out, "--steps", 5],
    ):
        done = deepgen(*command)
        assert done.status == 0
        assert "is an unfinished run, with 0 of 9 epochs done" in done.err
    assert json_of(deepgen, out)["unfinished"] == "0 of 9 epochs done"
    assert "This run is unfinished: 0 of 9 epochs done." in (out / "report.html").read_text()


@pytest.mark.parametrize("text", [False, True])
def test_independent_values_are_normalised_and_at_their_rates(stream, text):
    """Of 3 columns of values 0 to 3: all 64 rows sum to 1, and the rates are counts smoothed by one value in all."""
    train = torch.randint(3, (40, 3), generator=stream)  # the value 3 is never seen
    support = torch.distributions.constraints.integer_interval(0, 3)
    data = SimpleNamespace(train=train, support=support, provenance={"alphabet": "abcd"} if text else {})
    rows = torch.cartesian_prod(*[torch.arange(4)] * 3)
    each = torch.tensor([baseline(torch.nn.Identity(), data, row.unsqueeze(0))[1].value for row in rows])
    assert float(each.double().exp().sum()) == pytest.approx(1.0, abs=1e-5)
    counted = [train.flatten()] * 3 if text else list(train.t())
    expected = sum(math.log((int((c == 2).sum()) + 0.25) / (len(c) + 1)) for c in counted)
    name, found = baseline(torch.nn.Identity(), data, torch.full((1, 3), 2))
    assert found.value == pytest.approx(expected)
    assert name == ("independent characters" if text else "independent columns")
