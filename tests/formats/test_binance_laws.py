"""The binance format: chunks and restarts change nothing, and bad input is a value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats.binance import Binance
from detector.model.events import EventBatch
from tests.formats.binance_lines import (
    KEY,
    decode,
    depth,
    line,
    order,
    reason,
    snapshot,
    ticker,
    trade,
)

STORY = [
    line(ticker(5, "100.0", "100.2")),
    line(depth(1, 10, 0, [["100", "9"]])),
    line(trade("100.1", "1", True)),
    line(depth(1, 10, None, [["100.5", "3"]]), receive_ns=1_700_000_000_000_000_000),
    line(trade("100.6", "1", False, spot=True)),
    line(depth(11, 20, 10, [["99", "5"], ["98", "0"]], [["101", "2"]], at=2_000)),
    line(depth(21, 22, 20)),
    line(depth(2_000_011, 2_000_020, None, [["100.4", "3"]])),
    b"rubbish",
    line(trade("100.1", "2", True, kind="aggTrade")),
    line(snapshot(3_500_000, [["100.5", "1"], ["98", "4"]], [["101", "1"]])),
    line(snapshot(15, [["100", "1"], ["98", "4"]], [["101", "1"]], T=1_500)),
    line(depth(23, 30, 22, [["100", "0"]], at=3_000)),
    line(order("NEW")),
]


def seen(batches: Sequence[EventBatch]) -> list[Any]:
    """What was said, with market names in place of indexes."""
    rows = []
    for batch in batches:
        for event in batch.events:
            row = {name: event[name].item() for name in event.dtype.names}
            row["market"] = batch.markets[row["market"]]
            rows.append({name: value for name, value in row.items() if value == value})
        rows.extend((reject.offset, reject.reason) for reject in batch.rejects)
    return sorted(rows, key=lambda row: row["offset"] if isinstance(row, dict) else row[0])


@given(st.sets(st.integers(1, len(STORY) - 1)), st.booleans())
@settings(max_examples=60, deadline=None)
def test_chunks_and_restarts_change_nothing(cuts: set[int], restart: bool) -> None:
    whole = seen([decode(STORY)])
    decoder, batches, at = Binance(KEY), [], 0
    for cut in [*sorted(cuts), len(STORY)]:
        batches.append(decode(STORY[at:cut], decoder, at=at))
        at = cut
        if restart:
            state = decoder.state()
            decoder = Binance(KEY)
            decoder.restore(state)
    assert seen(batches) == whole


@pytest.mark.parametrize(
    "state",
    [
        {"partitions": [{}]},
        {"partitions": 3},
        {"partitions": [{"topic": "t", "partition": 0, "markets": {"A": {"seq": 1}}}]},
        {"partitions": [{"topic": "t", "partition": 0, "markets": []}]},
    ],
)
def test_a_state_that_is_none_is_refused_with_a_sentence(state: Any) -> None:
    with pytest.raises(ValueError, match="saved state of the binance format"):
        Binance(KEY).restore(state)


VALID = [
    *STORY,
    line(order("TRADE", l="1", L="2")),
    line({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "A", "l": 5}}),
]
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        2**63,
        10**400,
        "",
        "x",
        "NaN",
        "1e999",
        "1\n2",
        "\ud800",
        [],
        {},
        [[]],
        [["1"]],
        [[None, {}]],
        1.5,
        "9" * 60,
    ]
)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A valid line with one field of it, at any depth, made odd."""
    text = draw(st.sampled_from([one for one in VALID if b"{" in one]))
    head, brace, tail = text.partition(b"{")
    message = json.loads(brace + tail)
    spot = message
    while True:
        name = draw(st.sampled_from(sorted(spot)))
        if isinstance(spot[name], dict) and spot[name] and draw(st.booleans()):
            spot = spot[name]
            continue
        if draw(st.booleans()):
            spot[name] = draw(ODD)
        else:
            del spot[name]
        return head + json.dumps(message).encode("utf-8", "replace")


@given(st.lists(bent(), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_a_bent_message_is_a_value(lines: list[bytes]) -> None:
    batch = decode([*STORY, *lines])
    assert batch.records == len(STORY) + len(lines)
    assert (np.diff(batch.events["offset"]) >= 0).all()
    assert (batch.events["market"] < len(batch.markets)).all()


@given(
    st.lists(
        st.sampled_from(VALID).flatmap(
            lambda text: st.tuples(st.just(text), st.integers(0, len(text) - 1), st.binary(max_size=3))
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_a_value(damaged: list[tuple[bytes, int, bytes]]) -> None:
    decode([text[:at] + instead + text[at + 1 :] for text, at, instead in damaged])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"17000000", "not_json"),
        (b"1x {}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 100_000, "nested_too_deep"),
        (b"null", "not_a_message"),
        (b"{}", "no_type"),
        (line(depth(1, 2, 0, [["1", "x"]])), "not_a_number"),
        (line({**depth(1, 2, 0, [["1", "1"]]), "T": -5}), "no_time"),
        (line({**depth(1, 2, 0, [["1", "1"]]), "u": 2**70}), "no_sequence"),
        (line(depth(1, 2, 0, [["1", "1"]], s="\n")), "not_a_market"),
        (line({**trade("1", "1", True), "m": "yes"}), "no_side"),
        (line({"e": "forceOrder"}), "no_order"),
        (line(order("NEW", q="1", z="1")), "quantity_not_positive"),
        (line({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "A", "l": 0}}), "leverage_out_of_range"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(value: bytes, why: str) -> None:
    assert reason(value) == why


def test_more_markets_than_allowed_are_rejected() -> None:
    decoder = Binance(KEY, markets_max=2)
    said = [line(depth(1, 2, 0, [["1", "1"]], s=name)) for name in ("A", "B", "C", "A")]
    batch = decode(said, decoder)
    assert [reject.reason for reject in batch.rejects] == ["too_many_markets"]
    assert batch.markets == ("A", "B")
