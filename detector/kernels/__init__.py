"""The compiler's room: the only one that imports numba.

A kernel is a plain loop over arrays that allocates nothing and calls only kernels. `@kernel` compiles it at its first
call and keeps the machine code on disk; with FORESHOCK_KERNELS=python nothing is compiled, and the same lines run as
plain Python, which is the reference the compiled ones are tested against.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

COMPILED = os.environ.get("FORESHOCK_KERNELS", "compiled") != "python"
CACHES_MAX = 3  # machine code of that many versions of the sources is kept


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` (nopython, GIL released, cached on disk), or leave it as it is.

    Every kernel is inlined where it is called and reference counts are off: tables of twenty arrays would otherwise be
    copied and counted at each call, ten times what the work itself costs. So a kernel must not make arrays.
    """
    if not COMPILED:
        return function
    import numba

    compiler: Any = numba
    _keep_code_in(compiler)
    compiled = compiler.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)(function)
    return cast(Callable[P, R], compiled)


def plain(function: Callable[P, R]) -> Callable[P, R]:
    """The uncompiled twin of a kernel, for tests. Kernels it calls stay as they are."""
    return cast(Callable[P, R], getattr(function, "py_func", function))


def _keep_code_in(numba: Any) -> None:
    """Point numba's cache at a folder named after every source that has a kernel: numba itself would not notice that a
    kernel which another file inlines has changed, and would go on with the old code."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    package = Path(__file__).resolve().parent.parent
    sources = blake2b(digest_size=8)
    for root in (package, package.parent / "replay"):
        for path in sorted(root.rglob("*.py")):
            text = path.read_bytes()
            if b"detector.kernels" in text or path.parent.name == "model":
                sources.update(text)
    caches = package / "__pycache__"
    if not os.access(caches if caches.exists() else package, os.W_OK):
        caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "foreshock"
    folder = caches / f"kernels-{sources.hexdigest()}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    numba.config.CACHE_DIR = str(folder)
    known = sorted(caches.glob("kernels-*"), key=lambda path: path.stat().st_mtime)
    for old in known[: max(0, len(known) + (folder not in known) - CACHES_MAX)]:
        rmtree(old, ignore_errors=True)
