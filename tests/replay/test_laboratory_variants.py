"""Variants side by side: what one recalls and pages falsely, and that held-out streams are not for tuning."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.model.windows import Feature
from replay.balanced import markets
from replay.exchange import Exchange
from replay.laboratory import Job, Size
from replay.laboratory_variants import Found, load, main, row, try_all, unheard
from replay.laboratory_windows import Recording
from replay.scenario import Planted, Scenario

S = 1_000_000_000
HOURS = 3
WINDOWS = HOURS * 3600
CROWD = Planted("crowd", 7000.0, ("ETH-PERP",), amplitude=10.0, ramp_s=200.0, hold_s=60.0, accounts=300)
NAMES = ("raised_far", "raises", "raise_surprise", "acting_accounts")
VARIANTS = """
from dataclasses import replace
from detector.anomaly.leverage_spike import LeverageSpike, Params
import numpy as np

def variants():
    budgets = np.array([7.0, 0.3, 0.03])
    deaf = LeverageSpike(Params(), budgets * 1e-9)
    return {"usual": LeverageSpike(Params(), budgets), "deaf": deaf}
"""


def recording(kind: str, planted: tuple[Planted, ...], *raised: tuple[int, int]) -> Recording:
    """Two quiet markets; at (window, market row) three accounts a window raise their leverage for ten windows."""
    scenario = Scenario("a", markets(2, (4.0, 8.0)), duration_s=HOURS * 3600.0, start_ns=0, planted=planted)
    dice = np.random.default_rng(1)
    values = np.zeros((len(NAMES), WINDOWS, 2), np.float32)
    values[:2] = dice.random((WINDOWS, 2)) < 0.005
    values[3] = 3.0
    for window, market in raised:
        values[:2, window : window + 10, market] = 3.0
    flags = np.ones((WINDOWS, 2), np.bool_)
    return Recording(
        Job(kind, 1, Size(1, 2, HOURS), False), Exchange(scenario, 1).labels(), scenario.names,
        tuple(Feature(name, "", "") for name in NAMES), values, flags, flags, np.zeros(WINDOWS, np.bool_),
        (np.arange(WINDOWS) + 1) * S,
    )  # fmt: skip


def test_what_is_told_before_the_climax_is_recalled_and_what_nothing_explains_is_false(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(VARIANTS)
    streams = [recording("planted", (CROWD,), (7100, 1), (9500, 0)), recording("clean", ())]
    tried = [try_all(one, load(str(tmp_path / "mine.py"))) for one in streams]
    rows = [row(name, list(zip(streams, [one[name] for one in tried], strict=True))) for name in ("usual", "deaf")]
    assert [sum(int(part.split("/")[0]) for part in each["crowd"].split()) for each in rows] == [1, 0]
    assert rows[0]["by stream"] == "raised_far 1" and rows[0]["false a week"] > 0
    assert rows[1]["by stream"] == "" and rows[1]["false a week"] == 0.0
    assert 0.0 < rows[0]["peak 50 %"] <= rows[0]["peak 80 %"]


def test_what_is_told_after_the_climax_is_neither() -> None:
    stream = recording("planted", (CROWD,), (7270, 1))
    told = row("leverage_spike", [(stream, try_all(stream, load("leverage_spike"))["leverage_spike"])])
    assert not any(part.startswith("1/") for part in told["crowd"].split()) and told["by stream"] == ""


def test_peaks_of_what_never_happened_are_not_shown_as_if_they_were_measured() -> None:
    stream, still = recording("clean", ()), recording("clean", ())
    still.values[:2] = 0.0
    found = [(one, try_all(one, load("leverage_spike"))) for one in (stream, still)]
    heard, silent = (row("leverage_spike", [(one, tried["leverage_spike"])]) for one, tried in found)
    assert heard["peak 50 %"] > 0.0 and math.isnan(silent["peak 50 %"])
    assert unheard(found) == [], "it happened in one of them"
    (sentence,) = unheard(found[1:])
    assert "nothing of it ever happened in these streams; keep the default" in sentence


def test_a_recording_of_no_windows_says_nothing() -> None:
    stream = recording("clean", ())
    empty = replace(stream, close_ns=stream.close_ns[:0])
    told = row("thin_book", [(empty, Found())])
    assert told["by stream"] == "" and math.isnan(told["false a week"]) and math.isnan(told["peak 80 %"])


def test_what_cannot_be_tried_is_refused_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.py").write_text("def variants():\n    return {}\n")
    for arguments, sentence in (
        (["drift"], "no detector of streams"),
        ([str(tmp_path / "none.py")], "returns none"),
        ([str(tmp_path / "missing.py")], "No such file"),
        (["thin_book", "--seed", "planted:1002"], "tuning"),
        (["thin_book", "--seed", "planted"], "tuning"),
        (["thin_book", "--seed", "planned:3"], "clean, dirty, planted"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2 and sentence in capsys.readouterr().err
