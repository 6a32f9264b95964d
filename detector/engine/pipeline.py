"""Pipeline: the engine. Bytes, events, windows, scores, incidents, alerts: a pure function of what it is given.

Windows close one after the other, for all markets at once. Window w is due when every lane's event time has passed its
end by `lateness`; each lane is folded exactly that far and no further before w closes, so nothing depends on how the
records were cut into batches or how the partitions came interleaved. A market lives in one partition; where several
topics carry it, their records are merged by event time inside each window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detector.anomaly.base import Detector, score_all
from detector.engine.beside import Beside
from detector.engine.calendar import raised
from detector.engine.early import Early
from detector.engine.lane import OVER_NS, Lane
from detector.engine.quiet import reached_ns
from detector.engine.shard import Shard
from detector.engine.shards import Shards
from detector.engine.spans import Partition, Spans
from detector.engine.step import Scored, Step
from detector.engine.telling import Telling
from detector.features.tables import HAS_ACCOUNTS, HAS_ORDERS
from detector.formats.base import Format
from detector.incidents.correlator import Correlator
from detector.incidents.settings import ACCOUNTS, ORDER_IDS, Context
from detector.model.events import EventBatch, Reject
from detector.model.incident import Contributor, Incident, Reason
from detector.model.records import RecordBatch
from detector.model.score import Score, strongest
from detector.model.state import State, Tree


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Durations in ns. A lane may be staged `staged_rows_max` rows ahead before its source is asked to pause."""

    width_ns: int = 1_000_000_000
    lateness_ns: int = 500_000_000
    leap_ns: int = 5_000_000_000  # a record further ahead of its neighbours has a wrong clock (engine/lane.py)
    staged_rows_max: int = 500_000
    silence_windows_max: int = 900  # a longer silence of everything is jumped over, not walked through
    quiet_windows: int = 5  # nothing at all for this long: time passes, but nothing is scored or learned
    position_windows: int = 900  # how far back an incident's log positions reach
    early_ns: int = 100_000_000  # open windows are looked into at multiples of it, 0 = never (engine/early.py)


