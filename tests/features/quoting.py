"""A market of makers whose every quote a test knows, and what the engine's features say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from detector.model.records import RecordBatch, pack
from detector.wiring.build import build_pipeline
from detector.wiring.config import of

START_NS = 1_767_225_600_000_000_000
MARKET = "BTC-PERP"
LEVELS = 6  # a side
SETTLED_S = 420


class Market:
    """Makers of twelve quotes each who renew one quote a second, and what happens to them. qty: of each one's quotes; back: how
    many ticks further out one quotes, where it does."""

    def __init__(self, makers: int = 5) -> None:
        self.makers = makers
        self.qty: dict[int, float] = {}  # 1 where nothing is said
        self.back: dict[int, int] = {}
        self.messages: list[dict[str, Any]] = []
        self.live: dict[tuple[int, int], str] = {}
        self.made = 0
        self.second = 0
        self.hole = 0
        self.middle = 10_000
        self.arrival: Callable[[dict[str, Any]], float] = lambda message: message["ts"]

    def say(self, at_s: float, **fields: Any) -> None:
        self.messages.append({"ts": START_NS + int(at_s * 1e9), "market": MARKET, **fields})

    def quote(self, at_s: float, maker: int, level: int) -> None:
        """Take the quote back, if it stands, and place it anew."""
        side = "buy" if level < LEVELS else "sell"
        away = 1 + level % LEVELS + self.hole + self.back.get(maker, 0)
        price = self.middle - away if side == "buy" else self.middle + away
        if (maker, level) in self.live:
            self.cancel(at_s, maker, level)
        self.made += 1
        self.live[maker, level] = f"o{self.made}"
        fields = {
            "order_id": f"o{self.made}",
            "side": side,
            "price": price,
            "qty": self.qty.get(maker, 1.0),
            "account": f"m{maker}",
        }
        self.say(at_s + 0.001, type="order", **fields)

    def cancel(self, at_s: float, maker: int, level: int, reason: str = "user") -> None:
        self.say(at_s, type="cancel", order_id=self.live.pop((maker, level)), account=f"m{maker}", reason=reason)

    def fill(self, at_s: float, maker: int, level: int) -> None:
        self.say(at_s, type="fill", order_id=self.live.pop((maker, level)), price=10_000, qty=1, taker_account="t")

    def ordinary(self, seconds: int, levels: int = 2 * LEVELS) -> Market:
        """Every maker renews one of its first `levels` quotes a second."""
        for _ in range(seconds):
            for maker in range(self.makers):
                self.quote(self.second + 0.1 * maker, maker, (self.second + maker) % levels)
            self.say(self.second + 0.9, type="mark", price=self.middle)
            self.second += 1
        return self

    def batch(self) -> RecordBatch:
        """All that was said, as it arrives."""
        self.messages.sort(key=self.arrival)
        values = [json.dumps(message).encode() for message in self.messages]
        return pack("t", 0, values, range(len(values)))

    def column(self, name: str) -> float:
        """Of the last whole window."""
        return self.columns(name, 1)[0]

    def columns(self, name: str, windows: int) -> list[float]:
        """Of the last whole windows."""
        self.say(self.second + 2.0, type="mark", price=self.middle)
        engine = build_pipeline(of({}), pseudonym_key=b"k" * 32, format_name="native", keep_scored=True)
        scored = engine.step([self.batch()]).scored
        by_close = {one.windows.close_ns: one.windows for one in scored}
        ends = range(self.second - windows + 1, self.second + 1)
        return [float(by_close[START_NS + end * 10**9].column(name)[0]) for end in ends]
