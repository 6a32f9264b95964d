"""An order whose cancel came first does not rest, though its market had none of the kind for long; others do."""

from __future__ import annotations

import json

import pytest

from detector.model.records import pack
from detector.wiring.build import build_pipeline
from detector.wiring.config import of
from tests.features.quoting import MARKET, START_NS


@pytest.mark.parametrize(("cancel_s", "order_s", "rest"), [(5.2, 5.0, 0), (5.0, 5.2, 0), (5.0, 5.9, 0), (5.0, 6.1, 1)])
def test_an_order_that_its_cancel_overtook_by_up_to_a_second_never_rests(
    cancel_s: float, order_s: float, rest: int
) -> None:
    def say(at_s: float, **fields: object) -> bytes:
        return json.dumps({"ts": START_NS + int(at_s * 1e9), "market": MARKET, "account": "a", **fields}).encode()

    placed = {"type": "order", "side": "buy", "price": 100, "qty": 1}
    values = [
        say(0.0, order_id="stays", **placed),
        say(cancel_s, type="cancel", order_id="gone"),
        say(order_s, order_id="gone", **placed),
    ]
    engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native")
    engine.step([pack("t", 0, values, range(len(values)))])
    engine.finish()
    assert int(engine.shard.tables.order_use[0]) == 1 + rest
