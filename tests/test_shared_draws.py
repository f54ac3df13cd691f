"""What torch's functions draw in a step that ranks share: each rank's part of what one process draws, to the bit."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepgen.errors import MissingCapability
from deepgen.share import _Alone, part, some_each, tiled
from deepgen.shared_draws import SharedDraws

ROWS, RANKS = 7, 3
DRAWS = {
    "uniform_": lambda x: torch.empty_like(x).uniform_(),
    "rand": lambda x: torch.rand(x.shape),
    "randint": lambda x: torch.randint(9, x.shape),
    "rand_like": torch.rand_like,
    "randint_like": lambda x: torch.randint_like(x.long(), 9),
    "normal": lambda x: torch.normal(x, 2.0),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "bernoulli by name": lambda x: torch.bernoulli(input=x.sigmoid()),
    "gumbel softmax by name": lambda x: F.gumbel_softmax(tau=2.0, logits=x),
    "multinomial": lambda x: torch.multinomial(x[:, :, 0].exp(), 2),
    "dropout": nn.Dropout(),
    "torch.dropout": lambda x: torch.dropout(x, 0.5, True),
    "dropout of columns": nn.Dropout1d(),
    "dropout of maps": lambda x: F.dropout2d(x.unsqueeze(-1)),
    "alpha dropout": nn.AlphaDropout(),
    "alpha dropout of maps": nn.FeatureAlphaDropout(),
    "gumbel softmax": F.gumbel_softmax,
    "fractional pooling": lambda x: F.fractional_max_pool2d(x.unsqueeze(1), 2, output_size=2),
    "law": lambda x: torch.distributions.Gumbel(x, 1.0).rsample(),
}
REFUSED = {
    "rrelu": nn.RReLU(),  # draws for negative numbers alone
    "lstm": nn.LSTM(5, 3, 2, dropout=0.5, batch_first=True),
    "gru": nn.GRU(5, 3, 2, dropout=0.5, batch_first=True),
    "attention": nn.TransformerEncoderLayer(5, 1, 8, batch_first=True),
    "gamma": lambda x: torch.distributions.Gamma(x.exp(), 1.0).rsample(),
    "poisson by name": lambda x: torch.poisson(input=x.exp()),
    "scores": lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
}


@pytest.fixture
def x(seed):
    return torch.randn(ROWS, 4, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def drawn(draw, x, own=None):
    """The draw, the gradient of the sum of its squares, and where the stream is after it."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if own is None:
            y = draw(x)
        else:
            with SharedDraws(_Alone(), own):
                y = draw(x)
        after = torch.get_rng_state()
    y = y[0] if isinstance(y, tuple) else y  # and the state of a recurrent layer
    (slope,) = torch.autograd.grad(y.square().sum(), x, allow_unused=True) if y.requires_grad else (None,)
    return y.detach(), slope, after


def parts(draw, x):
    for rank in range(RANKS):
        own = part(ROWS, rank, RANKS)
        yield own, drawn(draw, x[own.start : own.stop].detach().requires_grad_(), own)


@pytest.mark.parametrize("name", DRAWS)
def test_a_rank_draws_its_part_of_what_one_process_draws(name, x):
    y, slope, after = drawn(DRAWS[name], x)
    for own, (mine, my_slope, my_after) in parts(DRAWS[name], x):
        assert torch.equal(mine, y[own.start : own.stop])
        assert torch.equal(my_after, after)
        if my_slope is None:
            assert slope is None or not slope.any()
        else:
            assert torch.allclose(my_slope, slope[own.start : own.stop], atol=1e-6)


def test_draws_with_a_probability_each_know_where_rows_are(x):
    chance = x.detach().sigmoid()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        each = torch.bernoulli(chance.flatten(0, 1))
        several = torch.bernoulli(torch.cat([chance, chance]))
    for rank in range(RANKS):
        own = part(ROWS, rank, RANKS)
        here = chance[own.start : own.stop]
        with torch.random.fork_rng(), SharedDraws(_Alone(), own):
            torch.manual_seed(3)
            with some_each(4):
                assert torch.equal(torch.bernoulli(here.flatten(0, 1)), each[4 * own.start : 4 * own.stop])
            with tiled(2):
                mine = torch.bernoulli(torch.cat([here, here]))
        assert torch.equal(
            mine, torch.cat([several[own.start : own.stop], several[ROWS + own.start : ROWS + own.stop]])
        )


@pytest.mark.parametrize("name", REFUSED)
def test_draws_that_have_no_place_are_refused(name, x):
    layer = REFUSED[name]
    with pytest.raises(MissingCapability, match="cannot be shared by ranks"):
        list(parts(layer, x))
    if isinstance(layer, nn.Module):
        still = layer.eval()
        assert all(mine.isfinite().all() for _, (mine, *_) in parts(still, x))
        layer.train()


def test_batch_norm_of_chains_that_are_cut_otherwise_than_rows_is_refused(x):
    rows, chains = part(10, 0, 2), part(ROWS, 0, 2)
    with SharedDraws(_Alone(), rows, chains), pytest.raises(MissingCapability, match="batch norm of chains"):
        nn.BatchNorm1d(4)(x[chains.start : chains.stop])
