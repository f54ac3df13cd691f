"""Does a network know where it has seen nothing? The posterior of its weights by SGLD on minibatches, beside HMC.

    y = f(x) + N(0, 0.2^2),   f a network of 20 tanh units with weights from the prior;   x in [-1, -0.3] or [0.3, 1]

Between -0.3 and 0.3, and beyond 1, there are no rows. The same prior and noise are given to the posterior, so its
intervals are right on average over such problems; on this one they are held against HMC on all rows, which is exact in
the limit. Stochastic-gradient Langevin dynamics sees 30 of 60 rows a step; what that noise adds sets its step size.
Its chains start at draws from the prior and creep towards the posterior where the data say little, so in the gap they
are still a little wide.

    python examples/bayesian_network.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.layers.linear import linear
from deepgen.plot.figures import new_figure, save

NOISE, LEVELS = 0.2, (0.95, 0.8, 0.5)
REGIONS = {
    "data": lambda x: (x.abs() > 0.3) & (x.abs() < 1),
    "gap": lambda x: x.abs() <= 0.3,
    "beyond": lambda x: x.abs() >= 1,
}


def log_likelihood(mean: Tensor, y: Tensor) -> Tensor:
    return -((y - mean.squeeze(-1)) / NOISE).square() / 2


def prior(hidden: int) -> Independent:
    """Weights in the order of the parameters: in, its bias, out, its bias."""
    scales = torch.cat([torch.full((2 * hidden,), 4.0), torch.full((hidden,), hidden**-0.5), torch.tensor([0.5])])
    return Independent(Normal(torch.zeros(3 * hidden + 1), scales), 1)


def band(predicted: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """The central interval of ``[draws, n]`` at each place."""
    ends = predicted.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2]), dim=0)
    return ends[0], ends[1]


def main(
    rows: int = 60,
    chains: int = 64,
    steps: int = 12_000,
    leaps: int = 300,
    hidden: int = 20,
    out: Path = Path("runs/examples"),
    seed: int = 3,
) -> dict[str, float]:
    stream = dg.random.generator(seed)
    net = nn.Sequential(linear(1, hidden, generator=stream), nn.Tanh(), linear(hidden, 1, generator=stream))
    x = (0.3 + 0.7 * torch.rand(rows, generator=stream)) * (torch.rand(rows, generator=stream) - 0.5).sign()
    law = prior(hidden)
    template = dg.samplers.NetworkPosterior(net, log_likelihood, x[:, None], x, prior=law)
    truth = template.begin(1, generator=stream)
    grid = torch.linspace(-1.4, 1.4, 141)
    curve = template.predict(truth, grid[:, None])[0, :, 0]
    y = template.predict(truth, x[:, None])[0, :, 0] + NOISE * torch.randn(rows, generator=stream)
    posterior = dg.samplers.NetworkPosterior(net, log_likelihood, x[:, None], y, prior=law)

    start = posterior.begin(chains, generator=stream)
    variances = law.base_dist.scale.square()
    batches = posterior.minibatches(30)
    pilot = dg.samplers.sgld(batches, 1e-4, covariance=variances)
    start = dg.samplers.sample_chain(pilot, start, draws=1, warmup=steps // 4, generator=seed).state.position
    noise = torch.stack([batches.gradient_noise(w) for w in start[:10]])  # V, and in the coordinates of the prior
    largest = torch.linalg.eigvalsh(noise * law.base_dist.scale * law.base_dist.scale.unsqueeze(1)).amax()
    step = 4 * 0.1 / float(largest)
    print(f"step size {step:.2g}: gradient noise adds 10 % to the noise of the stiffest direction, less to others")
    kernels = {
        "SGLD, 30 rows": (dg.samplers.sgld(batches, step, covariance=variances), steps, 40),
        "HMC, all rows": (dg.samplers.hmc(posterior, leaps=20, covariance=variances), leaps, 1),
    }
    drawn, numbers = {}, {}
    for name, (kernel, count, thin) in kernels.items():
        warmup = count // 2
        trace = dg.samplers.sample_chain(kernel, start, draws=count // thin, thin=thin, warmup=warmup, generator=seed)
        drawn[name] = posterior.predict(trace.draws[::2].flatten(0, 1), grid[:, None])[..., 0]
        print(f"{name}: {trace.exactness}, {len(drawn[name])} networks kept")

    noisy = {k: v + NOISE * torch.randn(v.shape, generator=stream) for k, v in drawn.items()}
    print("\n              share of new outcomes y inside the interval of each kernel, by region")
    print("region   interval  " + "".join(f"{name:>18}" for name in kernels))
    for region, where in REGIONS.items():
        at = where(grid)
        for level in LEVELS:
            shares = []
            for name in kernels:
                low, high = band(noisy[name], level)
                chance = Normal(curve, NOISE).cdf(high) - Normal(curve, NOISE).cdf(low)  # of y given f itself
                shares.append(float(chance[at].mean()))
                numbers[f"{name}, {region}, {level}"] = shares[-1]
            print(f"{region:<9}{100 * level:5.0f} %   " + "".join(f"{100 * share:16.1f} %" for share in shares))
    print("\nstandard deviation of f, mean over the region")
    for region, where in REGIONS.items():
        widths = [float(drawn[name].std(0)[where(grid)].mean()) for name in kernels]
        numbers |= {f"{name}, {region}, sd": width for name, width in zip(kernels, widths, strict=True)}
        print(f"{region:<9}          " + "".join(f"{width:18.3f}" for width in widths))

    figure = new_figure(1080, 400)
    figure.set_layout_engine("constrained")
    points = torch.stack([x, y], 1)
    for ax, name in zip(figure.subplots(1, 2, sharey=True), kernels, strict=True):
        probabilities = torch.tensor([(1 - level) / 2 for level in LEVELS])
        at = torch.cat([probabilities, torch.tensor([0.5]), 1 - probabilities.flip(0)])
        title = f"{name}: central intervals of y, {rows} rows and f itself"
        dg.plot.fan(grid, noisy[name].quantile(at, dim=0), LEVELS, points=points, title=title, ax=ax)
        ax.plot(grid, curve, "--", color="k", linewidth=1)
        ax.set(xlabel="x")
    save(figure, out / "bayesian_network.png")
    print(f"\nwritten: {out / 'bayesian_network.png'}")
    return numbers


if __name__ == "__main__":
    main()
