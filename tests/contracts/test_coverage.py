"""Every pair of layers, many seeds: intervals of AIS and reverse AIS against brute force."""

import pytest

import deepgen as dg
from deepgen.testing import Exact, check_estimate
from tests.contracts.layers import PAIRS, machine

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize("method", ["ais", "reverse", "bidirectional"])
@pytest.mark.parametrize("pair", PAIRS)
def test_intervals_cover(pair, method, stream):
    rbm = machine(pair)
    exact = Exact(rbm)

    def estimate(generator):
        samples = exact.sample(100, generator=generator)[0] if method != "ais" else None
        return dg.evaluate.log_partition(
            rbm, method, base=rbm.sample(100, steps=20, generator=0), samples=samples,
            exact_samples=samples is not None, chains=100, temperatures=30, generator=generator,
        )  # fmt: skip

    check_estimate(estimate, exact.log_z.item(), seeds=100, slack=0.02, generator=stream)
