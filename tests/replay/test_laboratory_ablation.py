"""The ablation: a stream that alone sees a class adds it, one that sees nothing adds nothing; notes are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detector.anomaly.streams import StreamDetector
from detector.wiring.build import build_detectors
from detector.wiring.config import of
from replay.balanced import markets
from replay.exchange import Exchange
from replay.laboratory import Job, Size
from replay.laboratory_ablation import Kept, ablation_rows
from replay.laboratory_notes import note_rows
from replay.laboratory_tally import Call, Run
from replay.laboratory_windows import Recording
from replay.scenario import Planted, Scenario

S = 1_000_000_000
HOURS = 3
WINDOWS = HOURS * 3600
PLANTED = (
    Planted("cancel_burst", 4000.0, ("BTC-PERP",), amplitude=10.0, hold_s=10.0, accounts=5),
    Planted("crowd", 7000.0, ("ETH-PERP",), amplitude=10.0, ramp_s=200.0, hold_s=60.0, accounts=300),
)
SCENARIO = Scenario("a", markets(2, (4.0, 8.0)), duration_s=HOURS * 3600.0, start_ns=0, planted=PLANTED)


def _recording(labels: list[dict[str, object]]) -> Recording:
    flags = np.ones((WINDOWS, 2), np.bool_)
    return Recording(
        Job("planted", 1, Size(1, 2, HOURS), False), labels, SCENARIO.names, (), np.zeros((0, WINDOWS, 2), np.float32),
        flags, flags, np.zeros(WINDOWS, np.bool_), (np.arange(WINDOWS) + 1) * S,
    )  # fmt: skip


def _surprises(seed: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(seed)
    streams = {one.name: len(one.streams) for one in build_detectors(of({})) if isinstance(one, StreamDetector)}
    return {name: dice.exponential(0.43, (WINDOWS, 2, count)).astype(np.float16) for name, count in streams.items()}


def test_what_one_stream_alone_sees_is_what_it_adds() -> None:
    clean, planted = _surprises(1), _surprises(2)
    planted["cancel_burst"][4001:4008, 0, 1] = 40.0  # cancels_by_others
    planted["leverage_spike"][7100:7200, 1, ::2] = 40.0  # raised_far and raise_surprise, either is enough
    rows = ablation_rows(Kept(_recording([]), clean), Kept(_recording(Exchange(SCENARIO, 1).labels()), planted))
    by_name = {row["stream"]: row for row in rows}
    assert by_name["all of them"]["early"] == 1.0
    assert by_name["cancel_burst.cancels_by_others"]["adds"] == 0.5
    assert by_name["cancel_burst.cancels_by_others"]["most in"] == "cancel_burst 1.00"
    assert by_name["leverage_spike.raised_far"]["adds"] == 0.0
    assert by_name["leverage_spike.raised_far"]["alone in"] == "crowd 1.00"
    assert by_name["thin_book.quotes_leapt"]["adds"] == 0.0 == by_name["thin_book.quotes_leapt"]["alone"]


def test_after_the_climax_nothing_counts() -> None:
    clean, planted = _surprises(1), _surprises(2)
    planted["cancel_burst"][4012:, 0, 1] = 40.0
    rows = ablation_rows(Kept(_recording([]), clean), Kept(_recording(Exchange(SCENARIO, 1).labels()), planted))
    assert rows[0]["early"] == 0.0


def test_notes_are_held_against_what_lasts_and_against_chance() -> None:
    scenario = replace(SCENARIO, duration_s=8 * 3600.0, planted=(Planted("fee", 3600.0, ("BTC-PERP",)),))
    dirty = Run("dirty", 1, scenario, Exchange(scenario, 1).labels(), {})
    clean = Run("clean", 2, replace(SCENARIO, planted=()), [], {})

    def note(at_s: int, market: str) -> Call:
        return Call(at_s * S, f"{market}{at_s}", False, 1, "drift", (market,), "cancels")

    assert note_rows([dirty])[0]["noted"] == 0.0
    dirty.notes = [note(4800, "BTC-PERP"), note(5000, "ETH-PERP"), note(20_000, "BTC-PERP")]
    clean.notes = [note(100, "ETH-PERP")]
    idle, fee = note_rows([dirty, clean])
    assert (idle["times"], idle["per_market_week"]) == (1, round(168.0 / (2 * HOURS), 2))
    assert (fee["what"], fee["times"], fee["noted"], fee["after_min"]) == ("fee", 1, 1.0, 20.0)
    assert 0.2 < fee["by_chance"] < 0.4
