"""Attention and sequence to sequence: formulas, probabilities that sum to one, and a task that it must learn."""

import itertools

import pytest
import torch
from torch.autograd import gradcheck
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.layers import AdditiveAttention, Seq2Seq
from deepgen.testing import check_checkpoint, check_random


def small(stream, **options):
    model = Seq2Seq(4, 2, hidden=5, embedding=3, **options, generator=stream).double()
    with torch.no_grad():  # far from uniform
        for p in model.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=stream))
    return model


def test_additive_attention(stream, float64):
    attend = AdditiveAttention(3, 4, 6, generator=stream).double()
    q, k = torch.randn(2, 3, generator=stream), torch.randn(2, 5, 4, generator=stream)
    w, (u, b), v = attend.query.weight, (attend.key.weight, attend.key.bias), attend.score.weight[0]
    for row, places in ((0, 5), (1, 2)):
        e = torch.stack([v @ (w @ q[row] + u @ k[row, j] + b).tanh() for j in range(places)])
        a = e.exp() / e.exp().sum()
        mask = torch.arange(5).expand(2, 5) < torch.tensor([[5], [2]])
        mean, weights = attend(q, k, mask)
        torch.testing.assert_close(weights[row, :places], a)
        torch.testing.assert_close(mean[row], sum(a[j] * k[row, j] for j in range(places)))
    assert gradcheck(lambda q, k, *_: attend(q, k)[0], (q.requires_grad_(), k.requires_grad_(), *attend.parameters()))


def test_a_row_without_a_place_has_no_weights_and_spoils_no_gradient(stream):
    attend = AdditiveAttention(3, 4, 6, generator=stream)
    q, k = torch.randn(2, 3, generator=stream), torch.randn(2, 5, 4, generator=stream)
    mean, weights = attend(q, k, torch.tensor([[False] * 5, [True] * 5]))
    assert (mean[0].count_nonzero(), weights[0].count_nonzero()) == (0, 0)
    torch.testing.assert_close(mean[1], attend(q[1:], k[1:])[0][0])
    mean.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in attend.parameters())


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
    total = total + model.token_log_probs(y, x.expand(len(y), 3))[:, :4].sum(1).exp().sum()
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
        prefix = model.token_log_probs(y, x.expand(len(y), 2))
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
        terms = [model.token_log_probs(one, x[:1])[0, prefix.shape[1]] for one in after]
        terms.append(model.token_log_probs(prefix, x[:1])[0, -1])
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


def test_checkpoints_randomness_and_errors(stream):
    check_checkpoint(Seq2Seq(4, 2, hidden=5, embedding=3, cell="lstm", generator=stream))
    check_random(lambda generator: Seq2Seq(4, 2, 5, generator=generator), generator=stream)
    model, x, y = Seq2Seq(4, 2, hidden=5, generator=stream), torch.tensor([[2, 0]]), torch.tensor([[1]])
    check_random(lambda generator: model.sample(20, x[0], longest=9, generator=generator), generator=stream)
    for wrong in ([[4, 0]], [[-2, 0]], [[-1, 0]], [[0.5, 1.0]]):
        with pytest.raises(SupportError, match="x "):
            model.log_prob(y, torch.tensor(wrong))
    with pytest.raises(SupportError, match="y must hold integers from 0 to 1"):
        model.log_prob(y + 1, x)
    with pytest.raises(ArgumentError, match="token at least"):
        model.log_prob(y, torch.tensor([[-1, -1]]))
    with pytest.raises(ShapeError, match="as many rows"):
        model.log_prob(y.repeat(2, 1), x)
    with pytest.raises(ShapeError, match=r"\[batch, T\]"):
        model.log_prob(y[0], x)
    with pytest.raises(ArgumentError, match="temperature"):
        model.sample(1, x, longest=2, temperature=0.0)
    with pytest.raises(ShapeError, match=r"\[3, S\]"):
        model.sample(3, x, longest=2)
    with pytest.raises(ArgumentError, match="longest"):
        model.greedy(x, longest=0)
    with pytest.raises(ShapeError, match="query"):
        AdditiveAttention(3, 4, 6)(torch.zeros(2, 2), torch.zeros(2, 5, 4))
    with pytest.raises(ShapeError, match="mask"):
        AdditiveAttention(3, 4, 6)(torch.zeros(2, 3), torch.zeros(2, 5, 4), torch.ones(2, 4, dtype=torch.bool))
