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
batches = [batch for _ in range(360) if (batch := source.read())]
late.clear()
told = sum(len(pipeline.step([batch]).alerts) for batch in batches)
late += ["nobody was told of anything"] * (not told)
print(" ".join(sorted(set(late + early))))
"""

BESIDE = """
from detector.wiring.config import of
from detector.wiring.warm import warm, warm_detectors, warm_parser
from detector import kernels
config = of({})
def made(rooms):
    return {(loop.__module__, loop.__qualname__, types) for loop in kernels._LOOPS for types in loop.overloads
            if loop.__module__.startswith(rooms)}
warm_detectors(config)
warm_parser(config)
names = ("baseline", "mean", "budget", "feed", "joint", "streams")  # not drift: it waits for minutes
rooms = (*(f"detector.anomaly.{name}" for name in names), "detector.formats.")
before = made(rooms)
warm(config, opinion=False)
print(len(before), len(made(rooms) - before))
"""


@pytest.mark.slow
def test_the_second_process_compiles_what_the_first_will_ask_for() -> None:
    done = subprocess.run([sys.executable, "-c", BESIDE], cwd=ROOT, capture_output=True, text=True, check=True)
    compiled, missed = map(int, done.stdout.split())
    assert compiled and not missed


@pytest.mark.slow
def test_after_warming_the_engine_compiles_nothing_more() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
