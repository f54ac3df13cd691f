"""What a run of chains is worth, as a table that a person can read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from deepgen.errors import unknown_name

ROWS = 20  # shown of a longer table
GOOD = 1.01  # R-hat up to which chains count as agreeing (Vehtari et al. 2021)
WORTH = 100  # effective draws asked for, of each of up to four groups of chains
FAR = 1e15  # a standard deviation that speaks of chains that have left, not of a target
DIVERGED = ("divergent", "diverging", "diverged", "divergence")
COUNTED = ("nan", *DIVERGED)  # of Info: told as numbers of steps, where all else is told as a rate


def ends(key: str, names: Sequence[str]) -> bool:
    """Whether a field of Info is one of ``names``, perhaps of a part of a cycle: ``local_divergent``.

    >>> ends("divergent", DIVERGED), ends("local_divergent", DIVERGED), ends("acceptance", DIVERGED)
    (True, True, False)
    """
    return key.rsplit("_", 1)[-1] in names


@dataclass(frozen=True, repr=False)
class Summary:
    """One row a coordinate: print it, or take a column: ``summary["r_hat"]`` (`UnknownName` of others).

    Attributes:
        name: of the variable, whose coordinates are ``x[0]``, ``x[0, 1]``; or a name for each row.
        columns: tensors ``[*event]`` in float64: ``mean``, ``sd``, ``mcse`` (of the mean), ``ess_bulk`` and
            ``ess_tail``, (``ess`` where only sums were kept), ``r_hat``, perhaps ``nested_r_hat``.
        facts: a sentence on what was run, and on acceptance, NaN, divergences and swaps.
        warnings: a sentence for each thing that is wrong; none where nothing was found.

    >>> import torch, deepgen as dg
    >>> kernel = dg.samplers.hmc(lambda x: -x.square().sum(-1) / 2)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(64, 2), draws=500, warmup=200, generator=0)
    >>> table = trace.summary()
    >>> print(table.facts)
    64 chains of 500 draws (warmup 200, thin 1), exact; acceptance 0...; no NaN; no divergences
    >>> print(str(table).splitlines()[0])
             mean      sd     mcse   ess_bulk   ess_tail   r_hat   nested_r_hat
    >>> table["ess_bulk"] > 5000, table.warnings
    (tensor([True, True]), ())
    """

    name: str | tuple[str, ...]
    columns: dict[str, Tensor]
    facts: str
    warnings: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> Tensor:
        if column not in self.columns:
            raise unknown_name("column", column, self.columns)
        return self.columns[column]

    def __len__(self) -> int:
        return self.columns["mean"].numel()

    @property
    def index(self) -> list[str]:
        """The coordinates' names, in the order of the rows."""
        return labels(self.name, self.columns["mean"].shape) if isinstance(self.name, str) else list(self.name)

    def __repr__(self) -> str:
        shown, names = self._shown(), self.index
        rows = [["", *self.columns]]
        flat = {column: values.flatten() for column, values in self.columns.items()}
        digits = [number.tolist() for number in flat.values()]
        for row in shown:
            error = flat["mcse"][row].item()
            rows.append([names[row], *(_written(c, v[row], error) for c, v in zip(flat, digits, strict=True))])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "   ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(cells))
            for cells in (list(zip(row, widths, strict=True)) for row in rows)
        ]
        if len(shown) < len(self):
            lines.append(f"the {len(shown)} of {len(self):,} coordinates with the largest R-hat")
        return "\n".join([*lines, self.facts, *(f"Warning: {sentence}" for sentence in self.warnings)])

    def _shown(self) -> list[int]:
        if len(self) <= ROWS:
            return list(range(len(self)))
        worst = self.columns["r_hat"].flatten().nan_to_num(-1.0).argsort(descending=True, stable=True)
        return worst[:ROWS].sort().values.tolist()


def labels(name: str, shape: Sequence[int]) -> list[str]:
    """What the coordinates of a variable of this shape are called, in order.

    >>> labels("x", (1, 2)), labels("x", ())
    (['x[0, 0]', 'x[0, 1]'], ['x'])
    """
    places = itertools.product(*map(range, shape))
    return [name + (f"[{', '.join(map(str, place))}]" if place else "") for place in places]


