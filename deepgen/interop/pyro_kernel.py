"""Any kernel inside ``pyro.infer.MCMC``: its runner, its samples and summary, our moves.

    mcmc = MCMC(as_pyro_kernel(dg.samplers.hmc, model), num_samples=1000, warmup_steps=500)
    mcmc.run(data)

Pyro's runner asks for one draw at a time and starts every chain anew, in a process of its own where it can. What this
means here:

- ``num_chains`` of Pyro are as many runs, each with a start, a warm-up and random numbers of its own.
- ``chains=C`` moves C chains in each call. They learn from one another in the warm-up, and cost little more than one.
  Sites then have an axis for them, ``[num_samples, C, *shape]``. Pyro's ``summary()`` takes it for an axis of the site,
  and so has rows for each chain by itself; `deepgen.evaluate.diagnose` has R-hat and ESS of all of them.
- A kernel that is to be tuned is tuned in the first warm-up step, for as many steps as the warm-up has, and frozen.
  Pyro's bar stands still meanwhile, and the rest of the warm-up does nothing.
- Random numbers follow Pyro's rule: a run seeds its streams by one number from torch's global stream, so
  ``pyro.set_rng_seed`` or `deepgen.random.lend` repeats it, in other processes too.

`deepgen.samplers.sample_chain` has none of these bounds; this is for programs that are built around Pyro's runner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.infer.mcmc.mcmc_kernel import MCMCKernel
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.interop.pyro_program import ProgramTarget
from deepgen.random import key
from deepgen.samplers.kernel import after_warmup, require_kernel
from deepgen.samplers.run import Tunable, per_chain
from deepgen.streams import Streams


class PyroKernel(MCMCKernel):
    """A kernel with Pyro's methods; made by `as_pyro_kernel`.

    Attributes:
        target: after ``setup`` the `ProgramTarget`.
        kernel: the kernel, after the warm-up tuned and frozen.
    """

    def __init__(
        self,
        make: Callable[[ProgramTarget], Any],
        model: Callable[..., Any],
        chains: int | None = None,
        init: Callable[..., Any] | None = None,
    ) -> None:
        self.make, self.model, self.chains, self.init = make, model, chains, init
        self.target: Any = None
        self.kernel: Any = None
        self._state: Any = None
        self._last: dict[str, Tensor] = {}
        self.transforms: dict[str, Any] | None = None
        self._start: dict[str, Tensor] | None = None
        super().__init__()

    def setup(self, warmup_steps: int, *args: Any, **kwargs: Any) -> None:
        """Read the program with its data, make the kernel, and find a start."""
        self.target = ProgramTarget(self.model, args, kwargs)
        self.transforms = self.target.transforms()
        self.kernel = require_kernel(self.make(self.target))
        self._tunes = isinstance(self.kernel, Tunable)
        self._warmup, self._step = warmup_steps, 0
        stream = Streams(key(torch.default_generator))
        if self._start is None:
            position = self.target.begin(self.chains or 1, init=self.init, generator=stream)
        else:
            position = self._rows(self._start)
        self._stream = Streams(stream.seed_key, device=position.device)
        self._reset()
        self._arrive(self.kernel.init(position))

    def sample(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step from ``params``, unconstrained, which may be others than those returned last."""
        if params is not self._last:
            self._arrive(self.kernel.init(self._rows(params)))
        warming = self._step < self._warmup
        if self._step == self._warmup:
            self._reset()
            self._state = after_warmup(self.kernel, self._state)
        self._step += 1
        if not self._tunes or not warming:
            if isinstance(self.kernel, Tunable):
                raise ArgumentError("this kernel is tuned in its warm-up: give MCMC warmup_steps=, some hundred")
            state, info = self.kernel.step(self._state, generator=self._stream)
            self._count += 1
            for name, value in per_chain(info, len(state.position)).items():
                self._sums[name] = self._sums.get(name, 0.0) + value.double().nanmean()
            return self._arrive(state)
        if isinstance(self.kernel, Tunable):  # the first step of the warm-up stands for all of them
            self.kernel, state = self.kernel.tune(self._state, self._warmup, generator=self._stream)
            return self._arrive(state)
        return self._last

    @property
    def initial_params(self) -> dict[str, Tensor]:
        """Where the chain is, unconstrained, by site; before the first step where it starts."""
        return self._last

    @initial_params.setter
    def initial_params(self, params: dict[str, Tensor]) -> None:
        self._start = dict(params)

    def logging(self) -> dict[str, str]:
        """Means so far of what the kernel reports, for the progress bar."""
        return {name: f"{value:.3f}" for name, value in self._means().items()}

    def diagnostics(self) -> dict[str, Any]:
        """What the kernel is, and means of what it reports, over the steps after the warm-up and over chains."""
        return {"exactness": str(self.kernel.exactness), **self._means()}

    def _means(self) -> dict[str, float]:
        return {name: float(total / self._count) for name, total in self._sums.items()}

    def _reset(self) -> None:
        self._count, self._sums = 0, dict[str, Any]()

    def _arrive(self, state: Any) -> dict[str, Tensor]:
        x = state.position
        self._state, self._last = state, self.target.parts(x[0] if self.chains is None else x)
        return self._last

    def _rows(self, params: dict[str, Tensor]) -> Tensor:
        x: Tensor = self.target.join(params)
        lead = [] if self.chains is None else [self.chains]
        if list(x.shape[:-1]) != lead:
            raise ShapeError(f"every site's unconstrained values must begin with axes {lead}, got {list(x.shape[:-1])}")
        return x.detach().reshape(-1, x.shape[-1])


