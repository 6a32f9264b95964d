"""The compiler's room: the only one that imports numba.

A kernel is a plain loop over arrays that allocates nothing and calls only kernels. `@kernel` compiles it at its first
call and keeps the machine code on disk; with FORESHOCK_KERNELS=python nothing is compiled, and the same lines run as
plain Python, which is the reference the compiled ones are tested against.

>>> @kernel
... def total(numbers):
...     result = 0
...     for i in range(len(numbers)):
...         result += numbers[i]
...     return result
>>> import numpy as np
>>> int(total(np.arange(4)))
6
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

COMPILED = os.environ.get("FORESHOCK_KERNELS", "compiled") != "python"


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` (nopython, GIL released, cached on disk), or leave it as it is."""
    if not COMPILED:
        return function
    import numba

    return cast(Callable[P, R], numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def plain(function: Callable[P, R]) -> Callable[P, R]:
    """The uncompiled twin of a kernel, for tests. Kernels it calls stay as they are."""
    return cast(Callable[P, R], getattr(function, "py_func", function))
