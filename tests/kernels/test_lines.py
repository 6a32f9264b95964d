"""Where lines end: eight bytes at a time, against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.kernels import plain
from detector.kernels.lines import find_ends, line_ends

PIECES = st.sampled_from([b"\n", b"\n\n", b"\x0b", b"\x09\n", b"\x8a", b"a" * 7, b"b" * 30, b"\xff" * 5, b"\x00" * 8])


@settings(deadline=None)  # the first compiles
@given(st.lists(PIECES, max_size=60), st.integers(0, 20), st.integers(0, 20))
def test_newlines_are_where_numpy_finds_them(pieces: list[bytes], start: int, beyond: int) -> None:
    payload = np.frombuffer(b"".join(pieces) + b"\n" * 21, np.uint8)
    stop = max(start, len(payload) - beyond)
    ends = np.flatnonzero(payload[start:stop] == 10) + start
    assert line_ends(payload, start, stop).tolist() == ends.tolist()


@settings(deadline=None)  # the first compiles
@given(st.binary(max_size=80), st.integers(0, 9), st.integers(8, 20))
def test_the_compiled_search_is_the_plain_one_and_says_when_there_is_no_room(
    data: bytes, start: int, room: int
) -> None:
    payload = np.frombuffer(data.replace(b"\x01", b"\n") + bytes(16), np.uint8)
    words = payload[: len(payload) // 8 * 8].view(np.uint64)
    answers = []
    for find in (find_ends, plain(find_ends)):
        ends = np.zeros(room, np.int64)
        found = int(find(payload, words, min(start, len(data)), len(data), ends))
        answers.append((found, ends[: max(0, found)].tolist()))
    assert answers[0] == answers[1]
    wanted = (np.flatnonzero(payload[start : len(data)] == 10) + start).tolist() if start < len(data) else []
    found, ends = answers[0]
    assert ends == wanted if found >= 0 else len(wanted) > room - 8