def summarise(
    columns: Mapping[str, Tensor], info: Mapping[str, Tensor], *, name: str | tuple[str, ...], run: str, chains: int
) -> Summary:
    """The `Summary` of ``columns``, and of the ``info`` per step: means ``[chains]`` (``nan``, divergences: sums)."""
    columns = {key: value.cpu() for key, value in columns.items()}
    table = Summary(name, columns, "; ".join([run, *_facts(info)]))
    return Summary(name, columns, table.facts, tuple(_warnings(table, info, chains)))


def _facts(info: Mapping[str, Tensor]) -> list[str]:
    facts = []
    taken = info.get("acceptance", info.get("accepted"))
    if taken is not None and taken.numel():
        low, high = taken.min().item(), taken.max().item()
        spread = f" ({low:.2f} to {high:.2f} over chains)" if high - low > 0.1 else ""
        facts.append(f"acceptance {taken.mean().item():.2f}{spread}")
    for key, value in info.items():
        if key.startswith("swap") and not bool(value.isnan().all()):
            known = value[~value.isnan()]
            low, high = known.min().item(), known.max().item()
            facts.append(f"{key.replace('_', ' ')} {known.mean().item():.2f} (lowest {low:.2f}, highest {high:.2f})")
    for names, what in ((("nan",), "NaN"), (DIVERGED, "divergences")):
        counts = [value for key, value in info.items() if ends(key, names)]
        if counts:
            facts.append(_count(sum(counts[1:], counts[0]), what))
    return facts


def _count(value: Tensor, what: str) -> str:
    total = int(value.sum())
    return f"{total:,} {what} in {int((value > 0).sum()):,} chains" if total else f"no {what}"


def _warnings(table: Summary, info: Mapping[str, Tensor], chains: int) -> list[str]:
    warnings, names, columns = [], table.index, table.columns
    shrink = columns["r_hat"].flatten()
    apart = int((shrink > GOOD).sum())
    if apart:
        worst = int(shrink.nan_to_num(-1.0).argmax())
        where = f"R-hat is above {GOOD} in {apart:,} of {len(table):,} coordinates "
        where += f"(worst {names[worst]}: {shrink[worst]:.3g})"
        nested = columns.get("nested_r_hat")
        if nested is not None and bool((nested.flatten() <= GOOD)[~shrink.isnan()].all()):
            warnings.append(f"{where}, while groups of chains agree (nested R-hat): the chains are short")
        else:
            warnings.append(f"{where}: the chains disagree, so their averages mislead; run longer or start elsewhere")
    asked = WORTH * min(chains, 4)
    for column in ("ess_bulk", "ess_tail", "ess"):
        size = columns[column].flatten() if column in columns else shrink[:0]
        few = int((size < asked).sum())
        if few:
            least = int(size.nan_to_num(math.inf).argmin())
            warnings.append(
                f"{column} is below {asked} in {few:,} of {len(table):,} coordinates (least {names[least]}: "
                f"{size[least]:.0f}): too few draws for averages and their errors"
            )
    lost = int(columns["mean"].isnan().sum())
    if lost:
        warnings.append(f"{lost:,} of {len(table):,} coordinates have draws that are NaN")
    far = int((columns["sd"] > FAR).sum())
    if far:
        warnings.append(
            f"{far:,} of {len(table):,} coordinates have run away, to a standard deviation of "
            f"{float(columns['sd'].nan_to_num(0.0).max()):.1e}: take a smaller step size"
        )
    still = int((columns["sd"] == 0).sum())
    if still:
        warnings.append(f"{still:,} of {len(table):,} coordinates never moved, which says nothing about mixing")
    if any(ends(key, ("nan",)) and bool(value.sum() > 0) for key, value in info.items()):
        warnings.append("some steps met a NaN (an exact kernel has rejected them): look at the log density there")
    if any(ends(key, DIVERGED) and bool(value.sum() > 0) for key, value in info.items()):
        warnings.append("some steps diverged: take a smaller step size, or parameters in which the target is rounder")
    return warnings


def _written(column: str, value: float, error: float) -> str:
    """A cell: R-hat to three places, ESS whole, the others as far as the MCSE lets one read."""
    if not math.isfinite(value):
        return str(value)
    if column.startswith("ess"):
        return f"{value:,.0f}"
    if column.endswith("r_hat"):
        return f"{value:.3f}"
    if column == "mcse":
        return f"{value:.2g}"
    scale = error if math.isfinite(error) and error > 0 else abs(value) / 1000
    places = -math.floor(math.log10(scale)) if scale > 0 else 0
    return f"{value:.{min(places, 12)}f}" if 0 <= places <= 12 and abs(value) < 1e9 else f"{value:.4g}"
