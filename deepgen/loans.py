"""torch's own global streams, which code that takes no generator draws from, and loans of them.

While one is lent a draw from it belongs to the lender, and afterwards it goes on as if nothing had been drawn.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from deepgen.errors import ArgumentError

_LOAN = threading.RLock()
_LENT: Counter[torch.device] = Counter()  # of `lend`: how many run
_KEPT: dict[torch.device, tuple[int, Tensor]] = {}  # of `reseeded`: how many run, and the state before the first


def default_generator(device: torch.device) -> torch.Generator:
    """torch's own global stream on ``device``.

    >>> default_generator(torch.device("cpu")) is torch.default_generator
    True
    """
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    raise ArgumentError(f"drawing from a Distribution under a generator is not supported on {device}")


def seeded(stream: torch.Generator, seed: int) -> torch.Generator:
    """``stream``, seeded with any of 64 bits.

    >>> seeded(torch.Generator(), 2**32 + 1).initial_seed() != seeded(torch.Generator(), 1).initial_seed()
    True
    """
    return stream.manual_seed(_fold(seed) if stream.device.type == "cpu" else seed)


def _fold(seed: int) -> int:
    """A seed of 32 bits: torch's CPU generator ignores the upper half of a longer one, so 1 and 2**32 + 1 would agree.

    Shorter seeds stay themselves; the others go through the finaliser of SplitMix64 (Steele, Lea & Flood 2014).
    """
    if seed < 2**32:
        return seed
    seed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    seed = (seed ^ seed >> 27) * 0x94D049BB133111EB % 2**64
    return (seed ^ seed >> 31) % 2**32


@contextmanager
def lend(generator: torch.Generator) -> Iterator[None]:
    """Lend ``generator`` to torch's global stream for the length of a ``with`` block.

    For code that takes no generator, such as torch's distributions and all of Pyro: it draws as ``generator`` would,
    which advances, and the global stream is then put back as it was. After an exception both are. A lock makes it safe
    between threads that call `lend` or `deepgen.random.draw`; a thread that uses the global stream directly meanwhile
    would share the loan.

    >>> with lend(torch.Generator().manual_seed(0)):
    ...     x = torch.rand(1)
    >>> x == torch.rand(1, generator=torch.Generator().manual_seed(0))
    tensor([True])
    """
    lender = default_generator(generator.device)
    if generator is lender:  # the caller's own choice, and nothing to put back
        yield
        return
    with _LOAN:
        mine = lender.get_state()
        _LENT[lender.device] += 1
        try:
            lender.set_state(generator.get_state())
            yield
            generator.set_state(lender.get_state())
        finally:
            _LENT[lender.device] -= 1
            lender.set_state(mine)


@contextmanager
def reseeded(seed: int, streams: Sequence[torch.Generator]) -> Iterator[None]:
    """Seed torch's global ``streams`` for the length of a ``with`` block, and put them back as they were after it.

    What torch's own layers draw in it, dropout above all, is then a function of ``seed``. It costs some microseconds.
    Unlike `lend` it holds no lock meanwhile, as a block may be long and wait for other threads: of blocks that run side
    by side in threads the last to end puts back what was before the first, and what they draw is no longer repeatable.

    >>> with reseeded(3, [torch.default_generator]):
    ...     x = torch.rand(1)
    >>> with reseeded(3, [torch.default_generator]):
    ...     print(x == torch.rand(1))
    tensor([True])
    """
    with _LOAN:
        for stream in streams:
            device = stream.device
            running, mine = _KEPT.get(device) or (0, stream.get_state())
            _KEPT[device] = running + 1, mine
            seeded(stream, seed)
    try:
        yield
    finally:
        with _LOAN:
            for stream in streams:
                running, mine = _KEPT[stream.device]
                if running > 1:
                    _KEPT[stream.device] = running - 1, mine
                else:
                    del _KEPT[stream.device]
                    stream.set_state(mine)


def borrowed(device: torch.device) -> torch.Generator | None:
    """torch's global stream on ``device`` while it is lent out, when a draw from it moves nobody's numbers; else None.

    >>> borrowed(torch.device("cpu")) is None
    True
    >>> with lend(torch.Generator().manual_seed(0)):
    ...     borrowed(torch.device("cpu")) is torch.default_generator
    True
    """
    if device.type not in ("cpu", "cuda"):
        return None
    found = default_generator(device)
    return found if _LENT[found.device] or found.device in _KEPT else None
