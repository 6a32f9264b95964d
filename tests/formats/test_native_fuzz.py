"""The two parsers of the native format are one: whatever the bytes, they say the same."""

from __future__ import annotations

import json
import os
import random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats import native_fast
from detector.formats.native import Native
from detector.formats.native_scan import FIELDS, FOLLOWS, values_table
from detector.formats.native_words import Refusal
from detector.kernels import plain
from detector.kernels.names import Names
from detector.model.events import EVENT, EventColumn
from tests.formats.native_messages import (
    ONE_OF_EACH,
    batch_of,
    columns,
    decoded,
    encoded,
    message,
    messages,
    mutated,
    same,
)


def agree(values: list[bytes]) -> None:
    fast, general = decoded(*values), decoded(*values, fast=False)
    assert same(fast, general), values
    words = {str(refusal) for refusal in Refusal}
    assert {reject.reason.partition(":")[0] for reject in fast.rejects} <= words


@settings(max_examples=400, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=6))
def test_both_parsers_say_the_same_of_messages_that_are_nearly_right(values: list[bytes]) -> None:
    agree(values)


@settings(max_examples=400, deadline=None)
@given(st.lists(mutated(), min_size=1, max_size=6))
def test_both_parsers_say_the_same_of_messages_with_broken_bytes(values: list[bytes]) -> None:
    agree(values)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_is_raised(values: list[bytes]) -> None:
    agree(values)


@settings(max_examples=300, deadline=None)
@given(st.one_of(messages(), mutated()))
def test_what_is_not_json_is_never_read(value: bytes) -> None:
    def constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        json.loads(value.decode("utf-8"), parse_constant=constant)
    except ValueError:
        outcome = decoded(value)
        assert not len(outcome.events) and not outcome.skipped
        assert [reject.reason for reject in outcome.rejects] in (["not_json"], ["not_utf8"])
    else:
        assert (
            not any(reject.reason in ("not_json", "not_utf8") for reject in decoded(value).rejects) or b"\\u" in value
        )


def test_a_seeded_mutation_of_every_byte_of_every_type_changes_both_parsers_alike() -> None:
    seed = int(os.environ.get("FORESHOCK_SEED", "20261122"))
    dice = random.Random(seed)
    values = []
    for kind in ONE_OF_EACH:
        good = encoded(message(kind))
        for place in range(len(good)):
            for byte in [*dice.sample(range(256), 3), dice.choice(b'"\\{}[]:,.-+eE0123456789 ')]:
                values.append(good[:place] + bytes([byte]) + good[place + 1 :])
            values.append(good[:place])
    fast, general = decoded(*values), decoded(*values, fast=False)
    assert same(fast, general), f"seed {seed}"
    assert len(fast.events) > 100 and len(fast.rejects) > 1000, "the mutations reach both outcomes"


def test_the_compiled_fast_parser_and_plain_python_say_the_same() -> None:
    values = [encoded(message(kind)) for kind in ONE_OF_EACH if kind != "book"]
    values += [encoded(message("order", ts="2023-11-14T22:13:20.5Z")), b'{"type":"order"', b"{}"]
    compiled, interpreted = _rows(values, compiled=True), _rows(values, compiled=False)
    assert columns(compiled) == columns(interpreted) and len(compiled) == 11


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(messages(), mutated()), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_a_wrong_guess_of_the_next_key_costs_time_and_changes_nothing(values: list[bytes], seed: int) -> None:
    guesses = values_table()
    guesses[:, FOLLOWS:] = np.random.default_rng(seed).integers(0, FIELDS + 1, guesses[:, FOLLOWS:].shape)
    assert columns(_rows(values, compiled=True, table=guesses)) == columns(_rows(values, compiled=True))


@pytest.mark.parametrize("kind", sorted(kind for kind in ONE_OF_EACH if kind != "book"))
def test_a_key_that_is_nearly_the_one_that_was_guessed_is_read_for_what_it_is(kind: str) -> None:
    good = message(kind)
    values = [encoded(good)]  # after it every key is guessed right
    for name in good:
        key = f'"{name}":'.encode()
        for other in (f'"{name[:-1]}":', f'"{name}x":', f'"x{name}":', f'"{name}" :', f'"{name}\\u0020":', f'"{name};'):
            values.append(encoded(good).replace(key, other.encode()))
        values.append(encoded(good).replace(key, key + b"0," + key))  # said twice
        values.append(encoded(dict(reversed(good.items()))))
        values.append(encoded(good)[: encoded(good).index(key) + len(key) - 1])
        values += [encoded(good)] * 2
    agree(values)
    assert len(_rows(values, compiled=True)) >= 4 * len(good)


def _rows(values: list[bytes], *, compiled: bool, table: npt.NDArray[np.int64] | None = None) -> EventColumn:
    """Rows of the messages that the fast parser takes; table: what it guesses from."""
    batch, names = batch_of(values), Names(8, (3, 4))
    events = np.zeros(len(batch), EVENT)
    table = values_table() if table is None else table
    read = native_fast.read_plain if compiled else plain(native_fast.read_plain)
    record, row = 0, 0
    with np.errstate(over="ignore"):  # digests wrap around
        while record < len(batch):
            record, row = read(
                batch.payload, batch.bounds, batch.offsets, record, events, row, table,
                *names.arrays, *names.key, 65_536,
            )  # fmt: skip
            record += 1
    return events[:row]


@pytest.mark.parametrize("kind", [kind for kind in ONE_OF_EACH if kind != "book"])
def test_every_flat_type_is_read_by_the_fast_parser(kind: str) -> None:
    assert len(_rows([encoded(message(kind))], compiled=True)) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(messages(), mutated()), min_size=2, max_size=12), st.data())
def test_any_chunking_gives_the_same_rows(values: list[bytes], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(values) - 1), max_size=4)))
    whole = Native().decode(batch_of(values))
    decoder = Native()
    parts = []
    for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        parts.append(decoder.decode(batch_of(values[start:end], first_offset=100 + start)))
    assert columns(np.concatenate([part.events for part in parts])) == columns(whole.events)
    assert tuple(reject for part in parts for reject in part.rejects) == whole.rejects
    assert parts[-1].markets == whole.markets
