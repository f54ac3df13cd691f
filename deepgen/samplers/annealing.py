"""Annealing along a path of densities: the one loop behind AIS, reverse AIS and RAISE.

A path is a family of unnormalised densities f_beta, with Z_beta their sums, from a base (beta = 0, where Z_0 is known
and draws are exact) to the model (beta = 1). `anneal` repeats, for consecutive temperatures (s, t),

    log w += log f_t(x) - log f_s(x),        x ~ T_t(. | x),        T_t leaving p_t invariant.

With x drawn from p at the first temperature, E[w] is Z_last / Z_first whichever way the temperatures run: upwards that
is annealed importance sampling, downwards from draws of the model it is reverse AIS. Downwards from a data point x with
reversible T its mean is p_ann(x) Z_0 / f_1(x), where p_ann is the law of what the upward process generates (RAISE).
Source: Neal 2001, "Annealed importance sampling"; Burda, Grosse & Salakhutdinov 2015, "Accurate and conservative
estimates of MRF log-likelihood using reverse annealing".

For a Boltzmann machine the path is f_beta(v) = exp(((1 - beta) a0 + beta a).v - u(v) + A_h(beta (b + v.W))), the hidden
layer summed out: it costs two matrix products per temperature, since b + v.W serves the weight and the next move.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.samplers.binary_path import BinaryPath
from deepgen.samplers.kernel import Kernel, require_exact
from deepgen.samplers.sparse_path import SparsePath

if TYPE_CHECKING:
    from deepgen.explicit.rbm import RBM


class Path(Protocol):
    """A path of densities with moves on it. States are NamedTuples with a field ``position`` ``[chains, *event]``.

    >>> import deepgen as dg
    >>> path: Path = rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> state = path.init(path.start(3, generator=dg.random.generator(0)))
    >>> state, log_ratio = path.step(state, 0.0, 0.5, generator=dg.random.generator(1))
    >>> state.position.shape, log_ratio.shape
    (torch.Size([3, 6]), torch.Size([3]))
    """

    @property
    def log_base(self) -> float:
        """log Z_0, in nats."""

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` exact draws from the base: ``[n, *event]``."""

    def init(self, position: Tensor) -> Any:
        """The state at ``position``."""

    def step(self, state: Any, old: float, new: float, *, generator: torch.Generator) -> tuple[Any, Tensor]:
        """(the state after one move that leaves p_new invariant, log f_new - log f_old before it ``[chains]``).

        The state handed in may be overwritten.
        """


def anneal(
    path: Path,
    state: Any,
    betas: Tensor,
    *,
    generator: torch.Generator,
    tick: Callable[[], object] | None = None,
) -> tuple[Any, Tensor]:
    """Carry chains along ``betas`` and return (state, log weights ``[chains]``, float64).

    Args:
        path: a `Path`.
        state: ``path.init(position)``, with positions drawn from p at ``betas[0]``; it is used up.
        betas: ``[temperatures]`` in [0, 1], running either way; a repeated value is a move without a weight.
        generator: source of randomness.
        tick: called after each temperature (a progress bar).

    >>> import math, deepgen as dg
    >>> rbm, g = dg.RBM(visible=6, hidden=4, generator=0), dg.random.generator(0)
    >>> path = rbm_path(rbm)
    >>> state, log_weights = anneal(path, path.init(path.start(10, generator=g)), torch.linspace(0, 1, 20), generator=g)
    >>> bool((path.log_base + log_weights - 10 * math.log(2)).abs().max() < 0.1)  # log Z of a machine near zero weights
    True
    """
    log_weights = torch.zeros(len(state.position), dtype=torch.float64, device=state.position.device)
    temperatures = betas.tolist()
    for old, new in pairwise(temperatures):
        state, log_ratio = path.step(state, old, new, generator=generator)
        log_weights += log_ratio
        if tick is not None:
            tick()
    return state, log_weights


