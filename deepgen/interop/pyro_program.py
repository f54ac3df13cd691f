"""A Pyro program as a target: its latent sites as one flat, unconstrained position a chain, all chains in one call.

    log f(z) = log p(x(z), y) + sum over latent sites s of log |d x_s / d z_s|,      x_s = T_s(z_s)

z ``[chains, D]`` holds the sites in the order the program reaches them. T_s is `torch.distributions.biject_to` of the
site's support as it is when the program arrives there, so a support may depend on the sites before it. y are the
observed sites and factors, in plates, scaled and masked as the program says.

The program runs once, under `torch.func.vmap`, for all chains together. One that cannot (a Python ``if`` on a latent
value, NumPy, an observed Multinomial or OrderedLogistic of torch) runs chain after chain, with a warning. Prior times
Jacobian is the target's ``reference`` where every latent site has a proper and unscaled law, so tempering gives log
p(y).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer.autoguide.initialization import InitMessenger
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.func import vmap
from torch.utils._pytree import tree_map

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count
from deepgen.interop.pyro_pass import Pass, bijection_of
from deepgen.random import lend_everywhere
from deepgen.samplers.target import Target

TRIES = 100  # draws of a starting point before giving up
CHUNK = 4096  # positions whose sites are found at once


class ProgramTarget(Target):
    """The target of `program_target`.

    Attributes:
        shapes: of the latent sites' unconstrained parts, by name, in the order of the position.
        size: D.
        batched: whether the program runs once for all chains.
    """

    shapes: dict[str, torch.Size]
    size: int
    batched: bool

    __hash__, __eq__ = object.__hash__, object.__eq__

    def __init__(self, model: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.model, self.args, self.kwargs = model, args, dict(kwargs)
        with lend_everywhere(0):  # what is drawn here shows shapes only, and is nobody's randomness
            first = self._run(Pass())
            if not first.sites:
                raise MissingCapability("the program has no latent site to sample: every pyro.sample is observed")
            self.shapes = {name: part.shape for name, part in first.parts.items()}
            self.size = sum(math.prod(shape) for shape in self.shapes.values())
            self.batched, self._trial = False, self._drawn(2)
            super().__init__(self._whole, reference=_Prior(self) if first.proper else None)
            self._try(self._trial)

    def _try(self, x: Tensor) -> None:
        """Set ``batched``, after a comparison with chain after chain."""
        expected, again = self.slope(x), self.value(x)
        if not torch.allclose(expected[0], again, equal_nan=True):
            raise MissingCapability(
                "the program gives one position two densities: everything random in it must be a pyro.sample site "
                "that its handlers do not hide"
            )
        self.batched, trouble = True, "other numbers than one by one"
        try:
            found = self.slope(x)
        except Exception as error:  # whatever the program makes of a batch that it cannot see
            found, trouble = None, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if found is None or not all(
            torch.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True) for a, b in zip(found, expected, strict=True)
        ):
            self.batched = False
            warnings.warn(
                f"this program cannot run for all chains at once, so they run one after another, which takes as many "
                f"times as long (torch.func.vmap gave {trouble})",
                stacklevel=4,
            )

    def begin(
        self,
        chains: int,
        *,
        init: Callable[..., Any] | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Starting points ``[chains, D]`` of finite density and gradient: draws from the prior, which are far apart.

        Args:
            chains: how many.
            init: one of Pyro's strategies, such as ``pyro.infer.autoguide.initialization.init_to_uniform``.
            generator: a generator, a seed, or None for fresh entropy.

        Raises:
            ArgumentError: a hundred draws for one chain had no finite density.
        """
        check_count(chains=chains)
        with lend_everywhere(generator):
            x = self._drawn(chains, init)
            for _ in range(TRIES):
                value, gradient = self.slope(x)
                poor = ~(value.isfinite() & gradient.isfinite().all(1))
                if not bool(poor.any()):
                    return x
                x[poor] = self._drawn(int(poor.sum()), init)
        raise ArgumentError(
            f"{TRIES} draws for one starting point had a density or a gradient that is not finite: give init=, such as "
            "pyro.infer.autoguide.initialization.init_to_uniform, or look for sites that rule one another out"
        )

    @torch.no_grad()
    def unflatten(self, position: Tensor) -> dict[str, Tensor]:
        """The sites by name, constrained: ``[..., D] -> {name: [..., *shape]}``; those of `pyro.deterministic` follow.

        `Trace.summary` and `Trace.to_arviz` take it, and ``pyro.infer.Predictive`` takes what it gives of ``[draws,
        D]``.
        """
        self._check(position)

        def one(z: Tensor) -> dict[str, Tensor]:
            found = self._run(Pass(self.parts(z)))
            return {**{name: found.values[name] for name in self.shapes}, **found.derived}

        return self._rows(one, position, position.shape[:-1])

    @torch.no_grad()
    def flatten(self, sites: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `unflatten`, ``{name: [..., *shape]} -> [..., D]``; names that are not sampled are ignored.

        Raises:
            ShapeError: a site is missing or of another shape.
        """
        inside = self.unflatten(self._trial[0])
        lead: torch.Size | None = None
        kept = {}
        for name in self.shapes:
            value, shape = sites.get(name), inside[name].shape
            fits = value is not None and value.shape[value.ndim - len(shape) :] == shape
            if value is None or not fits or lead not in (None, value.shape[: value.ndim - len(shape)]):
                got = None if value is None else list(value.shape)
                raise ShapeError(f"{name} must be {list(lead or ['...'])} + {list(shape)}, got {got}")
            lead = value.shape[: value.ndim - len(shape)]
            kept[name] = value.detach().reshape(-1, *shape)
        assert lead is not None  # of at least one site
        return self._rows(lambda row: self.join(self._run(Pass(values=row)).parts), kept, lead)

    def parts(self, position: Tensor) -> dict[str, Tensor]:
        """A position by sites, not constrained: ``[..., D] -> {name: [..., *shape]}``, as in Pyro's own kernels."""
        self._check(position)
        lead, sizes = position.shape[:-1], [math.prod(shape) for shape in self.shapes.values()]
        pieces = position.split(sizes, -1)
        return {name: piece.reshape(lead + s) for (name, s), piece in zip(self.shapes.items(), pieces, strict=True)}

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `parts`."""
        flat = []
        for name, shape in self.shapes.items():
            part = parts.get(name)
            if part is None or part.shape[part.ndim - len(shape) :] != shape:
                got = None if part is None else list(part.shape)
                raise ShapeError(f"{name}, unconstrained, must be [..., *{list(shape)}], got {got}")
            flat.append(part.reshape(*part.shape[: part.ndim - len(shape)], -1))
        return torch.cat(flat, -1)

    def transforms(self) -> dict[str, Any]:
        """For each site Pyro's transform, from its support to the real numbers.

        Raises:
            MissingCapability: a support depends on other sites, so no one transform will do.
        """
        here, there = (self._run(Pass(self.parts(z))) for z in self._trial)
        found = {}
        for name, law in here.sites.items():
            bijection = bijection_of(name, law)
            if not torch.allclose(bijection(there.parts[name]), there.values[name], rtol=1e-4):
                raise MissingCapability(
                    f"the support of site {name} depends on other sites, for which Pyro's MCMC has no place: take "
                    "program_target and dg.samplers.sample_chain, which do it right"
                )
            found[name] = bijection.inv
        return found

    def _check(self, position: Tensor) -> None:
        if position.shape[-1:] != (self.size,):
            raise ShapeError(f"positions of this program are [..., {self.size}], got {list(position.shape)}")

    def _run(self, run: Pass, init: Callable[..., Any] | None = None) -> Pass:
        model = self.model if init is None else InitMessenger(init)(self.model)
        with poutine.block(), run:
            model(*self.args, **self.kwargs)
        if not run.drawn and len(run.sites) != len(self.shapes):
            raise MissingCapability(
                f"sites {sorted(set(self.shapes) - set(run.sites))} are not reached in every run of the program, and "
                "positions need a fixed set"
            )
        return run

    def _drawn(self, rows: int, init: Callable[..., Any] | None = None) -> Tensor:
        with torch.no_grad():
            return torch.stack([self.join(self._run(Pass(), init).parts) for _ in range(rows)])

    def _rows(self, one: Callable[[Any], Any], tree: Any, lead: torch.Size) -> Any:
        """``one`` of every row of ``tree``, whose axes ``lead`` are one row each."""
        tree = tree_map(lambda x: x.reshape(-1, *x.shape[1:] if isinstance(tree, dict) else x.shape[-1:]), tree)
        found = self._each(one, tree, chunk=CHUNK)
        return tree_map(lambda x: x.reshape(lead + x.shape[1:]), found)

    def _each(self, one: Callable[[Any], Any], tree: Any, chunk: int | None = None) -> Any:
        with pyro.validation_enabled(False):  # checks ask for values, which a batch hides, and stop at a NaN
            if self.batched:
                return vmap(one, chunk_size=chunk)(tree)
            count = len(tree) if isinstance(tree, Tensor) else len(next(iter(tree.values())))
            rows = [one(tree_map(lambda x, i=i: x[i], tree)) for i in range(count)]
            return tree_map(lambda *parts: torch.stack(parts), *rows)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log prior with Jacobian, and log-likelihood, of positions ``[chains, D]``."""

        def one(z: Tensor) -> tuple[Tensor, Tensor]:
            run = self._run(Pass(self.parts(z)))
            return run.prior, run.likelihood

        return self._each(one, x)

    def _whole(self, x: Tensor) -> Tensor:
        prior, likelihood = self._scores(x)
        return prior + likelihood


class _Prior(Distribution):
    """The program without its observations, over unconstrained positions ``[D]``."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    support = constraints.real_vector

    def __init__(self, program: ProgramTarget) -> None:
        self.program = program
        super().__init__(torch.Size(), torch.Size([program.size]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        lead = value.shape[:-1]
        return self.program._scores(value.reshape(-1, self.program.size))[0].reshape(lead)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        return self.program._drawn(shape.numel()).reshape(*shape, self.program.size)


def program_target(model: Callable[..., Any], *args: Any, **kwargs: Any) -> ProgramTarget:
    """The posterior of a Pyro program as a `Target` for any kernel: positions ``[chains, D]``, all real.

    Args:
        model: a program whose latent sites are continuous and the same in every run.
        args, kwargs: what it is called with, its data.

    Raises:
        MissingCapability: a latent site is discrete or on a support without a bijection, a plate is subsampled, or
            something else is random.

    Warns:
        UserWarning: the program cannot run for all chains at once.

    A program that raises an error where its density does not exist (a covariance that is not positive, say) stops all
    chains; one that gives NaN or -inf has the step rejected.

    >>> import deepgen as dg, pyro.distributions as law
    >>> def coin(heads, tosses):
    ...     p = pyro.sample("p", law.Beta(2.0, 2.0))
    ...     pyro.sample("heads", law.Binomial(tosses, p), obs=heads)
    >>> target = program_target(coin, torch.tensor(7.0), 10)
    >>> kernel = dg.samplers.mala(target)
    >>> trace = dg.samplers.sample_chain(kernel, target.begin(64, generator=0), 200, warmup=200, generator=0)
    >>> target.unflatten(trace.draws)["p"].shape
    torch.Size([200, 64])
    >>> abs(trace.summary(target.unflatten)["mean"].item() - 9 / 14) < 0.01
    True
    """
    return ProgramTarget(model, args, kwargs)
