"""Over many small machines: what a likelihood says of its side is true, of every machine drawn anew, and by how much.

A machine, its rows and the estimate are drawn again for each of n differences to the truth by enumeration. The mean of
those must lie on the stated side, as far as their own scatter tells (a sequential test, see `deepgen.testing`).
"""

import math

import pytest
import torch
from scipy.stats import t as student

from deepgen.evaluate import log_likelihood, log_partition
from deepgen.evaluate.layered import undirected
from deepgen.testing import check_estimate, sequential
from tests.evaluate.deep import MACHINES, deep, rows, truth
from tests.evaluate.machines import exact_samples

ROWS = 5


def ends(model, x, method, stream):
    """Estimates of the mean log-likelihood, each with its side."""
    settings = {"temperatures": 15, "generator": stream}
    if method in ("reverse", "bidirectional"):
        settings |= {"samples": exact_samples(undirected(model), 20, stream), "exact_samples": True}
    if method == "draws":
        return [log_likelihood(model, x, "exact", samples=3, generator=stream)]
    if method == "bidirectional":
        found = log_likelihood(model, x, method, chains=20, **settings)
        return [found.below, found.above]
    return [log_likelihood(model, x, method, **settings)]


# RAISE bounds the law of the annealed model, not of this one: see tests/evaluate/test_deep.py.
@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("method", ["draws", "ais", "reverse", "bidirectional"])
@pytest.mark.parametrize("name", ["two", "kinds", "joined", "two levels", "untied", "kinds of levels"])
def test_the_stated_side_is_the_side(name, method, stream, alpha):
    def differences(n, generator):
        gaps = {"below": [], "above": []}
        for _ in range(n):
            model = deep(name, generator, scale=0.5)
            x = rows(model, ROWS, generator)
            exact = float(truth(model, x).mean())
            for found in ends(model, x, method, generator):
                assert found.side in gaps
                gaps[found.side].append(found.value - exact)
        return {side: torch.tensor(gap).double() for side, gap in gaps.items() if gap}

    def p_values(n, generator):
        found = []
        for side, gap in differences(n, generator).items():
            wrong = gap if side == "below" else -gap
            error = float(wrong.std()) / math.sqrt(len(wrong))
            found.append(float(student.sf(float(wrong.mean()) / max(error, 1e-12), len(wrong) - 1)))
        return found

    sequential(p_values, what=f"{method} of {name} lies on the wrong side", n=40, alpha=alpha, generator=stream)


@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("method", ["ais", "reverse", "bidirectional"])
@pytest.mark.parametrize("name", MACHINES)
def test_intervals_of_log_z_cover(name, method, stream):
    model = deep(name, stream, scale=0.4)
    part, base = undirected(model), rows(model, 100, stream)

    def estimate(generator):
        samples = exact_samples(part, 100, generator) if method != "ais" else None
        return log_partition(
            model, method, base=base, samples=samples, exact_samples=samples is not None, chains=100, temperatures=30,
            generator=generator,
        )  # fmt: skip

    check_estimate(estimate, log_partition(model, "exact").value, seeds=100, slack=0.02, generator=stream)


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["two levels", "untied", "two", "kinds"])
def test_the_error_of_draws_is_their_scatter(name, stream):
    model = deep(name, stream, scale=0.4)
    x = rows(model, 20, stream)
    exact = float(truth(model, x).mean())
    check_estimate(
        lambda generator: log_likelihood(model, x, "exact", samples=200, generator=generator), exact, seeds=100,
        slack=0.02, generator=stream,
    )  # fmt: skip
