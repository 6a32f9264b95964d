"""A book of the native format: read in place, or by the general parser, it says the same."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats import native, native_book_fast
from detector.formats.native import Native
from detector.formats.native_general import Reading
from detector.formats.native_scan import values_table
from detector.formats.native_words import Limits
from detector.kernels import plain
from detector.kernels.names import Names
from detector.model.events import EVENT, Flag, Kind
from tests.formats.native_messages import JSON_VALUE, TS, batch_of, columns, decoded, encoded, message, same

_amount = st.one_of(
    st.integers(0, 10**6).map(str),
    st.decimals(0, 10**7, places=3).map(str),
    st.sampled_from(["0", "0.000", "-0", "10.500", "1.000000000001", "4611686018427387904", "9223372036854775808"]),
).flatmap(lambda text: st.sampled_from([text, f'"{text}"']))
_id = st.one_of(
    st.integers(0, 2**64).map(str),
    st.sampled_from(['"a"', '"[x]"', '"7"', '"é"', f'"{"x" * 128}"', f'"{"x" * 129}"', '"\\u0041"', '""', "007", "-0"]),
)
_space = st.sampled_from(["", "", "", " ", "\n\t "])


@st.composite
def entries(draw: st.DrawFn) -> str:
    """One entry as text, nearly always a good one."""
    values = [draw(_amount), draw(_amount), draw(_id), draw(_id)][: draw(st.sampled_from([2, 2, 3, 4, 4]))]
    match draw(st.integers(0, 15)):
        case 0:
            values[draw(st.integers(0, len(values) - 1))] = draw(JSON_VALUE)
        case 1:
            values = values[:1]
        case 2:
            values += [draw(_id)] * 3
    space = draw(_space)
    return f"[{space}{f'{space},'.join(values)}{space}]"


@st.composite
def books(draw: st.DrawFn) -> bytes:
    """A book as bytes: its sides in either order, now and then a field more, twice, or not at all."""
    sides = [st.lists(entries(), max_size=5).map(lambda side: f"[{','.join(side)}]") for _ in "ba"]
    fields = [("type", '"book"'), ("ts", str(TS)), ("market", '"BTC-PERP"'), ("account", '"x"'), ("seq", "5")]
    fields += [("bids", draw(sides[0])), ("asks", draw(sides[1]))]
    match draw(st.integers(0, 11)):
        case 0:
            fields = draw(st.permutations(fields))
        case 1:
            fields.insert(draw(st.integers(0, 7)), (draw(st.sampled_from(["bids", "asks", "note"])), draw(JSON_VALUE)))
        case 2:
            del fields[draw(st.integers(0, 6))]
        case 3:
            fields[draw(st.integers(0, 6))] = (draw(st.sampled_from(["bids", "asks", "qty", "ts"])), draw(JSON_VALUE))
    space = draw(_space)
    told = ",".join(f'{space}"{name}"{space}:{value}{space}' for name, value in fields)
    return f"{space}{{{told}}}".encode()


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A book with a few bytes changed, cut or put in."""
    value = bytearray(draw(books()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(value) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                value[place : place + 1] = bytes([draw(st.sampled_from(b'"\\{}[]:,.-eE019 \x00\xff'))])
            case 1:
                del value[place : place + draw(st.integers(1, 4))]
            case 2:
                value.insert(place, draw(st.sampled_from(b'"[],0')))
            case _:
                del value[place:]
    return bytes(value)


def agree(values: list[bytes]) -> None:
    assert same(decoded(*values), decoded(*values, fast=False)), values


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(books(), st.just(encoded(message("order")))), min_size=1, max_size=5))
def test_both_parsers_say_the_same_of_books(values: list[bytes]) -> None:
    agree(values)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(broken(), books()), min_size=1, max_size=5))
def test_both_parsers_say_the_same_of_books_with_broken_bytes(values: list[bytes]) -> None:
    agree(values)


