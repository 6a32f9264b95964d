"""After warming nothing is left to compile, and it disturbs nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.tree import ROOT

PROGRAM = """
from numba.core.dispatcher import Dispatcher
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from detector.wiring.warm import warm
config = of({})
warm(config, opinion=False)
late = []
compiled = Dispatcher.compile
Dispatcher.compile = lambda self, types: (late.append(self.py_func.__qualname__), compiled(self, types))[1]
warm(config, opinion=False)
import sys
late += ["pyod is imported"] * ("pyod" in sys.modules)
early = list(late)
from replay.exchange import Exchange
from replay.simulated import SimulatedInput
pipeline, source = build_pipeline(config, pseudonym_key=b"k" * 32), SimulatedInput(Exchange("demo"))
batches = [source.read() for _ in range(90)]
late.clear()
for batch in batches:
    pipeline.step([batch])
print(" ".join(sorted(set(late + early))))
"""


@pytest.mark.slow
def test_after_warming_the_engine_compiles_nothing_more() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
