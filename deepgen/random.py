"""Explicit randomness: every draw in deepgen comes from a `torch.Generator` that the caller hands in.

Nothing here, and nothing that uses it, moves torch's global stream.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, is_whole
from deepgen.loans import borrowed, default_generator, lend, reseeded, seeded
from deepgen.streams import Streams

__all__ = [
    "Streams",
    "borrowed",
    "categorical",
    "common",
    "default_generator",
    "draw",
    "generator",
    "key",
    "lend",
    "lend_everywhere",
    "normal",
    "on_host",
    "reseeded",
    "resolve",
    "sequential",
    "shared",
    "spawn",
    "streams",
    "uniform",
]


def generator(seed: int | None = None, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator on ``device`` seeded with ``seed``, or with fresh entropy when it is None.

    >>> torch.rand(1, generator=generator(0)) == torch.rand(1, generator=generator(0))
    tensor([True])
    """
    given: object = secrets.randbits(64) if seed is None else seed
    if not is_whole(given) or not 0 <= given < 2**64:
        raise ArgumentError(f"seed must be an integer in [0, 2**64) or None, got {seed!r}")
    return seeded(torch.Generator(device=device), int(given))


def resolve(source: torch.Generator | int | None, device: torch.device | str = "cpu") -> torch.Generator:
    """Turn what callers pass as ``generator=`` (a generator, a seed, or None for fresh entropy) into a generator.

    Raises:
        ArgumentError: a generator of another device type, whose numbers could not be drawn on ``device``.

    >>> stream = generator(3)
    >>> resolve(stream) is stream, resolve(3).initial_seed()
    (True, 3)
    """
    device = torch.device(device)
    if isinstance(source, torch.Generator):
        if source.device.type != device.type:
            raise _elsewhere(source, "tensors", device)
        return source
    return generator(source, device)


def on_host(source: torch.Generator | int | None) -> torch.Generator:
    """`resolve` on the CPU for what is drawn there whatever the data's device: one of another device gives a seed.

    >>> stream = generator(3)
    >>> on_host(stream) is stream
    True
    """
    away = isinstance(source, torch.Generator) and source.device.type != "cpu"
    return generator(key(source)) if away else resolve(source)  # type: ignore[arg-type]  # a generator


@contextmanager
def lend_everywhere(source: torch.Generator | int | None) -> Iterator[None]:
    """`lend` to the CPU's global stream, and to CUDA's where in use: that of the other device is seeded by ``source``.

    >>> with lend_everywhere(0):
    ...     x = torch.rand(1)
    >>> x == torch.rand(1, generator=generator(0))
    tensor([True])
    """
    host = on_host(source)
    with ExitStack() as stack:
        if torch.cuda.is_initialized():
            away = source if isinstance(source, torch.Generator) and source is not host else None
            stack.enter_context(lend(generator(key(host), "cuda") if away is None else away))
        stack.enter_context(lend(host))
        yield


def _device(generator: torch.Generator) -> torch.device:
    """Where the numbers of a generator are made; a seed is none, as it would give the same numbers at every call."""
    if not isinstance(generator, torch.Generator):
        raise ArgumentError(
            f"generator must be a torch.Generator, got {generator!r}: deepgen.random.generator(seed) makes one"
        )
    return generator.device


def _elsewhere(source: torch.Generator, what: str, device: torch.device) -> ArgumentError:
    return ArgumentError(
        f"the generator lives on {source.device}, the {what} on {device}: "
        f"make one with deepgen.random.generator(seed, device={str(device)!r})"
    )


def streams(source: torch.Generator | int | None, device: torch.device | str = "cpu") -> Streams:
    """What chains draw from: `Streams` as they are; of any other source new ones, whose seed it gives.

    >>> torch.equal(streams(3).uniform((2, 2)), streams(generator(3)).uniform((2, 2)))
    True
    """
    source = resolve(source, device)
    return source if isinstance(source, Streams) else Streams(key(source), device=device)


def spawn(parent: torch.Generator, count: int) -> list[torch.Generator]:
    """Return ``count`` children with different seeds, drawn from ``parent`` (which moves on).

    >>> first, second = spawn(generator(0), 2)
    >>> torch.rand(1, generator=first) == torch.rand(1, generator=second)
    tensor([False])
    """
    # In order, each once: among 32-bit seeds 10,000 random ones hold a pair once in 86 times.
    seeds: dict[int, None] = {}
    while len(seeds) < count:
        fresh = torch.randint(2**32, (count - len(seeds),), generator=parent, device=parent.device, dtype=torch.int64)
        seeds.update(dict.fromkeys(fresh.tolist()))
    return [generator(seed, parent.device) for seed in seeds]


def key(generator: torch.Generator) -> int:
    """Return a number drawn uniformly from 0 to 2**63 - 1, which a compiled kernel seeds a stream of its own with.

    >>> stream = generator(0)
    >>> key(stream) != key(stream), key(generator(1)) == key(generator(1))
    (True, True)
    """
    return int(torch.empty((), dtype=torch.int64, device=_device(generator)).random_(generator=generator))


