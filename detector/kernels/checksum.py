"""CRC32C of Kafka's record batches, by the processor's own instruction where it has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from detector.kernels import COMPILED, inlined, kernel
from detector.kernels.words import byte_at, load

_POLYNOMIAL = np.uint64(0x82F63B78)  # Castagnoli, the lowest bit first
_ONE, _ALL = np.uint64(1), np.uint64(0xFFFFFFFF)


def _available() -> bool:
    """The instruction (SSE 4.2) is there, and code is compiled for this very processor."""
    if not COMPILED:
        return False
    import numba
    from llvmlite import binding  # type: ignore[import-untyped]

    settings: Any = numba.config
    return settings.CPU_NAME in (None, "host") and bool(binding.get_host_cpu_features().get("sse4.2", False))


FAST = _available()  # otherwise whoever has a checksum of his own should keep it


@inlined
def _bitwise(state: Any, word: Any) -> Any:
    """The state after eight more bytes, by the definition: what the instruction is tested against."""
    state = np.uint64(state) ^ np.uint64(word)
    for _ in range(64):
        state = (state >> _ONE) ^ (_POLYNOMIAL if state & _ONE else np.uint64(0))
    return state


def _instruction() -> Any:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    tools: Any = cgutils
    told: Any = types

    def eight(typing: Any, state: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = ir.IntType(64)
            shape = ir.FunctionType(number, [number, number])
            llvm = tools.get_or_insert_function(builder.module, shape, "llvm.x86.sse42.crc32.64.64")
            return builder.call(llvm, arguments)

        return told.uint64(told.uint64, told.uint64), generate

    return intrinsic(eight)


_eight_bytes = _instruction() if FAST else _bitwise


@inlined
def _byte(state: Any, byte: Any) -> Any:
    state = state ^ np.uint64(byte)
    for _ in range(8):
        state = (state >> _ONE) ^ (_POLYNOMIAL if state & _ONE else np.uint64(0))
    return state


@kernel
def crc32c(payload: Any, start: Any, end: Any) -> Any:
    """uint64 below 2**32: the CRC32C of payload[start:end] (uint8)."""
    state = _ALL
    at = start
    while end - at >= 8:
        state = _eight_bytes(state, load(payload, at))
        at += 8
    while at < end:
        state = _byte(state, byte_at(payload, at))
        at += 1
    return state ^ _ALL
