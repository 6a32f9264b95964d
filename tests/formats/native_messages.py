"""Native messages for tests: one good one of every type, and a strategy that makes more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from detector.formats.native import Native
from detector.model.events import EventBatch, EventColumn
from detector.model.records import RecordBatch, pack

TS = 1_700_000_000_123_456_789

ONE_OF_EACH: dict[str, dict[str, Any]] = {
    "order": {"order_id": "a-1", "side": "buy", "price": "61800.20", "qty": 0.5, "account": "alice"},
    "cancel": {"order_id": "a-1", "qty": "0.25", "reason": "expired", "account": "alice"},
    "fill": {"order_id": 17, "price": 61800.2, "qty": 1, "taker_account": "bob", "liquidation": True},
    "leverage": {
        "account": "carol", "leverage": 50, "previous": 10, "notional": "125000.50",
        "margin_mode": "isolated", "margin": 2500.01, "liquidation_price": 60000,
    },
    "position": {
        "account": "carol", "qty": -3.5, "entry_price": 61000, "leverage": 12.5,
        "margin": -1, "margin_mode": "cross", "liquidation_price": 0,
    },
    "level": {"side": "sell", "price": 61801, "qty": 0},
    "trade": {"side": "sell", "price": 61800, "qty": 0.125},
    "book": {"bids": [[10, 1], ["9.5", "2", "x", "dave"]], "asks": [[11, 3, 77], [12, 0]]},
    "mark": {"price": 61800.25, "index": 61799.5, "funding_rate": -0.000125, "open_interest": 1e6},
    "liquidation": {"side": "sell", "price": 60000, "qty": 2, "account": "erin"},
    "status": {"status": "halted"},
}  # fmt: skip


def message(kind: str, **changes: Any) -> dict[str, Any]:
    """A good event of that type, changed; a change to `...` takes the field away."""
    fields = {"type": kind, "ts": TS, "market": "BTC-PERP", "seq": 5, **ONE_OF_EACH[kind], **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def encoded(fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def batch_of(values: Iterable[bytes], first_offset: int = 100) -> RecordBatch:
    held = list(values)
    return pack("events", 3, held, range(first_offset, first_offset + len(held)))


def decoded(*values: bytes, fast: bool = True, markets_max: int = 64) -> EventBatch:
    return Native((3, 4), markets_max, fast=fast).decode(batch_of(values))


def reason_of(value: bytes) -> str:
    """Why both parsers refuse the message; '' when they take it."""
    outcomes = [decoded(value, fast=fast) for fast in (True, False)]
    reasons = [outcome.rejects[0].reason if outcome.rejects else "" for outcome in outcomes]
    assert reasons[0] == reasons[1]
    return reasons[0]


def columns(events: EventColumn) -> list[bytes]:
    """Every column's bytes, so that NaN equals NaN and the gaps between columns do not count."""
    return [events[name].tobytes() for name in events.dtype.names or ()]


def same(one: EventBatch, other: EventBatch) -> bool:
    """Whether they say the same to the last bit."""
    return (
        columns(one.events) == columns(other.events)
        and one.markets == other.markets
        and one.rejects == other.rejects
        and one.skipped == other.skipped
    )


_digits = st.text("0123456789", min_size=1, max_size=10)
_plain_number = st.one_of(
    st.integers(-3, 10**12).map(str),
    st.integers(-(10**25), 10**25).map(str),
    st.builds(lambda whole, part: f"{int(whole)}.{part}", _digits, _digits),
    st.sampled_from(["0", "-0", "0.0", "-0.0", "1e3", "1E-8", "0.00000001", "1000000000000", "1e400", "NaN", "-5", "00.5",
                     "9223372036854775807", "9223372036854775808", "4611686018427387904", "18446744073709551616"]),
)  # fmt: skip
_text = st.one_of(
    st.sampled_from(
        ["buy", "sell", "user", "cross", "isolated", "open", "BTC-PERP", "", "x" * 64, "x" * 65, "x" * 129]
    ),
    st.sampled_from(["2023-11-14T22:13:20Z", "2023-02-29T00:00:00.5+00:00", "2199-12-31T23:59:59.999999999Z"]),
    st.text(max_size=12),
    _plain_number,
).map(lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0))
JSON_VALUE = st.one_of(
    _plain_number, _text, st.sampled_from(["null", "true", "false", "[]", "{}", '[[1,2,"o"]]', '{"a":[1]}'])
)
_SPACE = st.sampled_from(["", "", "", " ", "\n\t ", "\r\n"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Something like an event: fields of a good one in any order, some replaced, left out, told twice or made up."""
    kind = draw(st.sampled_from(sorted(ONE_OF_EACH)))
    fields = [(name, encoded(value).decode()) for name, value in message(kind).items()]
    fields = draw(st.permutations(fields))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(fields) - 1)) if fields else 0
        match draw(st.integers(0, 4)):
            case 0:
                fields[place : place + 1] = [(fields[place][0], draw(JSON_VALUE))] if fields else []
            case 1:
                fields[place : place + 1] = []
            case 2:
                fields.insert(place, (draw(st.sampled_from(["note", "x", "é", "typ", "types"])), draw(JSON_VALUE)))
            case 3:
                fields.insert(
                    place, (draw(st.sampled_from(["price", "qty", "account", "seq", "ts"])), draw(JSON_VALUE))
                )
            case _:
                pass
    parts = [f'{draw(_SPACE)}"{name}"{draw(_SPACE)}:{draw(_SPACE)}{value}{draw(_SPACE)}' for name, value in fields]
    return f"{draw(_SPACE)}{{{','.join(parts)}}}{draw(_SPACE)}".encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message with a few bytes changed, cut, doubled or put in."""
    value = bytearray(draw(messages()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(value) - 1)))
        byte = draw(st.one_of(st.sampled_from(b'"\\{}[]:,.-+eE0123456789 \n\x00\x7f\x80\xff'), st.integers(0, 255)))
        match draw(st.integers(0, 4)):
            case 0:
                value[place : place + 1] = bytes([byte])
            case 1:
                del value[place : place + draw(st.integers(1, 4))]
            case 2:
                value.insert(place, byte)
            case 3:
                value[place:place] = value[place : place + 8]
            case _:
                del value[place:]
    return bytes(value)
