"""Kernels of `deepgen.streams`: Philox4x32-10 in a loop that the compiler turns into vectors, five times torch's speed.

The polynomials are our own least-squares fits at Chebyshev nodes, good to the last place of float32:

    sin 2 pi x = x P(x^2),                   |x| <= 1/4                     (error 4e-9)
    log(1 + f) = f - f^2 / 2 + f^3 Q(f),     sqrt 1/2 <= 1 + f <= sqrt 2    (relative error 7e-9)

Compiled by numba on first use and cached on disk; import this module only where numba may be loaded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepgen.layers.jit import numba

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
_U32, _U64, _F32, _F64 = np.uint32, np.uint64, np.float32, np.float64
_LOW, _UP = _U64(0xFFFFFFFF), _U64(32)
LANES, NARROW = 64, 64  # chains at a time, and the width from which there is enough for vectors in a chain's own row
_M0, _M1 = _U64(0xD2511F53), _U64(0xCD9E8D57)
_W0, _W1 = _U32(0x9E3779B9), _U32(0xBB67AE85)


@numba.njit(inline="always")
def _philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    for _ in range(10):
        p0, p1 = _M0 * _U64(c0), _M1 * _U64(c2)
        c0, c1 = _U32(_U32(p1 >> _UP) ^ c1 ^ k0), _U32(p1 & _LOW)  # what is not cast back grows to 64 bits
        c2, c3 = _U32(_U32(p0 >> _UP) ^ c3 ^ k1), _U32(p0 & _LOW)
        k0, k1 = _U32(k0 + _W0), _U32(k1 + _W1)
    return c0, c1, c2, c3


@numba.njit(inline="always")
def _single(word):  # type: ignore[no-untyped-def]
    return min((_F32(word >> _U32(8)) + _F32(0.5)) * _F32(2.0**-24), _F32(1 - 2.0**-24))  # the last rounds up to 1


@numba.njit(inline="always")
def _double(high, low):  # type: ignore[no-untyped-def]
    whole = _U64(high >> _U32(5)) << _U64(26) | _U64(low >> _U32(6))
    return min((_F64(whole) + 0.5) * 2.0**-53, 1 - 2.0**-53)


@_compiled
def fill_float(out: npt.NDArray[np.float32], first: int, low: int, high: int, key0: int, key1: int) -> None:
    """Numbers in (0, 1) of chains ``first`` on at call ``high 2^32 + low``: ``out`` ``[chains, width]``."""
    chains, width = out.shape
    k0, k1, c2, c3 = _U32(key0), _U32(key1), _U32(low), _U32(high)
    whole = width // 4
    for i in range(chains):
        c1, row = _U32(first + i), out[i]
        for b in range(whole):
            w0, w1, w2, w3 = _philox(_U32(b), c1, c2, c3, k0, k1)
            row[4 * b], row[4 * b + 1] = _single(w0), _single(w1)
            row[4 * b + 2], row[4 * b + 3] = _single(w2), _single(w3)
        if 4 * whole < width:
            w0, w1, w2, _ = _philox(_U32(whole), c1, c2, c3, k0, k1)
            row[4 * whole] = _single(w0)
            if width - 4 * whole > 1:
                row[4 * whole + 1] = _single(w1)
            if width - 4 * whole > 2:
                row[4 * whole + 2] = _single(w2)


@_compiled
def fill_double(out: npt.NDArray[np.float64], first: int, low: int, high: int, key0: int, key1: int) -> None:
    """The same with 53 bits."""
    chains, width = out.shape
    k0, k1, c2, c3 = _U32(key0), _U32(key1), _U32(low), _U32(high)
    for i in range(chains):
        c1, row = _U32(first + i), out[i]
        for b in range(width // 2):
            w0, w1, w2, w3 = _philox(_U32(b), c1, c2, c3, k0, k1)
            row[2 * b], row[2 * b + 1] = _double(w0, w1), _double(w2, w3)
        if width % 2:
            w0, w1, w2, w3 = _philox(_U32(width // 2), c1, c2, c3, k0, k1)
            row[width - 1] = _double(w0, w1)


@numba.njit(inline="always")
def _sine(x):  # type: ignore[no-untyped-def]
    r"""sin 2 pi x of \|x\| <= 1/4."""
    y = x * x
    p = _F32(-76.54965682) + y * _F32(39.53581371)
    return x * (_F32(6.28318515961) + y * (_F32(-41.34165492934) + y * (_F32(81.60099819261) + y * p)))


@numba.njit(inline="always")
def _log1p(f):  # type: ignore[no-untyped-def]
    """log(1 + f) of 1 + f between sqrt 1/2 and sqrt 2."""
    q = _F32(0.14197876634) + f * (_F32(-0.13161605747) + f * (_F32(0.12786330530) + f * _F32(-0.07660818947)))
    q = _F32(0.33333329030) + f * (
        _F32(-0.25000846213) + f * (_F32(0.20001412357) + f * (_F32(-0.16622752458) + f * q))
    )
    return f + f * f * (f * q - _F32(0.5))


@_compiled
def to_normal(unit: npt.NDArray[np.float32], bits: npt.NDArray[np.int32], out: npt.NDArray[np.float32]) -> None:
    """Box and Muller: radii from the first halves of the rows of ``unit`` ``[chains, 2 half]``, angles from the others.

    ``bits`` is the memory of ``unit`` read as integers; ``out`` ``[chains, 2 half or one less]`` has the cosines first.
    """
    chains, half = unit.shape[0], unit.shape[1] // 2
    for i in range(chains):
        u, b, angle = unit[i, :half], bits[i, :half], unit[i, half:]
        cosines, sines = out[i, :half], out[i, half:]
        for j in range(half):  # u = (1 + f) 2^e; apart from the next loop, since b and u are the same memory
            exponent = np.int32((b[j] - np.int32(0x3F3504F3)) >> np.int32(23))
            cosines[j] = _F32(exponent)
            b[j] = np.int32(b[j] - (exponent << np.int32(23)))
        for j in range(half):
            log = cosines[j] * _F32(0.6931471805599453) + _log1p(u[j] - _F32(1.0))
            u[j] = np.sqrt(_F32(-2.0) * log)
        for j in range(half):
            cosines[j] = -u[j] * _sine(_F32(0.25) - abs(angle[j] - _F32(0.5)))
        for j in range(len(sines)):
            v = angle[j] - _F32(0.5)
            s = _sine(_F32(0.25) - abs(abs(v) - _F32(0.25)))
            sines[j] = -u[j] * (s if v > _F32(0.0) else -s)


@_compiled
def _tile(tile, first, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Numbers in (0, 1) of the chains ``first`` on, one a column: ``tile`` ``[4 blocks, LANES]``."""
    for b in range(len(tile) // 4):
        rows = tile[4 * b : 4 * b + 4]
        for lane in range(LANES):
            w0, w1, w2, w3 = _philox(_U32(b), _U32(first + lane), c2, c3, k0, k1)
            rows[0, lane], rows[1, lane] = _single(w0), _single(w1)
            rows[2, lane], rows[3, lane] = _single(w2), _single(w3)


@_compiled
def normal_narrow(out: npt.NDArray[np.float32], first: int, low: int, high: int, key0: int, key1: int) -> None:
    """`fill_float` and `to_normal` in one, for few numbers a chain ``[chains, width]``: vectors go along the chains."""
    chains, width = out.shape
    half = (width + 1) // 2
    tile = np.empty(((2 * half + 3) // 4 * 4, LANES), np.float32)
    unit = tile[: 2 * half].reshape(1, 2 * half * LANES)  # radii of all chains, then angles
    drawn = np.empty_like(unit)
    for start in range(0, chains, LANES):
        _tile(tile, first + start, _U32(low), _U32(high), _U32(key0), _U32(key1))
        to_normal(unit, unit.view(np.int32), drawn)
        for lane in range(min(LANES, chains - start)):
            for k in range(width):
                out[start + lane, k] = drawn[0, k * LANES + lane]
