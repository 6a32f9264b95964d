"""Bits: which is the lowest one set, by the processor's own instruction. A multiplication says it too, but later."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import COMPILED, inlined


def _instruction() -> Any:
    """The processor's count of trailing zeros; the same in plain Python where nothing is compiled."""
    if not COMPILED:
        return lambda word: np.uint64((int(word) & -int(word)).bit_length() - 1 if word else 64)

    from llvmlite import ir  # type: ignore[import-untyped]
    from numba.core import types
    from numba.extending import intrinsic

    told: Any = types

    def count(typing: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))  # 0 has an answer, too

        return told.uint64(told.uint64), generate

    return intrinsic(count)


_count = _instruction()


@inlined
def trailing_zeros(word: Any) -> Any:
    """uint64: place of the lowest bit that is set in a uint64, 64 when none is."""
    return _count(word)
