"""What every format keeps, whatever the bytes. Formats are found, not listed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats.base import Format
from detector.formats.native import Native
from detector.model.events import EVENT, SAMPLE_BYTES, EventBatch, Kind
from detector.wiring import plugins
from tests.formats.native_messages import batch_of, columns, encoded, message, messages, mutated

HOSTILE = [
    b"", b"\0" * 100, b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b'"' + b"x" * 1_000_000, b"9" * 50_000, b"-", b"NaN",
    b'{"type":"order","ts":1e999}', b"1700000000000000000 ", b"1700000000000000000 {}", b"1700000000000000000 {" * 50,
    b",,,,,,", b"34200.1,1,5,100,1000000,1", b"34200.1,9,5,-100,1000000,7", b"\n", b"null", b"[null]", b"[]", b"{}",
    b'{"data":null,"stream":5}', b'{"e":"depthUpdate","s":5,"b":[[1]],"a":{}}', b'{"channel":"x","data":[{}]}', b"DBN\x02\0\0",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
).map(encoded)
BYTES = st.one_of(st.binary(max_size=80), st.sampled_from(HOSTILE[6:]), JSON, messages(), mutated())


def formats() -> list[type[Format]]:
    """Every format that can be made without being told more (a table of paths, an instrument file)."""
    found = []
    for member in (plugins.load("formats", name) for name in plugins.names("formats")):
        told = inspect.signature(member).parameters.values()
        if all(one.default is not one.empty for one in told):
            found.append(member)
    return found


def check(batch: EventBatch, records: int, first_offset: int) -> None:
    """What holds for any decoded batch."""
    offsets = batch.events["offset"]
    assert batch.events.dtype == EVENT and batch.records == records
    assert (np.diff(offsets) >= 0).all(), "log order"
    assert not len(offsets) or (offsets[0] >= first_offset and offsets[-1] < first_offset + records)
    if len(offsets):
        assert batch.events["market"].min() >= 0 and batch.events["market"].max() < len(batch.markets)
        assert set(batch.events["kind"].tolist()) <= set(Kind)
        assert (batch.events["price_decimals"] >= 0).all() and (batch.events["qty_decimals"] >= 0).all()
    for reject in batch.rejects:
        assert (reject.topic, reject.partition) == ("events", 3)
        assert first_offset <= reject.offset < first_offset + records
        assert type(reject.reason) is str and 0 < len(reject.reason) <= 64 and len(reject.sample) <= SAMPLE_BYTES
    refused = {reject.offset for reject in batch.rejects}
    assert not refused & set(offsets.tolist()), "a record is read or refused"


def test_the_native_format_is_found() -> None:
    assert Native in formats()


@pytest.mark.parametrize("made", formats(), ids=lambda made: made.__name__)
def test_a_format_lives_through_hostile_bytes_and_says_where_they_stood(made: type[Format]) -> None:
    check(made().decode(batch_of(HOSTILE)), len(HOSTILE), 100)
    for value in HOSTILE:
        batch = made().decode(batch_of([value]))
        check(batch, 1, 100)


@pytest.mark.parametrize("made", formats(), ids=lambda made: made.__name__)
def test_a_format_reads_an_empty_batch(made: type[Format]) -> None:
    batch = made().decode(batch_of([]))
    assert not len(batch.events) and not batch.rejects and batch.records == 0


@pytest.mark.parametrize("made", formats(), ids=lambda made: made.__name__)
@settings(max_examples=40, deadline=None)
@given(values=st.lists(BYTES, min_size=1, max_size=6), data=st.data())
def test_any_chunking_of_any_bytes_gives_the_same(made: type[Format], values: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole = made().decode(batch_of(values))
    check(whole, len(values), 100)
    decoder = made()
    parts = [decoder.decode(batch_of(values[:cut])), decoder.decode(batch_of(values[cut:], first_offset=100 + cut))]
    assert columns(np.concatenate([part.events for part in parts])) == columns(whole.events)
    assert parts[0].rejects + parts[1].rejects == whole.rejects and parts[1].markets == whole.markets


@pytest.mark.parametrize("made", formats(), ids=lambda made: made.__name__)
def test_records_do_not_touch_the_bytes_they_were_read_from(made: type[Format]) -> None:
    batch = batch_of([encoded(message("order")), *HOSTILE[6:]])
    before = batch.payload.tobytes()
    made().decode(batch)
    assert batch.payload.tobytes() == before
