"""Sequence to sequence: its formulas, probabilities that sum to one, the promises of a density, and a task to learn."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck
from torch.distributions import constraints
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import Seq2Seq
from deepgen.testing import check_checkpoint, check_density, check_random, check_samples, same_cells
from deepgen.train import EarlyStopping


def small(stream, **options):
    model = Seq2Seq(4, 2, hidden=5, embedding=3, **options, generator=stream).double()
    with torch.no_grad():  # far from uniform
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=stream))
    return model


def doubtful(stream, **options):
    """One that is sure of nothing, so that no two sets of draws are alike by chance."""
    model = small(stream, **options)
    with torch.no_grad():
        for p in model.last.parameters():
            p.mul_(0.4)
    return model


def test_the_law_by_hand(stream, float64):
    """The four lines of the docstring, place by place."""
    model, x, y = small(stream), torch.tensor([[2, 0, 3]]), torch.tensor([[1, 0]])
    embedded = model.sources[x]
    k = model.encoder(embedded)[0][0]
    s, before, total = (model.first.weight @ k[0, 5:] + model.first.bias).tanh(), model.targets[2], 0.0
    for token in (1, 0, 2):
        a = torch.stack([
            model.attend.score(
                (model.attend.query.weight @ s + model.attend.key.weight @ place + model.attend.key.bias).tanh()
            )[0]
            for place in k
        ]).softmax(0)  # fmt: skip
        c = a @ k
        z = model.maxout.pre.weight @ torch.cat([s, before, c]) + model.maxout.pre.bias
        logits = model.last.weight @ z.view(5, 2).amax(1) + model.last.bias
        total = total + logits.log_softmax(0)[token]
        s, before = (
            model.decoder(torch.cat([before, c]).view(1, 1, -1), s.view(1, 1, -1))[0].view(-1),
            model.targets[token],
        )
    torch.testing.assert_close(model.log_prob(y, x)[0], total)


def rows_of(length, padded):
    rows = torch.tensor([*itertools.product(range(2), repeat=length)], dtype=torch.int64).view(2**length, length)
    return torch.nn.functional.pad(rows, (0, padded - length), value=-1)


def test_probabilities_sum_to_one(stream, float64):
    """p of all rows shorter than 4, and of not having ended before: one in all."""
    model, x, total = small(stream), torch.tensor([3, 1, 1]), 0.0
    for length in range(4):
        y = rows_of(length, 4)
        total = total + model.log_prob(y, x.expand(len(y), 3)).exp().sum()
    y = rows_of(4, 4)
    total = total + model.token_log_prob(y, x.expand(len(y), 3))[:, :4].sum(1).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("cell", ["gru", "mlstm"])
def test_padding_changes_no_number(cell, stream, float64):
    model = small(stream, cell=cell, layers=2)
    x, y = torch.tensor([[2, 0, 3, 1], [1, 2, -1, -1]]), torch.tensor([[1, 0, 0], [1, -1, -1]])
    together = model.log_prob(y, x)
    torch.testing.assert_close(together[1:], model.log_prob(y[1:, :1], x[1:, :2]))
    torch.testing.assert_close(together[:1], model.log_prob(y[:1], x[:1]))
    looked = model.alignment(y, x)
    assert looked.shape == (2, 4, 4)
    assert (looked[1, :, 2:] == 0).all()
    torch.testing.assert_close(looked.sum(2), torch.ones(2, 4))


def test_gradients(stream, float64):
    model = Seq2Seq(3, 2, hidden=3, embedding=2, generator=stream).double()
    x, y = torch.tensor([[2, 0], [1, -1]]), torch.tensor([[1, 0], [1, -1]])
    assert gradcheck(lambda *_: model.log_prob(y, x), tuple(model.parameters()))


def test_draws_follow_the_law(stream, float64):
    model, x, n = small(stream), torch.tensor([3, 1]), 20_000
    draws = model.sample(n, x, longest=2, generator=stream)
    for length in range(3):
        y = rows_of(length, 2)
        prefix = model.token_log_prob(y, x.expand(len(y), 2))
        p = (prefix if length < 2 else prefix[:, :2]).sum(1).exp().detach()
        share = (draws.unsqueeze(1) == y).all(2).double().mean(0)
        error = (p * (1 - p) / n).sqrt()
        assert ((share - p).abs() < 5 * error + 5 / n).all()  # counts of a few are Poisson's, whose tail is longer


def test_cold_draws_are_greedy(stream, float64):
    model, x = small(stream), torch.tensor([[3, 1], [0, -1]])
    found = model.greedy(x, longest=5)
    assert torch.equal(model.sample(2, x, longest=5, temperature=1e-9, generator=stream), found)
    prefix = found[:1, :0]
    for token in found[0].tolist():  # each token is the likeliest after those before it
        after = [torch.cat([prefix, torch.tensor([[t]])], 1) for t in range(2)]
        terms = [model.token_log_prob(one, x[:1])[0, prefix.shape[1]] for one in after]
        terms.append(model.token_log_prob(prefix, x[:1])[0, -1])
        best = int(torch.stack(terms).argmax())
        if token < 0:
            assert best == 2
            break
        assert best == token
        prefix = after[token]


def reversals(n, stream, vocabulary=5, shortest=2, longest=4):
    x = torch.randint(vocabulary, (n, longest), generator=stream)
    lengths = torch.randint(shortest, longest + 1, (n, 1), generator=stream)
    x = x.masked_fill(torch.arange(longest) >= lengths, -1)
    return x, dg.layers.deep_recurrent.reversed_rows(x, lengths[:, 0])


def test_it_learns_to_reverse(stream):
    model = Seq2Seq(5, 5, hidden=48, embedding=16, generator=stream)
    x, y = reversals(2500, stream)
    seed = int(torch.randint(2**31, (), generator=stream))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    dg.fit(
        model, TensorDataset(y, x), dg.objectives.MaximumLikelihood(), optimizer=optimizer, epochs=10, batch_size=50,
        seed=seed, schedule=lambda share: 1 - share, progress=False,
    )  # fmt: skip
    x, y = reversals(500, stream)
    right = (model.greedy(x, longest=8)[:, :4] == y).all(1).float().mean()
    assert right > 0.9  # by chance: 1 in 5^2 or less
    assert -model.log_prob(y, x).mean() < 0.5  # nats; of a law that knows nothing 3 log 5 = 4.8 and more
    looked = model.alignment(y, x)
    lengths = (x >= 0).sum(1)
    places = torch.arange(4)
    inside = places < lengths[:, None]
    wanted = (lengths[:, None] - 1 - places).clamp_min(0)
    assert (looked[:, :4].argmax(2) == wanted)[inside].float().mean() > 0.5  # where it looks is from the back


class Cut(torch.nn.Module):
    """The law of rows cut at ``longest``, as sample draws them: a density over all vectors of -1 and tokens."""

    def __init__(self, model):
        super().__init__()
        self.model, self.event_shape = model, torch.Size([model.longest])
        self.support = constraints.independent(constraints.integer_interval(-1, model.target - 1), 1)

    def log_prob(self, y, x):
        y = y.long()
        is_row = ~((y[:, :-1] < 0) & (y[:, 1:] >= 0)).any(1)
        terms = self.model.token_log_prob(y.masked_fill(~is_row.unsqueeze(1), -1), x)
        return terms[:, : self.model.longest].sum(1).masked_fill(~is_row, -torch.inf)

    def sample(self, n, x, *, generator=None):
        return self.model.sample(n, x, generator=generator)


CONTEXT = torch.tensor([[3, 1, 1], [0, 2, -1], [2, -1, -1]])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_keeps_the_promises_of_a_density(cell, stream, alpha):
    """Mass over all rows (also far from the start), draws in cells, precision, copies, contexts, gradients."""
    model = doubtful(stream, cell=cell, longest=4).float()
    done = check_density(Cut(model), context=CONTEXT, alpha=alpha, generator=stream)
    assert {"LogProb", "Samples", "mass", "cells", "tilt", "restored", "float64", "context", "gradients"} <= set(done)
    assert "context" in check_samples(model, context=CONTEXT, generator=stream)
    check_checkpoint(model)


def test_the_law_with_x_filled_in(stream, float64, alpha):
    model, y = doubtful(stream, longest=3), torch.tensor([[1, 0], [1, -1], [-1, -1]])
    law, laws = model(CONTEXT[0]), model(CONTEXT)
    assert isinstance(law, dg.typing.LogProb)
    assert isinstance(law, dg.typing.Samples)
    torch.testing.assert_close(law.log_prob(y), model.log_prob(y, CONTEXT[:1].expand(3, -1)))
    torch.testing.assert_close(law.log_prob(y[0]), law.log_prob(y)[0])
    torch.testing.assert_close(laws.log_prob(y), model.log_prob(y, CONTEXT))
    each = laws.log_prob(y.unsqueeze(1))  # every y under every x
    torch.testing.assert_close(each, torch.stack([model(x).log_prob(y) for x in CONTEXT], 1))
    torch.testing.assert_close(laws.log_prob(y[:, :0]), laws.log_prob(torch.full((3, 2), -1)))  # rows of no token
    assert torch.equal(laws.greedy(), model.greedy(CONTEXT))
    assert torch.equal(law.greedy(longest=5), model.greedy(CONTEXT[:1], longest=5)[0])
    assert model(CONTEXT.view(1, 3, 3)).sample(5, generator=stream).shape == (5, 1, 3, 3)
    for i, one in enumerate(CONTEXT):
        two = laws.sample(4000, generator=stream)[:, i], model(one).sample(4000, generator=stream)
        assert same_cells(*two) > alpha / 3


def test_its_likelihood_is_an_exact_estimate(stream):
    model = small(stream).float()
    x = torch.randint(4, (50, 3), generator=stream)
    y = model.sample(50, x, longest=30, generator=stream)
    answer = dg.evaluate.log_likelihood(model, (y, x))
    each = model.log_prob(y, x).detach().double()
    assert (answer.side, answer.unit, answer.stderr) == ("exact", "nats/example", 0.0)
    assert answer.value == pytest.approx(each.mean().item(), rel=1e-5)
    assert answer.stderr_data == pytest.approx((each.std() / 50**0.5).item(), rel=1e-4)
    assert dg.evaluate.log_likelihood(model, (y.numpy(), x.numpy())).value == pytest.approx(answer.value, rel=1e-6)
    assert dg.evaluate.log_likelihood(model, TensorDataset(y, x)).value == answer.value  # as fit takes them
    assert dg.evaluate.log_likelihood(model(x), TensorDataset(y)).value == pytest.approx(answer.value, rel=1e-6)
    assert dg.evaluate.log_likelihood(model(x), y).value == pytest.approx(answer.value, rel=1e-6)
    one = dg.evaluate.log_likelihood(model(x[0]), y).value
    assert one == pytest.approx(model.log_prob(y, x[:1].expand(50, -1)).mean().item(), rel=1e-5)
    with pytest.raises(ArgumentError, match="exact log_prob"):
        dg.evaluate.log_likelihood(model, (y, x), method="ais")


def test_fit_stops_early_on_pairs(stream):
    """Copies of x whose noise cannot be learned: the rows held out say when it is enough."""
    x = torch.randint(4, (60, 3), generator=stream)
    y = torch.randint(2, (60, 4), generator=stream)
    model = Seq2Seq(4, 2, hidden=24, embedding=8, generator=stream).initialise(y[:30])
    stopping = EarlyStopping(patience=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    history = dg.fit(
        model, TensorDataset(y[:30], x[:30]), dg.objectives.MaximumLikelihood(), optimizer=optimizer, epochs=60,
        batch_size=10, valid=TensorDataset(y[30:], x[30:]), callbacks=[stopping], seed=0, progress=False,
    )  # fmt: skip
    seen = [record.monitor for record in history]
    assert len(seen) < 60
    assert dg.evaluate.log_likelihood(model, (y[30:], x[30:])).value == pytest.approx(max(seen), abs=1e-4)


def test_initialise_is_the_law_of_tokens_that_stand_alone(stream, float64):
    model, y = Seq2Seq(4, 2, hidden=5, generator=stream).double(), torch.tensor([[1, 1, 0], [1, -1, -1], [-1, -1, -1]])
    model.initialise(y)
    torch.nn.init.zeros_(model.last.weight)
    n = 7 + 1  # four tokens, three ends and one more, spread evenly
    terms = model.token_log_prob(y, CONTEXT).exp()
    expected = torch.tensor([(3 + 1 / 3) / n] * 2 + [(1 + 1 / 3) / n, (3 + 1 / 3) / n])
    torch.testing.assert_close(terms[0], expected)


def test_saved_under_its_name(stream, tmp_path):
    model, y = small(stream, longest=7).float(), torch.tensor([[1, 0], [1, -1], [-1, -1]])
    dg.save(model, tmp_path / "model")
    again = dg.load(tmp_path / "model")
    assert type(again) is dg.layers.Seq2Seq is dg.explicit.Seq2Seq  # by its older name, too
    assert again.longest == 7
    assert torch.equal(again.log_prob(y, CONTEXT), model.log_prob(y, CONTEXT))
    with pytest.raises(AttributeError, match="Seq3Seq"):
        dg.layers.Seq3Seq  # noqa: B018


def test_randomness_and_errors(stream):
    check_random(lambda generator: Seq2Seq(4, 2, 5, generator=generator), generator=stream)
    model, x, y = Seq2Seq(4, 2, hidden=5, generator=stream), torch.tensor([[2, 0]]), torch.tensor([[1]])
    check_random(lambda generator: model.sample(20, x[0], longest=9, generator=generator), generator=stream)
    check_random(lambda generator: model(x).sample(20, generator=generator), generator=stream)
    asked = {
        "log_prob": model.log_prob,
        "check": lambda y, x: model.check((y, x)),
        "alignment": model.alignment,
        "likelihood": lambda y, x: dg.evaluate.log_likelihood(model, (y, x)),
        "law": lambda y, x: model(x).check(y),
    }
    for name, ask in asked.items():
        ask(y, x)
        for wrong in ([[4, 0]], [[-2, 0]], [[-1, 0]], [[0.5, 1.0]], [[torch.nan, 0]]):
            with pytest.raises(SupportError, match="x "):
                ask(y, torch.tensor(wrong))
        with pytest.raises(SupportError, match=r"y must hold integers from 0 to 1.*row 0 has 2"):
            ask(y + 1, x)
        with pytest.raises(ArgumentError, match="token at least"):
            ask(y, torch.tensor([[-1, -1]]))
        with pytest.raises(ShapeError, match=r"\[batch, T\]|rows"):
            ask(y[0], x)
        with pytest.raises(ShapeError, match=r"as many rows|broadcast"):
            ask(y.repeat(3, 1), x.repeat(2, 1))
        if name != "likelihood":  # which takes arrays
            with pytest.raises(ShapeError, match="tensor"):
                ask(y, [[1, 2]])
    fit = lambda data: dg.fit(model, data, dg.objectives.MaximumLikelihood(), epochs=1, progress=False)  # noqa: E731
    for call in (lambda: model.log_prob(y), lambda: model.sample(2), lambda: model.check(y), lambda: fit(y)):
        with pytest.raises(ArgumentError, match=r"log_prob\(y, x\)"):
            call()
    with pytest.raises(SupportError, match="y must hold"):
        fit(TensorDataset(y + 1, x))
    with pytest.raises(ArgumentError, match="temperature"):
        model.sample(1, x, longest=2, temperature=0.0)
    with pytest.raises(ShapeError, match=r"\[3, S\]"):
        model.sample(3, x.repeat(2, 1), longest=2)
    with pytest.raises(ArgumentError, match="longest"):
        model.greedy(x, longest=0)
    with pytest.raises(ArgumentError, match="longest"):
        Seq2Seq(4, 2, longest=0)
    with pytest.raises(ShapeError, match=r"broadcast to \[..., 2, T\]"):
        model(x.repeat(2, 1)).log_prob(y.repeat(3, 1))
