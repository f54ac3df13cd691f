"""The samplers of other libraries that `samplers.py` times beside ours, each on the posterior `Problem` describes.

Every function returns a `Run`: draws ``[draws, chains, D]`` and the CPU seconds of the warm-up, compilation included,
and of the sampling. Settings are the libraries' defaults but for what the name says.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # chains


class Run(NamedTuple):
    """Draws ``[draws, chains, D]``, and CPU seconds."""

    draws: Tensor
    warm: float
    sampling: float


@dataclass(frozen=True)
class Problem:
    """A log density several times over: for torch ``[chains, D]``, plain, quick, and with its gradient; for JAX, numpy
    ``[D]`` and Pyro."""

    name: str
    size: int
    log_density: Callable[[Tensor], Tensor]
    quick: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], tuple[Tensor, Tensor]]
    jax: Callable[[Any], Any]
    numpy: Callable[[Any], tuple[float, Any]]
    program: Callable[[], None]


def gaussian(size: int = 10, correlation: float = 0.9) -> Problem:
    """N(0, C) with C_ij = correlation^|i - j|."""
    index = np.arange(size)
    precision = np.linalg.inv(correlation ** np.abs(index[:, None] - index))
    p = torch.tensor(precision, dtype=torch.float32)

    def slope(x: Tensor) -> tuple[Tensor, Tensor]:
        gradient = -(x @ p)
        return (gradient * x).sum(-1) / 2, gradient

    def numpy(x: Any) -> tuple[float, Any]:
        gradient = -(precision @ x)
        return float(gradient @ x) / 2, gradient

    def program() -> None:
        import pyro

        pyro.sample("x", pyro.distributions.MultivariateNormal(torch.zeros(size), precision_matrix=p))

    return Problem(
        f"{size}-D Gaussian, AR(1) {correlation}", size, lambda x: slope(x)[0], lambda x: slope(x)[0], slope,
        lambda x: -(x @ precision.astype(np.float32) @ x) / 2, numpy, program,
    )  # fmt: skip


def logistic(rows: int, size: int, seed: int = 0, device: torch.device | str = "cpu") -> Problem:
    """Logistic regression on generated data: standard normal columns, the last one 1, weights ~ N(0, 1) a priori."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, size))
    x[:, -1] = 1.0
    y = (stream.uniform(size=rows) < 1 / (1 + np.exp(-x @ stream.normal(size=size) / 2))).astype(float)
    signed = (2 * y - 1)[:, None] * x  # log p(y | x, w) = log sigmoid(+- x.w)
    z, single = torch.tensor(signed.T, dtype=torch.float32).contiguous().to(device), signed.astype(np.float32)

    total = z.sum(1)
    columns, answers = torch.tensor(x, dtype=torch.float32, device=device), torch.tensor(y, dtype=torch.float32)

    def log_density(w: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(w @ z).sum(-1) - w.square().sum(-1) / 2

    def quick(w: Tensor) -> Tensor:  # some hundred chains at a time, which the cache holds
        sums = [log_of_product((part @ z).sigmoid_()) for part in w.split(BLOCK)]
        return torch.cat(sums) - w.square().sum(-1) / 2

    def slope(w: Tensor) -> tuple[Tensor, Tensor]:
        chance = (w @ z).sigmoid_()
        gradient = total - (z @ chance.mT).mT - w  # the sum of (1 - chance) z, without a tensor for it
        return log_of_product(chance) - w.square().sum(-1) / 2, gradient

    def program() -> None:
        import pyro

        w = pyro.sample("x", pyro.distributions.Normal(torch.zeros(size), 1.0).to_event(1))
        with pyro.plate("rows", rows):
            pyro.sample("y", pyro.distributions.Bernoulli(logits=columns @ w), obs=answers)

    def jax(w: Any) -> Any:
        from jax.nn import log_sigmoid

        return log_sigmoid(single @ w).sum() - (w @ w) / 2

    def numpy(w: Any) -> tuple[float, Any]:
        margin = signed @ w
        value = -np.logaddexp(0, -margin).sum() - w @ w / 2
        return float(value), (1 / (1 + np.exp(margin))) @ signed - w

    return Problem(f"logistic regression {rows} x {size}", size, log_density, quick, slope, jax, numpy, program)


def log_of_product(chance: Tensor) -> Tensor:
    """The sum of logarithms over the last axis, one for eight chances; -inf where eight multiply to less than 1e-38."""
    for _ in range(3):
        half = chance.shape[1] // 2
        if 2 * half == chance.shape[1]:
            chance = chance[:, :half] * chance[:, half:]
    return chance.log().sum(-1)


def pyro_nuts(problem: Problem, draws: int, seed: int, dense: bool, program: bool = False) -> Run:
    """One chain: of a Pyro program, as its users write them, or of a bare ``potential_fn``, which spares it traces."""
    import pyro
    from pyro.infer.mcmc import MCMC, NUTS

    pyro.set_rng_seed(seed)
    clock = [time.process_time()]

    def potential(point: dict[str, Tensor]) -> Tensor:
        return -problem.log_density(point["x"].unsqueeze(0))[0]

    kernel = NUTS(problem.program, full_mass=dense) if program else NUTS(potential_fn=potential, full_mass=dense)
    chain = MCMC(
        kernel, num_samples=draws, warmup_steps=draws // 2, disable_progbar=True,
        initial_params=None if program else {"x": torch.zeros(problem.size)},
        hook_fn=lambda *_: clock.append(time.process_time()),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chain.run()
    warm = clock[draws // 2]
    return Run(chain.get_samples()["x"].unsqueeze(1), warm - clock[0], clock[-1] - warm)


def numpyro_nuts(problem: Problem, draws: int, seed: int, chains: int, dense: bool) -> Run:
    import jax
    from numpyro.infer import MCMC, NUTS

    kernel = NUTS(potential_fn=lambda w: -problem.jax(w), dense_mass=dense)
    method = "vectorized" if chains > 1 else "sequential"
    chain = MCMC(kernel, num_warmup=draws // 2, num_samples=draws, num_chains=chains, chain_method=method,
                 progress_bar=False)  # fmt: skip
    key = jax.random.PRNGKey(seed)
    start = jax.random.normal(key, (chains, problem.size) if chains > 1 else (problem.size,))
    began = time.process_time()
    chain.warmup(key, init_params=start)
    warm = time.process_time()
    chain.run(key)  # goes on from the warm-up
    found = np.asarray(chain.get_samples(group_by_chain=True))
    return Run(torch.tensor(found).transpose(0, 1), warm - began, time.process_time() - warm)


def nutpie_nuts(problem: Problem, draws: int, seed: int, chains: int) -> Run:
    """nutpie does not part its time: all of it is counted as sampling, none as warm-up."""
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    def expand(*_: Any) -> Any:
        return lambda x, **__: {"x": np.asarray(x, dtype="float64")}

    model = from_pyfunc(problem.size, lambda: problem.numpy, expand, [np.dtype("float64")], [(problem.size,)], ["x"])
    began = time.process_time()
    found = nutpie.sample(model, draws=draws, tune=draws // 2, chains=chains, cores=1, seed=seed, progress_bar=False)
    spent = time.process_time() - began
    return Run(torch.tensor(found.posterior["x"].values).transpose(0, 1), 0.0, spent)
