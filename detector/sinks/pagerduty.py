"""Pagerduty: the alert as an event of PagerDuty, which opens, escalates and closes an incident there.

Follows "Events API v2 Overview" and "Send an Alert Event" (developer.pagerduty.com/docs/events-api-v2) and the common
event format (support.pagerduty.com/docs/pd-cef).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from detector.model.alert import Alert
from detector.sinks.foreign import ForeignSink, Hidden
from detector.sinks.http import TIMEOUT_S
from detector.sinks.reading import HEARTBEAT, Letter, Told, cut, fires, instant, is_momentary_end, shown

URL = "https://events.pagerduty.com/v2/enqueue"
ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
SUMMARY_MAX = 1024  # characters
DEDUP_KEY_MAX = 255
BODY_BYTES_MAX = 500_000  # PagerDuty's 512 KB, whichever kilobyte it means


class Pagerduty(ForeignSink):
    """One incident of ours is one there: its id is the `dedup_key`, so a repeated or updated event goes to the open
    one, and one that comes after the end opens another.

    When it is wrong: where somebody resolved it there while it goes on, its next update opens it again; acknowledge it
    instead. A 202 says that PagerDuty has the event, not that anybody was called.

    >>> Pagerduty("oncall", routing_key="0123456789abcdef0123456789abcdef")
    Pagerduty('oncall', https://events.pagerduty.com)
    """

    MEANS: ClassVar[Mapping[int, str]] = {400: "the event or its routing key is not valid"}

    def __init__(
        self,
        name: str,
        *,
        routing_key: str,
        venue: str = "exchange",
        url: str = URL,
        allow_http: bool = False,
        allow_cidrs: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """ValueError with a sentence when the key, the URL or a network cannot be used."""
        super().__init__(name, url=url, allow_http=allow_http, allow_cidrs=allow_cidrs, timeout_s=timeout_s)
        if not ROUTING_KEY.fullmatch(routing_key):
            raise ValueError("a routing key is the 32 letters and digits of an Events API v2 integration, this is not")
        self._routing_key = Hidden(routing_key)
        self._venue = venue

    def wants(self, alert: Alert) -> bool:
        """Not an update at info, which nobody is called for and which would open again what was closed by hand; not an
        audit of our promises, for which nobody is woken; not the end of what was over when it was told, or it would
        close before anybody has seen it."""
        data = alert.data
        quiet = data.get("reason") == "updated" and data.get("severity") == "info"
        return not (quiet or "audit" in data or is_momentary_end(data) or alert.type == HEARTBEAT)

    def message(self, letter: Letter, told: Told) -> object:
        event: dict[str, Any] = {
            "routing_key": self._routing_key.reveal(),
            "event_action": _action(letter, told),
            "dedup_key": dedup_key(told.incident_id),
        }
        if event["event_action"] != "trigger":
            return event
        optional = {"component": shown(told.leading), "group": told.kind, "class": told.kind}
        event |= {
            "client": "foreshock",
            "payload": {
                "summary": cut(shown(told.title), SUMMARY_MAX),
                "source": self._venue,
                "severity": told.severity,
                "timestamp": instant(letter.timestamp),
                **{name: text for name, text in optional.items() if text},
                "custom_details": letter.fields(),
            },
        }
        links = {name: address for name, address in told.links.items() if address}
        if links:
            event["links"] = [{"href": address, "text": name} for name, address in links.items()]
        if "incident" in links:
            event["client_url"] = links["incident"]
        return fitted(event)


def _action(letter: Letter, told: Told) -> str:
    if not fires(letter, told):
        return "resolve"
    return "acknowledge" if told.reason == "acknowledged" else "trigger"


def dedup_key(incident_id: str) -> str:
    """Its own name; of one that is too long (of a notice, which holds a topic's name) a digest ends it.

    >>> dedup_key("inc_1"), len(dedup_key("x" * 300)), dedup_key("x" * 300) == dedup_key("x" * 301)
    ('inc_1', 255, False)
    """
    if len(incident_id) <= DEDUP_KEY_MAX:
        return incident_id
    digest = blake2b(incident_id.encode(), digest_size=8).hexdigest()
    return incident_id[: DEDUP_KEY_MAX - len(digest)] + digest


def fitted(event: dict[str, Any]) -> dict[str, Any]:
    """Within BODY_BYTES_MAX: the largest list of the details is halved until it fits, and `omitted` says by how many
    rows; where no list is left, the details go whole."""
    details = event["payload"]["custom_details"]
    while len(msgspec.json.encode(event)) > BODY_BYTES_MAX:
        sizes = {name: len(msgspec.json.encode(rows)) for name, rows in details.items() if rows and type(rows) is list}
        if not sizes:
            event["payload"]["custom_details"] = {"omitted": "all details: more than PagerDuty takes"}
            break
        name = max(sizes, key=lambda name: (sizes[name], name))
        rows = details[name]
        details[name] = rows[: len(rows) // 2]
        omitted = details.setdefault("omitted", {})
        omitted[name] = omitted.get(name, 0) + len(rows) - len(details[name])
    return event
