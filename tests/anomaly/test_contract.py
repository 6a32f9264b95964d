"""What every detector owes, found by its file: state, shares, silence where it cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest

from detector.anomaly.base import Detector
from detector.anomaly.streams import StreamDetector
from detector.model.incident import Behind
from detector.model.score import Score
from detector.model.windows import Windows
from detector.wiring import plugins
from detector.wiring.build import build_groups, build_pipeline
from detector.wiring.config import of
from tests.engine.story import START_NS, pipeline

CONFIG = of({})
FEATURES = tuple(f for group in build_groups(2).values() for f in group.FEATURES)
MARKETS = 5


def detectors() -> list[Detector]:
    return list(build_pipeline(CONFIG, pseudonym_key=b"k" * 32).detectors)


NAMES = [detector.name for detector in detectors()]


def windows(number: int, generator: np.random.Generator, *, burst: bool = False) -> Windows:
    """Plausible values for every feature there is; with `burst`, market 2's counts are forty times as large."""
    values = generator.poisson(8.0, size=(MARKETS, len(FEATURES))).astype(np.float64)
    if burst:
        values[2] *= 40.0
    names = [feature.name for feature in FEATURES]
    values[:, names.index("mid")] = 100.0
    values[:, names.index("acting_accounts")] = generator.poisson(10.0, MARKETS) + 1.0
    values[:, names.index("quotes_usual")] = 60.0
    return Windows(
        close_ns=START_NS + number * 10**9,
        width_ns=10**9,
        markets=tuple(f"m{i}" for i in range(MARKETS)),
        features=FEATURES,
        values=values,
        calm=np.ones(MARKETS, np.bool_),
        fresh=np.ones(MARKETS, np.bool_),
    )


def step(chain: Sequence[Detector], window: Windows) -> tuple[Score, ...]:
    scores: tuple[Score, ...] = ()
    for detector in chain:
        scores = (*scores, detector.score(window, np.ones(MARKETS, np.bool_), scores))
    return scores


def test_the_shipped_detectors_are_there() -> None:
    assert set(NAMES) >= {"cancel_burst", "leverage_spike", "thin_book", "joint", "drift"}


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_a_detector_restored_in_the_middle_goes_on_as_if_nothing_had_happened(position: int) -> None:
    generator = np.random.default_rng(3)
    chain = detectors()
    for number in range(150):
        step(chain, windows(number, generator))
    chain_state = [detector.state() for detector in chain]
    twins = detectors()
    for twin, state in zip(twins, chain_state, strict=True):
        twin.restore(state)
    later = [windows(150 + number, generator) for number in range(30)]
    for window in later:
        one, other = step(chain, window)[position], step(twins, window)[position]
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.levels, other.levels)


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_shapes_hold_and_shares_add_up_to_one(position: int) -> None:
    generator = np.random.default_rng(4)
    chain = detectors()
    for number in range(400):
        scores = step(chain, windows(number, generator, burst=number >= 395))
    score = scores[position]
    assert score.detector == NAMES[position]
    assert score.values.shape == score.every_s.shape == score.warming.shape == (MARKETS,)
    assert score.levels.shape == (3, MARKETS)
    assert np.all(score.levels[1:] >= score.levels[:-1])
    assert np.all(score.values[~np.isnan(score.values)] >= 0)
    for market in np.flatnonzero(score.values >= score.levels[0]).tolist():
        rows = score.explain(market)
        assert rows and abs(sum(row.share for row in rows) - 1.0) < 1e-9
        assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)
        assert all(row.low <= row.high and row.meaning and row.unit is not None for row in rows)


def test_a_burst_forty_times_the_usual_is_told_by_its_detector_and_in_its_market_only() -> None:
    generator = np.random.default_rng(5)
    chain = detectors()
    for number in range(405):
        scores = step(chain, windows(number, generator, burst=number >= 400))
    score = scores[NAMES.index("cancel_burst")]
    assert np.flatnonzero(score.values >= score.levels[1]).tolist() == [2]


@pytest.mark.parametrize("position", range(len(NAMES)), ids=NAMES)
def test_a_market_of_which_nothing_can_be_said_is_not_scored(position: int) -> None:
    generator = np.random.default_rng(6)
    chain = detectors()
    for number in range(100):
        window = windows(number, generator)
        window.values[1] = np.nan
        score = step(chain, window)[position]
    assert not score.values[1] >= score.levels[0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_detector_says_what_it_is_for_and_when_it_is_wrong(name: str) -> None:
    found = next(detector for detector in detectors() if detector.name == name)
    text = type(found).__doc__ or ""
    assert "rong" in text, f"{name}: its docstring does not say when it is wrong"


def test_a_detector_is_named_by_its_file_and_so_is_a_variant_of_it_made_elsewhere() -> None:
    found = {name: plugins.load("anomaly", name) for name in plugins.names("anomaly")}
    assert {name: made.name for name, made in found.items()} == {name: name for name in found}
    assert type("Variant", (found["thin_book"],), {}).name == "thin_book"  # type: ignore[attr-defined]


@pytest.mark.parametrize("detector", detectors(), ids=NAMES)
def test_what_is_looked_at_in_open_windows_only_grows_and_is_what_the_first_streams_count(detector: Detector) -> None:
    growing = {feature for group in build_groups(2).values() for feature in group.GROWS}
    assert set(detector.GROWS) <= growing
    if isinstance(detector, StreamDetector):
        assert [stream.name for stream in detector.streams[: len(detector.GROWS)]] == list(detector.GROWS)


def test_a_column_that_no_group_makes_is_told_with_the_one_that_may_be_meant() -> None:
    window = windows(0, np.random.default_rng(1))
    with pytest.raises(KeyError, match=r"no feature named cancel; did you mean cancels\?"):
        window.column("cancel")
    with pytest.raises(KeyError, match="no feature named qzx'"):
        window.with_column("qzx", np.zeros(MARKETS))


@pytest.mark.parametrize("parts", [1, 2])
def test_a_growing_feature_that_no_group_counts_is_told_as_the_engine_is_built(
    monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    monkeypatch.setattr(plugins.load("anomaly", "leverage_spike"), "GROWS", ("raise",))
    with pytest.raises(KeyError, match=r"GROWS. named raise; did you mean raises\?"):
        pipeline(parts=parts)


def test_an_added_detector_leaves_the_others_nearly_all_of_the_budget() -> None:
    shares = sum(detector.SHARE for detector in detectors() if detector.PAGES)
    assert Detector.SHARE / (shares + Detector.SHARE) < 0.05


@pytest.mark.parametrize("detector", detectors(), ids=NAMES)
def test_a_detector_says_who_is_behind_what_it_tells(detector: Detector) -> None:
    assert detector.BEHIND in get_args(Behind)


@pytest.mark.parametrize("name", [one.name for one in detectors() if isinstance(one, StreamDetector)])
def test_a_part_is_laid_out_as_the_whole_or_its_first_score_would_wait_for_a_compiler(name: str) -> None:
    whole = {one.name: one for one in detectors()}[name]
    assert isinstance(whole, StreamDetector)
    whole.score(windows(0, np.random.default_rng(1)), np.ones(MARKETS, np.bool_), ())
    part = whole.part(np.array([1, 3]))
    for ours, theirs in zip((part._tables, *part._past), (whole._tables, *whole._past), strict=True):
        assert ours.flags.c_contiguous and ours.flags.c_contiguous == theirs.flags.c_contiguous
        assert ours.dtype == theirs.dtype
