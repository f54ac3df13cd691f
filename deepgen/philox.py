"""Philox4x32-10 in tensor operations, for devices without compiled kernels; the kernels' reference.

    words(chain, call, block) = Philox4x32-10(counter = (block, chain, call), key = seed),      four words of 32 bits

On an accelerator every operation is a launch and a pass through memory, so there are few: the first rounds, whose
counters differ along one axis only, are done on that axis; in the others the halves of a product are read where they
lie, as the int32 of an int64, without shifts and masks: six operations a round instead of twelve. Words of several
calls are made together where they are small (`Streams`).

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
NARROW = 3  # rounds after which all words differ along all axes
LOW, HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
LAST = 1 - 2.0**-24  # below 1: the middle of the last interval, 1 - 2**-25, would be rounded to 1


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[int, int], rounds: int = 10) -> tuple[Any, Any, Any, Any]:
    """Four words from four, each of 32 bits in an int or in a tensor of int64.

    >>> [hex(w) for w in philox((MASK, MASK, MASK, MASK), (MASK, MASK))]  # the second test vector
    ['0x408f276d', '0x41c83b0e', '0xa20bc7c6', '0x6d5451fd']
    """
    c0, c1, c2, c3 = counter
    for k0, k1 in keys(key)[:rounds]:
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # overflow keeps the lower 64 bits, which is all there are
        c0, c1, c2, c3 = (p1 >> 32 & MASK) ^ c1 ^ k0, p1 & MASK, (p0 >> 32 & MASK) ^ c3 ^ k1, p0 & MASK
    return c0, c1, c2, c3


def keys(key: tuple[int, int]) -> list[tuple[int, int]]:
    """The keys of the ten rounds."""
    return [(key[0] + WEYL[0] * i & MASK, key[1] + WEYL[1] * i & MASK) for i in range(10)]


def words(seed: int, first: int, chains: int, blocks: int, call: int, calls: int, device: torch.device) -> Tensor:
    """Words of chains from ``first`` on at ``calls`` calls from ``call`` on: int32 ``[calls, chains, 4 blocks]``.

    >>> made = words(0, 0, 1, 1, 0, 1, torch.device("cpu"))
    >>> [hex(w & MASK) for w in made.flatten().tolist()]  # the first test vector
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    key, shape = (seed & MASK, seed >> 32), (calls, chains, blocks)
    block, chain, time = (
        torch.arange(start, start + n, device=device).reshape(-1, *(1,) * after)
        for start, n, after in ((0, blocks, 0), (first, chains, 1), (call & MASK, calls, 2))
    )
    c0, c1, c2, c3 = (c.expand(shape).contiguous() for c in philox((block, chain, time, call >> 32), key, NARROW))
    low0, low1 = c3, c1  # the other words are the lower halves of the last products
    product0, product1 = torch.empty_like(c0), torch.empty_like(c0)
    for k0, k1 in keys(key)[NARROW:]:
        torch.mul(c0, MULTIPLIERS[0], out=product0)
        torch.mul(c2, MULTIPLIERS[1], out=product1)
        torch.bitwise_xor(half(product1, HIGH), half(low1, LOW), out=half(c0, LOW)).bitwise_xor_(_signed(k0))
        torch.bitwise_xor(half(product0, HIGH), half(low0, LOW), out=half(c2, LOW)).bitwise_xor_(_signed(k1))
        low0, product0, low1, product1 = product0, low0, product1, low1
    return torch.stack([half(c, LOW) for c in (c0, low1, c2, low0)], -1).flatten(-2)


def unit(made: Tensor, double: bool) -> Tensor:
    """Numbers in (0, 1) of words ``[..., n]``: the middles of 2**24 intervals, or of 2**53 from two words each.

    >>> unit(torch.tensor([0, -1], dtype=torch.int32), False) * 2**25
    tensor([1.0000e+00, 3.3554e+07])
    """
    if not double:
        return (made >> 8 & 0xFFFFFF).float().add_(0.5).mul_(2.0**-24).clamp_max_(LAST)
    pair = made.unflatten(-1, (made.shape[-1] // 2, 2)).long() & MASK  # 27 bits of one word above 26 of the next
    return (pair[..., 0] >> 5 << 26 | pair[..., 1] >> 6).double().add_(0.5).mul_(2.0**-53).clamp_max_(1 - 2.0**-53)


def half(wide: Tensor, which: int) -> Tensor:
    """The lower or upper 32 bits of int64 numbers, as a view."""
    return wide.view(torch.int32).unflatten(-1, (wide.shape[-1], 2))[..., which]


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
