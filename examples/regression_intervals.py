"""Do the intervals of a conditional flow hold what they promise, where y given x has one mode, two, and a skew?

    y | x  ~  0.65 N(sin 2x - b, s^2) + 0.35 N(sin 2x + 2b, s^2),      b = max(x, 0),  s = 0.15 + 0.15 |x - 1|

with x uniform on [-3, 3]: a band of changing width, and from 0 on a fork with unequal prongs. A flow of one variable is
an increasing map from a Gaussian to y, so the quantiles of y given x are the images of the Gaussian's, and the rank
F(y | x) of an outcome is read off its code. The law is known: so are its mean log-likelihood, its quantiles, and the
probability that it gives to any interval.

    python examples/regression_intervals.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

import deepgen as dg
from deepgen.plot.figures import new_figure, save

LEVELS = (0.95, 0.8, 0.5)


def law(x: Tensor) -> MixtureSameFamily:
    """The true distribution of y at each x: ``[n]``."""
    fork, std = x.clamp_min(0), 0.15 + 0.15 * (x - 1).abs()
    means = (2 * x).sin().unsqueeze(-1) + torch.stack([-fork, 2 * fork], -1)
    weights = torch.tensor([0.65, 0.35]).expand_as(means)
    return MixtureSameFamily(Categorical(probs=weights), Normal(means, std.unsqueeze(-1).expand_as(means)))


def true_quantiles(x: Tensor, probabilities: Tensor) -> Tensor:
    """Quantiles of y at each x by halving an interval: ``[probabilities, n]``."""
    low = torch.full((len(probabilities), len(x)), -20.0)
    high, there = -low, law(x)
    for _ in range(50):
        middle = (low + high) / 2
        below = there.cdf(middle) < probabilities.unsqueeze(1)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high


@torch.no_grad()
def quantiles(flow: dg.explicit.Flow, x: Tensor, probabilities: Tensor) -> Tensor:
    """Quantiles of y at each x under the flow: ``[probabilities, n]``."""
    z = Normal(0.0, 1.0).icdf(probabilities).repeat_interleave(len(x)).unsqueeze(1)
    return flow.decode(z, x.repeat(len(probabilities)).unsqueeze(1))[0].reshape(len(probabilities), len(x))


def main(
    rows: int = 10_000, tests: int = 5_000, epochs: int = 40, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    stream = dg.random.generator(seed)
    x = torch.rand(rows + tests, generator=stream) * 6 - 3
    y = dg.random.draw(law(x), generator=stream)
    context, outcome = x.unsqueeze(1), y.unsqueeze(1)

    flow = dg.explicit.NSF(1, 2, [64, 64], autoregressive=True, bins=12, box=8.0, context=1, generator=seed)
    dg.fit(
        flow,
        torch.utils.data.TensorDataset(outcome[:rows], context[:rows]),
        dg.objectives.MaximumLikelihood(),
        epochs=epochs,
        batch_size=500,
        optimizer=torch.optim.Adam(flow.parameters(), lr=5e-3),
        schedule=lambda done: 1 - done,
        seed=seed,
        progress=False,
    )

    x, y, context, outcome = x[rows:], y[rows:], context[rows:], outcome[rows:]
    with torch.no_grad():
        truth, learned = law(x).log_prob(y).double(), flow(context).log_prob(outcome).double()
        rank = Normal(0.0, 1.0).cdf(flow.encode(outcome, context)[0]).squeeze(1)
    kl, error = float((truth - learned).mean()), float((truth - learned).std() / tests**0.5)
    print(
        f"mean log-likelihood of {tests} test rows: {truth.mean():.3f} nats under the law, {learned.mean():.3f} under"
    )
    print(f"the flow; the law is ahead by {dg.evaluate.plus_minus(kl, error)}\n")
    numbers = {"kl": kl, "error": error}

    tails = torch.tensor([(1 - level) / 2 for level in LEVELS])
    at = torch.cat([tails, torch.tensor([0.5]), 1 - tails.flip(0)])
    ends = quantiles(flow, x, at)
    print("interval   test rows inside   binomial error   probability under the law")
    for band, level in reversed(list(enumerate(LEVELS))):
        low, high = ends[band], ends[-1 - band]
        inside = float(((y >= low) & (y <= high)).float().mean())
        exact = float((law(x).cdf(high) - law(x).cdf(low)).mean())
        binomial = (level * (1 - level) / tests) ** 0.5
        print(f"{100 * level:6.0f} %   {100 * inside:14.1f} %   {100 * binomial:12.1f} %   {100 * exact:23.1f} %")
        numbers |= {f"inside {level}": inside, f"exact {level}": exact}

    figure = new_figure(1080, 400)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    grid = torch.linspace(-3, 3, 200)
    dg.plot.fan(
        grid,
        quantiles(flow, grid, at),
        LEVELS,
        truth=true_quantiles(grid, at),
        points=torch.stack([x, y], 1)[:1000],
        title="central intervals of y given x, and 1,000 test rows",
        ax=left,
    )
    groups = {"all test rows": rank, "x < 0: one mode": rank[x < 0], "x > 0: a fork": rank[x >= 0]}
    dg.plot.calibration(groups, title="share of test rows inside, less the interval's probability", ax=right)
    picture = save(figure, out / "regression_intervals.png")
    print(f"\nfan chart and calibration in {picture}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
