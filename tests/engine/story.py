"""Stories: small streams of native messages, made from a seed, for the laws of the engine. Synthetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import numpy as np

from detector.anomaly.circumstances import Circumstances
from detector.engine.beside import Beside
from detector.engine.calendar import Calendar
from detector.engine.pipeline import EngineSettings, Pipeline
from detector.engine.shard import Shard
from detector.engine.shards import Shards
from detector.engine.step import Step
from detector.engine.telling import Telling
from detector.features.tables import Limits
from detector.formats.native import Native
from detector.incidents.alerting import Alerting
from detector.incidents.audit import Audit
from detector.incidents.correlator import Correlator
from detector.incidents.notice import audited, begun_anew, wrong_clock
from detector.incidents.settings import IncidentSettings
from detector.model.records import RecordBatch, pack
from detector.wiring import plugins
from detector.wiring.build import build_groups, turn

START_NS = 1_790_000_000 * 10**9
KEY = (7, 11)
BUDGETS = np.array([50.0, 10.0, 2.0])  # generous: the laws want incidents to compare


def pipeline(
    limits: Limits | None = None,
    *,
    lateness_ns: int = 500_000_000,
    early_ns: int = 100_000_000,
    parts: int = 1,
    calendar: Calendar | None = None,
) -> Pipeline:
    """A whole engine, as wiring builds it, with every detector there is, that keeps every scored window; its markets in so
    many parts."""
    settings = EngineSettings(lateness_ns=lateness_ns, early_ns=early_ns)
    ring = 2 + max(0, lateness_ns - 1) // settings.width_ns
    found = [plugins.load("anomaly", name) for name in sorted(plugins.names("anomaly"), key=turn)]
    detectors = [detector(detector.Params(), BUDGETS) for detector in found]
    made = [
        Shard(build_groups(ring), limits or Limits(), ring, settings.width_ns, calendar if parts == 1 else None)
        for _ in range(parts)
    ]
    shard = made[0] if parts == 1 else Shards(made, backwards, calendar)
    incidents = IncidentSettings(hold_ns=10 * 10**9)
    alerting = Alerting(incidents, b"k" * 32, "rev", "0")
    return Pipeline(
        Native(KEY),
        shard,
        detectors,
        Correlator(incidents),
        # so soon that a short story has something to say
        Telling(
            alerting.alert,
            partial(begun_anew, version="0"),
            Audit((7.0, 1.0, 0.1), 2.0, first_ns=0, pages_min=1),
            partial(audited, version="0"),
            partial(wrong_clock, version="0"),
        ),
        settings,
        keep_scored=True,
        beside=Beside(Circumstances()),
    )


def backwards(jobs: Sequence[Callable[[], None]]) -> None:
    """At once, as Shards has it, is in any order."""
    for job in reversed(jobs):
        job()


@dataclass
class Story:
    """Messages in log order, each in a partition. Every market keeps to one partition."""

    seed: int
    markets: Sequence[str] = ("BTC-PERP", "ETH-PERP", "X-PERP")
    partitions: int = 2
    messages: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    live: dict[str, list[str]] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def say(self, market: str, at_s: float, **fields: Any) -> None:
        """One message; its time wobbles by up to 0.7 s, so some events are out of order and a few are late."""
        wobble = self.random.choice((0.0, 0.0, 0.0, -0.1, -0.4, -0.7))
        at_ns = START_NS + int((at_s + wobble) * 1e9)
        partition = self.markets.index(market) % self.partitions
        self.messages.append((partition, {"ts": at_ns, "market": market, **fields}))

    def order(self, market: str, at_s: float, account: str) -> str:
        """A new resting order near 100."""
        self.made += 1
        name = f"{market}-{self.made}"
        side = self.random.choice(("buy", "sell"))
        away = self.random.randrange(1, 400) / self.random.choice((100, 1000))
        price = f"{100 - away if side == 'buy' else 100 + away:.3f}"
        quantity = self.random.choice(("1", "0.5", "2.25", "10"))
        self.say(market, at_s, type="order", order_id=name, side=side, price=price, qty=quantity, account=account)
        self.live.setdefault(market, []).append(name)
        return name

    def busy(self, seconds: int, start_s: int = 0, rate: int = 12) -> Story:
        """Ordinary life: orders, cancels, fills, leverage changes, marks, now and then a snapshot or a duplicate."""
        for second in range(start_s, start_s + seconds):
            for _ in range(rate):
                market = self.random.choice(self.markets)
                at_s = second + self.random.random()
                account = f"a{self.random.randrange(12)}"
                live = self.live.setdefault(market, [])
                what = self.random.random()
                if what < 0.5 or not live:
                    self.order(market, at_s, account)
                elif what < 0.85:
                    name = live.pop(self.random.randrange(len(live)))
                    self.say(market, at_s, type="cancel", order_id=name, account=account)
                    if self.random.random() < 0.05:
                        self.messages.append(self.messages[-1])
                elif what < 0.93:
                    name = self.random.choice(live)
                    self.say(market, at_s, type="fill", order_id=name, price="100", qty="0.25", taker_account=account)
                elif what < 0.97:
                    leverage = self.random.choice((2, 5, 10, 20))
                    size = self.random.randrange(100, 100_000)
                    self.say(market, at_s, type="leverage", account=account, leverage=leverage, notional=size)
                elif what < 0.99:
                    self.say(market, at_s, type="mark", price="100.001", funding_rate=0.0001)
                else:
                    self.say(market, at_s, type="cancel", order_id="nobody-knows", account=account)
        return self

    def burst(
        self, market: str, at_s: float, orders: int, account: str = "burster", *, every_s: float = 0.002
    ) -> Story:
        """Order and cancel pairs that live half as long as it takes until the next."""
        for i in range(orders):
            when = at_s + i * every_s
            name = self.order(market, when, account)
            self.live[market].remove(name)
            self.say(market, when + every_s / 2, type="cancel", order_id=name, account=account)
        return self

    def batches(self, sizes: Sequence[int]) -> Iterator[RecordBatch]:
        """Each partition's messages cut into batches of these sizes (repeated), partitions taken in turn."""
        queues = [[m for p, m in self.messages if p == partition] for partition in range(self.partitions)]
        at = [0] * self.partitions
        turn = 0
        while any(at[p] < len(queues[p]) for p in range(self.partitions)):
            for p in range(self.partitions):
                size = sizes[turn % len(sizes)]
                turn += 1
                part = queues[p][at[p] : at[p] + size]
                if part:
                    yield pack("m", p, [json.dumps(m).encode() for m in part], range(at[p], at[p] + len(part)))
                at[p] += len(part)


def assigned(engine: Pipeline, story: Story) -> Pipeline:
    """The engine, told which partitions to wait for."""
    engine.assign([("m", p) for p in range(story.partitions)])
    return engine


def told(steps: Sequence[Step]) -> tuple[list[bytes], dict[tuple[int, str], bytes]]:
    """What the outside sees: alert bodies without positions, and every window's values and scores by market name."""
    alerts = [alert.key.encode() + alert.body() for step in steps for alert in step.alerts]
    rows: dict[tuple[int, str], bytes] = {}
    for step in steps:
        for scored in step.scored:
            for i, market in enumerate(scored.windows.markets):
                scores = b"".join(s.values[i].tobytes() + s.levels[:, i].tobytes() for s in scored.scores)
                rows[scored.windows.close_ns, market] = scored.windows.values[i].tobytes() + scores
    return alerts, rows
