"""The codec of saved state: what goes in comes out, and what was damaged is said to be."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detector.model.events import EVENT, empty_events
from detector.model.state import State
from detector.store import snapshot
from detector.store.snapshot import Arena, SnapshotError, decode, encode, inspect

arrays = hnp.arrays(
    dtype=st.sampled_from(["?", "i1", "<i4", "<i8", "u1", "<u8", "<f4", "<f8", ">i4", "S5", "U3"]).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.integers(-(2**200), 2**200), arrays
)
trees = st.dictionaries(
    st.text(),
    st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)),
    max_size=4,
)


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.shape == right.shape
            and left.dtype.newbyteorder("<") == right.dtype
            and left.astype(right.dtype).tobytes() == right.tobytes()
            and right.flags.writeable
        )
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right) or (left != left and right != right)
    return left == right


def example_state() -> dict[str, Any]:
    events = empty_events(5)
    events["price_ticks"] = np.arange(5)
    return {"events": events, "rows": np.arange(2000, dtype=np.float64), "name": "BTC-PERP", "seed": 2**127 + 1}


@given(trees)
@settings(max_examples=150, deadline=None)
def test_every_tree_comes_back_as_it_was(state: State) -> None:
    assert same(state, decode(encode(state)))


def test_a_structured_array_keeps_its_fields_offsets_and_padding() -> None:
    nested = np.dtype([("row", EVENT), ("levels", "<f8", (3, 2)), ("tag", "S3")], align=True)
    table = np.zeros(4, nested)
    table["levels"][2, 1, 1] = 7.5
    table["row"]["offset"][3] = 99
    back: Any = decode(encode({"table": table}))["table"]
    assert back.dtype == nested and back.dtype.isalignedstruct
    assert back["levels"][2, 1, 1] == 7.5 and back["row"]["offset"][3] == 99


def test_what_memory_held_between_the_fields_is_neither_saved_nor_changes_the_bytes() -> None:
    nested = np.dtype([("tag", "i1"), ("row", EVENT, (2,)), ("end", "i1")], align=True)
    clean, dirty = np.zeros(3, nested), np.frombuffer(b"\xaa" * 3 * nested.itemsize, nested).copy()
    for name in ("tag", "end"):
        dirty[name] = 0
    for name in EVENT.names or ():
        dirty["row"][name] = 0
    assert encode({"table": dirty}) == encode({"table": clean}) == encode(Arena().freeze({"table": dirty}))


def test_a_view_with_strides_is_saved_by_its_values() -> None:
    grid = np.arange(24, dtype=np.int64).reshape(4, 6)
    assert np.array_equal(np.asarray(decode(encode({"v": grid.T[::2]}))["v"]), grid.T[::2])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_one_flipped_bit_anywhere_is_found(data: st.DataObject) -> None:
    blob = bytearray(BLOB)
    bit = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SnapshotError):
        decode(bytes(blob))


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_cut_off_or_lengthened_snapshot_is_found(data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(BLOB) - 1))
    with pytest.raises(SnapshotError):
        decode(BLOB[:end])
    with pytest.raises(SnapshotError):
        decode(BLOB + data.draw(st.binary(min_size=1, max_size=9)))


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_a_forged_header_with_a_right_checksum_never_gives_garbage_or_another_error(header: bytes) -> None:
    with pytest.raises(SnapshotError):
        decode(sealed(header, b""))


@pytest.mark.parametrize(
    ("dtype", "shape", "start"),
    [
        ("|O", [1], 0),
        ("<M8[s]", [1], 0),
        ("<f8", [1 << 40], 0),
        ("<f8", [-1], 0),
        ("<f8", [2], 8),
        ("<f8", [1], -8),
        ("f8,O", [1], 0),
        ("V8", [1], 0),
        (7, [1], 0),
        ({"fields": [["a", "|O", 0, []]], "size": 8, "aligned": False}, [1], 0),
        ({"fields": [["a", "<f8", 0, []], ["b", "<f8", 4096, []]], "size": 8, "aligned": False}, [1], 0),
        ({"fields": "nonsense"}, [1], 0),
    ],
)
def test_an_array_that_cannot_be_is_refused_even_with_a_right_checksum(
    dtype: object, shape: list[int], start: int
) -> None:
    place = msgspec.msgpack.Ext(1, msgspec.msgpack.encode([dtype, shape, start]))
    header = {"schema": 1, "body_bytes": 8, "about": {}, "tree": {"x": place}}
    body = zstandard.ZstdCompressor().compress(bytes(8))
    with pytest.raises(SnapshotError):
        decode(sealed(msgspec.msgpack.encode(header), body))


def test_a_body_that_expands_past_its_promise_is_refused() -> None:
    header = {"schema": 1, "body_bytes": 8, "about": {}, "tree": {}}
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    with pytest.raises(SnapshotError):
        decode(sealed(msgspec.msgpack.encode(header), bomb))


def test_a_deeply_nested_header_is_refused() -> None:
    header = b"\x84" + b"\xa6schema\x01" + b"\xaabody_bytes\x00" + b"\xa5about\x80" + b"\xa4tree\x81\xa1x"
    with pytest.raises(SnapshotError):
        decode(sealed(header + b"\x91" * 100_000 + b"\xc0", b""))
    with pytest.raises(SnapshotError):
        decode(sealed(header + b"\x91" * 60 + b"\xc0", b""))


def test_a_newer_schema_is_refused_with_a_sentence() -> None:
    with pytest.raises(SnapshotError, match="newer foreshock"):
        decode(encode({"x": 1}, schema=snapshot.SCHEMA + 1))


@pytest.mark.parametrize(
    "value", [(1, 2), {1, 2}, object(), np.array([object()]), np.array(["2026-01-01"], "M8[D]"), 1j]
)
def test_what_is_not_saved_state_is_refused_by_its_path(value: object) -> None:
    with pytest.raises(SnapshotError, match=r"state\.shards\[1\]\.thing"):
        encode({"shards": [{}, {"thing": value}]})  # type: ignore[dict-item]


def test_numpy_scalars_are_saved_as_the_numbers_they_are() -> None:
    state: State = {"a": np.float64(1.5), "b": np.int64(3), "c": np.bool_(True)}  # type: ignore[dict-item]
    assert decode(encode(state)) == {"a": 1.5, "b": 3, "c": True}


def test_a_frozen_tree_does_not_see_later_changes() -> None:
    state = example_state()
    before = encode(state)
    kept = Arena().freeze(state)
    state["rows"][0] = -1.0
    assert encode(kept) == before != encode(state)


@given(st.lists(trees, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_one_arena_after_the_other_state_gives_the_bytes_of_the_tree_itself(states: list[State]) -> None:
    """Whatever lay there before, and however much smaller it was."""
    arena = Arena()
    for state in states:
        assert encode(arena.freeze(state)) == encode(state)


def test_a_header_can_be_read_alone() -> None:
    assert inspect(encode({"x": 1}, about={"config_rev": "abc"})).about == {"config_rev": "abc"}


def test_mostly_empty_tables_are_small() -> None:
    assert len(encode({"table": np.zeros(1 << 22, np.int64)})) < 20_000


def sealed(header: bytes, body: bytes) -> bytes:
    rest = struct.pack("<I", len(header)) + header + body
    return snapshot.MAGIC + hashlib.blake2b(rest, digest_size=32).digest() + rest


BLOB = encode(example_state())
