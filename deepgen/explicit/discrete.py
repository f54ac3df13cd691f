"""What autoregressive models of discrete variables share: mixtures over orders, and drawing by several methods.

    p(x) = 1/R sum over orders o of p_o(x),        p_o(x) = prod over places d of p(x_o(d) | x_o(1), ..., x_o(d-1))

A variable has the values 0 .. K-1 and its conditional law K - 1 logits, relative to the value 0: for K = 2 that is the
one logit of a Bernoulli. Values, logits and uniforms are feature-major inside, ``[features, batch]`` and
``[categories - 1, features, batch]``; the public methods take and give rows, of images ``[rows, *shape]`` (and take
them flat, too). With R = 1 order p is p_o; with several it is their mixture, whose probabilities (not their logarithms)
are averaged and which is normalised as they are.

A draw is the inverse distribution function at a uniform number (`completion.quantile`). The uniforms come first, so
every method of sampling gives the same rows for the same generator:

- ``incremental``: one walk through the variables that carries sums along, so that each weight is used once;
- ``jacobi``: whole passes x <- draw(conditionals(x), u) until nothing changes (`deepgen.transforms.fixed_point`);
- ``sequential``: D whole passes, the textbook way, for comparison;
- ``auto``: jacobi on an accelerator, where a short step costs its launch, and for few rows where that pays; else
  incremental.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import check_count, is_whole, unknown_name
from deepgen.explicit.completion import Steps, complete, log_mass, quantile, refuse_late, walk
from deepgen.explicit.contexts import check_context, check_pair, each_context
from deepgen.explicit.flow import Drawn
from deepgen.explicit.rows import flat_rows, mask_of
from deepgen.explicit.units import Bernoulli, check_levels, check_values
from deepgen.random import resolve
from deepgen.transforms.base import METHODS
from deepgen.transforms.fixed_point import fixed_point


class DiscreteAutoregressive(nn.Module, ABC):
    """Base of `MADE`, `NADE`, `DeepNADE` and the PixelCNNs, which add `conditionals` and `steps` for a given order.

    ``shape`` is the number of variables, or the shape of an image.
    """

    orders: Tensor  # [R, features], which variable stands at which place
    _orders: list[list[int]]  # the same, where asking for it does not wait for an accelerator
    _arguments: dict[str, Any]
    bias: Tensor
    few_rows = 0  # so many rows "auto" draws by sweeps on a CPU too

    def __init__(self, shape: int | Sequence[int], categories: int = 2, context: int = 0) -> None:
        super().__init__()
        sides = [shape] if is_whole(shape) else list(shape)
        for side in sides:
            check_count(features=side)
        check_count(2, categories=categories)
        check_count(0, context=context)
        self.features, self.categories, self.context = math.prod(map(int, sides)), int(categories), int(context)
        self.event_shape = torch.Size(map(int, sides))
        self.register_load_state_dict_post_hook(_list_orders)

    @abstractmethod
    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""

    @abstractmethod
    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> Steps:
        """The start of a walk for ``batch`` rows."""

    def walk(
        self,
        order: Sequence[int],
        context: Tensor | None,
        uniform: Tensor,
        known: Tensor | None = None,
        mask: Tensor | None = None,
        skip: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """`completion.walk` through the variables, which some models have compiled."""
        return walk(order, self.steps(uniform.shape[1], context, order), uniform, known, mask, skip)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`; orders are saved with the weights."""
        return self._arguments

    @property
    def output_bias(self) -> Tensor:
        """The logits' biases, ``[categories - 1, features]`` by variable: ``bias``, or a view of another parameter."""
        return self.bias

    @property
    def device(self) -> torch.device:
        return self.orders.device

    @property
    def support(self) -> Any:
        """Where the mass lives: vectors, or images, of integers from 0 to categories - 1."""
        return constraints.independent(constraints.integer_interval(0, self.categories - 1), len(self.event_shape))

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are rows ``[n, *shape]`` of values 0 .. categories - 1.

        Rows with a context come as a pair.
        """
        rows, context = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        self._check_values(flat_rows(rows, self.event_shape, "data"))
        check_pair(context, self.context, len(rows))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> DiscreteAutoregressive:
        """Set the output biases to the base rates of ``x`` ``[rows, *shape]``, smoothed by one row spread evenly."""
        x = flat_rows(x, self.event_shape, "data")
        self._check_values(x)
        values = torch.arange(self.categories, device=x.device)
        rate = torch.stack([(x == value).sum(0) for value in values]) + 1 / self.categories
        self.output_bias.copy_((rate[1:] / rate[0]).log())
        return self

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | context) in nats, of the mixture over the orders: ``[batch, *shape] -> [batch]``."""
        return self._log_prob_in(x, context, self._orders)

    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` independent exact draws ``[n, *shape]``, one for each row of ``context`` or all for one."""
        return self._draw(n, context, method, generator)[0].t().reshape(n, *self.event_shape)

    def draw(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Drawn:
        """Draws with their log-probability, and the sweeps of each order (None where it was not swept)."""
        context = each_context(context, self.context, n)
        x, log_p, sweeps = self._draw(n, context, method, generator)
        rows = x.t().reshape(n, *self.event_shape)
        with torch.no_grad():
            return Drawn(rows, log_p.sum(0) if len(self.orders) == 1 else self.log_prob(rows, context), sweeps)

    @torch.no_grad()
    def conditional_sample(
        self,
        known: Tensor,
        mask: Tensor,
        context: Tensor | None = None,
        *,
        particles: int | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Complete rows: entries of ``known`` under ``mask`` stay, the others are drawn given them.

        Exact where the known variables come before the unknown ones in every order, as an upper part of an image does
        (with several orders, one is drawn by its posterior probability). Otherwise see `deepgen.explicit.completion`.

        Args:
            known: ``[rows, *shape]``; entries not under ``mask`` are ignored and may be NaN.
            mask: boolean ``[*shape]`` or ``[rows, *shape]``, True where the value is known.
            context: one row for each row of ``known``.
            particles: walks for each row and order, needed where known variables come after unknown ones.
            generator: a generator, a seed, or None for fresh entropy.

        Raises:
            ShapeError, SupportError: ``known`` or ``mask`` has another shape, or a known value is impossible.
            ArgumentError: ``particles`` are needed and not given.

        Warns:
            DegenerateWeights: in half of the rows fewer than 2 particles count.
        """
        if particles is not None:
            check_count(particles=particles)
        known, mask, context = self._known(flat_rows(known, self.event_shape, "known"), mask, context)
        known = torch.where(mask, known.to(self.output_bias), 0)
        self._check_values(known)
        stream, out = resolve(generator, self.device), torch.empty_like(known)
        for rows, orders in self._plan(mask):
            part = None if context is None else context[rows]
            out[rows] = complete(self.walk, known[rows], mask[rows], part, orders, particles, stream)
        return out.view(-1, *self.event_shape)

    def conditional_log_prob(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(unknown variables | known ones) in nats: ``[batch, *shape]`` or flat rows ``-> [batch]``.

        It is the log-probability of what `conditional_sample` draws without ``particles``: the terms of the unknown
        variables, where these come last in every order. (With several orders, those of the mixture's posterior.)

        Args:
            x: complete rows.
            mask: boolean ``[*shape]`` or ``[batch, *shape]``, True where the variable is given.
            context: one row for each row of ``x``.

        Raises:
            ArgumentError: a given variable comes after another one in some order: the sum over the latter is not known.
        """
        x, mask, context = self._known(self._looked_at(x), mask, context)
        values, out = self._rows(x), self.output_bias.new_empty(len(x))
        for rows, orders in self._plan(mask):
            part, given = None if context is None else context[rows], mask[rows].t()
            refuse_late(given, orders, "so p(unknown | known) is not a product of the model's own terms")
            each = [log_mass(self.conditionals(values[:, rows], part, o), values[:, rows]) for o in orders]
            joint, known = torch.stack([torch.stack([e.sum(0), (e * given).sum(0)]) for e in each]).logsumexp(0)
            out = out.index_put((rows,), joint - known)
        return out

    def extra_repr(self) -> str:
        passes, d = len(self.orders), self.features
        return (
            f"log_prob: {passes} network {'pass' if passes == 1 else 'passes'}; "
            f"sample: 1 walk through {d} variables, or up to {d} network passes"
        )

    def _plan(self, mask: Tensor) -> Iterator[tuple[Tensor, list[list[int]]]]:
        """Which rows are completed in which orders."""
        yield torch.arange(len(mask), device=mask.device), self._orders

    @torch.no_grad()
    def _draw(
        self, n: int, context: Tensor | None, method: str, generator: torch.Generator | int | None
    ) -> tuple[Tensor, Tensor, tuple[int | None, ...]]:
        check_count(n=n)
        context = self._like(each_context(context, self.context, n))
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        stream, orders = resolve(generator, self.device), self._orders
        uniform = self.output_bias.new_empty(n, self.features).uniform_(generator=stream).t().contiguous()
        choice = torch.randint(len(orders), (n,), generator=stream, device=self.device) if len(orders) > 1 else None
        x, log_p, sweeps = torch.empty_like(uniform), torch.empty_like(uniform), []
        for i, order in enumerate(orders):
            mine = slice(None) if choice is None else (choice == i).nonzero().squeeze(1)
            part = None if context is None else context[mine]
            x[:, mine], log_p[:, mine], count = self._draw_in(order, uniform[:, mine], part, method)
            sweeps.append(count)
        return x, log_p, tuple(sweeps)

    def _draw_in(
        self, order: list[int], uniform: Tensor, context: Tensor | None, method: str
    ) -> tuple[Tensor, Tensor, int | None]:
        if method == "auto":
            sweep = uniform.device.type != "cpu" or uniform.shape[1] <= self.few_rows
            method = "jacobi" if sweep else "incremental"
        if method == "incremental" or uniform.shape[1] == 0:
            return *self.walk(order, context, uniform), None

        def again(x: Tensor) -> Tensor:
            return quantile(self.conditionals(x, context, order), uniform)

        x, sweeps = fixed_point(again, torch.zeros_like(uniform), self.features, 0.0 if method == "jacobi" else None)
        return x, log_mass(self.conditionals(x, context, order), x), sweeps

    def _log_prob_in(self, x: Tensor, context: Tensor | None, orders: list[list[int]]) -> Tensor:
        x = self._looked_at(x)
        check_context(context, self.context, len(x))
        rows, context = self._rows(x), self._like(context)
        each = [log_mass(self.conditionals(rows, context, order), rows).sum(0) for order in orders]
        return each[0] if len(each) == 1 else torch.stack(each).logsumexp(0) - math.log(len(each))

    def _keep(self, orders: Tensor) -> None:
        self.register_buffer("orders", orders)
        self._orders = orders.tolist()

    def _rows(self, x: Tensor) -> Tensor:
        return x.to(self.output_bias.dtype).t().contiguous()

    def _like(self, context: Tensor | None) -> Tensor | None:
        return None if context is None else context.to(self.output_bias.dtype)

    def _looked_at(self, x: Any) -> Tensor:
        """Flat rows of values, which are not looked at where the host would wait, nor where a gradient is asked for."""
        x = flat_rows(x, self.event_shape, "x")
        if x.device.type == "cpu" and not x.requires_grad:
            self._check_values(x)
        return x

    def _known(self, x: Tensor, mask: Any, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Flat rows, their mask ``[rows, features]`` and context, if they fit together."""
        if isinstance(mask, Tensor) and mask.ndim > 1:  # an image's, or one for each row
            mask = mask.flatten() if mask.shape == self.event_shape else flat_rows(mask, self.event_shape, "mask")
        check_context(context, self.context, len(x))
        return x, mask_of(mask, x).to(self.device), self._like(context)

    def _check_values(self, x: Tensor) -> None:
        if self.categories == 2:
            check_values(Bernoulli(self.features), x, "data")
            return
        check_levels(x, self.categories)


def _list_orders(model: DiscreteAutoregressive, _: Any) -> None:
    model._orders = model.orders.tolist()
