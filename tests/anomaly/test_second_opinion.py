"""The second opinion: it ranks, it is saved, it decides nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from detector.anomaly.second_opinion import EVERY_WINDOWS, ROWS_MIN, SecondOpinion
from detector.model.score import Score
from tests.house.tree import ROOT


def score(residuals: list[list[float]]) -> Score:
    """One detector with two streams; only residuals matter here."""
    values = np.array(residuals)
    markets = tuple(f"m{i}" for i in range(len(values)))
    nothing = np.zeros(len(values))
    return Score(
        detector="d",
        close_ns=0,
        markets=markets,
        values=nothing,
        levels=np.zeros((3, len(values))),
        every_s=nothing,
        warming=nothing.astype(bool),
        surprises=values,
        residuals=values,
        streams=("a", "b"),
        explain=lambda index: (),
    )


@pytest.fixture
def taught() -> SecondOpinion:
    generator = np.random.default_rng(7)
    opinion = SecondOpinion()
    learn = np.ones(2, np.bool_)
    for _ in range(EVERY_WINDOWS * (ROWS_MIN + 40)):
        opinion.note([score(generator.normal(size=(2, 2)).tolist())], learn)
    return opinion


def test_it_says_nothing_of_a_market_it_hardly_knows() -> None:
    opinion = SecondOpinion()
    assert opinion.ask(0, [score([[9.0, 9.0]])]) is None


def test_what_lies_far_out_is_ranked_first_and_what_is_ordinary_is_not(taught: SecondOpinion) -> None:
    extreme = taught.ask(0, [score([[9.0, 9.0], [0.0, 0.0]])])
    ordinary = taught.ask(1, [score([[9.0, 9.0], [0.0, 0.0]])])
    assert extreme is not None and extreme.agrees and extreme.rank == 1
    assert ordinary is not None and not ordinary.agrees and ordinary.rank > 20


def test_it_goes_on_from_its_saved_state_as_if_nothing_had_happened(taught: SecondOpinion) -> None:
    twin = SecondOpinion()
    twin.restore(taught.state())
    now = [score([[1.0, 2.0], [0.5, 0.1]])]
    assert twin.ask(0, now) == taught.ask(0, now)


def test_a_stream_that_cannot_say_is_left_out(taught: SecondOpinion) -> None:
    told = taught.ask(0, [score([[9.0, float("nan")], [0.0, 0.0]])])
    assert told is not None and told.rank == 1


MEANWHILE = """
import sys, threading
import numpy as np
from detector.anomaly.second_opinion import SecondOpinion, load
from tests.anomaly.test_second_opinion import score
opinion = SecondOpinion()
generator = np.random.default_rng(7)
for _ in range(1_000):
    opinion.note([score(generator.normal(size=(2, 2)).tolist())], np.ones(2, np.bool_))
asked = [score([[9.0, 9.0], [0.1, 0.1]])]
thread = threading.Thread(target=load)
assert "pyod" not in sys.modules
thread.start()
meanwhile = [opinion.ask(index, asked) for index in (0, 1)]
thread.join()
assert meanwhile == [opinion.ask(index, asked) for index in (0, 1)] and None not in meanwhile
"""


@pytest.mark.slow
def test_who_asks_while_another_thread_imports_waits_and_gets_the_same_answer() -> None:
    subprocess.run([sys.executable, "-c", MEANWHILE], cwd=ROOT, check=True)
