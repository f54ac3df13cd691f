"""Steps on rows with missing values against the gradient of the likelihood of what is seen, summed over the rest."""

import copy

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.explicit import DBM, RBM, Bernoulli, Product, Softmax
from deepgen.objectives import Incomplete, PersistentCD
from deepgen.testing import Exact
from tests.objectives.steps import named_gradients, still
from tests.objectives.test_contrastive import REPEATS, assert_means

NAN = torch.nan
ROWS = torch.tensor(  # of two bits and a choice among three
    [
        [1.0, NAN, 0.0, 1.0, 0.0],
        [NAN, 0.0, NAN, NAN, NAN],
        [1.0, 1.0, NAN, NAN, NAN],
        [0.0, 1.0, 1.0, 0.0, 0.0],
        [NAN, NAN, NAN, NAN, NAN],
    ],
    dtype=torch.float64,
)


def machine(seed):
    rbm = RBM(Product(Bernoulli(2), Softmax(1, 3)), 3, generator=seed).double()
    with torch.no_grad():
        for p in rbm.parameters():
            p.normal_(0.0, 1.0, generator=dg.random.generator(seed))
    return rbm


def seen_log_likelihood(rbm, x):
    """The mean of log p(what is seen) over the rows, by a sum over all 12 rows there are."""
    every = rbm.visible.enumerate(0, rbm.visible.states)
    log_p = rbm.log_density(every).log_softmax(0)
    fits = ((every == x.unsqueeze(1)) | x.isnan().unsqueeze(1)).all(-1)
    return torch.where(fits, log_p, -torch.inf).logsumexp(1).mean()


def test_gradient_is_that_of_the_likelihood_of_what_is_seen(seed, stream, alpha):
    """With chains that are exact draws, and Gibbs steps enough to forget the start."""
    rbm = machine(seed)
    x = ROWS.repeat(40, 1)
    objective, exact = Incomplete(PersistentCD(chains=400, centred=False), steps=60), Exact(rbm)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream)
    gradients = []
    for _ in range(REPEATS):
        start = state._replace(chains=exact.sample(400, generator=stream)[1])
        step(start, x, generator=stream)
        gradients.append(named_gradients(rbm))
    other = copy.deepcopy(rbm)
    (-seen_log_likelihood(other, ROWS)).backward()
    assert_means(gradients, {name: p.grad for name, p in other.named_parameters()}, alpha)


@pytest.mark.parametrize("make", [lambda seed: RBM(3, 4, generator=seed), lambda seed: DBM(3, [4, 3], generator=seed)])
def test_a_machine_learns_what_goes_together_from_rows_that_never_show_all(make, seed, stream):
    """Three copies of one bit, 15 % of each wrong, and one of them missing in every row: the law of all three."""
    n, wrong = 600, 0.15
    bit = (torch.rand(n, 1, generator=stream) < 0.5).float()
    x = (bit - (torch.rand(n, 3, generator=stream) < wrong).float()).abs()
    x[torch.arange(n), torch.arange(n) % 3] = NAN
    model = make(seed).initialise(x)
    adam, objective = torch.optim.Adam(model.parameters(), lr=0.05), Incomplete(PersistentCD(chains=200), steps=3)
    dg.fit(model, x, objective, epochs=60, batch_size=50, optimizer=adam, schedule=lambda done: 1 - done, seed=seed,
           progress=False)  # fmt: skip
    states = model.visible.enumerate(0, 8)
    ones = states.sum(1)
    law = ((1 - wrong) ** ones * wrong ** (3 - ones) + wrong**ones * (1 - wrong) ** (3 - ones)) / 2
    found = [dg.evaluate.log_likelihood(model, state.unsqueeze(0), "exact").value for state in states]
    divergence = float((law * (law.log() - torch.tensor(found))).sum())
    # Bits on their own are at 0.30 nats. A fit of the seven free numbers to n rows, of which each shows two thirds, is
    # at 7 / 2 over some 400: 0.009.
    assert divergence < 0.1


def test_start_is_at_the_rates_of_what_is_seen():
    rbm = RBM(Product(Bernoulli(2), Softmax(1, 3)), 3, generator=0).double().initialise(ROWS)
    n = len(ROWS)
    rates = torch.tensor([2 / 3, 2 / 3, 1 / 2, 1 / 2, 0.0], dtype=torch.float64)
    assert torch.allclose(rbm.visible_bias, rbm.visible.base_field(rates, n))
    with pytest.raises(SupportError, match="column 1 of the data is NaN in all rows"):
        RBM(2, 3, generator=0).initialise(torch.tensor([[1.0, NAN], [0.0, NAN]]))


def test_what_cannot_be_learned_from_is_refused():
    rbm, fitting = RBM(Product(Bernoulli(2), Softmax(1, 3)), 3, generator=0), {"epochs": 1, "progress": False}
    wrong, parted = ROWS.float(), ROWS.float()
    wrong[0, 0], parted[0, 3] = 0.5, NAN
    with pytest.raises(SupportError, match="0 or 1"):
        dg.fit(rbm, wrong, Incomplete(), **fitting)
    with pytest.raises(ArgumentError, match="masked together"):
        dg.fit(rbm, parted, Incomplete(), **fitting)
    with pytest.raises(SupportError, match="NaN"):
        dg.fit(rbm, ROWS, PersistentCD(), **fitting)
    with pytest.raises(MissingCapability, match="got NADE"):
        dg.fit(dg.explicit.NADE(5, 4, generator=0), ROWS, Incomplete(), **fitting)
    with pytest.raises(ArgumentError, match="objective must be"):
        Incomplete(PersistentCD)


def test_a_run_goes_on_where_it_was(tmp_path, seed):
    """Masks and draws of a resumed run are those of one that was not stopped, bit for bit."""
    models = [RBM(Product(Bernoulli(2), Softmax(1, 3)), 3, generator=0) for _ in range(2)]
    x, fitting = ROWS.float().repeat(4, 1), {"batch_size": 7, "seed": seed, "progress": False}
    dg.fit(models[0], x, Incomplete(steps=2), epochs=4, **fitting)
    for epochs in (2, 4):
        dg.fit(models[1], x, Incomplete(steps=2), epochs=epochs, out=tmp_path, **fitting)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(one, other)