def as_pyro_kernel(
    make: Callable[[ProgramTarget], Any],
    model: Callable[..., Any],
    *,
    chains: int | None = None,
    init: Callable[..., Any] | None = None,
) -> PyroKernel:
    """Return any kernel as one for ``pyro.infer.MCMC``, with ``model`` as its target.

    Args:
        make: the kernel of a target, such as ``dg.samplers.hmc``, or ``lambda target: dg.samplers.mala(target, 0.1)``.
        model: a program as in `program_target`; ``mcmc.run(...)`` hands it its data.
        chains: None for one chain, or how many move in each call: the samples then have an axis for them.
        init: one of Pyro's strategies for starting points; draws from the prior by default.

    Raises:
        ArgumentError: a kernel that is tuned, without a warm-up.
        MissingCapability: when it runs, for programs `program_target` refuses, and where a site's support depends on
            other sites, for which Pyro's runner has no place.

    >>> import deepgen as dg, pyro.distributions as law, pyro
    >>> from pyro.infer import MCMC
    >>> def model(y):
    ...     scale = pyro.sample("scale", law.LogNormal(0.0, 1.0))
    ...     pyro.sample("y", law.Normal(0.0, scale).expand([len(y)]).to_event(1), obs=y)
    >>> kernel = as_pyro_kernel(dg.samplers.mala, model, chains=16)
    >>> mcmc = MCMC(kernel, num_samples=50, warmup_steps=100, disable_progbar=True)
    >>> with dg.random.lend(dg.random.generator(0)):
    ...     mcmc.run(torch.tensor([1.0, -2.0, 0.5]))
    >>> mcmc.get_samples()["scale"].shape, bool((mcmc.get_samples()["scale"] > 0).all())
    (torch.Size([50, 16]), True)
    >>> mcmc.diagnostics()["exactness"]
    {'chain 0': 'exact'}
    """
    if chains is not None:
        check_count(chains=chains)
    if not callable(make):
        raise ArgumentError(
            f"make must be a function from a target to a kernel, such as dg.samplers.mala itself, got {make!r}"
        )
    return PyroKernel(make, model, chains, init)
