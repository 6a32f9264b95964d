"""Alertmanager: the alert as one of Prometheus' Alertmanager, and of whatever else takes what Prometheus sends.

Follows "Alerts API" (prometheus.io/docs/alerting/latest/alerts_api) and, for how two words about one alert are merged,
Alertmanager's own code: an end in the future never shortens one that was given before, an end in the past does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from detector.model.alert import Alert
from detector.sinks.foreign import ForeignSink, Hidden
from detector.sinks.http import TIMEOUT_S
from detector.sinks.reading import HEARTBEAT, TEST, Letter, Told, fires, instant, is_momentary_end, named, shown

PATH = "/api/v2/alerts"
ENDS_AFTER_S = 86_400.0
MOMENT_S = 3_600.0  # what was over when it was told is shown this long
TEST_S = 300.0
SKEW_S = 60.0  # an end is given as at least this long ago: by a clock that is behind ours, "now" is not over yet
MARKETS_MAX = 50  # named
KNOWN_MAX = 1_024  # incidents whose severities so far are remembered
RISING = ("info", "warning", "critical")


class Alertmanager(ForeignSink):
    """The labels of an alert are its identity there, so they hold only what does not change while an incident lasts:
    `alertname` is the kind it opened as, `market` the one that joined first. Only `severity` rises; the alert of the
    severity before is then ended in the same request.

    When it is wrong: what is not repeated ends by itself after `ends_after`, and is forgotten by an Alertmanager that
    restarts, until the next update. One that began and ended between two of its notifications (`group_wait`,
    `group_interval`), or while it could not be reached, is told to nobody.

    >>> Alertmanager("am", url="https://alerts.example/")
    Alertmanager('am', https://alerts.example)
    """

    HEARTBEATS: ClassVar[bool] = True
    MEANS: ClassVar[Mapping[int, str]] = {400: "it is no alert that Alertmanager takes"}

    def __init__(
        self,
        name: str,
        *,
        url: str,
        token: str = "",
        venue: str = "exchange",
        min_severity: str = RISING[0],
        ends_after_s: float = ENDS_AFTER_S,
        allow_http: bool = False,
        allow_cidrs: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """url: with or without PATH; token: sent as a bearer's; min_severity: alerts below it are not sent here.
        ValueError with a sentence when something cannot be used."""
        url = url if url.endswith(PATH) else url.rstrip("/") + PATH
        super().__init__(name, url=url, allow_http=allow_http, allow_cidrs=allow_cidrs, timeout_s=timeout_s)
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("a token is one word of plain characters, this is not")
        self._token = Hidden(token)
        self._venue = venue
        self._ends_after_s = ends_after_s
        self._least = RISING.index(min_severity)
        self._severities: OrderedDict[str, set[str]] = OrderedDict()  # that were sent, by incident

    def wants(self, alert: Alert) -> bool:
        """Updates too: each puts the end off. Not the end of what was over when it was told: Alertmanager tells nobody
        of an alert that ended before its `group_wait`."""
        return not is_momentary_end(alert.data)

    def headers(self) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self._token.reveal()}"} if self._token.reveal() else {}
        return super().headers() | bearer

    def message(self, letter: Letter, told: Told) -> object:
        now = datetime.fromtimestamp(time.time(), UTC)
        labels = self._labels(letter, told)
        if letter.type == HEARTBEAT:
            # without an end: it ends by Alertmanager's own resolve_timeout, unless another one comes
            return [{"labels": labels, "annotations": _annotations(told)}]
        alert = {"labels": labels, "annotations": _annotations(told), **self._times(letter, told, now)}
        if page := told.links.get("incident"):
            alert["generatorURL"] = page
        over = _over(told, now)
        return [alert, *({"labels": labels | {"severity": before}, **over} for before in self._before(told))]

    def _labels(self, letter: Letter, told: Told) -> dict[str, str]:
        name = told.timeline[0].detector if told.timeline else told.kind
        if not letter.type.startswith("foreshock.incident."):
            name = letter.type.replace(".", "_")
        labels = {"alertname": name, "severity": told.severity, "venue": self._venue, "source": "foreshock"}
        if letter.type != HEARTBEAT:
            labels |= {"incident_id": told.incident_id}
        return labels | ({"market": shown(told.markets[0])} if told.markets else {})

    def _times(self, letter: Letter, told: Told, now: datetime) -> dict[str, object]:
        if not fires(letter, told):
            return _over(told, now)
        lasts_s = TEST_S if letter.type == TEST else MOMENT_S if told.momentary else self._ends_after_s
        starts = min(told.started_at, now)  # an end before its start is refused
        return {"startsAt": instant(starts), "endsAt": instant(now + timedelta(seconds=lasts_s))}

    def _before(self, told: Told) -> list[str]:
        """Severities under which it may still be firing there. What an earlier process sent is not known: those below.
        An alert that ends there without ever having begun is told to nobody."""
        known = self._severities.pop(told.incident_id, None)
        if known is None:
            known = set() if told.reason == "opened" else set(RISING[self._least : RISING.index(told.severity)])
        if told.status == "firing":
            self._severities[told.incident_id] = known | {told.severity}
            while len(self._severities) > KNOWN_MAX:
                self._severities.popitem(last=False)
        return sorted(known - {told.severity}, key=RISING.index)


def _annotations(told: Told) -> dict[str, str]:
    texts = {
        "summary": shown(told.title),
        "description": shown(told.summary),
        "kind": told.kind,
        "markets": named(told.markets, MARKETS_MAX),
        "expected_every": told.expected_every,
        "runbook_url": told.links.get("runbook") or "",
        "delayed_by_s": f"{told.delayed_by_s:.0f}" if told.delayed_by_s else "",
    }
    return {name: text for name, text in texts.items() if text}


def _over(told: Told, now: datetime) -> dict[str, object]:
    ended = min(told.ended_at or now, now - timedelta(seconds=SKEW_S))
    return {"startsAt": instant(min(told.started_at, ended)), "endsAt": instant(ended)}
