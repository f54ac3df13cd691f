"""One contract for everything that draws: its numbers are a function of the generator and of nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepgen.random import generator as seeded
from deepgen.random import resolve
from deepgen.testing.failure import demand


def check_random(
    draw: Callable[..., Any],
    *,
    seeds: bool = True,
    generator: torch.Generator | int | None = None,
) -> None:
    """Check the randomness of ``draw(generator=g)``.

    The same seed gives the same numbers, bit for bit; another seed gives others; a generator advances, so that a second
    call differs; and the global streams of torch, numpy and Python neither move nor matter.

    Args:
        draw: called with the keyword ``generator``; returns numbers, tensors, or containers or dataclasses of them.
        seeds: ``draw`` takes an int as well, and it means the same as a generator of that seed.
        generator: where the seeds come from: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken part of the contract.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=8, hidden=2, generator=0)
    >>> check_random(lambda generator: rbm.sample(4, steps=1, generator=generator))
    """
    one, two = torch.randint(2**31, (2,), generator=resolve(generator)).tolist()
    globals_before = _global_streams()
    stream = seeded(one)
    moment = stream.get_state()
    first = _numbers(draw(generator=stream))
    demand(not torch.equal(stream.get_state(), moment), "the generator did not advance")
    later = _numbers(draw(generator=stream))
    demand(_unchanged(globals_before), "a global random stream (torch, numpy or Python) moved")
    demand(first, "nothing was drawn: expected tensors or numbers in what came back")
    demand(not _same(first, later), "a second call with the same generator repeated the numbers of the first")
    demand(not _same(first, _numbers(draw(generator=seeded(two)))), f"seeds {one} and {two} gave the same numbers")
    with _other_global_streams():
        again = _numbers(draw(generator=seeded(one)))
    demand(_same(first, again), f"seed {one} gave other numbers the second time")
    if seeds:
        demand(_same(first, _numbers(draw(generator=one))), f"generator={one} and a generator of that seed disagree")
    demand(_unchanged(globals_before), "a global random stream (torch, numpy or Python) moved")


def numbers(value: Any) -> Iterator[Tensor]:
    """Every number in tensors, arrays, numbers, and containers and dataclasses of them, in order.

    >>> list(numbers({"a": [1.5, torch.ones(2)], "b": "text"}))
    [tensor(1.5000, dtype=torch.float64), tensor([1., 1.])]
    """
    if isinstance(value, Tensor):
        yield value.detach().cpu().clone()
    elif isinstance(value, np.ndarray):
        yield torch.as_tensor(value.copy())
    elif isinstance(value, (bool, int, float)):
        yield torch.tensor(value, dtype=torch.float64)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, torch.nn.Module):
        yield from numbers(value.state_dict())
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from numbers(getattr(value, field.name))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for item in value:
            yield from numbers(item)


def _numbers(value: Any) -> list[Tensor]:
    return list(numbers(value))


def _same(first: list[Tensor], second: list[Tensor]) -> bool:
    if [x.shape for x in first] != [x.shape for x in second]:
        return False
    return all(torch.equal(a.nan_to_num(1e30), b.nan_to_num(1e30)) for a, b in zip(first, second, strict=True))


def _global_streams() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002  (the legacy stream is the global one)


def _unchanged(before: tuple[Tensor, Any, Any]) -> bool:
    now = _global_streams()
    same_numpy = all(np.array_equal(a, b) for a, b in zip(before[1], now[1], strict=True))
    return torch.equal(before[0], now[0]) and same_numpy and before[2] == now[2]


class _other_global_streams:
    """For a while the global streams are elsewhere: numbers that come from them will differ."""

    def __enter__(self) -> None:
        self.before = _global_streams()
        torch.set_rng_state(seeded(20_111).get_state())
        np.random.set_state(np.random.RandomState(20_111).get_state())  # noqa: NPY002
        random.setstate(random.Random(20_111).getstate())

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self.before[0])
        np.random.set_state(self.before[1])  # noqa: NPY002
        random.setstate(self.before[2])
