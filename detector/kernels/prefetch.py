"""Prefetch: ask for memory that will be needed soon. It changes no result, only how long the next touch waits."""

from __future__ import annotations

from typing import Any

from detector.kernels import COMPILED, inlined

LINE_BYTES = 64


def _instruction(whole: bool) -> Any:
    """The processor's own, for row `index` of a one-dimensional array; nothing where nothing is compiled.

    whole: every cache line of the row, not just the first.
    """
    if not COMPILED:
        return lambda array, index: None

    from llvmlite import ir  # type: ignore[import-untyped]
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    tools: Any = cgutils
    told: Any = types

    def ask(typing: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = signature.args[0]
            held = context.make_array(kind)(context, builder, arguments[0])
            row = tools.get_item_pointer(
                context, builder, kind, held, [arguments[1]], wraparound=False, boundscheck=False
            )
            address = builder.bitcast(row, ir.IntType(8).as_pointer())
            word = ir.IntType(32)
            shape = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
            llvm = tools.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
            size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            # a row lies anywhere: its last byte may be in one line more
            for start in (*range(0, size, LINE_BYTES), size - 1) if whole else (0,):
                line = builder.gep(address, [word(start)])
                builder.call(llvm, [line, word(0), word(3), word(1)])  # to be read, kept near, data
            return context.get_dummy_value()

        return told.void(array, told.intp), generate

    return intrinsic(ask)


_ask, _ask_whole = _instruction(whole=False), _instruction(whole=True)


@inlined
def prefetch(array: Any, index: Any) -> Any:
    """Row `index` of a one-dimensional array will be touched soon. 0 <= index < len."""
    _ask(array, index)


@inlined
def prefetch_row(array: Any, index: Any) -> Any:
    """The whole row `index` of a one-dimensional array will be touched soon. 0 <= index < len."""
    _ask_whole(array, index)
