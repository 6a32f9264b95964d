"""What holds for every story: identity, restarts, lifecycles, and how much anybody is ever told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.incidents.correlator import Correlator
from detector.incidents.settings import SECOND_NS, IncidentSettings
from detector.model.incident import Contributor, Incident, Reason
from detector.model.state import State
from detector.store.snapshot import decode, encode
from tests.incidents.story import DETECTORS, START_NS, Told, Window, context, scores

MARKETS = ("BTC-PERP", "DOGE-PERP", "ETH-PERP", "NEW-PERP", "SOL-PERP", "XRP-PERP")
QUICK = IncidentSettings(join_ns=24 * SECOND_NS, hold_ns=6 * SECOND_NS, update_ns=8 * SECOND_NS, open_max=4)
LAST_S = 60  # of a piece's start
END_S = LAST_S + 12 + 24 + 2  # more than a piece and `join` later everything is over

Story = dict[int, Window]

values = st.sampled_from([2.6, 3.0, 3.4, 4.1, 5.2, 8.0, float("nan"), float("inf")])
pieces = st.tuples(
    st.integers(0, LAST_S), st.integers(1, 10), st.sampled_from(MARKETS), st.sampled_from(DETECTORS), values
)
accounts = st.dictionaries(st.sampled_from(MARKETS), st.integers(1, 3), max_size=6)


def story(parts: list[tuple[int, int, str, str, float]]) -> Story:
    """Pieces (from second, seconds, market, detector, value) laid over one another, the last on top."""
    windows: dict[int, dict[tuple[str, str], float]] = {}
    for start, length, market, detector, value in parts:
        for second in range(start, start + length):
            windows.setdefault(second, {})[market, detector] = value
    return dict(windows)


def told_of(windows: Story, who: Mapping[str, int], markets: tuple[str, ...] = MARKETS) -> Told:
    def contributors(market: str, _detector: str) -> tuple[Contributor, ...]:
        return (Contributor(who[market], 0.5),) if market in who else ()

    return Told(markets, QUICK, contributors)


stories = st.lists(pieces, max_size=12).map(story)


@settings(max_examples=25, deadline=None)
@given(stories, accounts, st.permutations(MARKETS), st.randoms(use_true_random=False))
def test_the_order_of_markets_and_detectors_changes_nothing(
    windows: Story, who: dict[str, int], order: list[str], dice: random.Random
) -> None:
    plain = told_of(windows, who)
    plain.run(windows, until=END_S)
    other = told_of(windows, who)
    shuffled: list[Incident] = []
    for second in range(END_S):
        close_ns = START_NS + (second + 1) * SECOND_NS
        made = scores(close_ns, windows.get(second, {}), order, dice.sample(DETECTORS, len(DETECTORS)))
        shuffled.extend(other.correlator.step(close_ns, SECOND_NS, made, other.context))
    assert shuffled == plain.incidents


@settings(max_examples=25, deadline=None)
@given(stories, accounts, st.sets(st.integers(0, END_S - 1), max_size=4))
def test_a_restart_at_any_window_changes_nothing_that_is_told_after_it(
    windows: Story, who: dict[str, int], restarts: set[int]
) -> None:
    plain = told_of(windows, who)
    plain.run(windows, until=END_S)
    broken = told_of(windows, who)
    for second in sorted(restarts):
        broken.run(windows, until=second)
        saved = broken.correlator.state()
        bytes_of_it = encode({"correlator": dict(saved)})
        broken.correlator = Correlator(QUICK)
        again = decode(bytes_of_it)["correlator"]
        assert isinstance(again, dict)
        broken.correlator.restore(again)
        assert same(broken.correlator.state(), saved)
    broken.run(windows, until=END_S)
    assert broken.incidents == plain.incidents
    assert same(broken.correlator.state(), plain.correlator.state())
    assert broken.correlator.counts == plain.correlator.counts


@settings(max_examples=40, deadline=None)
@given(stories, accounts)
def test_every_life_is_in_order(windows: Story, who: dict[str, int]) -> None:
    told = told_of(windows, who)
    told.run(windows, until=END_S)
    lives: dict[str, list[Incident]] = {}
    for incident in told.incidents:
        lives.setdefault(incident.incident_id, []).append(incident)
    assert told.correlator.open_markets() == frozenset()
    for life in lives.values():
        assert [incident.seq for incident in life] == list(range(1, len(life) + 1))
        firing, severity = False, 0
        for before, incident in zip([None, *life], life, strict=False):
            assert firing is (incident.reason is not Reason.OPENED)
            if incident.reason is Reason.OPENED:
                severity = 0
            assert incident.severity >= severity
            if incident.reason is Reason.ESCALATED:
                assert incident.severity > severity
            severity = incident.severity
            firing = incident.reason is not Reason.RESOLVED
            assert (incident.ended_ns is None) is firing
            if before is not None:
                assert incident.updated_ns >= before.updated_ns
                assert set(incident.markets) >= set(before.markets)
                assert (incident.started_ns, incident.detected_ns) == (before.started_ns, before.detected_ns)
                assert incident.peak >= before.peak
        assert not firing
    assert told.correlator.counts["opened"] == told.correlator.counts["resolved"]


@settings(max_examples=40, deadline=None)
@given(stories, accounts)
def test_every_crossing_is_told_or_counted_and_everything_told_has_its_reasons(
    windows: Story, who: dict[str, int]
) -> None:
    told = told_of(windows, who)
    for second in range(max(windows, default=0) + 1):
        told.run(windows, until=second + 1)
        crossing = {key for key, value in windows.get(second, {}).items() if value >= 3.0}
        noted = told.correlator.state()["noted"]
        assert isinstance(noted, dict)
        placed = {False: told.correlator.open_markets(), True: frozenset(noted)}
        if any(market not in placed[detector == "drift"] for market, detector in crossing):
            assert told.correlator.counts["not_opened"] > 0
    for incident in told.incidents:
        assert incident.evidence
        shares: Counter[tuple[str, str]] = Counter()
        for row in incident.evidence:
            assert row.market in incident.markets
            shares[row.market, row.detector] += row.share  # type: ignore[assignment]
        assert all(abs(total - 1.0) < 1e-9 for total in shares.values())
        assert incident.timeline[0].at_ns == incident.detected_ns
        assert len({incident.kind, "correlated"} & {*incident.detectors, "correlated"}) >= 1
        assert sum(c.share for c in incident.contributors) <= 1.0 + 1e-9


KINDS = ("cancel_burst", "leverage_spike", "thin_book")


@given(
    st.lists(st.sampled_from(MARKETS), min_size=2, max_size=2, unique=True),
    st.lists(st.sampled_from(KINDS), min_size=2, max_size=2, unique=True),
    st.lists(st.sampled_from([3.4, 4.1, 8.0]), min_size=2, max_size=2),
    st.integers(3, 59),
    st.booleans(),
)
def test_two_kinds_of_trouble_in_two_markets_of_one_minute_are_two_unless_one_account_is_behind_both(
    markets: list[str], kinds: list[str], heights: list[float], apart_s: int, shared: bool
) -> None:
    windows: Story = {0: {(markets[0], kinds[0]): heights[0]}, apart_s: {(markets[1], kinds[1]): heights[1]}}
    told = told_of(windows, {market: 7 if shared else 7 + at for at, market in enumerate(markets)})
    told.correlator = Correlator(IncidentSettings())
    told.run(windows, until=apart_s + 1)
    assert len(told.ids()) == (1 if shared else 2)


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 4), st.sampled_from([3.4, 4.1, 8.0])), min_size=4, max_size=6
    )
)
def test_a_shock_that_begins_in_three_markets_is_one_incident_whatever_shows_where(
    pieces_of_it: list[tuple[str, int, float]],
) -> None:
    windows: dict[int, dict[tuple[str, str], float]] = {}
    for at, (kind, second, height) in enumerate(pieces_of_it):
        windows.setdefault(0 if at < 3 else second, {})[MARKETS[at], kind] = height
    told = told_of(dict(windows), {market: at for at, market in enumerate(MARKETS)})
    told.run(dict(windows), until=5)
    assert len(told.ids()) == 1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(2, 120))
def test_flapping_for_an_hour_tells_a_bounded_story(seed: int, every: int) -> None:
    dice = random.Random(seed)
    told = Told(("BTC-PERP",))
    seconds = [second for second in range(3_600) if dice.random() < 1.0 / every]
    told.run({second: {("BTC-PERP", "cancel_burst"): dice.choice([3.2, 4.2, 5.2])} for second in seconds}, until=4_900)
    # each reopening doubles the quiet that is waited for: 60, 120, 240, 480 s, then all of `join`
    for number in Counter(incident.incident_id for incident in told.incidents).values():
        assert number <= 5 * (1 + 2 + 1)
    assert len(told.ids()) <= 3_600 / 600 + 1


def test_a_storm_of_a_thousand_markets_for_an_hour_opens_few_and_tells_little() -> None:
    markets = [f"M{i:03d}-PERP" for i in range(1_000)]
    correlator = Correlator(IncidentSettings(open_max=16))
    dice = np.random.default_rng(7)
    told: list[Incident] = []
    width_ns = 36 * SECOND_NS  # 100 windows are an hour
    for window in range(150):
        close_ns = START_NS + (window + 1) * width_ns
        crossing: Window = {}
        if window < 100:
            hit = np.flatnonzero(dice.random(1_000) < 0.1)
            crossing = {(markets[i], "cancel_burst"): 3.0 + float(dice.exponential()) for i in hit}
        made = scores(close_ns, crossing, markets, ("cancel_burst", "joint"))
        told.extend(correlator.step(close_ns, width_ns, made, context()))
        assert len(correlator.state()["open"]) <= 16  # type: ignore[arg-type]
    assert correlator.open_markets() == frozenset()
    assert len({incident.incident_id for incident in told}) <= 16
    assert len(told) <= 16 * 25
    assert len(encode(correlator.state())) < 2_000_000


def test_unrelated_markets_one_a_minute_fill_the_table_and_no_more() -> None:
    markets = [f"M{i:02d}-PERP" for i in range(60)]
    told = Told(markets, IncidentSettings(open_max=8, alike_max_ns=0))
    crossing: dict[int, dict[tuple[str, str], float]] = {}
    for index, market in enumerate(markets):
        for second in range(20 * index, 1_200):
            crossing.setdefault(second, {})[market, "thin_book"] = 5.5
    told.run(crossing, until=1_300)
    assert told.reasons().count("opened") == 8
    assert told.reasons().count("resolved") == 8
    assert told.correlator.counts["not_opened"] > 0


def same(one: State, other: State) -> bool:
    """Trees without arrays: equal in value and in the types of leaves."""
    return repr(one) == repr(other)