class Pipeline:
    """The one object that live, replay and tests drive. See the module's docstring."""

    def __init__(
        self,
        decoder: Format,
        shard: Shard | Shards,
        detectors: Sequence[Detector],
        correlator: Correlator,
        telling: Telling,
        settings: EngineSettings,
        *,
        keep_scored: bool = False,
        beside: Beside | None = None,
    ) -> None:
        self.decoder = decoder
        self.shard = shard
        self.detectors = tuple(detectors)
        self.correlator = correlator
        self.settings = settings
        self.keep_scored = keep_scored
        self.beside = beside or Beside()
        self.early = Early(shard, self.detectors, settings.early_ns)
        self.telling = telling
        self._behind = {detector.name: detector.BEHIND for detector in self.detectors}
        self._lanes: dict[Partition, Lane] = {}
        self._assigned: frozenset[Partition] | None = None
        self._open_window = -1  # the next to close
        self._last_window = -1  # newest that any event fell in
        self._spans = Spans(settings.width_ns, settings.position_windows)
        self._counted: dict[str, int] = {}

    def assign(self, partitions: Sequence[Partition]) -> None:
        """The partitions whose progress the watermark waits for. Without it: every partition seen so far."""
        self._assigned = frozenset(partitions)
        for gone in [p for p in self._lanes if p not in self._assigned]:
            del self._lanes[gone]

    def step(self, batches: Sequence[RecordBatch]) -> Step:
        """Take what came, fold what can be folded, close what is due."""
        # each is staged while its rows are still in the processor's cache
        return self.take((self.decoder.state(), self.decoder.decode(batch)) for batch in batches)

    def take(self, batches: Iterable[tuple[State, EventBatch]]) -> Step:
        """The same for batches that are decoded already, each with what the decoder held before it."""
        rejects: list[Reject] = []
        counts: dict[str, int] = {}
        for decoder, batch in batches:
            self._stage(batch, decoder)
            rejects.extend(batch.rejects)
            _add(counts, "records", batch.records)
            _add(counts, "rejects", len(batch.rejects))
            for why, number in batch.skipped.items():
                _add(counts, f"skipped_{why}", number)
        return self._advance(rejects, counts, ending=False)

    def finish(self) -> Step:
        """The log ends here (files): close every window that began."""
        for lane in self._lanes.values():
            lane.flush()
        return self._advance([], {}, ending=True)

    def ahead(self) -> tuple[Partition, ...]:
        """Partitions staged so far beyond the fold that their source should pause them."""
        return tuple(sorted(p for p, lane in self._lanes.items() if lane.rows > self.settings.staged_rows_max))

    def positions(self) -> Mapping[Partition, int]:
        """Next offset per partition that `state()` has not folded yet."""
        return {p: lane.next_offset for p, lane in sorted(self._lanes.items()) if lane.next_offset >= 0}

    def go_on(self, positions: Mapping[Partition, int]) -> None:
        """After `restore`: where it goes on, whatever the state says of it; an operator may have decided so."""
        for key, lane in self._lanes.items():
            lane.next_offset = positions.get(key, -1)

    def event_ns(self, partition: Partition) -> int:
        """Event time of a partition's last record; 0 = there was none."""
        return self._lanes[partition].clock_ns if partition in self._lanes else 0

    def quiet_ns(self, partition: Partition, quiet_s: float, now_ns: int) -> int:
        """Event time at the end of a partition that was quiet so long by now_ns of the wall clock: engine/quiet.py."""
        return reached_ns(dict(self._lanes), partition, quiet_s, now_ns)  # a step may be under way in another thread

    @property
    def watermark_ns(self) -> int:
        """Event time up to which every window is closed; 0 before the first event."""
        return max(0, self._open_window) * self.settings.width_ns

    @property
    def markets(self) -> tuple[str, ...]:
        """Every market seen, in the order of its first event."""
        return self.shard.markets

    def _stage(self, batch: EventBatch, decoder: State) -> None:
        key = (batch.topic, batch.partition)
        if self._assigned is not None and key not in self._assigned:
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(batch.topic, batch.partition, self.settings.leap_ns)
        if len(batch.events):
            self._spans.brought(key, batch)
        lane.put(batch, decoder)

    def _waited_for(self) -> list[Lane] | None:
        """Lanes in their fixed order, None while an assigned one has said nothing yet."""
        if self._assigned is not None and any(
            p not in self._lanes or self._lanes[p].frontier_ns == 0 for p in self._assigned
        ):
            return None
        return [lane for _, lane in sorted(self._lanes.items()) if lane.frontier_ns > 0]

    def _advance(self, rejects: list[Reject], counts: dict[str, int], *, ending: bool) -> Step:
        closed = False
        scored: list[Scored] = []
        lanes = self._waited_for()
        while lanes:
            for lane in (lane for lane in lanes if lane.backs):
                lane.come_down(min((other.frontier_ns for other in lanes if other is not lane), default=OVER_NS))
            if self._open_window < 0:
                self._open_window = min(lane.first_ns for lane in lanes) // self.settings.width_ns
            window = self._open_window
            limit_ns = (window + 1) * self.settings.width_ns + self.settings.lateness_ns
            reached = self._reach(lanes, limit_ns, ending)
            if any(lane.stepped_back for lane in lanes):
                self._step_back(lanes)
                continue
            if not reached or (ending and window > self._last_window):
                break
            idle = window > self._last_window + self.settings.quiet_windows
            self._close(window, idle, scored)
            closed = True
            self._open_window = self._after(window, lanes, ending)
        totals = self._totals()
        totals["incidents_not_opened"] = self.correlator.counts["not_opened"]
        for name, total in totals.items():
            _add(counts, name, total - self._counted.get(name, 0))
        self._counted = totals
        audit = self.telling.standings() if closed else ()
        return Step(*self.telling.taken(), tuple(rejects), tuple(scored), counts, audit)

    def _totals(self) -> dict[str, int]:
        """What became of events since the log began, by name."""
        lanes = self._lanes.values()
        told = {"skewed": sum(lane.skewed for lane in lanes), "stepped_back": sum(lane.went_back for lane in lanes)}
        return self.shard.counts() | told

    def _after(self, window: int, lanes: list[Lane], ending: bool) -> int:
        """The window after `window`: the next one, or beyond a silence too long to walk through."""
        soonest = min(lane.first_ns for lane in lanes)
        target = soonest // self.settings.width_ns - self.shard.ring
        if (
            not ending
            and target - window > self.settings.silence_windows_max
            and window - self._last_window > (self.settings.silence_windows_max // 10)
        ):
            return int(target)
        return window + 1

    def _reach(self, lanes: list[Lane], limit_ns: int, ending: bool) -> bool:
        """Fold every lane up to `limit_ns`, with early looks on the way; True when all of them are there."""
        for at_ns in self.early.stops(self._open_window * self.settings.width_ns, limit_ns):
            if not self._fold(lanes, at_ns, ending) or any(lane.stepped_back for lane in lanes):
                return False
            found = self.early.look(at_ns, self._open_window, self.correlator.critical_markets)
            if found:
                context = self._context(at_ns, found)
                self.telling.tell(self.correlator.early(at_ns, self.settings.width_ns, found, context))
        return self._fold(lanes, limit_ns, ending)

    def _fold(self, lanes: list[Lane], limit_ns: int, ending: bool) -> bool:
        """Fold every lane up to `limit_ns`; True when all of them are there."""
        topics = {lane.topic for lane in lanes}
        if len(topics) > 1:
            if not ending and not all(lane.frontier_ns >= limit_ns for lane in lanes):
                return False
            self._fold_merged(lanes, limit_ns)
        else:
            for lane in lanes:
                while (ready := lane.ready(limit_ns)) is not None:
                    staged, stop = ready
                    self._spans.note(self._open_window, lane, staged.batch.events["offset"], staged.at, stop)
                    self._seen(staged.clocks[stop - 1])
                    self.shard.fold(staged.batch.events, staged.at, stop, staged.batch.markets, self._open_window)
                    lane.folded(staged, stop)
        return ending or all(lane.reached(limit_ns) for lane in lanes)

    def _fold_merged(self, lanes: list[Lane], limit_ns: int) -> None:
        """Several topics may tell of one market: their records in order of each lane's clock, ties by lane."""
        parts, clocks = [], []
        names: tuple[str, ...] = ()
        for lane in lanes:
            while (ready := lane.ready(limit_ns)) is not None:
                staged, stop = ready
                parts.append(staged.batch.events[staged.at : stop])
                names = max(names, staged.batch.markets, key=len)
                clocks.append(staged.clocks[staged.at : stop])
                self._spans.note(self._open_window, lane, staged.batch.events["offset"], staged.at, stop)
                lane.folded(staged, stop)
        if not parts:
            return
        joined = np.concatenate(clocks)
        order = np.argsort(joined, kind="stable")
        self._seen(joined[order[-1]])
        events = np.concatenate(parts)[order]
        self.shard.fold(events, 0, len(events), names, self._open_window)

    def _seen(self, clock_ns: np.int64) -> None:
        self._last_window = max(self._last_window, int(clock_ns) // self.settings.width_ns)

    def _close(self, window: int, idle: bool, scored: list[Scored]) -> None:
        windows = self.shard.close(window, idle)
        self.beside.see(windows)
        busy = self.correlator.open_markets()
        learn = windows.normal
        if busy:
            learn[[self.shard.index[market] for market in busy]] = False
        scores = score_all(self.detectors, windows, learn)
        if windows.busy is not None:
            scores = raised(scores, windows.busy)
        context = self._context(windows.close_ns, scores)
        told = self.correlator.step(windows.close_ns, windows.width_ns, scores, context)
        self.telling.tell([self._with_more(incident, scores) for incident in told])
        self.telling.begun_anew(self.shard.restarts(windows.close_ns))
        self.telling.close(windows)
        self.telling.clocks(windows.close_ns, self._totals())
        self.beside.learn(scores, learn)
        self.shard.freeze(window, learn)
        self.early.closed()
        self._spans.forget(window)
        if self.keep_scored:
            scored.append(Scored(windows, scores))

    def _with_more(self, incident: Incident, scores: tuple[Score, ...]) -> Incident:
        """The incident with what stands beside the evidence of its strongest market, while it goes on."""
        if incident.reason is Reason.RESOLVED or not incident.evidence:
            return incident
        return self.beside.more(incident, self.shard.index[incident.evidence[0].market], scores)

    def _context(self, at_ns: int, scores: Sequence[Score]) -> Context:
        shard = self.shard

        known: dict[tuple[str, str], tuple[Contributor, ...]] = {}  # of this step alone: of a shock over many markets
        # the same are asked for again and again

        def who(market: str, detector: str) -> tuple[Contributor, ...]:
            key = (market, detector)
            if key not in known:
                feature = strongest(scores, market, detector)
                behind = self._behind.get(detector, "")  # of one that is switched off by now: nobody new
                known[key] = shard.contributors(shard.index[market], behind, at_ns, feature)
            return known[key]

        def lacks(market: str) -> tuple[str, ...]:
            told = shard.feeds(shard.index[market])
            return tuple(name for name, bit in ((ACCOUNTS, HAS_ACCOUNTS), (ORDER_IDS, HAS_ORDERS)) if not told & bit)

        def phases(market: str) -> tuple[str, ...]:
            return shard.calendar.names(market, at_ns - self.settings.width_ns, at_ns)

        def began(market: str, detector: str) -> tuple[int, int]:
            return shard.began(shard.index[market], detector, at_ns)

        return Context(who, self._spans.positions, lacks, phases, began)

    def _step_back(self, lanes: list[Lane]) -> None:
        """A lane's log goes on at an earlier time. Where no other is further, windows begin again there; else it is
        late until it has caught up: the others' windows are not told twice."""
        for lane in lanes:
            if lane.stepped_back:
                self.telling.went_back(*lane.step_back())
        newest_ns = max(lane.first_ns if lane.queue else lane.clock_ns for lane in lanes)
        if newest_ns >= self._open_window * self.settings.width_ns:
            return
        for lane in lanes:
            lane.forget_silence(newest_ns)
        self._open_window = -1
        self._last_window = -1
        self.shard.step_back()
        self.early.begin_again()

    def state(self) -> State:
        """Everything that matters, at `positions()`."""
        lanes: list[Tree] = [dict(lane.state()) for _, lane in sorted(self._lanes.items())]
        return {
            "width_ns": self.settings.width_ns,
            "lateness_ns": self.settings.lateness_ns,
            "open_window": self._open_window,
            "last_window": self._last_window,
            "lanes": lanes,
            **self._spans.state(),
            "early": dict(self.early.state()),
            "decoder": dict(self._decoder_state()),
            "shard": dict(self.shard.state()),
            "detectors": {detector.name: dict(detector.state()) for detector in self.detectors},
            "correlator": dict(self.correlator.state()),
            "beside": dict(self.beside.state()),
            **self.telling.state(),
        }

    def _decoder_state(self) -> State:
        """What the decoder held of each lane before that lane's oldest batch that is not wholly folded."""
        now = self.decoder.state()
        entries: list[Tree] = []
        for (topic, partition), lane in sorted(self._lanes.items()):
            held = (lane.oldest_decoder or now).get("partitions", [])
            assert isinstance(held, list)
            entries.extend(
                e for e in held if isinstance(e, dict) and (e["topic"], e["partition"]) == (topic, partition)
            )
        return {**now, "partitions": entries} if "partitions" in now else now

    def restore(self, state: State) -> None:
        """Go on from `state`. Raises ValueError with a sentence when it does not fit this configuration."""
        for name in ("width_ns", "lateness_ns"):
            if state[name] != getattr(self.settings, name):
                raise ValueError(f"the saved state was made with another {name}; move it aside to start anew")
        shard, decoder, correlator, saved = (state[n] for n in ("shard", "decoder", "correlator", "detectors"))
        lanes = state["lanes"]
        assert isinstance(shard, dict) and isinstance(decoder, dict) and isinstance(correlator, dict)
        assert isinstance(saved, dict) and isinstance(lanes, list)
        self.shard.restore(shard)
        self.decoder.restore(decoder)
        self.correlator.restore(correlator)
        for detector in self.detectors:
            own = saved.get(detector.name)
            if isinstance(own, dict):
                detector.restore(own)
        beside = state.get("beside")
        if isinstance(beside, dict):
            self.beside.restore(beside)
        self.telling.restore(state)
        for entry in lanes:
            assert isinstance(entry, dict)
            key = (str(entry["topic"]), int(str(entry["partition"])))
            self._lanes[key] = Lane(*key, self.settings.leap_ns)
            self._lanes[key].restore(entry)
        self._spans.restore(state)
        looked = state.get("early")
        if isinstance(looked, dict):
            self.early.restore(looked)
        self._open_window = int(str(state["open_window"]))
        self._last_window = int(str(state["last_window"]))
        self._counted = self._totals()


def _add(counts: dict[str, int], name: str, number: int) -> None:
    if number:
        counts[name] = counts.get(name, 0) + number