def check_betas(betas: Tensor) -> Tensor:
    """Return temperatures from 0 up to 1 as float64, or raise `ArgumentError`.

    >>> check_betas(torch.tensor([0, 1]))
    tensor([0., 1.], dtype=torch.float64)
    """
    betas = betas.detach().to("cpu", torch.float64)
    if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or not bool((betas.diff() >= 0).all()):
        raise ArgumentError("temperatures must be a vector that rises from 0 to 1, or a number of them, or 'adaptive'")
    return betas


class PathState(NamedTuple):
    """position: where the chains are ``[chains, *event]``, of a `Path` that needs no more than that."""

    position: Tensor


class RBMPath:
    """The path of any pair of layers, by their cumulants: base field ``base`` ``[visible]`` on the visible units.

    >>> import math, deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> round(RBMPath(rbm, torch.zeros(6)).log_base / math.log(2), 5)  # fair coins: log Z_0 = (6 + 4) log 2
    10.0
    """

    @torch.no_grad()
    def __init__(self, model: RBM, base: Tensor) -> None:
        self.model = model
        self.base = base.detach().to(model.weight)
        nothing = torch.zeros_like(model.hidden_bias, dtype=torch.float64)
        with torch.no_grad():  # a learned precision carries a gradient
            self.log_base = float(model.visible.cumulant(self.base.double()) + model.hidden.cumulant(nothing))

    @torch.no_grad()
    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        return self.model.visible.sample(self.base.expand(n, -1).contiguous(), generator=generator)

    def init(self, position: Tensor) -> PathState:
        return PathState(position.to(self.model.weight))

    @torch.no_grad()
    def step(self, state: PathState, old: float, new: float, *, generator: torch.Generator) -> tuple[PathState, Tensor]:
        model, v = self.model, state.position
        field = model.hidden_field(v)
        exact = field.double()
        log_ratio = model.hidden.cumulant(new * exact) - model.hidden.cumulant(old * exact)
        log_ratio += (new - old) * (v.double() @ (model.visible_bias - self.base).double())
        h = model.hidden.sample(new * field, generator=generator)
        v = model.visible.sample((1 - new) * self.base + new * model.visible_field(h), generator=generator)
        return PathState(v), log_ratio


def rbm_path(model: RBM, base: Tensor | None = None) -> Path:
    """The path of a Boltzmann machine from independent visible units with field ``base`` (by default its biases).

    For two Bernoulli layers one of two faster ones of the same law (`deepgen.samplers.binary_path`,
    `deepgen.samplers.sparse_path`), otherwise an `RBMPath`.

    >>> import deepgen as dg
    >>> path = rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> path.start(3, generator=dg.random.generator(0)).shape  # exact draws of the base
    torch.Size([3, 6])
    """
    base = model.visible_bias.detach() if base is None else base
    if SparsePath.fits(model):
        return SparsePath(model, base)
    if BinaryPath.fits(model):
        return BinaryPath(model, base)
    return RBMPath(model, base)


