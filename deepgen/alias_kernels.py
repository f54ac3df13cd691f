"""Walker's alias method, compiled: the pass that makes the table of one law. Import it only where numba may be loaded.

d cells of equal mass; cell i keeps the share ``chance[i]`` for itself and gives the rest to ``other[i]``, such that i
has w_i / sum w in all. Sources: Walker 1977, "An efficient method for generating discrete random variables with general
distributions"; Vose 1991, "A linear algorithm for generating random numbers with a given distribution".
"""

from __future__ import annotations

from deepgen.layers.jit import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_row(share, chance, other, stack):  # type: ignore[no-untyped-def]
    """Write the table to ``chance`` and ``other`` ``[d]``, of masses ``share`` with the mean 1, which are used up.

    ``stack`` has room for d whole numbers.
    """
    d = len(chance)
    small, large = 0, d  # a stack from either end: cells with less than their mass, and with more
    for i in range(d):
        if share[i] < 1.0:
            stack[small] = i
            small += 1
        else:
            large -= 1
            stack[large] = i
    while small > 0 and large < d:
        small -= 1
        low, high = stack[small], stack[large]
        chance[low], other[low] = share[low], high
        share[high] -= 1.0 - share[low]
        if share[high] < 1.0:
            large += 1
            stack[small] = high
            small += 1
    while large < d:
        i = stack[large]
        chance[i], other[i] = 1.0, i
        large += 1
    while small > 0:  # rounding has left it alone
        small -= 1
        i = stack[small]
        chance[i], other[i] = 1.0, i
