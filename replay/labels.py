"""Labels: what really happened and when, from LABELS.json: [{"start": T, "end": T, "markets": [...] | null, ...}]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from replay.instant import parse_instant

LABELS_MAX = 100_000
BENIGN = "benign"
EARLIEST_NS = 946_684_800 * 10**9  # the year 2000: what is before it is in another unit


class LabelsError(ValueError):
    """Everything that is wrong with a labels file, one sentence a line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Label:
    """An incident (or, of kind "benign", something harmless that looks like one). markets: () = all."""

    start_ns: int
    end_ns: int
    markets: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""

    @property
    def benign(self) -> bool:
        """A confounder: an alert inside it is false."""
        return self.kind == BENIGN

    def touches(self, markets: tuple[str, ...]) -> bool:
        """Whether any of `markets` is one of its own. An alert without markets concerns all."""
        return not self.markets or not markets or any(market in self.markets for market in markets)


def read_labels(data: bytes) -> tuple[Label, ...]:
    """The labels in the order of their start. Raises LabelsError with every fault.

    >>> read_labels(b'[{"start": 946684800000000000, "end": "2000-01-01T00:00:01Z", "markets": ["BTC-PERP"]}]')
    (Label(start_ns=946684800000000000, end_ns=946684801000000000, markets=('BTC-PERP',), kind='', name='label 1'),)
    """
    try:
        rows = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LabelsError(f"labels: no JSON: {error}") from None
    if not isinstance(rows, list):
        raise LabelsError("labels: wanted a list of {start, end, markets, kind, name}")
    if len(rows) > LABELS_MAX:
        raise LabelsError(f"labels: {len(rows)} of them, at most {LABELS_MAX} can be judged")
    labels, faults = [], []
    for number, row in enumerate(rows, start=1):
        try:
            labels.append(_label(row, number))
        except ValueError as error:
            faults.append(f"labels: number {number}: {error}")
    if faults:
        raise LabelsError("\n".join(faults))
    return tuple(sorted(labels, key=lambda label: (label.start_ns, label.end_ns, label.name)))


def _label(row: Any, number: int) -> Label:
    if not isinstance(row, dict):
        raise ValueError("wanted an object")
    if "market" in row and "markets" not in row:  # other keys may be somebody's own
        raise ValueError("market is no key: markets is a list of names")
    instants = []
    for key in ("start", "end"):
        if not isinstance(row.get(key), int | str):
            raise ValueError(f"{key} is missing, or neither nanoseconds nor ISO-8601")
        instants.append(parse_instant(row[key]))
    start_ns, end_ns = instants
    if start_ns < EARLIEST_NS:
        raise ValueError("it starts before the year 2000: nanoseconds or ISO-8601 are wanted")
    if end_ns < start_ns:
        raise ValueError("it ends before it starts")
    markets = row.get("markets")
    if markets is not None and not (
        isinstance(markets, list) and markets and all(isinstance(market, str) for market in markets)
    ):
        raise ValueError("markets is neither null (all) nor a list of names")
    texts = {key: row.get(key) or "" for key in ("kind", "name")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("kind and name are text")
    kind = BENIGN if texts["kind"].lower() == BENIGN else texts["kind"]
    return Label(start_ns, end_ns, tuple(markets or ()), kind, texts["name"] or f"label {number}")