def draw(
    distribution: torch.distributions.Distribution,
    shape: Sequence[int] = (),
    *,
    generator: torch.Generator,
    reparametrised: bool = False,
) -> Tensor:
    """Draw from any `torch.distributions.Distribution` under ``generator``.

    torch's distributions sample from the global stream and take no generator: `lend` lets every one of them work,
    third-party ones included, and leaves the caller's own global numbers untouched.

    Args:
        distribution: what to sample.
        shape: the sample shape, as in ``distribution.sample(shape)``.
        generator: the source of randomness; it advances.
        reparametrised: by ``rsample``, with gradients, instead of ``sample``.

    Raises:
        ArgumentError: the law's parameters are on devices of another type, whose own stream it would draw from.

    >>> draw(torch.distributions.Gamma(2.0, 1.0), (3,), generator=generator(0)).shape
    torch.Size([3])
    """
    devices, here = {device.type: device for device in _devices(distribution)}, _device(generator)
    if devices and here.type not in devices:
        raise _elsewhere(generator, "law's parameters", next(iter(devices.values())))
    method = distribution.rsample if reparametrised else distribution.sample
    with lend(generator):
        sample: Tensor = method(torch.Size(shape))
    return sample


def _devices(law: torch.distributions.Distribution) -> Iterator[torch.device]:
    """Where the parameters of a law lie, and those of laws in it; of a law that keeps them elsewhere, none."""
    for value in vars(law).values():
        if isinstance(value, Tensor):
            yield value.device
        elif isinstance(value, torch.distributions.Distribution):
            yield from _devices(value)


def uniform(shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers between 0 and 1 on the generator's device, ``[chains, ...]``: one stream a chain if it is a `Streams`.

    >>> uniform((2, 3), generator=generator(0)).shape
    torch.Size([2, 3])
    """
    if isinstance(generator, Streams):
        return generator.uniform(shape, dtype)
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device=_device(generator))


def normal(shape: Sequence[int], *, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers on the generator's device, ``[chains, ...]``: one stream a chain if it is a `Streams`.

    >>> normal((2, 3), generator=generator(0)).shape
    torch.Size([2, 3])
    """
    if isinstance(generator, Streams):
        return generator.normal(shape, dtype)
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device=_device(generator))


def categorical(logits: Tensor, *, generator: torch.Generator, draws: int | None = None) -> Tensor:
    """Numbers k drawn with probability softmax(logits)_k, by one uniform number each.

    Args:
        logits: ``[chains, ..., categories]``, up to a constant; in nats.
        generator: one stream a chain if it is a `Streams`.
        draws: how many from each row, with replacement; None: one, without an axis for it.

    Returns:
        int64 ``[chains, ...]``, or ``[chains, ..., draws]``.

    >>> categorical(torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]), generator=generator(0), draws=3)
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    mass = (logits - logits.amax(-1, keepdim=True)).exp()
    reached = mass.cumsum(-1, dtype=torch.float64)  # so that rare ones among many are not rounded away
    shape = (*logits.shape[:-1], 1 if draws is None else draws)
    level = uniform(shape, generator=generator, dtype=torch.float64) * reached[..., -1:]
    index = torch.searchsorted(reached, level).clamp_max(logits.shape[-1] - 1)  # beyond the last where there is a NaN
    return index.squeeze(-1) if draws is None else index


def common(generator: torch.Generator) -> float:
    """One number between 0 and 1 for all chains together, known to the host (which waits for a device's generator)."""
    if isinstance(generator, Streams):
        return generator.common()
    return float(torch.rand((), generator=generator, dtype=torch.float64, device=_device(generator)))


def sequential(generator: torch.Generator) -> torch.Generator:
    """A new generator for code that draws the numbers of all chains one after another, such as torch's distributions.

    It is seeded from ``generator`` (whose host waits for a device), so what is drawn repeats with the seed and does not
    depend on what torch's own functions have drawn before. Of `Streams` other chains, as of another block of a run,
    get another generator: what they draw is independent.

    >>> one, other = sequential(Streams(7)), sequential(Streams(7, first=4))
    >>> torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=other))
    False
    """
    if isinstance(generator, Streams):
        return generator.sequential()
    return torch.Generator(_device(generator)).manual_seed(int(common(generator) * 2**32))


def shared(count: int, *, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """``[count]`` numbers between 0 and 1 for all chains together, on the generator's device, which nobody waits for.

    >>> torch.equal(shared(3, generator=Streams(1)), shared(3, generator=Streams(1, first=5)))
    True
    """
    if isinstance(generator, Streams):
        return generator.shared(count, dtype)
    return torch.rand(count, generator=generator, dtype=dtype, device=_device(generator))
