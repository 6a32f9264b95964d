"""Columnar files: what is written is what was decoded, whoever reads it; and no file, however hostile, is a crash."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.formats.base import Format
from detector.formats.binance import Binance
from detector.formats.columnar import ColumnarRows
from detector.formats.independent_reserve import IndependentReserve
from detector.formats.native import Native
from detector.model.events import EVENT, EventColumn
from detector.sources.file import open_files
from detector.sources.packed import FileUnreadable
from replay.columnar import GROUP_ROWS_MAX, SCHEMA, SOURCES_KEY, VERSION_KEY, open_columnar
from replay.columnar_write import ColumnarFile
from replay.convert import Converted, convert, noting_key
from replay.native_lines import NativeFile
from tests.formats.native_messages import messages
from tests.replay.test_real_captures import BINANCE, INDEPENDENT_RESERVE, ROOT

KEY = (11, 12)
SAID = [name for name in EVENT.names or () if name != "market"]


def to_columns(folder: Path, sources: Sequence[Path], decoder: Format | None = None) -> tuple[Path, Converted]:
    path = folder / "out.parquet"
    output = ColumnarFile(str(path))
    told = convert(open_files([str(source) for source in sources]), decoder or Native(noting_key((1, 2))), output)
    output.close()
    return path, told


def from_columns(path: Path, rows: ColumnarRows | None = None) -> tuple[EventColumn, list[str], list[str]]:
    """(rows, each row's market, reasons of refused rows)."""
    rows = rows or ColumnarRows(KEY)
    parts, markets, refused = [np.zeros(0, EVENT)], [], []
    for each in open_columnar(str(path), rows):
        while (batch := each.read()) is not None:
            parts.append(batch.events)
            markets += [batch.markets[number] for number in batch.events["market"]]
            refused += [reject.reason for reject in batch.rejects]
        refused += [each.damage] if each.damage else []
    return np.concatenate(parts), markets, refused


def decoded(path: Path, decoder: Format) -> tuple[EventColumn, list[str]]:
    parts, markets = [np.zeros(0, EVENT)], []
    for reader in open_files([str(path)]):
        while (records := reader.read()) is not None:
            batch = decoder.decode(records)
            parts.append(batch.events)
            markets += [batch.markets[number] for number in batch.events["market"]]
    return np.concatenate(parts), markets


def assert_same(found: EventColumn, wanted: EventColumn, names: Sequence[str] = SAID) -> None:
    for name in names:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(messages(), max_size=30))
