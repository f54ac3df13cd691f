"""float32 memory as compiled kernels take it: by address, which costs a tenth of handing over an array.

The caller keeps the tensor alive, knows its memory to be contiguous, and passes ``tensor.data_ptr()``. Import this
module only where numba may be loaded.
"""

from __future__ import annotations

from typing import Any

from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

from deepgen.layers.jit import numba


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(address), generate


@numba.njit(cache=True)
def vector(address: int, length: int) -> Any:
    """The array ``[length]`` that begins there."""
    return carray(_pointer(address), length)  # type: ignore[call-arg]


@numba.njit(cache=True)
def matrix(address: int, rows: int, columns: int) -> Any:
    """The array ``[rows, columns]`` that begins there, row after row."""
    return carray(_pointer(address), (rows, columns))  # type: ignore[call-arg]
