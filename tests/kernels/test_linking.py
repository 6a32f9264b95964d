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
from tests.kernels.test_linking import _above, _both, _scaled
print(_both(9), sum(_both.stats.cache_hits.values()), sum(_both.stats.cache_misses.values()))
print(_both(1), *(len(loop.signatures) for loop in (_both, _scaled, _above)))
print(*(len(loop.part.signatures) for loop in (_scaled, _above)))
"""


def told(cache: Path) -> list[str]:
    """What PROGRAM prints with this cache of compiled loops: a line each."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, env=environment, check=True)
    return done.stdout.decode().splitlines()


def test_a_kernel_that_only_kernels_call_gets_no_machine_code(tmp_path: Path) -> None:
    sums, machine_code, _ = told(tmp_path)
    assert sums.split()[0] == str(18 + 27) and machine_code == f"{10 + 20} 1 0 0"


def test_constants_do_not_make_a_part_of_their_own(tmp_path: Path) -> None:
    assert told(tmp_path)[2] == "1 1"


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
    assert told(tmp_path)[0] == "45 0 1"
    assert told(tmp_path)[0] == "45 1 0"
