"""The compiler's room: the only one that imports numba.

A kernel is a plain loop over arrays that allocates nothing and calls only kernels. `@kernel` compiles it at its first
call and keeps the machine code on disk; with FORESHOCK_KERNELS=python nothing is compiled, and the same lines run as
plain Python, which is the reference the compiled ones are tested against.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from detector.kernels.code import keep_code_in

P = ParamSpec("P")
R = TypeVar("R")

_LOOPS: list[Any] = []  # of every kernel
COMPILED = os.environ.get("FORESHOCK_KERNELS", "compiled") != "python"


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` (nopython, GIL released, cached on disk), or leave it as it is.

    Reference counts are off, so a kernel must not make arrays.
    """
    return _compiled(function, inline=False)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A kernel that becomes part of whoever calls it. For those that take a whole tuple of tables: twenty arrays copied
    at each call cost ten times what the work itself does. For others it only makes the compiler slow."""
    return _compiled(function, inline=True)


def _compiled(function: Callable[P, R], *, inline: bool) -> Callable[P, R]:
    if not COMPILED:
        return function
    import numba

    from detector.kernels.linking import Loop

    keep_code_in(numba, function.__module__)
    options = {"nopython": True, "nogil": True, "error_model": "numpy", "_nrt": False}
    compiled = Loop(function, options | {"forceinline": True} if inline else options)
    compiled.enable_caching()
    _LOOPS.append(compiled)
    return cast(Callable[P, R], compiled)


def made() -> tuple[int, int]:
    """(kernels whose code is there, for Python or for other kernels; all kernels known so far)."""
    return sum(bool(loop.signatures or loop.part.signatures) for loop in _LOOPS), len(_LOOPS)


def plain(function: Callable[P, R]) -> Callable[P, R]:
    """The uncompiled twin of a kernel, for tests. Kernels it calls stay as they are."""
    return cast(Callable[P, R], getattr(function, "py_func", function))
