"""Warm: compile every loop before the first message is read, on a few made-up events that nobody is told of.

The first start on a machine takes long (`python -m bench start --cold`); the machine code is kept on disk, and later
starts take seconds. Without this that time would be spent inside the first step, looking like a stalled source.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from detector.anomaly.base import score_all
from detector.anomaly.second_opinion import load
from detector.engine.shard import Shard
from detector.features.tables import Need, grown
from detector.model.events import EventBatch, empty_events
from detector.model.records import pack
from detector.model.windows import Windows
from detector.wiring.build import build_format, build_pipeline
from detector.wiring.config import Configuration

START_NS = 1_767_225_600_000_000_000
SECONDS = 70  # past the first scored minute
DEPTH = 1_000
AHEAD_NS = 3_600_000_000_000  # of one wrong clock: what is asked of it is asked of few
KEY = b"nobody is told of these accounts"


def warm_parser(config: Configuration) -> None:
    """The native format's loops alone."""
    build_format(config, "native", (1, 2)).decode(pack("warm", 0, _messages(), range(len(_messages()))))


def warm_engine(config: Configuration) -> None:
    """The engine's loops alone, on rows that no parser made."""
    pipeline = build_pipeline(config, pseudonym_key=KEY, format_name="native")
    events = empty_events(11 * SECONDS)
    events["event_ns"] = START_NS + np.arange(len(events)) // 11 * 1_000_000_000
    events["event_ns"][len(events) // 2] += AHEAD_NS
    events["offset"] = np.arange(len(events))
    events["kind"] = 1 + np.arange(len(events)) % 11
    for name in ("order", "account", "price_ticks", "qty_lots", "side"):
        events[name] = 1
    rows = EventBatch("warm", 0, 0, len(events), ("WARM",), events, records=len(events))
    pipeline.take([(pipeline.decoder.state(), rows)])
    pipeline.finish()


def warm_detectors(config: Configuration) -> None:
    """The detectors' loops alone, on windows that nobody folded; and what an alert asks of them."""
    pipeline = build_pipeline(config, pseudonym_key=KEY, format_name="native")
    assert isinstance(pipeline.shard, Shard)
    features, width_ns, yes = pipeline.shard.features, pipeline.settings.width_ns, np.ones(1, np.bool_)
    for number in range(SECONDS):
        values = np.full((1, len(features)), 1.0 + number % 7)
        windows = Windows(START_NS + (number + 1) * width_ns, width_ns, ("WARM",), features, values, yes, yes)
        scores = score_all(pipeline.detectors, windows, yes)
    for score in scores:
        score.explain(0)


def warm(config: Configuration, *, opinion: bool = True) -> None:
    """Returns when nothing is left to compile: the configured format's loops, and the engine's. Nor to import;
    `opinion` False: but for PyOD, which the daemon imports once it reads."""
    if opinion and config.settings.incidents.second_opinion:
        load()
    build_format(config, config.settings.input.format, (1, 2)).decode(pack("warm", 0, [b"{}", b"[]"], [0, 1]))
    pipeline = build_pipeline(config, pseudonym_key=KEY, format_name="native")
    messages = _messages()
    half = len(messages) // 2
    pipeline.step([pack("warm", 0, messages[:half], range(half))])
    pipeline.step([pack("warm", 0, messages[half:], range(half, len(messages)))])
    pipeline.finish()
    pipeline.shard.contributors(0, "cancels", START_NS)  # or the first alert would wait
    warm_detectors(config)
    state = pipeline.state()
    twin = build_pipeline(config, pseudonym_key=KEY, format_name="native")
    twin.restore(state)
    for need in (Need.LEVELS, Need.PARTICIPANTS):  # or the first table that grows would wait for the compiler
        assert isinstance(twin.shard, Shard)
        twin.shard.tables.need[0] = need
        twin.shard.tables = grown(twin.shard.tables)


def _messages() -> list[bytes]:
    messages = [json.dumps(event).encode() for event in _events()]
    # one array, so that the parser of unusual messages is run, too
    deep = b"[" * DEPTH + b"]" * DEPTH  # how deep is asked of few messages, by a loop of its own
    return [*messages, b"[" + messages[-1] + b"]", deep]


def _events() -> Iterator[dict[str, object]]:
    """Every type of the contract in one market, second by second."""
    entries = [[str(100 + i), "2", f"s{i}", "m"] for i in range(1, 4)]
    book = {"bids": [[str(100 - i), "2", f"b{i}", "m"] for i in range(1, 4)], "asks": entries}
    for second in range(SECONDS):
        at_ns = START_NS + second * 1_000_000_000
        common = {"ts": at_ns, "market": "WARM", "account": f"a{second % 5}"}
        order = {"order_id": f"o{second}", "side": "buy" if second % 2 else "sell"}
        price = f"{99.5 if second % 2 else 100.5}"
        if second % 30 == 0:
            yield common | {"type": "book"} | book
        yield common | {"type": "order", "price": price, "qty": "1.5"} | order
        yield common | {"type": "fill", "price": price, "qty": "0.5", "order_id": f"o{second}", "taker_account": "t"}
        yield common | {"type": "cancel", "order_id": f"o{second}"}
        yield common | {"type": "leverage", "leverage": 5 + second % 7, "previous": 5, "notional": "1000"}
        yield common | {"type": "mark", "price": "100", "funding_rate": "0.0001"}
        yield common | {"type": "position", "qty": "1", "entry_price": "100", "leverage": 5}
        yield common | {"type": "liquidation", "side": "sell", "price": "100", "qty": "1"}
        yield common | {"type": "status", "status": "open"}
        levels = common | {"market": "WARM-L2"}
        yield levels | {"type": "level", "side": "buy", "price": price, "qty": second % 3}
        yield levels | {"type": "trade", "side": "sell", "price": price, "qty": "1"}
        if second == SECONDS // 2:
            yield levels | {"type": "mark", "price": "100", "ts": at_ns + AHEAD_NS}
