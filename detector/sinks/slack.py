"""Slack: the alert as a message of a Slack channel, by an incoming webhook.

Follows "Sending messages using incoming webhooks", "Formatting message text" and the references of the header, section
and context block and of the text object (docs.slack.dev); answers: "Improving error conditions for Incoming Webhooks".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from detector.model.alert import Alert
from detector.sinks.foreign import ForeignSink
from detector.sinks.http import TIMEOUT_S
from detector.sinks.reading import CUT, HEARTBEAT, TEST, Letter, Told, instant, is_momentary_end, named, shown

HEADER_MAX = 150  # characters, as Slack counts them
TEXT_MAX = 3000
FIELD_MAX = 2000
FIELDS_MAX = 10
FALLBACK_MAX = 300
BLOCKS_MAX = 50
OVER = "Resolved: "  # as our titles begin then
MARKETS_MAX = 20  # named
LINKS = ("incident", "runbook")  # configured ones, from no exchange
LINK_MAX = 1_400  # both fit into one text
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# what Slack would make a mention, a channel or a link of by itself, and the invisible space that keeps it from that
PARSED = re.compile(r"(?<=[@#])(?=\S)|(?<=:)(?=//)|(?<=\w)(?=\.[^\W\d])")
ZERO_WIDTH_SPACE = "\u200b"


class Slack(ForeignSink):
    """For people to read along; what must wake somebody belongs to a pager. The URL is the secret.

    Names of markets come from outside, and one may be called `@everyone` or like an address. So all texts are plain
    texts, with &, < and > escaped, and what would be parsed where marks are read is taken apart.

    When it is wrong: a message that was delivered and not noted as such (a crash, an answer that was lost) comes a
    second time, as a message of its own: an incoming webhook can neither change nor recognise one.

    >>> Slack("chat", url="https://hooks.slack.com/services/T0/B0/secret")
    Slack('chat', https://hooks.slack.com)
    """

    MEANS: ClassVar[Mapping[int, str]] = {
        400: "Slack cannot read the message",
        403: "the workspace forbids it, or the address is no longer valid",
        404: "no such webhook or channel",
        410: "the channel is archived",
    }

    def __init__(
        self,
        name: str,
        *,
        url: str,
        venue: str = "exchange",
        updates: bool = False,
        allow_http: bool = False,
        allow_cidrs: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """updates: those that change no severity, too. ValueError with a sentence when something cannot be used."""
        super().__init__(name, url=url, allow_http=allow_http, allow_cidrs=allow_cidrs, timeout_s=timeout_s)
        self._venue = venue
        self._updates = updates

    def wants(self, alert: Alert) -> bool:
        """Updates only where they were asked for: what makes an incident graver is an escalation."""
        data = alert.data
        left_out = data.get("reason") == "updated" and not self._updates
        return not (left_out or is_momentary_end(data) or alert.type == HEARTBEAT)

    def message(self, letter: Letter, told: Told) -> object:
        what = _what(letter, told)
        title = shown(told.title)
        blocks: list[dict[str, object]] = [{"type": "header", "text": _plain(title or "foreshock", HEADER_MAX)}]
        texts = [title] if len(title) > HEADER_MAX else []
        texts += [shown(told.summary)]
        blocks += [{"type": "section", "text": _plain(text, TEXT_MAX)} for text in texts if text]
        blocks.append({"type": "section", "fields": _fields(told, what)})
        if told.contributors:
            lines = [f"{shown(who.account)}: {100 * who.share:.0f} %" for who in told.contributors]
            blocks.append({"type": "section", "text": _plain("\n".join(["Behind it", *lines]), TEXT_MAX)})
        blocks.append({"type": "context", "elements": _foot(told, self._venue)})
        assert len(blocks) <= BLOCKS_MAX, "a message has one block for each of its parts"
        return {
            "text": harmless(f"{told.severity}, {what}: {title.removeprefix(OVER)}", FALLBACK_MAX),
            "blocks": blocks,
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }


def _what(letter: Letter, told: Told) -> str:
    if letter.type == TEST:
        return "test"
    return "opened again" if told.reopened else told.reason


def _fields(told: Told, what: str) -> list[dict[str, object]]:
    """Two columns of short facts, each under its name."""
    facts = {
        "Severity": f"{told.severity}, {what}",
        "Kind": told.kind.replace("_", " "),
        "Since": instant(told.started_at),
        "Until": instant(told.ended_at) if told.ended_at is not None and told.reason == "resolved" else "",
        "Markets": named(told.markets, MARKETS_MAX),
        "Expected once in": told.expected_every,
    }
    assert len(facts) <= FIELDS_MAX
    return [_plain(f"{name}\n{text}", FIELD_MAX) for name, text in facts.items() if text]


def _foot(told: Told, venue: str) -> list[dict[str, object]]:
    """Where it is from, what it is called, how late it is; and the only links there are, which are our own."""
    late = f", delivered {told.delayed_by_s:.0f} s late" if told.delayed_by_s else ""
    elements: list[dict[str, object]] = [_plain(f"foreshock, {venue}, {told.incident_id}{late}", TEXT_MAX)]
    links = [f"<{escaped(told.links[name] or '', LINK_MAX)}|{name}>" for name in LINKS if told.links.get(name)]
    if links:
        elements.append({"type": "mrkdwn", "text": "  ".join(links), "verbatim": True})
    return elements


def _plain(text: str, characters_max: int) -> dict[str, object]:
    return {"type": "plain_text", "text": harmless(text, characters_max), "emoji": False}


def harmless(text: str, characters_max: int) -> str:
    """As it is sent: nothing in it is a mention, a channel or an address."""
    return escaped(apart(text), characters_max)


def escaped(text: str, characters_max: int) -> str:
    """With Slack's three characters escaped, and then at most so many: cut between characters, never within an escape.

    >>> escaped("<!channel> & co", 99), escaped("a<<<", 9), escaped("a<<", 9)
    ('&lt;!channel&gt; &amp; co', 'a&lt;…', 'a&lt;&lt;')
    """
    pieces = [ESCAPES.get(character, character) for character in text]
    sizes = [len(piece) + (piece > "\uffff") for piece in pieces]  # a character beyond 16 bits may count as two
    if sum(sizes) <= characters_max:
        return "".join(pieces)
    room, kept = characters_max - len(CUT), 0
    for size in sizes:
        room -= size
        if room < 0:
            break
        kept += 1
    return "".join(pieces[:kept]) + CUT


def apart(text: str) -> str:
    """With an invisible space wherever Slack would find a mention, a channel or an address by itself.

    >>> [len(apart(name)) - len(name) for name in ("@everyone", "https://evil.example/login", "#general", "3.2 x")]
    [1, 2, 1, 0]
    """
    return PARSED.sub(ZERO_WIDTH_SPACE, text)
