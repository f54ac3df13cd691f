"""Do the intervals of a conditional flow hold what they promise, where the noise changes its width and its shape?

    y | x  ~  0.65 N(sin 2x - b, s^2) + 0.35 N(sin 2x + 2b, (s + b)^2),     b = max(x, 0) / 2,  s = 0.15 + 0.15 |x - 1|

with x uniform on [-3, 3]: Gaussian up to x = 0, and the further from there the more skewed, with a second hump. A flow
of one variable is an increasing map from a Gaussian to y, so the quantiles of y given x are the images of the
Gaussian's, and the rank F(y | x) of an outcome is read off its code. The law is known: so are its mean log-likelihood,
its quantiles, and the probability that it gives to any interval.

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
    b, s = x.clamp_min(0) / 2, 0.15 + 0.15 * (x - 1).abs()
    means = (2 * x).sin().unsqueeze(-1) + torch.stack([-b, 2 * b], -1)
    weights = torch.tensor([0.65, 0.35]).expand_as(means)
    return MixtureSameFamily(Categorical(probs=weights), Normal(means, torch.stack([s, s + b], -1)))


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
    rows: int = 20_000, tests: int = 5_000, epochs: int = 40, out: Path = Path("runs/examples"), seed: int = 0
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
        true_rank = law(x).cdf(y).clamp(0, 1)
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
    print("             test rows inside                   probability of the flow's")
    print("interval     the flow's       the law's         under the law")
    for band, level in reversed(list(enumerate(LEVELS))):
        low, high = ends[band], ends[-1 - band]
        inside = float(((y >= low) & (y <= high)).float().mean())
        right = float(((2 * true_rank - 1).abs() <= level).float().mean())  # misses by as much as the rows have it
        exact = float((law(x).cdf(high) - law(x).cdf(low)).mean())
        binomial = 100 * (level * (1 - level) / tests) ** 0.5
        rows_inside = dg.evaluate.plus_minus(100 * inside, binomial)
        print(f"{100 * level:6.0f} %     {rows_inside} %   {100 * right:.2f} %           {100 * exact:.2f} %")
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
    left.set(xlabel="x", ylabel="y")
    groups = {"flow, all rows": rank, "flow, x < 0: Gaussian": rank[x < 0], "flow, x > 0: skewed": rank[x >= 0]}
    groups["law, all rows"] = true_rank
    dg.plot.calibration(groups, title="coverage observed less promised", ax=right)
    picture = save(figure, out / "regression_intervals.png")
    print(f"\nfan chart and calibration in {picture}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