def test_a_columnar_file_holds_what_the_decoder_says_and_lines_written_from_it_say_it_again(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "log.ndjson"
        source.write_bytes(b"\n".join(line.replace(b"\n", b" ") for line in lines))
        wanted, wanted_markets = decoded(source, Native(KEY))
        path, told = to_columns(folder, [source])
        found, markets, refused = from_columns(path)
        assert (refused, told.ids_lost, told.rows) == ([], 0, len(wanted))
        assert markets == wanted_markets
        assert_same(found, wanted)
        again = NativeFile(str(folder / "again.ndjson.zst"))
        convert(open_columnar(str(path), ColumnarRows(KEY)), Native(noting_key((5, 6))), again)
        again.close()
        rows, markets = decoded(folder / "again.ndjson.zst", Native(KEY))
        assert markets == wanted_markets
        assert_same(rows, wanted, [each for each in SAID if each != "offset"])  # a line of an array is a line now


@pytest.mark.parametrize(
    ("folder", "names", "decoder"),
    [
        (BINANCE, "*.ndjson.gz", Binance),
        (INDEPENDENT_RESERVE, "INDEPENDENT_RESERVE.*", IndependentReserve),
    ],
    ids=["binance", "independent_reserve"],
)
def test_a_real_capture_loses_no_row_and_no_id(
    folder: Path, names: str, decoder: Callable[[Any], Format], tmp_path: Path
) -> None:
    if not folder.is_dir():
        pytest.skip("the capture is not on this machine")
    sources = []
    for reader in open_files([str(path) for path in sorted(folder.glob(names))], batch_max=1_500):
        records = reader.read()
        reader.close()
        assert records is not None
        sources.append(tmp_path / reader.partition[0].removesuffix(".gz"))
        sources[-1].write_bytes(b"\n".join(records.value(index) for index in range(len(records))))
    whole = decoder(KEY)
    parts = [decoded(source, whole) for source in sources]
    path, told = to_columns(tmp_path, sources, decoder(noting_key((1, 2))))
    found, markets, refused = from_columns(path)
    assert (refused, told.ids_lost) == ([], 0)
    assert len(found) > 1_000 and markets == [market for _, named in parts for market in named]
    assert_same(found, np.concatenate([events for events, _ in parts]))


def order(at: int, **changes: Any) -> bytes:
    fields = {"type": "order", "ts": 1_700_000_000_000_000_000 + at, "market": "BTC-PERP", "order_id": f"o{at}"}
    return json.dumps({**fields, "side": "buy", "price": "10.5", "qty": 2, "account": "alice", **changes}).encode()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A good file of three orders."""
    source = tmp_path / "log.ndjson"
    source.write_bytes(b"\n".join(order(at) for at in range(3)))
    return to_columns(tmp_path, [source])[0]


SOURCES = b'[{"topic":"log","partition":0,"groups":[0,1],"constants":[{}]}]'


def rewritten(path: Path, column: str, values: Any, metadata: dict[bytes, bytes] | None = None) -> None:
    """The same file with another column, as somebody might write it who means us no good."""
    table = pq.read_table(path)
    at = table.schema.get_field_index(column)
    array = values if isinstance(values, pa.Array) else pa.array(values, SCHEMA.field(column).type)
    field = pa.field(column, array.type, nullable=SCHEMA.field(column).nullable or array.null_count > 0)
    table = table.set_column(at, field, array)
    told = {**(pq.read_metadata(path).metadata or {}), SOURCES_KEY: SOURCES, **(metadata or {})}
    told.pop(b"ARROW:schema", None)
    pq.write_table(table.replace_schema_metadata(told), path)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("kind", [1, 99, 1], "unknown_kind"),
        ("kind", [1, -1, 1], "unknown_kind"),
        ("event_ns", [17 * 10**17, 5, 17 * 10**17], "out_of_range:event_ns"),
        ("offset", [3, 1, 4], "offset_not_rising"),
        ("offset", [0, -1, 4], "offset_not_rising"),
        ("market", ["A", "B\x1b[31m", "A"], "not_a_market"),
        ("market", ["A", "", "A"], "not_a_market"),
        ("order_id", ["a", "", "b"], "out_of_range:id"),
        ("account", ["a", "x" * 129, "b"], "out_of_range:id"),
        ("side", [1, 7, 1], "unknown_word"),
        ("flags", [0, 255, 0], "unknown_word"),
        ("code", [0, 120, 0], "unknown_word"),
        ("price_ticks", [1, 2**62, 1], "out_of_range:price_or_qty"),
        ("price_ticks", [1, 0, 1], "out_of_range:price_or_qty"),
        ("qty_lots", [1, -(2**63), 1], "out_of_range:price_or_qty"),
        ("price_decimals", [1, 13, 1], "out_of_range:price_or_qty"),
        ("qty_decimals", [1, -1, 1], "out_of_range:price_or_qty"),
        ("seq", [1, -2, 1], "out_of_range:price_or_qty"),
        ("margin", [1.0, float("inf"), 1.0], "out_of_range:price_or_qty"),
        ("leverage", [1.0, -3.0, 1.0], "out_of_range:price_or_qty"),
    ],
)
def test_a_row_that_no_decoder_would_make_is_a_reject_and_its_neighbours_stay(
    made: Path, column: str, values: list[Any], reason: str
) -> None:
    rewritten(made, column, values)
    found, _, refused = from_columns(made)
    assert (len(found), refused) == (2, [reason])


@pytest.mark.parametrize(
    ("column", "values", "metadata", "sentence"),
    [
        ("kind", pa.array([1, 1, 1], pa.int64()), None, "column kind is not what version 1 says"),
        ("event_ns", pa.array([1, None, 2], pa.int64()), None, "column event_ns is not what version 1 says"),
        ("order_id", pa.array([b"a", b"b", b"c"], pa.binary()), None, "column order_id is not"),
        ("seq", [1, 1, 1], {VERSION_KEY: b"2"}, "version b'2'; this program reads version 1"),
        ("seq", [1, 1, 1], {SOURCES_KEY: b"[]"}, "list of sources"),
        ("seq", [1, 1, 1], {SOURCES_KEY: b"nonsense"}, "list of sources"),
        (
            "seq",
            [1, 1, 1],
            {SOURCES_KEY: b'[{"topic":"a","partition":0,"groups":[0,9],"constants":[{}]}]'},
            "list of sources",
        ),
        (
            "seq",
            [1, 1, 1],
            {SOURCES_KEY: b'[{"topic":"a","partition":0,"groups":[0,1],"constants":[{"kind":1}]}]'},
            "list of",
        ),
        (
            "seq",
            [1, 1, 1],
            {SOURCES_KEY: b'[{"topic":"a","partition":-1,"groups":[0,1],"constants":[{}]}]'},
            "list of sources",
        ),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_a_sentence(
    made: Path, column: str, values: Any, metadata: dict[bytes, bytes] | None, sentence: str
) -> None:
    rewritten(made, column, values, metadata)
    with pytest.raises(FileUnreadable, match=sentence):
        open_columnar(str(made), ColumnarRows())


def test_somebody_elses_parquet_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(FileUnreadable, match="not written by `foreshock convert`"):
        open_columnar(str(path), ColumnarRows())


def test_a_row_group_past_the_limit_is_refused_before_it_is_read(made: Path) -> None:
    table = pq.read_table(made)
    told = pq.read_metadata(made).metadata
    many = pa.concat_tables([table] * (GROUP_ROWS_MAX // 3 + 1))
    pq.write_table(many.replace_schema_metadata(told), made, row_group_size=GROUP_ROWS_MAX + 3)
    with pytest.raises(FileUnreadable, match=f"at most {GROUP_ROWS_MAX}"):
        open_columnar(str(made), ColumnarRows())


ATTACK = """
import random, sys
from pathlib import Path
from detector.formats.columnar import ColumnarRows
from detector.sources.packed import FileUnreadable
from replay.columnar import open_columnar
whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
outcomes = set()
for seed in range(int(sys.argv[3])):
    dice = random.Random(seed)
    print("seed", seed, flush=True)
    bad = bytearray(whole)
    tail = len(whole) // 2 if seed % 2 else 0
    for _ in range(dice.randint(1, 8)):
        bad[dice.randrange(tail, len(bad))] = dice.randrange(256)
    path.write_bytes(bad if seed % 7 else bad[: dice.randrange(len(bad))])
    try:
        for each in open_columnar(str(path), ColumnarRows()):
            while each.read() is not None:
                pass
            outcomes.add("damage" if each.damage else "read")
    except FileUnreadable as error:
        outcomes.add("refused")
print(sorted(outcomes))
"""


def test_a_damaged_file_is_refused_or_ends_early_or_is_read_but_never_a_crash(tmp_path: Path) -> None:
    """In a process of its own: what is looked for is one that dies."""
    source = tmp_path / "log.ndjson"
    source.write_bytes(b"\n".join(order(at) for at in range(200)))
    path, _ = to_columns(tmp_path, [source])
    command = [sys.executable, "-c", ATTACK, str(path), str(tmp_path / "bad.parquet"), "600"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout.splitlines()
    assert done.returncode == 0, f"{said[-1:]}: {done.stderr[-1000:]}"
    assert said[-1] == "['damage', 'read', 'refused']"


def test_a_record_is_never_cut_between_two_batches(tmp_path: Path) -> None:
    """The lane takes rows of one offset for one record."""
    source = tmp_path / "log.ndjson"
    book = {"type": "book", "ts": 1_700_000_000_000_000_000, "market": "BTC-PERP"}
    entries = [[100 + at, 1, f"a{at}"] for at in range(9_000)]
    one = json.dumps({**book, "bids": [], "asks": entries}).encode()
    source.write_bytes(b"\n".join([one] * 12))
    path, _ = to_columns(tmp_path, [source])
    (each,) = open_columnar(str(path), ColumnarRows(KEY))
    ends, rows = [], 0
    while (batch := each.read()) is not None:
        ends.append((int(batch.events["offset"][0]), int(batch.events["offset"][-1])))
        rows += len(batch.events)
    assert rows == 12 * 9_001
    assert all(before[1] < after[0] for before, after in pairwise(ends))
