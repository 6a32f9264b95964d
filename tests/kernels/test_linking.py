"""A kernel inside another one has no machine code of its own, and means what it meant."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.kernels import COMPILED, inlined, kernel
from tests.house.tree import ROOT

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled")


@kernel
def _scaled(number: Any, by: Any) -> Any:
    return number * by


@inlined
def _above(number: Any, least: Any) -> Any:
    return number if number > least else np.int64(least)


@kernel
def _both(number: Any) -> Any:
    return _above(_scaled(number, 2), 10) + _above(_scaled(number, 3), 20)


PROGRAM = """
from tests.kernels.test_linking import _both
print(_both(9), sum(_both.stats.cache_hits.values()), sum(_both.stats.cache_misses.values()))
"""


def test_a_kernel_that_only_kernels_call_gets_no_machine_code() -> None:
    both: Any = _both
    assert (both(9), both(1)) == (18 + 27, 10 + 20)
    assert both.signatures
    for loop in (_scaled, _above):
        part: Any = loop
        assert part.part.signatures and not part.signatures


def test_constants_do_not_make_a_part_of_their_own() -> None:
    _both(9)
    loop: Any = _above
    assert len(loop.part.signatures) == 1


def test_python_may_call_what_kernels_call() -> None:
    @kernel
    def halved(number: Any) -> Any:
        return number // 2

    @kernel
    def quartered(number: Any) -> Any:
        return halved(halved(number))

    assert (quartered(41), halved(41)) == (10, 20)


def test_compiling_leaves_the_collector_as_it_was() -> None:
    @kernel
    def negative(number: Any) -> Any:
        return -number

    assert gc.isenabled()
    assert negative(3) == -3
    assert gc.isenabled()


def test_what_was_put_together_is_kept_on_disk(tmp_path: Path) -> None:
    def told() -> list[str]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, env=environment, check=True
        )
        return done.stdout.decode().split()

    assert told() == ["45", "0", "1"]
    assert told() == ["45", "1", "0"]
