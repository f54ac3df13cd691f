"""Does a network know where it has seen nothing? The posterior of its weights by SGLD on minibatches, beside HMC.

    y = f(x) + N(0, 0.2^2),   f a network of 20 tanh units with weights from the prior;   x in [-1, -0.4] or [0.4, 1]

Between -0.4 and 0.4, and beyond 1, there are no rows. The same prior and noise are given to the posterior, so the
intervals of an exact one are right on average over such problems. 20 problems with their own f run side by side, 6
chains each. HMC on all rows is exact in the limit. Stochastic-gradient Langevin dynamics sees 30 of 60 rows a step;
what that noise adds sets its step size. Its chains start at draws from the prior and creep towards the posterior where
the data say little: R-hat tells, the average coverage does not.

    python examples/bayesian_network.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import deepgen as dg
from deepgen.layers.linear import linear
from deepgen.plot.figures import PALETTE, new_figure, save

NOISE, LEVELS, EDGE = 0.2, (0.95, 0.8, 0.5), 0.4
REGIONS = {
    "data": lambda x: (x.abs() > EDGE) & (x.abs() < 1),
    "gap": lambda x: x.abs() <= EDGE,
    "beyond": lambda x: x.abs() >= 1,
}


def log_likelihood(mean: Tensor, y: Tensor) -> Tensor:
    """Of chain c under the outcomes of problem c mod problems: mean ``[chains, n, 1]``, y ``[.., n, problems]``."""
    chain = torch.arange(len(mean))
    own = y.expand(len(mean), -1, -1)[chain, :, chain % y.shape[-1]]
    return -((own - mean.squeeze(-1)) / NOISE).square() / 2


def prior(hidden: int) -> Independent:
    """Weights in the order of the parameters: in, its bias, out, its bias."""
    scales = torch.cat([torch.full((2 * hidden,), 4.0), torch.full((hidden,), hidden**-0.5), torch.tensor([0.5])])
    return Independent(Normal(torch.zeros(3 * hidden + 1), scales), 1)


def main(
    problems: int = 20,
    rows: int = 60,
    chains: int = 6,
    steps: int = 6_000,
    leaps: int = 150,
    hidden: int = 20,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    stream = dg.random.generator(seed)
    net = nn.Sequential(linear(1, hidden, generator=stream), nn.Tanh(), linear(hidden, 1, generator=stream))
    x = (EDGE + (1 - EDGE) * torch.rand(rows, generator=stream)) * (torch.rand(rows, generator=stream) - 0.5).sign()
    law = prior(hidden)
    template = dg.samplers.NetworkPosterior(net, log_likelihood, x[:, None], x[:, None], prior=law)
    truth = template.begin(problems, generator=stream)
    grid = torch.linspace(-1.4, 1.4, 141)
    curve = template.predict(truth, grid[:, None])[..., 0]  # [problems, grid]
    y = template.predict(truth, x[:, None])[..., 0].T + NOISE * torch.randn(rows, problems, generator=stream)
    posterior = dg.samplers.NetworkPosterior(net, log_likelihood, x[:, None], y, prior=law)

    start = posterior.begin(chains * problems, generator=stream)
    variances = law.base_dist.scale.square()
    batches = posterior.minibatches(30)
    pilot = dg.samplers.sgld(batches, 1e-4, covariance=variances)
    start = dg.samplers.sample_chain(pilot, start, draws=1, warmup=steps // 4, generator=seed).state.position
    first = dg.samplers.NetworkPosterior(net, log_likelihood, x[:, None], y[:, :1], prior=law).minibatches(30)
    noise = torch.stack([first.gradient_noise(w) for w in start[::problems]])  # V, and in the coordinates of the prior
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
        f = posterior.predict(trace.draws, grid[:, None])[..., 0]
        f = f.reshape(-1, chains, problems, len(grid))
        mixed = dg.evaluate.rhat(f[..., ::10])
        drawn[name] = f.flatten(0, 1)  # [networks, problems, grid]
        numbers[f"{name}, R-hat"] = float(mixed.median())
        print(
            f"{name}: {trace.exactness}, {len(drawn[name])} networks of each problem; "
            f"R-hat of f over the grid: median {float(mixed.median()):.3f}, largest {float(mixed.max()):.2f}"
        )

    noisy = {k: v + NOISE * torch.randn(v.shape, generator=stream) for k, v in drawn.items()}
    print(f"\n              share of new outcomes y inside the interval of each kernel, mean of {problems} problems")
    print("region   interval  " + "".join(f"{name:>22}" for name in kernels))
    outcome = Normal(curve, NOISE)
    for region, where in REGIONS.items():
        at = where(grid)
        for level in LEVELS:
            line = ""
            for name in kernels:
                low, high = noisy[name].quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2]), dim=0)
                share = (outcome.cdf(high) - outcome.cdf(low))[:, at].mean(1)  # of y given f itself, by problem
                mean, error = float(share.mean()), float(share.std() / problems**0.5)
                numbers |= {f"{name}, {region}, {level}": mean, f"{name}, {region}, {level} error": error}
                line += f"{100 * mean:14.1f} ± {100 * error:.1f} %"
            print(f"{region:<9}{100 * level:5.0f} %   {line}")
    print("\nstandard deviation of f, mean over the region and the problems")
    for region, where in REGIONS.items():
        widths = [float(drawn[name].std(0)[:, where(grid)].mean()) for name in kernels]
        numbers |= {f"{name}, {region}, sd": width for name, width in zip(kernels, widths, strict=True)}
        print(f"{region:<9}          " + "".join(f"{width:22.3f}" for width in widths))

    figure = new_figure(1080, 420)
    figure.set_layout_engine("constrained")
    probabilities = torch.tensor([(1 - level) / 2 for level in LEVELS])
    at = torch.cat([probabilities, torch.tensor([0.5]), 1 - probabilities.flip(0)])
    for ax, name in zip(figure.subplots(1, 2, sharey=True), kernels, strict=True):
        for low, high in ((-1.4, -1), (-EDGE, EDGE), (1, 1.4)):
            label = "no rows" if low == -EDGE else None
            ax.axvspan(low, high, color=PALETTE["rule"], alpha=0.35, linewidth=0, zorder=0, label=label)
        title = f"{name}: intervals of a new outcome y, first problem"
        dg.plot.fan(grid, noisy[name][:, 0].quantile(at, dim=0), LEVELS, title=title, ax=ax)
        ax.plot(grid, curve[0], "--", color=PALETTE["s1"], linewidth=1.4, label="true f")
        ax.plot(x, y[:, 0], "o", color=PALETTE["ink"], markersize=2.5, label=f"{rows} rows")
        ax.set_xlabel("x", fontsize=9)
        ax.legend(frameon=False, fontsize=8, ncols=2)
    figure.axes[0].set_ylabel("y", fontsize=9)
    save(figure, out / "bayesian_network.png", scale=2)
    print(f"\nwritten: {out / 'bayesian_network.png'}")
    return numbers


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
