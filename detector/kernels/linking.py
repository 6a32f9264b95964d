"""How a kernel that another one calls becomes part of it: as intermediate code, optimised once in each caller.

numba by itself would optimise a callee alone, make machine code and a Python wrapper of it, and link the result into
its caller, which is optimised as a whole again: a small helper is paid for at every level above it, and once more for
machine code that nobody runs. Here a callee waits as it was written until a kernel that Python calls is put together of
all its parts; that one alone is optimised, and alone kept on disk.

Overridden are the two questions that numba asks a callee (what are you called with, what is called), and the library
that its code goes into. These names are numba's own and may change with its version: pyproject.toml allows one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import codegen, compiler, registry, sigutils, types

_types: Any = types  # half of these modules say nothing of their types
_signatures: Any = sigutils
_passes: Any = compiler.DefaultPassBuilder


class Loop(registry.CPUDispatcher):
    """A kernel. Python's calls run its own machine code; kernels that call it take its part in."""

    def __init__(self, py_func: Callable[..., Any], targetoptions: dict[str, Any]) -> None:
        super().__init__(py_func, targetoptions={**targetoptions, "no_cfunc_wrapper": True})
        self.part = Part(py_func, targetoptions)

    def compile(self, sig: Any) -> Any:
        """Make its machine code, or read it from disk."""
        with _no_collections():
            return super().compile(sig)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What a caller calls it with. A constant counts as any number of its type: one part for all of them, and the
        optimiser puts them in."""
        return self.part.get_call_template(tuple(_types.unliteral(argument) for argument in args), kws)

    def get_overload(self, sig: Any) -> Any:
        """What a caller calls."""
        return self.part.get_overload(sig)


class Part(registry.CPUDispatcher):
    """A kernel inside of others. Python cannot call it, so its library stands where a function of Python's would."""

    def __init__(self, py_func: Callable[..., Any], targetoptions: dict[str, Any]) -> None:
        super().__init__(py_func, targetoptions=targetoptions, pipeline_class=_Compiler)

    def add_overload(self, cres: Any) -> None:
        """It was compiled for these types."""
        context: Any = self.targetctx
        context.insert_user_function(cres.library, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres

    def get_overload(self, sig: Any) -> Any:
        """What `add_overload` told the linker of."""
        arguments, _ = _signatures.normalize_signature(sig)
        found: Any = self.overloads[tuple(arguments)]
        return found.library


class _Compiler(compiler.CompilerBase):
    """numba's compiler as far as intermediate code."""

    def define_pipelines(self) -> list[Any]:
        state: Any = self.state
        library: Any = _Library
        state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        return [_passes.define_nopython_pipeline(state)]


class _Library(codegen.JITCodeLibrary):
    """Intermediate code and that of all it calls; it is never optimised and never becomes machine code by itself."""

    def finalize(self) -> None:
        """Nothing is added any more."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@contextmanager
def _no_collections() -> Iterator[None]:
    """The compiler makes millions of objects that live until it is done: looking for garbage among them finds none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