class KernelPath:
    """A path of any densities, moved by any exact kernel.

    Args:
        log_density: ``(x, beta) -> [chains]``, log f_beta.
        kernel: ``beta -> Kernel`` that leaves p_beta invariant; a biased one is refused (`MissingCapability`), since
            its weights would estimate nothing known.
        base: ``(n, generator) -> [n, *event]``, exact draws at beta = 0.
        log_base: log Z_0.

    >>> import math, deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> def tempered(x, beta):  # what BlockGibbs leaves invariant: fields times beta
    ...     return beta * x @ rbm.visible_bias + rbm.hidden.cumulant(beta * rbm.hidden_field(x))
    >>> def coins(n, generator):
    ...     return torch.bernoulli(torch.full((n, 6), 0.5), generator=generator)
    >>> path, g = KernelPath(tempered, rbm.gibbs, coins, 10 * math.log(2)), dg.random.generator(0)
    >>> _, log_weights = anneal(path, path.init(path.start(50, generator=g)), torch.linspace(0, 1, 20), generator=g)
    >>> bool((path.log_base + log_weights.mean() - 10 * math.log(2)).abs() < 0.1)
    True
    """

    def __init__(
        self,
        log_density: Callable[[Tensor, float], Tensor],
        kernel: Callable[[float], Kernel],
        base: Callable[[int, torch.Generator], Tensor],
        log_base: float,
    ) -> None:
        require_exact(kernel(1.0), "annealed importance sampling")
        self._log_density, self._kernel, self._base, self.log_base = log_density, kernel, base, log_base

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        return self._base(n, generator)

    def init(self, position: Tensor) -> PathState:
        return PathState(position)

    @torch.no_grad()
    def step(self, state: PathState, old: float, new: float, *, generator: torch.Generator) -> tuple[PathState, Tensor]:
        x = state.position
        log_ratio = (self._log_density(x, new) - self._log_density(x, old)).double()
        kernel = self._kernel(new)
        require_exact(kernel, "annealed importance sampling")
        moved, _info = kernel.step(kernel.init(x), generator=generator)
        return PathState(moved.position), log_ratio


def spread(path: Path, betas: Tensor, chains: int, *, generator: torch.Generator) -> Tensor:
    """Standard deviation over chains of the log ratio at each temperature of a pilot run: ``[temperatures - 1]``.

    Its sum is the thermodynamic length of the path, L = integral of sqrt(Var_beta(d log f_beta / d beta)) d beta.

    >>> import deepgen as dg
    >>> path = rbm_path(dg.RBM(visible=6, hidden=4, generator=0))
    >>> spread(path, torch.linspace(0, 1, 5), 10, generator=dg.random.generator(0)).shape
    torch.Size([4])
    """
    state = path.init(path.start(chains, generator=generator))
    found = []
    temperatures = betas.tolist()
    for old, new in pairwise(temperatures):
        state, log_ratio = path.step(state, old, new, generator=generator)
        found.append(log_ratio.double().std().cpu())
    return torch.stack(found).nan_to_num(0.0, 0.0, 0.0)


def equal_length(betas: Tensor, spreads: Tensor, count: int) -> Tensor:
    """``count`` temperatures from 0 to 1 with equal thermodynamic length between them, from a pilot's ``spreads``.

    Independent moves would then make every step add the same variance, the least total for that many temperatures. A
    tenth of the density stays uniform, so that no stretch is left empty where the pilot saw nothing.

    >>> equal_length(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), torch.tensor([3.0, 1.0]).double(), 5)
    tensor([0.0000, 0.1724, 0.3448, 0.5455, 1.0000], dtype=torch.float64)
    """
    step = betas.diff()
    share = 0.9 * spreads / spreads.sum().clamp_min(torch.finfo(torch.float64).tiny) + 0.1 * step
    return evenly(betas, share, count).clamp(0.0, 1.0)


def evenly(at: Tensor, shares: Tensor, count: int) -> Tensor:
    """``count`` places from ``at[0]`` to ``at[-1]`` with equal shares between them.

    Args:
        at: rising places ``[n]``.
        shares: what lies between them ``[n - 1]``, positive, taken as spread evenly in between.
        count: at least 2.

    >>> evenly(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([3.0, 1.0]), 3)
    tensor([0.0000, 0.6667, 2.0000])
    """
    cumulative = torch.cat([shares.new_zeros(1), shares.cumsum(0)])
    cumulative = cumulative / cumulative[-1]
    wanted = torch.linspace(0, 1, count, dtype=cumulative.dtype)
    index = torch.searchsorted(cumulative, wanted).clamp(1, len(cumulative) - 1)
    left, right = cumulative[index - 1], cumulative[index]
    inside = at[index - 1] + (wanted - left) / (right - left) * (at[index] - at[index - 1])
    inside[0], inside[-1] = at[0], at[-1]
    return inside
