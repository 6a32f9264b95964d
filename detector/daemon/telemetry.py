"""What the daemon says of itself in numbers: one Prometheus registry. No label holds an account or a market."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from detector import __version__
from detector.incidents.audit import Standing

PARTITIONS_MAX = 1_024  # whose lag is told
NAMES_MAX = 64  # values of one free label; what comes after is counted as "other"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Telemetry:
    """One registry per daemon: nothing global, so that tests and the demonstration may have several."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._names: dict[str, set[str]] = {}
        self._records = Counter("foreshock_records", "Records taken from the source", ["topic"], registry=registry)
        self._counted = Counter(
            "foreshock_events", "What the engine counted, by what became of it", ["outcome"], registry=registry
        )
        self._late = Counter("foreshock_late_events", "Events whose window was closed already", registry=registry)
        self._dead_letters = Counter(
            "foreshock_dead_letters", "Records nobody could read, by reason", ["reason"], registry=registry
        )
        self._alerts = Counter(
            "foreshock_alerts", "Alerts made by the engine", ["kind", "severity", "reason"], registry=registry
        )
        self.latency = Histogram(
            "foreshock_detection_latency_seconds",
            "From the close of the window to the durable alert",
            buckets=SECONDS,
            registry=registry,
        )
        self.step = Histogram("foreshock_step_seconds", "One turn of the engine", buckets=SECONDS, registry=registry)
        self.watermark_age = Gauge(
            "foreshock_event_age_seconds", "Now less the event time up to which windows are closed", registry=registry
        )
        self.fetch_age = Gauge(
            "foreshock_source_last_fetch_age_seconds", "Since the source last answered", registry=registry
        )
        self._lag = Gauge(
            "foreshock_consumer_lag_records", "Records behind the end", ["topic", "partition"], registry=registry
        )
        self._notices = Counter("foreshock_source_notices", "What the log lost or hid", ["kind"], registry=registry)
        self.partitions = Gauge("foreshock_partitions_assigned", "Partitions read here", registry=registry)
        self.paused = Gauge("foreshock_partitions_paused", "Partitions the engine is ahead on", registry=registry)
        self.rebalances = Counter("foreshock_rebalances", "Changes of the assigned partitions", registry=registry)
        self.open = Gauge("foreshock_incidents_open", "Incidents firing now", ["severity"], registry=registry)
        self.snapshot_at = Gauge(
            "foreshock_snapshot_timestamp_seconds", "When the newest checkpoint became durable", registry=registry
        )
        self.snapshot_age = Gauge(
            "foreshock_snapshot_age_seconds", "Since the newest checkpoint became durable", registry=registry
        )
        self.snapshot_bytes = Gauge("foreshock_snapshot_bytes", "Size of the newest checkpoint", registry=registry)
        self._promised = Gauge("foreshock_budget_promised", "Pages a market-week", ["severity"], registry=registry)
        self._realised = Gauge(
            "foreshock_budget_realised", "Pages a market-week since the audit began", ["severity"], registry=registry
        )
        self._against = Gauge(
            "foreshock_budget_evidence", "Evidence that more came than promised", ["severity"], registry=registry
        )
        self._broken = Gauge("foreshock_budget_broken", "1 while a promise is", ["severity"], registry=registry)
        self.saving = Counter("foreshock_saving_cpu_seconds", "Processor time that checkpoints took", registry=registry)
        self.commit = Histogram(
            "foreshock_commit_seconds", "One transaction of small rows", buckets=SECONDS, registry=registry
        )
        self.store_errors = Counter("foreshock_store_errors", "Transactions that failed", registry=registry)
        self.held = Gauge("foreshock_alerts_held", "Alerts in memory that the disk does not take", registry=registry)
        self.restarts = Counter("foreshock_restores", "Starts by what was found", ["found"], registry=registry)
        self._pending = Gauge("foreshock_outbox_pending", "Letters waiting", ["destination"], registry=registry)
        self._oldest = Gauge(
            "foreshock_outbox_oldest_age_seconds",
            "Age of the oldest letter waiting",
            ["destination"],
            registry=registry,
        )
        self._dead = Gauge("foreshock_outbox_dead", "Letters given up", ["destination"], registry=registry)
        self._sent = Counter(
            "foreshock_notifications", "Attempts to deliver, by result", ["destination", "result"], registry=registry
        )
        self._sent_after = Histogram(
            "foreshock_notification_latency_seconds",
            "From the durable alert to its delivery",
            ["destination"],
            buckets=SECONDS,
            registry=registry,
        )
        self._circuit = Gauge(
            "foreshock_destination_open",
            "1 while nothing is sent to it but a probe",
            ["destination"],
            registry=registry,
        )
        build = Gauge("foreshock_build_info", "Always 1", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)

    def lag(self, lags: Mapping[tuple[str, int], int]) -> None:
        """Records behind the log's end, by partition; those that are elsewhere now are forgotten."""
        self._lag.clear()
        for (topic, partition), records in sorted(lags.items())[:PARTITIONS_MAX]:
            self._lag.labels(topic, str(partition)).set(records)

    def notice(self, kind: str) -> None:
        """The source told of a gap, a topic made anew, a batch it cannot read."""
        self._notices.labels(self._bounded("kind_of_notice", kind)).inc()

    def records(self, topic: str, number: int) -> None:
        """Taken from the source."""
        self._records.labels(self._bounded("topic", topic)).inc(number)

    def counted(self, counts: Mapping[str, int]) -> None:
        """A Step's counts."""
        for name, number in counts.items():
            if number > 0:
                self._counted.labels(self._bounded("outcome", name)).inc(number)
        self._late.inc(max(0, counts.get("late", 0)))

    def reject(self, reason: str) -> None:
        """Only what stands before the first colon: the rest may quote the record."""
        self._dead_letters.labels(self._bounded("reason", reason.partition(":")[0][:80])).inc()

    def alert(self, kind: str, severity: str, reason: str) -> None:
        """Made by the engine, and durable."""
        self._alerts.labels(self._bounded("kind", kind), severity, reason).inc()

    def audited(self, standings: Sequence[Standing]) -> None:
        """The promised number of pages, and what came of it."""
        for standing in standings:
            label = standing.severity.label
            self._promised.labels(label).set(standing.promised)
            self._realised.labels(label).set(standing.realised)
            self._against.labels(label).set(standing.evidence)
            self._broken.labels(label).set(float(standing.broken_ns > 0))

    def outbox(self, destination: str, pending: int, dead: int, oldest_age_s: float) -> None:
        """As counted now."""
        self._pending.labels(destination).set(pending)
        self._dead.labels(destination).set(dead)
        self._oldest.labels(destination).set(oldest_age_s)

    def attempt(self, destination: str, result: str, age_s: float) -> None:
        """One attempt is over; `age_s` since the letter was written."""
        self._sent.labels(destination, result).inc()
        if result == "delivered":
            self._sent_after.labels(destination).observe(age_s)

    def circuit(self, destination: str, is_open: bool) -> None:
        """Whether a destination is being left alone."""
        self._circuit.labels(destination).set(float(is_open))

    def _bounded(self, label: str, value: str) -> str:
        known = self._names.setdefault(label, set())
        if value in known:
            return value
        if len(known) >= NAMES_MAX:
            return "other"
        known.add(value)
        return value