def test_a_seeded_mutation_of_every_byte_of_a_book_changes_both_parsers_alike() -> None:
    seed = int(os.environ.get("FORESHOCK_SEED", "20261127"))
    dice = random.Random(seed)
    good = encoded(message("book", account="z", note="[]"))
    values = [good]
    for place in range(len(good)):
        for byte in [*dice.sample(range(256), 4), *dice.sample(b'"\\{}[]:,.-+eE0123456789 ', 6)]:
            values += [good[:place] + bytes([byte]) + good[place + 1 :], good[:place] + bytes([byte]) + good[place:]]
        # what is cut off stands at once behind it: nothing beyond a message's end may be taken for its own
        values += [good[:place], good[place:], good[:place] + good[place + 1 :]]
    fast, general = decoded(*values), decoded(*values, fast=False)
    assert same(fast, general), f"seed {seed}"
    assert len(fast.events) > 1000 and len(fast.rejects) > 1000, "the mutations reach both outcomes"


PLAIN = {
    "both kinds of entry": {},
    "no bids": {"bids": []},
    "empty": {"bids": [], "asks": []},
    "an emptied level": {"asks": [["10.50", 0], [11, "0.000"]]},
    "the same order twice": {"bids": [[1, 2, "a", "b"], [1, 2, "a", "b"]]},
    "ids as numbers": {"bids": [[1, 2, 0, 2**63 - 1]]},
    "the longest names": {"bids": [[1, 2, "x" * 128, "y" * 128]]},
    "brackets in names": {"bids": [[1, 2, "[[[", "]]"]], "account": "[{"},
    "the most decimals": {"bids": [["0.123456789012", "1000000.500"]]},
    "a field that means nothing here": {"price": "7", "note": None},
    "no seq": {"seq": ...},
    "a time in words": {"ts": "2023-11-14T22:13:20.5Z"},
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_book_never_reaches_the_general_parser(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = encoded(message("book", **PLAIN[name]))
    agree([value])
    assert decoded(value).events["kind"][0] == Kind.BOOK

    def asked(*_: Any) -> Reading:
        raise AssertionError("the general parser was asked")

    monkeypatch.setattr(native, "read", asked)
    assert len(decoded(value, encoded(message("order")), value).events) > 2


NOT_PLAIN: dict[str, bytes] = {
    "asks first": encoded(dict(reversed(message("book").items()))),
    "bids twice": encoded(message("book"))[:-1] + b',"bids":[]}',
    "asks twice": encoded(message("book"))[:-1] + b',"asks":[[12,1]]}',
    "bids twice at once": encoded(message("book")).replace(b'"asks"', b'"bids":[],"asks"'),
    "type twice": encoded(message("book"))[:-1] + b',"type":"order"}',
    "another type at last": encoded(message("order", bids=[[1, 2]], note="book")),
    "trailing bytes": encoded(message("book")) + b"]",
    "two books": encoded(message("book")) * 2,
    "an account that is null": encoded(message("book", bids=[[1, 2, "a", None]])),
    "an order that is null": encoded(message("book", bids=[[1, 2, None]])),
    "one value": encoded(message("book", bids=[[1]])),
    "no value": encoded(message("book", bids=[[]])),
    "five values": encoded(message("book", bids=[[1, 2, 3, 4, 5]])),
    "deeper": encoded(message("book", bids=[[[1, 2]]])),
    "much deeper": encoded(message("book")).replace(b'"bids":[', b'"bids":[' + b"[" * 50),
    "an object": encoded(message("book", bids=[{"price": 1, "qty": 2}])),
    "a side that is a string": encoded(message("book", asks="[[1,2]]")),
    "a comma too many": encoded(message("book")).replace(b"]]", b"],]"),
    "a comma too few": encoded(message("book")).replace(b"],[", b"]["),
    "past int64": encoded(message("book", bids=[[2**63, 1]])),
    "past every number": encoded(message("book", bids=[[1, 10**400]])),
    "an id past uint64": encoded(message("book", bids=[[1, 2, 2**64]])),
    "an id past int64": encoded(message("book", bids=[[1, 2, 2**64 - 1]])),
    "an exponent": encoded(message("book")).replace(b"[10,1]", b"[1e1,1]"),
    "too fine": encoded(message("book", bids=[["0.1234567890123456789", 1]])),
    "no quantity of an order": encoded(message("book", bids=[[1, 0, "a"]])),
    "a price of 0": encoded(message("book", bids=[["0.0", 1]])),
    "below 0": encoded(message("book", bids=[[1, -1]])),
    "true": encoded(message("book", bids=[[True, 1]])),
    "an escape": encoded(message("book", bids=[[1, 2, "\u00e9"]])),
    "bytes that are no text": encoded(message("book")).replace(b"dave", b"d\xffve"),
    "a name too long": encoded(message("book", bids=[[1, 2, "x" * 129]])),
    "an empty name": encoded(message("book", bids=[[1, 2, ""]])),
    "no asks": encoded(message("book", asks=...)),
    "no market": encoded(message("book", market=...)),
    "a market that will not do": encoded(message("book", market="a b")),
    "no time": encoded(message("book", ts=1)),
    "in an array": encoded([message("book"), message("book")]),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_no_plain_book_is_left_to_the_general_parser(name: str) -> None:
    good = encoded(message("status", market="ETH-PERP"))
    agree([good, NOT_PLAIN[name], good])
    batch = batch_of([NOT_PLAIN[name]])
    names, events = Names(8, (3, 4)), np.zeros(NOT_PLAIN[name].count(b"[") + 1, EVENT)
    arrays = (values_table(), *names.arrays, *names.key)
    assert native_book_fast.read_book(batch.payload, 0, len(NOT_PLAIN[name]), 0, events, 0, *arrays) < 0
    assert names.texts() == (), "a refused message leaves no market behind"


def test_books_of_many_rows_find_room_among_other_messages() -> None:
    def book(rows: int) -> bytes:
        return encoded(message("book", bids=[[f"{100 + row}.5", row, row, "a"] for row in range(1, rows)]))

    order = encoded(message("order"))
    values = [order, book(3), order, book(500), book(5), *[order] * 5, book(2_000), order]
    agree(values)
    batch = decoded(*values)
    assert len(batch.events) == 8 + 4 * 3 - 4 + 3 + 500 + 5 + 2_000
    assert (batch.events["flags"] == Flag.SNAPSHOT).sum() == len(batch.events) - 8 - 4


@pytest.mark.parametrize("fast", [True, False])
def test_a_book_of_a_hundred_thousand_rows_is_taken_or_refused_by_the_limit(fast: bool) -> None:
    value = b'{"type":"book","ts":%d,"market":"M","bids":[%s],"asks":[]}' % (TS, b",".join([b"[1,2]"] * 100_000))
    wide = Limits(rows_per_message_max=100_001)
    assert len(Native((3, 4), limits=wide, fast=fast).decode(batch_of([value])).events) == 100_001
    for limits, reason in (
        (Limits(), "too_many_rows"),
        (Limits(rows_per_message_max=100_000), "too_many_rows"),
        (Limits(rows_per_message_max=100_001, book_bytes_max=len(value) - 1), "too_long"),
        (Limits(rows_per_message_max=100_001, depth_max=2), "too_deep"),
    ):
        refused = Native((3, 4), limits=limits, fast=fast).decode(batch_of([value]))
        assert [reject.reason for reject in refused.rejects] == [reason] and not len(refused.events)


def test_a_book_past_markets_max_is_refused() -> None:
    values = [encoded(message("book", market=f"M{number}")) for number in range(3)]
    assert same(decoded(*values, markets_max=2), decoded(*values, markets_max=2, fast=False))
    assert [reject.reason for reject in decoded(*values, markets_max=2).rejects] == ["markets_max"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(books(), broken()), min_size=2, max_size=8), st.data())
def test_any_chunking_gives_the_same_rows(values: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    decoder = Native((3, 4))
    parts = [decoder.decode(batch_of(values[:cut])), decoder.decode(batch_of(values[cut:], first_offset=100 + cut))]
    whole = decoded(*values)
    assert columns(np.concatenate([part.events for part in parts])) == columns(whole.events)
    assert parts[0].rejects + parts[1].rejects == whole.rejects and parts[1].markets == whole.markets


def test_the_compiled_book_parser_and_plain_python_say_the_same() -> None:
    value = json.dumps(message("book", account="z")).encode()
    outcomes = []
    for read in (native_book_fast.read_book, plain(native_book_fast.read_book)):
        batch, names, events = batch_of([value]), Names(8, (3, 4)), np.zeros(8, EVENT)
        with np.errstate(over="ignore"):  # digests wrap around
            free = read(batch.payload, 0, len(value), 7, events, 1, values_table(), *names.arrays, *names.key)
        outcomes.append((free, columns(events), names.texts()))
    assert outcomes[0] == outcomes[1] and outcomes[0][0] == 6
