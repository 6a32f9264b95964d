"""What a checkpoint of an older version knows of makers, and what this one makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features.leverage import Leverage
from detector.features.tables import from_state, to_state
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.features.quoting import Market


def test_of_a_version_before_usual_quantities_what_rests_is_what_usually_does() -> None:
    market = Market()
    market.qty[0] = 8.0
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([market.ordinary(60).batch()])
    tables = engine.shard.tables
    saved = to_state(tables)
    now = tables.makers
    names = [name for name in now.dtype.names if name != "usual_lots"]
    older = np.zeros(now.shape, [(name, now.dtype[name]) for name in names])
    for name in names:
        older[name] = now[name]
    restored = from_state(tables, {**saved, "makers": older}).makers
    assert all(np.array_equal(restored[name], now[name]) for name in names)
    seated = now["participant"] >= 0
    assert seated.sum() == 5
    assert restored["usual_lots"][seated] == pytest.approx(now["usual_lots"][seated], rel=0.2)
    assert not restored["usual_lots"][~seated].any()
    participants = saved["participants"]
    assert isinstance(participants, np.ndarray)
    first = [name for name in participants.dtype.names or () if name != "raised_to"]
    before = np.zeros(participants.shape, [(name, participants.dtype[name]) for name in first])
    for name in first:
        before[name] = participants[name]
    again = from_state(tables, {**saved, "participants": before}).participants
    assert again.dtype == participants.dtype and len(again) == saved["participant_room"]
    assert all(np.array_equal(again[name][: len(before)], before[name]) for name in first)
    assert not again["raised_to"].any()
    del saved["makers"]
    with pytest.raises(ValueError, match="another version"):
        from_state(tables, {**saved, "makers": older[names[1:]].copy()})


def test_of_a_version_before_renewals_each_maker_renews_as_often_as_it_moved_all_its_quotes() -> None:
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([Market().ordinary(60).batch()])
    tables = engine.shard.tables
    saved = to_state(tables)
    tables.makers["moves"][0, 0], tables.makers["usual"][0, 0] = 40, 8.0
    makers, people = np.asarray(tables.makers), np.asarray(saved["participants"])
    older = makers[[name for name in makers.dtype.names or () if name not in ("renews", "sweeps")]].copy()
    newer = ("taken_back", "taken_back_s", "again", "spare", "spare_at")
    kinds = [(name, people.dtype[name]) for name in people.dtype.names or () if name not in newer]
    longer = ("counted_cancels", "counted_window")
    before = np.zeros(people.shape, [(name, np.int64 if name in longer else kind) for name, kind in kinds])
    for name, _ in kinds:
        before[name] = people[name]
    again = from_state(tables, {**saved, "makers": older, "participants": before})
    assert again.makers.dtype == makers.dtype
    assert again.makers["renews"][0, 0] == 5.0 and not again.makers["sweeps"].any()
    known = again.participants[: len(people)]
    assert all(np.array_equal(known[name], people[name]) for name, _ in kinds)
    assert not any(known[name].any() for name in newer)


def test_of_a_version_before_tails_of_sizes_the_laws_stay_and_the_tail_is_not_known() -> None:
    group = Leverage(4)
    group.make_room(20)
    group.usual["size"]["mean"], group.usual["level"], group.usual["sizes"]["all"] = 7.0, 12.0, 50.0
    saved = group.state()
    names = [name for name in group.usual.dtype.names if name != "sizes"]
    older = np.zeros(group.usual.shape, [(name, group.usual.dtype[name]) for name in names])
    for name in names:
        older[name] = group.usual[name]
    again = Leverage(4)
    again.restore({**saved, "usual": older})
    assert again.usual.dtype == group.usual.dtype
    assert all(np.array_equal(again.usual[name], group.usual[name]) for name in names)
    assert not again.usual["sizes"]["all"].any()
    again.restore(saved)
    assert again.usual.tobytes() == group.usual.tobytes()
